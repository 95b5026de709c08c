//! `million_group_open_http_svc/create_topic`: a community gets a topic.

use chat::group::GroupProfile;
use chat::group::create_topic::CreateTopic;
use chat::id::{GroupId, TopicId};

use super::group_profile as profile;
use crate::body::{Fields, is_printable_ascii, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;

const MAX_TOPIC_ID: usize = 96;
const MAX_CUSTOM: usize = 3000;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let group = profile::group_id(&mut body)?;
    let id = match body.string("TopicId", 10004)?.filter(|id| !id.is_empty()) {
        Some(id) => custom_id(&group, id)?,
        None => {
            let tail = profile::opaque(call.tencent.chat.clock().random());
            TopicId::new(format!("{group}@TOPIC#_@TOPIC#{tail}"))
        }
    };
    let name = body.bounded_string("TopicName", profile::MAX_NAME, 10004)?.filter(|name| !name.is_empty());
    let topic_profile = GroupProfile {
        name: name.ok_or_else(|| missing("TopicName", 10004))?,
        introduction: body.bounded_string("Introduction", profile::MAX_INTRODUCTION, 10004)?.unwrap_or_default(),
        announcement: body.bounded_string("Notification", profile::MAX_NOTIFICATION, 10004)?.unwrap_or_default(),
        face_url: body.bounded_string("FaceUrl", profile::MAX_FACE_URL, 10004)?.unwrap_or_default(),
        custom_data: body.bounded_string("CustomString", MAX_CUSTOM, 10004)?.unwrap_or_default(),
        ..GroupProfile::default()
    };
    let topic = call.run(CreateTopic { group, id, profile: topic_profile }).await?;
    Ok(Reply::new().with("TopicId", topic.id.as_str()))
}

fn custom_id(group: &GroupId, id: String) -> Result<TopicId, Failure> {
    let part = id.strip_prefix(&format!("{group}@TOPIC#_"));
    let is_good = part.is_some_and(|part| !part.is_empty() && !part.contains("@TGS#_") && !part.contains("@TOPIC#"));
    if is_good && id.len() <= MAX_TOPIC_ID && is_printable_ascii(&id) {
        Ok(TopicId::new(id))
    } else {
        Err(Failure::new(10004, "TopicId must be <GroupId>@TOPIC#_<part>, of at most 96 bytes of printable ASCII"))
    }
}
