//! What is asked about groups, members, blocks and accounts: each body as in `webhooks.jsonl`, in its order, and what
//! answers to it do.

use std::collections::BTreeMap;

use chat::account::import::NewAccount;
use chat::group::update::UpdateGroup;
use chat::group::{Group, GroupKind, GroupProfile, GroupRules, Joining, Topic};
use chat::id::EventId;
use chat::member::{Member, Role};
use chat::question::Occasion;
use chat::question::account::{Registration, WantedBlock};
use chat::question::group::{GroupCreation, GroupUpdate, TopicCreation};
use chat::question::member::{MemberAddition, MemberEdit, MembersEdit};

use super::*;

const TIME: Timestamp = Timestamp::from_millis(1_760_000_000_123);

fn occasion() -> Occasion {
    let origin = Origin { platform: Platform::Web, ip: None, operation: "op-5".into() };
    Occasion { id: EventId::new(TIME, 7), actor: Actor::App("imAdmin".into()), origin, time: TIME }
}

fn lunch() -> Group {
    let sample = Group::sample(GroupKind::Public);
    Group {
        id: "g100".into(),
        owner: Some("alice".into()),
        creator: Some("imAdmin".into()),
        profile: GroupProfile { name: "Lunch".into(), ..GroupProfile::default() },
        rules: GroupRules { joining: Joining::Approval, ..sample.rules },
        member_count: 3,
        ..sample
    }
}

fn members(ids: &[(&str, Role)]) -> Vec<Member> {
    ids.iter().map(|(id, role)| Member::new((*id).into(), *role, TIME)).collect()
}

pub(crate) fn creation() -> GroupCreation {
    let members = members(&[("alice", Role::Owner), ("bob", Role::Admin), ("carol", Role::Member)]);
    GroupCreation { occasion: occasion(), group: lunch(), id_is_made_up: true, members, owned: 0 }
}

pub(crate) fn making(creation: GroupCreation) -> Question {
    Question::BeforeCreateGroup(Box::new(creation))
}

pub(crate) fn adding() -> Question {
    let members = members(&[("dave", Role::Member), ("erin", Role::Member)]);
    let addition = MemberAddition { occasion: occasion(), group: lunch(), members, reason: "join us".into() };
    Question::BeforeAddMembers(Box::new(addition))
}

pub(crate) fn changing(update: UpdateGroup) -> Question {
    let update = UpdateGroup { group: Some("g100".into()), ..update };
    Question::BeforeUpdateGroup(Box::new(GroupUpdate { occasion: occasion(), group: lunch(), update }))
}

pub(crate) fn registering(accounts: Vec<NewAccount>) -> Question {
    Question::BeforeRegister(Box::new(Registration { occasion: occasion(), accounts }))
}

pub(crate) fn block() -> WantedBlock {
    WantedBlock { occasion: occasion(), owner: "alice".into(), target: "bob".into() }
}

pub(crate) fn zoe() -> NewAccount {
    NewAccount { name: Some("Zoe".into()), ..NewAccount::bare("zoe".into()) }
}

fn asked(command: &'static str, question: &Question) -> String {
    assert!(codec().asks(question).contains(&command), "{command}");
    let call = codec().question(command, question);
    assert_eq!(call.headers, [("operationID", "op-5".to_owned())]);
    let url = codec().url(&call, Timestamp::default());
    assert_eq!(url, format!("http://app:9000/hook/{command}?contenttype=json"));
    String::from_utf8(call.body.to_vec()).unwrap()
}

fn verdict(command: &'static str, question: &Question, answer: &Value) -> Result<Verdict, Unreadable> {
    codec().verdict(command, question, answer.to_string().as_bytes())
}

/// The question as an answer has changed it.
fn edited(command: &'static str, mut question: Question, answer: Value) -> Question {
    match verdict(command, &question, &answer) {
        Ok(Verdict::Modify(edit)) => question.apply(edit),
        other => panic!("{answer}: {other:?}"),
    }
    question
}

