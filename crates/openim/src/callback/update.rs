//! `callbackBeforeSetGroupInfoCommand` and `callbackBeforeSetGroupInfoExCommand`: their bodies, and what an answer makes
//! of the update (`webhooks.jsonl`).
//!
//! OpenIM takes most fields from the answer whether they are there or not, so that an answer has to repeat what it does
//! not mind, and one that does not even repeat `groupID` makes the call fail. So an answer that repeats `groupID` is read
//! like that: what it leaves out is not changed. Any other only changes what it names (`docs/QUIRKS-openim.md`).

use bytes::Bytes;
use chat::group::update::{Naming, UpdateGroup};
use chat::question::group::GroupUpdate;
use serde::Serialize;
use webhook::codec::Unreadable;

use super::answer::Answer;
use super::commands::{BEFORE_SET_GROUP_INFO, BEFORE_SET_GROUP_INFO_EX};
use super::request::json;
use crate::group_info::{Verification, forbids, need_verification};

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Body<'a, T: Serialize, N: Serialize> {
    #[serde(rename = "callbackCommand")]
    command: &'a str,
    /// COMPAT: never filled; the header of this name is.
    #[serde(rename = "operationID")]
    operation_id: &'a str,
    #[serde(rename = "groupID")]
    group_id: &'a str,
    #[serde(rename = "groupName")]
    group_name: T,
    notification: T,
    introduction: T,
    #[serde(rename = "faceURL")]
    face_url: T,
    ex: T,
    #[serde(rename = "needVerification")]
    need_verification: N,
    #[serde(rename = "lookMemberInfo")]
    look_member_info: N,
    #[serde(rename = "applyMemberFriend")]
    apply_member_friend: N,
}

/// The numbers of what is to change, as OpenIM has them.
struct Numbers {
    verification: Option<i32>,
    hides_members: Option<i32>,
    forbids_befriending: Option<i32>,
}

impl Numbers {
    fn of(question: &GroupUpdate) -> Self {
        let update = &question.update;
        let is_verified = update.joining.is_some() || update.approves_invitations.is_some();
        Self {
            verification: is_verified.then(|| need_verification(&update.applied_to(&question.group).rules)),
            hides_members: update.hides_members.map(i32::from),
            forbids_befriending: update.forbids_befriending.map(i32::from),
        }
    }
}

/// Whether anything is to change that OpenIM knows.
pub(crate) fn is_shown(update: &UpdateGroup) -> bool {
    let texts = [&update.name, &update.introduction, &update.announcement, &update.face_url, &update.custom_data];
    let rules = [update.approves_invitations, update.hides_members, update.forbids_befriending];
    texts.into_iter().any(Option::is_some) || rules.iter().any(Option::is_some) || update.joining.is_some()
}

/// The body of the question whether a group may be changed.
pub(crate) fn body(question: &GroupUpdate) -> Bytes {
    let (update, numbers) = (&question.update, Numbers::of(question));
    let texts = [&update.name, &update.announcement, &update.introduction, &update.face_url, &update.custom_data];
    let numbers = [numbers.verification, numbers.hides_members, numbers.forbids_befriending];
    match update.naming {
        // COMPAT: what does not change is empty or 0 in the one, and null in the other.
        Naming::Filled => {
            let texts = texts.map(|text| text.as_deref().unwrap_or_default());
            worded(BEFORE_SET_GROUP_INFO, question, texts, numbers.map(Option::unwrap_or_default))
        }
        Naming::Named => worded(BEFORE_SET_GROUP_INFO_EX, question, texts.map(Option::as_deref), numbers),
    }
}

fn worded<T: Serialize, N: Serialize>(
    command: &str,
    question: &GroupUpdate,
    [group_name, notification, introduction, face_url, ex]: [T; 5],
    [need_verification, look_member_info, apply_member_friend]: [N; 3],
) -> Bytes {
    json(&Body {
        command,
        operation_id: "",
        group_id: question.group.id.as_str(),
        group_name,
        notification,
        introduction,
        face_url,
        ex,
        need_verification,
        look_member_info,
        apply_member_friend,
    })
}

/// The update as an allowing answer wants it.
pub(crate) fn edit(answer: &Answer, question: &GroupUpdate) -> Result<UpdateGroup, Unreadable> {
    let id = answer.text("groupID")?.filter(|id| !id.is_empty());
    if id.is_some_and(|id| id != question.group.id.as_str()) {
        return Err(Unreadable("groupID is another group than was asked about".into()));
    }
    let (repeats, numbers) = (id.is_some(), Numbers::of(question));
    let is_filled = question.update.naming == Naming::Filled;
    let mut update = question.update.clone();

    // `notification` is never taken from an answer.
    text(answer, "groupName", repeats, is_filled, &mut update.name)?;
    text(answer, "introduction", repeats, is_filled, &mut update.introduction)?;
    text(answer, "faceURL", repeats, is_filled, &mut update.face_url)?;
    // COMPAT: the older form takes the rest only where it is there, and lets `ex` be emptied. What it shows as empty or 0
    // because it is not to change is not changed by an answer that repeats it (`docs/QUIRKS-openim.md`).
    let repeats = repeats && !is_filled;
    let is_blank = is_filled && update.custom_data.is_none();
    text(answer, "ex", repeats, is_blank, &mut update.custom_data)?;
    let is_blank = is_filled && numbers.verification.is_none();
    match number(answer, "needVerification", is_blank)? {
        // A group of the other dialect may be stricter than OpenIM can say; the same number means the same as before.
        number if number == numbers.verification => {}
        Some(number) => {
            let verification = Verification::of(number).map_err(|error| Unreadable(error.detail))?;
            update.joining = Some(verification.joining);
            update.approves_invitations = Some(verification.approves_invitations);
        }
        None if repeats => (update.joining, update.approves_invitations) = (None, None),
        None => {}
    }
    rule(answer, "lookMemberInfo", repeats, is_filled, &mut update.hides_members)?;
    rule(answer, "applyMemberFriend", repeats, is_filled, &mut update.forbids_befriending)?;
    // COMPAT: with a blank name nothing is changed at all, as in the request.
    if !is_filled && update.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Ok(UpdateGroup { naming: update.naming, ..UpdateGroup::default() });
    }
    Ok(update)
}

/// Takes a text from an answer. `repeats`: also that it is not there. `is_filled`: an empty one is not there.
fn text(
    answer: &Answer,
    name: &str,
    repeats: bool,
    is_filled: bool,
    field: &mut Option<String>,
) -> Result<(), Unreadable> {
    let new = answer.text(name)?.filter(|text| !is_filled || !text.is_empty());
    if repeats || new.is_some() {
        *field = new.map(str::to_owned);
    }
    Ok(())
}

/// Takes a number from an answer. `is_blank`: the question had 0 because it is not to change, and 0 only repeats that.
fn number(answer: &Answer, name: &str, is_blank: bool) -> Result<Option<i32>, Unreadable> {
    Ok(answer.optional_int(name)?.filter(|number| !is_blank || *number != 0))
}

fn rule(
    answer: &Answer,
    name: &str,
    repeats: bool,
    is_filled: bool,
    field: &mut Option<bool>,
) -> Result<(), Unreadable> {
    let new = number(answer, name, is_filled && field.is_none())?.map(|number| forbids(name, number)).transpose();
    let new = new.map_err(|error| Unreadable(error.detail))?;
    if repeats || new.is_some() {
        *field = new;
    }
    Ok(())
}
