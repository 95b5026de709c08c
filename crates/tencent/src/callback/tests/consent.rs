//! What is asked about groups, topics and members: each body as in its document, field by field and in its order.

use chat::group::update::UpdateGroup;
use chat::group::{Group, GroupKind, GroupProfile, Topic};
use chat::id::EventId;
use chat::member::{Member, Role};
use chat::question::account::{Registration, WantedBlock};
use chat::question::group::{GroupCreation, GroupUpdate, TopicCreation};
use chat::question::{Edit, Occasion};

use super::*;

fn occasion() -> Occasion {
    let time = Timestamp::from_millis(1_712_400_000_111);
    let origin = Origin { platform: Platform::Rest, ip: Some([127, 0, 0, 1].into()), operation: "op".into() };
    Occasion { id: EventId::new(time, 7), actor: Actor::App("ops_admin".into()), origin, time }
}

fn group(kind: GroupKind) -> Group {
    Group {
        id: "@TGS#1WKGRP55C".into(),
        owner: Some("ines".into()),
        creator: Some("ops_admin".into()),
        profile: GroupProfile { name: "Trail runners".into(), ..GroupProfile::default() },
        ..Group::sample(kind)
    }
}

pub(in crate::callback) fn members(ids: &[(&str, Role)]) -> Vec<Member> {
    ids.iter().map(|(id, role)| Member::new((*id).into(), *role, occasion().time)).collect()
}

pub(in crate::callback) fn creation(members: Vec<Member>) -> Question {
    let creation =
        GroupCreation { occasion: occasion(), group: group(GroupKind::Public), id_is_made_up: true, members, owned: 4 };
    Question::BeforeCreateGroup(Box::new(creation))
}

pub(in crate::callback) fn addition() -> Question {
    let addition = MemberAddition {
        occasion: occasion(),
        group: group(GroupKind::Work),
        members: members(&[("pavel", Role::Member), ("quinn", Role::Member)]),
        reason: "not shown".into(),
    };
    Question::BeforeAddMembers(Box::new(addition))
}

pub(in crate::callback) fn topic() -> Question {
    let topic = Topic {
        id: "@TGS#_c@TOPIC#_routes".into(),
        group: "@TGS#_c".into(),
        profile: GroupProfile { name: "routes".into(), ..GroupProfile::default() },
        creator: None,
        created: occasion().time,
    };
    let creation = TopicCreation { occasion: occasion(), group: group(GroupKind::Community), topic };
    Question::BeforeCreateTopic(Box::new(creation))
}

/// The only question of a kind, as it goes out.
fn asked(question: &Question) -> String {
    let commands = codec().asks(question);
    assert_eq!(commands.len(), 1);
    let call = codec().question(commands[0], question);
    let url = codec().url(&call, Timestamp::from_millis(1_700_000_000_000));
    let query = format!("&CallbackCommand={}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI&", commands[0]);
    assert!(url.contains(&query), "{url}");
    String::from_utf8(call.body.to_vec()).unwrap()
}

fn verdict(question: &Question, answer: &Value) -> Result<Verdict, Unreadable> {
    codec().verdict(codec().asks(question)[0], question, answer.to_string().as_bytes())
}