#[test]
fn a_new_group_is_asked_about_as_documented() {
    let expected = concat!(
        r#"{"operationID":"op-5","callbackCommand":"callbackBeforeCreateGroupCommand","groupID":"","#,
        r#""groupName":"Lunch","notification":"","introduction":"","faceURL":"","ownerUserID":"","createTime":0,"#,
        r#""memberCount":0,"ex":"","status":0,"creatorUserID":"","groupType":2,"needVerification":0,"#,
        r#""lookMemberInfo":0,"applyMemberFriend":0,"notificationUpdateTime":0,"notificationUserID":"","#,
        r#""initMemberList":[{"userID":"alice","roleLevel":100},{"userID":"bob","roleLevel":60},"#,
        r#"{"userID":"carol","roleLevel":20}]}"#,
    );
    assert_eq!(asked(BEFORE_CREATE_GROUP, &making(creation())), expected);
    let chosen = asked(BEFORE_CREATE_GROUP, &making(GroupCreation { id_is_made_up: false, ..creation() }));
    assert_eq!(chosen, expected.replace(r#""groupID":"""#, r#""groupID":"g100""#));

    let expected = concat!(
        r#"{"callbackCommand":"callbackBeforeMembersJoinGroupCommand","groupID":"g100","#,
        r#""memberList":[{"userID":"alice","ex":""},{"userID":"bob","ex":""},{"userID":"carol","ex":""}],"#,
        r#""groupEx":""}"#,
    );
    assert_eq!(asked(BEFORE_MEMBERS_JOIN, &making(creation())), expected);
}

#[test]
fn an_invitation_is_asked_about_as_documented() {
    let expected = concat!(
        r#"{"callbackCommand":"callbackBeforeInviteJoinGroupCommand","operationID":"op-5","groupID":"g100","#,
        r#""reason":"join us","invitedUserIDs":["dave","erin"]}"#,
    );
    assert_eq!(asked(BEFORE_INVITE, &adding()), expected);
    let expected = concat!(
        r#"{"callbackCommand":"callbackBeforeMembersJoinGroupCommand","groupID":"g100","#,
        r#""memberList":[{"userID":"dave","ex":""},{"userID":"erin","ex":""}],"groupEx":""}"#,
    );
    assert_eq!(asked(BEFORE_MEMBERS_JOIN, &adding()), expected);
}

#[test]
fn an_update_is_asked_about_as_documented() {
    let named = UpdateGroup { name: Some("Lunch 2".into()), ..UpdateGroup::default() };
    let expected = concat!(
        r#"{"callbackCommand":"callbackBeforeSetGroupInfoExCommand","operationID":"","groupID":"g100","#,
        r#""groupName":"Lunch 2","notification":null,"introduction":null,"faceURL":null,"ex":null,"#,
        r#""needVerification":null,"lookMemberInfo":null,"applyMemberFriend":null}"#,
    );
    assert_eq!(asked(BEFORE_SET_GROUP_INFO_EX, &changing(named.clone())), expected);
    let expected = concat!(
        r#"{"callbackCommand":"callbackBeforeSetGroupInfoCommand","operationID":"","groupID":"g100","#,
        r#""groupName":"Lunch 2","notification":"","introduction":"","faceURL":"","ex":"","#,
        r#""needVerification":0,"lookMemberInfo":0,"applyMemberFriend":0}"#,
    );
    assert_eq!(asked(BEFORE_SET_GROUP_INFO, &changing(UpdateGroup { naming: Naming::Filled, ..named })), expected);

    let text = |text: &str| Some(text.to_owned());
    let full = UpdateGroup {
        name: text("n"),
        introduction: text("i"),
        announcement: text("a"),
        face_url: text("f"),
        custom_data: text("e"),
        joining: Some(Joining::Free),
        approves_invitations: Some(false),
        hides_members: Some(true),
        forbids_befriending: Some(false),
        ..UpdateGroup::default()
    };
    let expected = concat!(
        r#""groupName":"n","notification":"a","introduction":"i","faceURL":"f","ex":"e","#,
        r#""needVerification":2,"lookMemberInfo":1,"applyMemberFriend":0}"#,
    );
    assert!(asked(BEFORE_SET_GROUP_INFO_EX, &changing(full)).ends_with(expected));
}

#[test]
fn accounts_and_blocks_are_asked_about_as_documented() {
    let expected = concat!(
        r#"{"callbackCommand":"callbackBeforeUserRegisterCommand","users":[{"userID":"zoe","nickname":"Zoe","#,
        r#""faceURL":"","ex":"","createTime":0,"appMangerLevel":0,"globalRecvMsgOpt":0}]}"#,
    );
    assert_eq!(asked(BEFORE_USER_REGISTER, &registering(vec![zoe()])), expected);
    let block = WantedBlock { occasion: occasion(), owner: "alice".into(), target: "spam1".into() };
    let expected = r#"{"callbackCommand":"callbackBeforeAddBlackCommand","ownerUserID":"alice","blackUserID":"spam1"}"#;
    assert_eq!(asked(BEFORE_ADD_BLACK, &Question::BeforeBlock(Box::new(block))), expected);
}

#[test]
fn what_is_asked_about_what() {
    let codec = codec();
    assert_eq!(codec.asks(&making(creation())), [BEFORE_CREATE_GROUP, BEFORE_MEMBERS_JOIN]);
    let live = GroupCreation { members: Vec::new(), ..creation() };
    assert_eq!(codec.asks(&making(live)), [BEFORE_CREATE_GROUP]);
    assert_eq!(codec.asks(&adding()), [BEFORE_INVITE, BEFORE_MEMBERS_JOIN]);
    // What OpenIM has no webhook for: muting a group, the other dialect's fields, topics.
    let custom_fields = json!({"k": 1}).as_object().unwrap().clone();
    let unknown = UpdateGroup { muted: Some(true), member_limit: Some(3), custom_fields, ..UpdateGroup::default() };
    assert!(codec.asks(&changing(unknown.clone())).is_empty());
    let rule = UpdateGroup { forbids_befriending: Some(true), ..unknown };
    assert_eq!(codec.asks(&changing(rule)), [BEFORE_SET_GROUP_INFO_EX]);
    let topic =
        Topic { id: "t".into(), group: "g100".into(), profile: GroupProfile::default(), creator: None, created: TIME };
    let topic = TopicCreation { occasion: occasion(), group: lunch(), topic };
    assert!(codec.asks(&Question::BeforeCreateTopic(Box::new(topic))).is_empty());
}

#[test]
fn nothing_but_0_and_1_together_refuses() {
    let named = UpdateGroup { name: Some("Lunch 2".into()), ..UpdateGroup::default() };
    let block = WantedBlock { occasion: occasion(), owner: "alice".into(), target: "spam1".into() };
    for question in [
        making(creation()),
        adding(),
        changing(named),
        registering(vec![zoe()]),
        Question::BeforeBlock(Box::new(block)),
    ] {
        for command in codec().asks(&question) {
            let no = json!({"actionCode": 0, "errCode": 5001, "errMsg": "no", "errDlt": "d", "nextCode": 1});
            let refusal = Refusal::Rejected { code: Some(5001), info: "no".into(), detail: "d".into() };
            assert_eq!(verdict(command, &question, &no), Ok(Verdict::Reject(refusal)), "{command}");
            for yes in [json!({}), json!({"nextCode": 0, "errCode": 5001}), json!({"actionCode": 1, "nextCode": 1})] {
                assert_eq!(verdict(command, &question, &yes), Ok(Verdict::Allow), "{command} {yes}");
            }
            assert!(codec().verdict(command, &question, b"<html>").is_err(), "{command}");
        }
    }
}

#[test]
fn a_new_group_is_changed_in_what_is_there() {
    let answer = json!({
        "groupID": "g7", "groupName": "Dinner", "notification": "n", "introduction": "i", "faceURL": "f", "ex": "e",
        "needVerification": 2, "lookMemberInfo": 1, "applyMemberFriend": 1, "ownerUserID": "eve",
        "creatorUserID": "eve", "status": 3, "groupType": 0,
    });
    let Question::BeforeCreateGroup(changed) = edited(BEFORE_CREATE_GROUP, making(creation()), answer) else {
        panic!()
    };
    let mut expected = creation();
    expected.id_is_made_up = false;
    expected.group.id = "g7".into();
    expected.group.profile = GroupProfile {
        name: "Dinner".into(),
        introduction: "i".into(),
        announcement: "n".into(),
        face_url: "f".into(),
        custom_data: "e".into(),
        ..GroupProfile::default()
    };
    expected.group.rules.joining = Joining::Free;
    expected.group.rules.hides_members = true;
    assert_eq!(*changed, expected);

    // What is repeated, null or empty for an id changes nothing.
    let same = json!({"groupID": "", "groupName": "Lunch", "ex": null, "needVerification": 0, "lookMemberInfo": 0});
    assert_eq!(verdict(BEFORE_CREATE_GROUP, &making(creation()), &same), Ok(Verdict::Allow));
    for wrong in [
        json!({"groupID": "g 7"}),
        json!({"groupName": 1}),
        json!({"needVerification": 9}),
        json!({"lookMemberInfo": 2}),
    ] {
        assert!(verdict(BEFORE_CREATE_GROUP, &making(creation()), &wrong).is_err(), "{wrong}");
    }
}

/// Such a group has no number of its own in OpenIM.
#[test]
fn a_group_that_takes_no_applications_stays_so_when_its_number_is_repeated() {
    let mut closed = creation();
    closed.group.rules.joining = Joining::Closed;
    assert_eq!(verdict(BEFORE_CREATE_GROUP, &making(closed), &json!({"needVerification": 1})), Ok(Verdict::Allow));
    let update = UpdateGroup { joining: Some(Joining::Closed), ..UpdateGroup::default() };
    let repeated = json!({"groupID": "g100", "needVerification": 1});
    assert_eq!(verdict(BEFORE_SET_GROUP_INFO_EX, &changing(update), &repeated), Ok(Verdict::Allow));
}

#[test]
fn members_are_changed_in_what_is_there() {
    let answer = json!({"memberCallbackList": [
        {"userID": "dave", "nickname": "Dave (new)", "faceURL": "f", "roleLevel": 60, "muteEndTime": 1_760_000_060_000_i64, "ex": "e"},
        {"userID": "erin", "nickname": null},
        {"userID": "stranger", "nickname": "x"},
    ]});
    let dave = MemberEdit {
        role: Some(Role::Admin),
        name_card: Some("Dave (new)".into()),
        face_url: Some("f".into()),
        muted_until: Some(Timestamp::from_millis(1_760_000_060_000)),
        custom_data: Some("e".into()),
    };
    let Question::BeforeAddMembers(changed) = edited(BEFORE_MEMBERS_JOIN, adding(), answer) else { panic!() };
    let mut expected = members(&[("dave", Role::Member), ("erin", Role::Member)]);
    let edit = MembersEdit { changed: BTreeMap::from([("dave".into(), dave)]), ..MembersEdit::default() };
    edit.apply_to(&mut expected);
    assert_eq!(changed.members, expected);
    assert_eq!(expected[0].role, Role::Admin);

    let answer = json!({"memberCallbackList": [{"userID": "carol", "nickname": "C."}]});
    let Question::BeforeCreateGroup(changed) = edited(BEFORE_MEMBERS_JOIN, making(creation()), answer) else {
        panic!()
    };
    assert_eq!(changed.members[2].name_card, "C.");
    for wrong in [
        json!([{"nickname": "x"}]),
        json!([{"userID": null}]),
        json!(["dave"]),
        json!({}),
        json!([{"userID": "dave", "roleLevel": 7}]),
        json!([{"userID": "dave", "muteEndTime": "soon"}]),
    ] {
        assert!(verdict(BEFORE_MEMBERS_JOIN, &adding(), &json!({"memberCallbackList": wrong})).is_err(), "{wrong}");
    }
}

#[test]
fn an_invitation_is_answered_per_account() {
    let answer = json!({"refusedMembersAccount": ["erin", "stranger"]});
    let Question::BeforeAddMembers(left) = edited(BEFORE_INVITE, adding(), answer) else { panic!() };
    assert_eq!(left.members, members(&[("dave", Role::Member)]));
    for nobody in [json!([]), json!(null), json!(["stranger"])] {
        let answer = json!({ "refusedMembersAccount": nobody });
        assert_eq!(verdict(BEFORE_INVITE, &adding(), &answer), Ok(Verdict::Allow));
    }
    assert!(verdict(BEFORE_INVITE, &adding(), &json!({"refusedMembersAccount": "erin"})).is_err());
}

/// What is to change, and what an answer makes of it.
fn updated(update: UpdateGroup, answer: Value) -> UpdateGroup {
    let question = changing(update);
    let command = codec().asks(&question)[0];
    let Question::BeforeUpdateGroup(update) = (match verdict(command, &question, &answer) {
        Ok(Verdict::Allow) => question,
        _ => edited(command, question, answer),
    }) else {
        panic!()
    };
    UpdateGroup { group: None, ..update.update }
}

fn name_and_rest(naming: Naming) -> UpdateGroup {
    UpdateGroup {
        name: Some("new".into()),
        introduction: Some("intro".into()),
        announcement: Some("notice".into()),
        custom_data: Some("ex".into()),
        hides_members: Some(true),
        muted: Some(true),
        naming,
        ..UpdateGroup::default()
    }
}

#[test]
fn an_answer_that_names_no_group_changes_only_what_it_names() {
    for naming in [Naming::Named, Naming::Filled] {
        let before = name_and_rest(naming);
        assert_eq!(updated(before.clone(), json!({})), before);
        assert_eq!(updated(before.clone(), json!({"groupID": "", "groupName": null})), before);
        let answer = json!({"groupName": "newer", "ex": "", "needVerification": 2, "notification": "never taken"});
        let expected = UpdateGroup {
            name: Some("newer".into()),
            custom_data: Some(String::new()),
            joining: Some(Joining::Free),
            approves_invitations: Some(false),
            ..before
        };
        assert_eq!(updated(name_and_rest(naming), answer), expected);
    }
}

#[test]
fn an_answer_that_repeats_the_group_takes_back_what_it_leaves_out() {
    // The newer form: all but the announcement.
    let answer = json!({"groupID": "g100", "groupName": "new", "introduction": null, "faceURL": "f"});
    let expected = UpdateGroup {
        introduction: None,
        face_url: Some("f".into()),
        custom_data: None,
        hides_members: None,
        ..name_and_rest(Naming::Named)
    };
    assert_eq!(updated(name_and_rest(Naming::Named), answer.clone()), expected);
    // The older one: only these three.
    let expected = UpdateGroup { introduction: None, face_url: Some("f".into()), ..name_and_rest(Naming::Filled) };
    assert_eq!(updated(name_and_rest(Naming::Filled), answer), expected);
    let emptied = json!({"groupID": "g100", "groupName": "", "introduction": "intro"});
    let expected = UpdateGroup { name: None, ..name_and_rest(Naming::Filled) };
    assert_eq!(updated(name_and_rest(Naming::Filled), emptied), expected);
}

/// As `webhooks.jsonl` advises. The older form shows "" and 0 for what is not to change, and the group has other values.
#[test]
fn an_answer_that_repeats_the_whole_question_changes_nothing() {
    let named = UpdateGroup { name: Some("new".into()), ..UpdateGroup::default() };
    let cleared =
        UpdateGroup { custom_data: Some(String::new()), hides_members: Some(false), ..UpdateGroup::default() };
    let strict = UpdateGroup {
        joining: Some(Joining::Approval),
        approves_invitations: Some(false),
        forbids_befriending: Some(true),
        ..UpdateGroup::default()
    };
    for naming in [Naming::Filled, Naming::Named] {
        for update in [named.clone(), cleared.clone(), strict.clone(), name_and_rest(naming)] {
            let question = changing(UpdateGroup { naming, ..update });
            let command = codec().asks(&question)[0];
            let echo: Value = serde_json::from_str(&asked(command, &question)).unwrap();
            assert_eq!(verdict(command, &question, &echo), Ok(Verdict::Allow), "{echo}");
        }
    }
    // What is to change may be answered with 0 and "", and so may another value where nothing was to change.
    let question = UpdateGroup { naming: Naming::Filled, ..UpdateGroup { hides_members: Some(true), ..named } };
    let answer = json!({"groupID": "g100", "groupName": "new", "lookMemberInfo": 0, "applyMemberFriend": 1});
    let expected = UpdateGroup { hides_members: Some(false), forbids_befriending: Some(true), ..question.clone() };
    assert_eq!(updated(question, answer), expected);
}

#[test]
fn an_update_cannot_be_moved_to_another_group_and_a_blank_name_ends_it() {
    for naming in [Naming::Named, Naming::Filled] {
        let question = changing(name_and_rest(naming));
        let command = codec().asks(&question)[0];
        for wrong in [json!({"groupID": "g101"}), json!({"groupName": 1}), json!({"lookMemberInfo": 7})] {
            assert!(verdict(command, &question, &wrong).is_err(), "{wrong}");
        }
    }
    let blank = updated(name_and_rest(Naming::Named), json!({"groupName": " "}));
    assert_eq!(blank, UpdateGroup::default());
}

#[test]
fn a_list_of_users_is_replaced_by_another() {
    let replaced = |answer: Value| match verdict(BEFORE_USER_REGISTER, &registering(vec![zoe()]), &answer) {
        Ok(Verdict::Modify(Edit::Accounts(accounts))) => Some(accounts),
        Ok(Verdict::Allow) => None,
        other => panic!("{other:?}"),
    };
    for same in [json!([]), json!(null), json!([{"userID": "zoe", "nickname": "Zoe", "createTime": 7}])] {
        assert_eq!(replaced(json!({ "users": same })), None);
    }
    let text = |text: &str| Some(text.to_owned());
    let new = |id: &str, name: &str| NewAccount {
        id: id.into(),
        name: text(name),
        face_url: text(""),
        custom_data: text(""),
    };
    let answer = json!({"users": [{"userID": "zoe", "nickname": "Z."}, {"userID": "yan", "nickname": "Yan"}]});
    assert_eq!(replaced(answer), Some(vec![new("zoe", "Z."), new("yan", "Yan")]));
    for wrong in [json!([{"nickname": "x"}]), json!([{"userID": "a b"}]), json!(["zoe"]), json!({"userID": "zoe"})] {
        let answer = json!({ "users": wrong });
        assert!(verdict(BEFORE_USER_REGISTER, &registering(vec![zoe()]), &answer).is_err(), "{wrong}");
    }
    // An id of the other dialect may be repeated, although it would not do as a new one here.
    let odd = registering(vec![NewAccount::bare("a b".into())]);
    let answer = json!({"users": [{"userID": "a b", "nickname": "A"}]});
    assert!(matches!(verdict(BEFORE_USER_REGISTER, &odd, &answer), Ok(Verdict::Modify(_))));
}
