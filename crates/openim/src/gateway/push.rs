//! What a connection is given, as frames: encoded once for each form, and shared by all connections of that form.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use chat::Platform;
use chat::event::{Event, LogEntry};
use chat::online::{Connection, Presence};
use prost::Message;

use super::frame::{Form, Response};
use crate::conversation_id;
use crate::msg_data::{MsgData, PUSHED};
use crate::platform;
use crate::proto::{PresenceOf, Presences, PullMsgs, Pulled};

/// `reqIdentifier` of what nobody has asked for (`spec/openim/gateway.md`, section 5).
const PUSH: i32 = 2001;
const KICKED: i32 = 2002;
const PRESENCE: i32 = 2005;

/// An event as frames; none if OpenIM's clients do not hear of it.
#[derive(Debug)]
pub(super) struct Frames {
    response: Option<Response>,
    forms: [OnceLock<Bytes>; Form::COUNT],
}

impl Frames {
    pub(super) fn of(entry: &LogEntry) -> Self {
        Self { response: push(&entry.event), forms: Default::default() }
    }

    /// The frame in this form.
    pub(super) fn in_form(&self, form: Form) -> Option<Bytes> {
        let response = self.response.as_ref()?;
        Some(self.forms[form.index()].get_or_init(|| form.write(response)).clone())
    }
}

/// Whether pushes reach this connection: an iPhone whose app is in the background is woken by a vendor's push instead.
pub(super) fn reaches(connection: &Connection) -> bool {
    !(connection.platform == Platform::Ios && connection.is_background())
}

fn push(event: &Event) -> Option<Response> {
    match event {
        Event::MessageSent(message) => {
            let conversation = conversation_id::show(&message.conversation)?;
            let shown = MsgData { status: PUSHED, ..MsgData::of(message) };
            let page = PullMsgs { msgs: vec![shown], ..PullMsgs::default() };
            let pulled = Pulled { msgs: BTreeMap::from([(conversation, page)]), ..Pulled::default() };
            // COMPAT: clients know what they have sent themselves by the operation.
            let operation = match message.origin.operation.as_str() {
                "" => message.id.to_string(),
                operation => operation.to_owned(),
            };
            Some(Response { identifier: PUSH, operation, data: pulled.encode_to_vec(), ..Response::default() })
        }
        Event::MessageNotSent { .. } | Event::GroupChanged(_) | Event::EndpointPaused(_) => None,
    }
}

/// That an account has come or gone.
pub(super) fn presence(presence: &Presence) -> Response {
    let data = Presences { subscribers: vec![presence_of(presence)] }.encode_to_vec();
    Response { identifier: PRESENCE, data, ..Response::default() }
}

/// On which platforms an account is.
pub(super) fn presence_of(presence: &Presence) -> PresenceOf {
    let platforms = presence.platforms.iter().filter_map(|platform| platform::number(*platform));
    PresenceOf { user_id: presence.account.to_string(), online_platform_ids: platforms.collect() }
}

/// That the connection has to go.
pub(super) fn kicked() -> Response {
    Response { identifier: KICKED, ..Response::default() }
}