#[test]
fn a_new_group_is_asked_about_as_documented() {
    let question = creation(members(&[("ines", Role::Owner), ("yuki", Role::Member)]));
    let expected = concat!(
        r#"{"CallbackCommand":"Group.CallbackBeforeCreateGroup","Operator_Account":"ops_admin","#,
        r#""Owner_Account":"ines","Type":"Public","Name":"Trail runners","CreateGroupNum":4,"#,
        r#""MemberList":[{"Member_Account":"yuki"}],"EventTime":"1712400000111"}"#,
    );
    assert_eq!(asked(&question), expected);
    // Nobody but the owner: no list.
    let alone = asked(&creation(members(&[("ines", Role::Owner)])));
    assert_eq!(alone, expected.replace(r#""MemberList":[{"Member_Account":"yuki"}],"#, ""));
}

#[test]
fn an_invitation_is_asked_about_as_documented() {
    let expected = concat!(
        r#"{"CallbackCommand":"Group.CallbackBeforeInviteJoinGroup","GroupId":"@TGS#1WKGRP55C","Type":"Private","#,
        r#""Operator_Account":"ops_admin","#,
        r#""DestinationMembers":[{"Member_Account":"pavel"},{"Member_Account":"quinn"}],"#,
        r#""EventTime":"1712400000111"}"#,
    );
    assert_eq!(asked(&addition()), expected);
}

#[test]
fn a_topic_is_asked_about_as_documented() {
    let expected = concat!(
        r#"{"CallbackCommand":"Group.CallbackBeforeCreateTopic","Operator_Account":"ops_admin","#,
        r#""Type":"Community","Name":"routes"}"#,
    );
    assert_eq!(asked(&topic()), expected);
}

#[test]
fn what_the_dialect_never_asks() {
    let update = UpdateGroup { name: Some("new".into()), ..UpdateGroup::default() };
    let update = GroupUpdate { occasion: occasion(), group: group(GroupKind::Public), update };
    let block = WantedBlock { occasion: occasion(), owner: "a".into(), target: "b".into() };
    let registration = Registration { occasion: occasion(), accounts: Vec::new() };
    for question in [
        Question::BeforeUpdateGroup(Box::new(update)),
        Question::BeforeBlock(Box::new(block)),
        Question::BeforeRegister(Box::new(registration)),
    ] {
        assert!(codec().asks(&question).is_empty(), "{}", question.name());
    }
}

#[test]
fn verdicts_have_the_groups_codes() {
    let rejected = |code| Ok(Verdict::Reject(Refusal::Rejected { code, info: "no".into(), detail: String::new() }));
    for question in [creation(Vec::new()), addition(), topic()] {
        let answer = |code: i64| json!({ "ActionStatus": "OK", "ErrorInfo": "no", "ErrorCode": code });
        assert_eq!(verdict(&question, &answer(0)), Ok(Verdict::Allow));
        assert_eq!(verdict(&question, &answer(1)), rejected(None));
        assert_eq!(verdict(&question, &answer(2)), rejected(None), "only a message can be discarded");
        assert_eq!(verdict(&question, &answer(10_100)), rejected(Some(10_100)));
        assert_eq!(verdict(&question, &answer(10_200)), rejected(Some(10_200)));
        assert_eq!(verdict(&question, &answer(120_001)), rejected(None), "that range is of one-to-one messages");
        assert!(verdict(&question, &json!({})).is_err());
    }
    // A message's fields mean nothing here.
    let answer = json!({ "ErrorCode": 0, "MsgBody": "x" });
    assert_eq!(verdict(&creation(Vec::new()), &answer), Ok(Verdict::Allow));
}

#[test]
fn an_invitation_is_answered_per_account() {
    let answer = |refused: Value| json!({ "ErrorCode": 0, "RefusedMembers_Account": refused });
    let refused = |ids: &[&str]| {
        let refused = ids.iter().copied().map(AccountId::new).collect();
        Ok(Verdict::Modify(Edit::Members(MembersEdit { refused, ..MembersEdit::default() })))
    };
    assert_eq!(verdict(&addition(), &answer(json!(["quinn", "stranger"]))), refused(&["quinn"]));
    assert_eq!(verdict(&addition(), &answer(json!(["quinn", "pavel"]))), refused(&["pavel", "quinn"]));
    for nobody in [json!([]), json!(null), json!(["stranger"])] {
        assert_eq!(verdict(&addition(), &answer(nobody)), Ok(Verdict::Allow));
    }
    for wrong in [json!("quinn"), json!([1]), json!({})] {
        assert!(verdict(&addition(), &answer(wrong)).is_err());
    }
    // Who refuses altogether refuses everybody.
    let both = json!({ "ErrorCode": 1, "RefusedMembers_Account": ["quinn"] });
    assert!(matches!(verdict(&addition(), &both), Ok(Verdict::Reject(_))));
}
