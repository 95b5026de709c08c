//! What is asked before groups, topics, members, blocks and accounts come to be: in both dialects, over the real binary.
//! (Messages have files of their own: `c2c_callbacks.rs`, `group_callbacks.rs`, `openim_callbacks.rs`.)

use serde_json::{Value, json};
use tests::openim::single;
use tests::tencent::with;
use tests::wire::steady;
use tests::{Answer, Endpoint, Gate, Manner, Rogue, Setup, Stage, c2c, group_text};

const CREATE: &str = "group_open_http_svc/create_group";
const ADD: &str = "group_open_http_svc/add_group_member";
const MODIFY: &str = "group_open_http_svc/modify_group_base_info";
const CREATE_TOPIC: &str = "million_group_open_http_svc/create_topic";
const IMPORT: &str = "im_open_login_svc/account_import";
const MULTI_IMPORT: &str = "im_open_login_svc/multiaccount_import";
const CHECK: &str = "im_open_login_svc/account_check";
const BLOCK: &str = "sns/black_list_add";

const BEFORE_CREATE: &str = "Group.CallbackBeforeCreateGroup";
const BEFORE_INVITE: &str = "Group.CallbackBeforeInviteJoinGroup";
const BEFORE_TOPIC: &str = "Group.CallbackBeforeCreateTopic";
const OPENIM_CREATE: &str = "callbackBeforeCreateGroupCommand";
const OPENIM_JOIN: &str = "callbackBeforeMembersJoinGroupCommand";
const OPENIM_INVITE: &str = "callbackBeforeInviteJoinGroupCommand";
const OPENIM_SET: &str = "callbackBeforeSetGroupInfoCommand";
const OPENIM_SET_EX: &str = "callbackBeforeSetGroupInfoExCommand";
const OPENIM_REGISTER: &str = "callbackBeforeUserRegisterCommand";
const OPENIM_BLOCK: &str = "callbackBeforeAddBlackCommand";

/// An answer in Tencent's words.
fn tencent(code: i64, fields: Value) -> Value {
    with(json!({"ActionStatus": "OK", "ErrorInfo": "not today", "ErrorCode": code}), fields)
}

/// A refusal in OpenIM's words.
fn openim_no(code: i64) -> Value {
    json!({"actionCode": 0, "errCode": code, "errMsg": "not today", "errDlt": "says the app", "nextCode": 1})
}

/// Permission in OpenIM's words.
fn openim_yes(fields: Value) -> Value {
    with(json!({"actionCode": 0, "errCode": 0, "errMsg": "", "errDlt": "", "nextCode": 0}), fields)
}

fn listed(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({ "Member_Account": id })).collect()
}

fn climbers(members: &[&str]) -> Value {
    json!({
        "Type": "Public", "GroupId": "climbers", "Name": "Climbers", "Owner_Account": "alice",
        "MemberList": listed(members),
    })
}

/// Who is in a group, in order.
async fn members(stage: &Stage, group: &str) -> Vec<String> {
    let page = json!({"groupID": group, "filter": 0, "pagination": {"pageNumber": 1, "showNumber": 100}});
    let data = stage.openim.ok("/group/get_group_member_list", page).await;
    let members = data["members"].as_array().cloned().unwrap_or_default();
    members.iter().map(|member| member["userID"].as_str().expect("a user").to_owned()).collect()
}

/// The group as OpenIM shows it, if there is one.
async fn group_info(stage: &Stage, group: &str) -> Option<Value> {
    let data = stage.openim.ok("/group/get_groups_info", json!({ "groupIDs": [group] })).await;
    data["groupInfos"].get(0).cloned()
}

/// Whether accounts are known.
async fn known(stage: &Stage, ids: &[&str]) -> Vec<bool> {
    let items: Vec<Value> = ids.iter().map(|id| json!({ "UserID": id })).collect();
    let answer = stage.tencent.ok(CHECK, json!({ "CheckItem": items })).await;
    let items = answer["ResultItem"].as_array().expect("ResultItem").clone();
    items.iter().map(|item| item["AccountStatus"] == "Imported").collect()
}

#[tokio::test]
async fn a_tencent_backend_is_asked_before_a_group_is_made() {
    let stage = Stage::tencent().await;
    stage.tencent.create_group("first", "alice", &[]).await;
    stage.backend.answers(BEFORE_CREATE, tencent(10_111, json!({})));
    let answer = stage.tencent.call(CREATE, climbers(&["bob", "carol"])).await;
    assert_eq!((&answer["ErrorCode"], &answer["ErrorInfo"]), (&json!(10_111), &json!("not today")));
    let asked = stage.backend.wait_for(BEFORE_CREATE, 2).await.remove(1);
    insta::assert_json_snapshot!(steady(&asked.body), @r#"
    {
      "CallbackCommand": "Group.CallbackBeforeCreateGroup",
      "CreateGroupNum": 1,
      "EventTime": "<milliseconds, quoted>",
      "MemberList": [
        {
          "Member_Account": "bob"
        },
        {
          "Member_Account": "carol"
        }
      ],
      "Name": "Climbers",
      "Operator_Account": "administrator",
      "Owner_Account": "alice",
      "Type": "Public"
    }
    "#);
    let query = format!(
        "SdkAppid=1400000000&CallbackCommand={BEFORE_CREATE}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI"
    );
    assert_eq!(asked.query_text, query);
    assert_eq!(group_info(&stage, "climbers").await, None);

    for (code, expected) in [(1, 10_016), (2, 10_016), (120_001, 10_016), (10_100, 10_100)] {
        stage.backend.answers(BEFORE_CREATE, tencent(code, json!({})));
        assert_eq!(stage.tencent.refused(CREATE, climbers(&[])).await, expected);
    }
    // ... and through OpenIM it is a rejection with the code that the backend gave, if it may give it.
    let theirs =
        json!({"ownerUserID": "alice", "groupInfo": {"groupType": 2, "groupName": "x", "groupID": "climbers"}});
    assert_eq!(stage.openim.refused("/group/create_group", theirs).await, 10_100);
    stage.backend.answers(BEFORE_CREATE, tencent(0, json!({})));
    stage.tencent.ok(CREATE, climbers(&["bob"])).await;
    assert_eq!(members(&stage, "climbers").await, ["alice", "bob"]);
}

#[tokio::test]
async fn a_tencent_backend_is_asked_before_members_are_added_and_answers_per_account() {
    let stage = Stage::tencent().await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    stage.backend.answers(BEFORE_INVITE, tencent(0, json!({"RefusedMembers_Account": ["dave", "bob"]})));
    let add = json!({"GroupId": "climbers", "MemberList": listed(&["bob", "carol", "dave", "nobody"])});
    let answer = stage.tencent.ok(ADD, add.clone()).await;
    let results = json!([
        {"Member_Account": "bob", "Result": 2}, {"Member_Account": "carol", "Result": 1},
        {"Member_Account": "dave", "Result": 0}, {"Member_Account": "nobody", "Result": 0},
    ]);
    assert_eq!(answer["MemberList"], results);
    assert_eq!(members(&stage, "climbers").await, ["alice", "bob", "carol"]);
    insta::assert_json_snapshot!(steady(&stage.backend.first(BEFORE_INVITE).await.body), @r#"
    {
      "CallbackCommand": "Group.CallbackBeforeInviteJoinGroup",
      "DestinationMembers": [
        {
          "Member_Account": "carol"
        },
        {
          "Member_Account": "dave"
        }
      ],
      "EventTime": "<milliseconds, quoted>",
      "GroupId": "climbers",
      "Operator_Account": "administrator",
      "Type": "Public"
    }
    "#);

    // Only dave would be new now. All who would be are refused one by one, and then altogether.
    let answer = stage.tencent.ok(ADD, add.clone()).await;
    let results: Vec<_> = (0..4).map(|n| answer["MemberList"][n]["Result"].clone()).collect();
    assert_eq!(results, [2, 2, 0, 0]);
    for (code, expected) in [(1, 10_016), (10_200, 10_200), (10_201, 10_016)] {
        stage.backend.answers(BEFORE_INVITE, tencent(code, json!({"RefusedMembers_Account": ["carol"]})));
        assert_eq!(stage.tencent.refused(ADD, add.clone()).await, expected);
    }
    // Nobody would be new: nobody is asked.
    let asked = stage.backend.calls_of(BEFORE_INVITE).len();
    stage.tencent.ok(ADD, json!({"GroupId": "climbers", "MemberList": listed(&["bob"])})).await;
    assert_eq!(stage.backend.calls_of(BEFORE_INVITE).len(), asked);
}

#[tokio::test]
async fn a_tencent_backend_is_asked_before_a_topic_is_made() {
    let stage = Stage::tencent().await;
    let community =
        json!({"Type": "Community", "GroupId": "@TGS#_c", "Name": "c", "Owner_Account": "alice", "SupportTopic": 1});
    stage.tencent.ok(CREATE, community).await;
    let topic = json!({"GroupId": "@TGS#_c", "TopicId": "@TGS#_c@TOPIC#_routes", "TopicName": "routes"});
    stage.backend.answers(BEFORE_TOPIC, tencent(10_150, json!({})));
    assert_eq!(stage.tencent.refused(CREATE_TOPIC, topic.clone()).await, 10_150);
    insta::assert_json_snapshot!(steady(&stage.backend.first(BEFORE_TOPIC).await.body), @r#"
    {
      "CallbackCommand": "Group.CallbackBeforeCreateTopic",
      "Name": "routes",
      "Operator_Account": "administrator",
      "Type": "Community"
    }
    "#);
    stage.backend.answers(BEFORE_TOPIC, tencent(1, json!({})));
    assert_eq!(stage.tencent.refused(CREATE_TOPIC, topic.clone()).await, 10_016);
    let into = with(group_text("@TGS#_c", "alice", "hi"), json!({"TopicId": "@TGS#_c@TOPIC#_routes"}));
    stage.tencent.refused("group_open_http_svc/send_group_msg", into.clone()).await;
    stage.backend.answers(BEFORE_TOPIC, tencent(0, json!({})));
    stage.tencent.ok(CREATE_TOPIC, topic.clone()).await;
    stage.tencent.ok("group_open_http_svc/send_group_msg", into).await;
    // Taken already: that needs nobody's opinion.
    assert_eq!(stage.tencent.refused(CREATE_TOPIC, topic).await, 10_021);
    assert_eq!(stage.backend.calls_of(BEFORE_TOPIC).len(), 3);
}

#[tokio::test]
async fn an_openim_backend_is_asked_before_a_group_is_made_and_shapes_it() {
    let stage = Stage::openim().await;
    let create = json!({
        "ownerUserID": "alice", "adminUserIDs": ["bob"], "memberUserIDs": ["carol"],
        "groupInfo": {"groupName": "Lunch", "groupType": 2, "introduction": "at noon"},
    });
    let shaped =
        openim_yes(json!({"groupID": "g7", "groupName": "Dinner", "ex": "{\"dept\":7}", "needVerification": 2}));
    stage.backend.answers(OPENIM_CREATE, shaped);
    let changed = json!({"memberCallbackList": [
        {"userID": "carol", "nickname": "C.", "faceURL": "https://cdn.example.com/c.png", "roleLevel": 60, "ex": "vip"},
        {"userID": "alice", "roleLevel": 20},
    ]});
    stage.backend.answers(OPENIM_JOIN, openim_yes(changed));
    let reply = stage.openim.call_as("op-5", "/group/create_group", create.clone()).await;
    let info = &reply["data"]["groupInfo"];
    let shown = ["groupID", "groupName", "introduction", "ex", "needVerification", "ownerUserID", "memberCount"];
    let shown: Vec<_> = shown.iter().map(|name| info[*name].clone()).collect();
    assert_eq!(json!(shown), json!(["g7", "Dinner", "at noon", "{\"dept\":7}", 2, "alice", 3]));

    let asked = stage.backend.first(OPENIM_CREATE).await;
    assert_eq!(
        (asked.path.as_str(), asked.headers["operationid"].as_str()),
        (&*format!("/webhook/{OPENIM_CREATE}"), "op-5")
    );
    insta::assert_json_snapshot!(asked.body, @r#"
    {
      "operationID": "op-5",
      "callbackCommand": "callbackBeforeCreateGroupCommand",
      "groupID": "",
      "groupName": "Lunch",
      "notification": "",
      "introduction": "at noon",
      "faceURL": "",
      "ownerUserID": "",
      "createTime": 0,
      "memberCount": 0,
      "ex": "",
      "status": 0,
      "creatorUserID": "",
      "groupType": 2,
      "needVerification": 0,
      "lookMemberInfo": 0,
      "applyMemberFriend": 0,
      "notificationUpdateTime": 0,
      "notificationUserID": "",
      "initMemberList": [
        {
          "userID": "alice",
          "roleLevel": 100
        },
        {
          "userID": "bob",
          "roleLevel": 60
        },
        {
          "userID": "carol",
          "roleLevel": 20
        }
      ]
    }
    "#);
    // The second question is about what the first answer has made of it.
    insta::assert_json_snapshot!(stage.backend.first(OPENIM_JOIN).await.body, @r#"
    {
      "callbackCommand": "callbackBeforeMembersJoinGroupCommand",
      "groupID": "g7",
      "memberList": [
        {
          "userID": "alice",
          "ex": ""
        },
        {
          "userID": "bob",
          "ex": ""
        },
        {
          "userID": "carol",
          "ex": ""
        }
      ],
      "groupEx": "{\"dept\":7}"
    }
    "#);
    let page = json!({"groupID": "g7", "filter": 0, "pagination": {"pageNumber": 1, "showNumber": 100}});
    let data = stage.openim.ok("/group/get_group_member_list", page).await;
    let member = |n: usize| {
        let member = &data["members"][n];
        json!([member["userID"], member["roleLevel"], member["nickname"], member["faceURL"], member["ex"]])
    };
    assert_eq!(member(0), json!(["alice", 100, "Alice", "https://cdn.example.com/alice.png", ""]));
    let carol = json!(["carol", 60, "C.", "https://cdn.example.com/c.png", "vip"]);
    assert!([member(1), member(2)].contains(&carol), "{data}");

    stage.backend.answers(OPENIM_CREATE, openim_yes(json!({})));
    stage.backend.answers(OPENIM_JOIN, openim_no(5002));
    let refused = with(create, json!({"groupInfo": {"groupName": "Lunch", "groupType": 2, "groupID": "g8"}}));
    let reply = stage.openim.call("/group/create_group", refused).await;
    let shown = (&reply["errCode"], &reply["errMsg"], &reply["errDlt"]);
    assert_eq!(shown, (&json!(5002), &json!("not today"), &json!("says the app")));
    assert_eq!(stage.backend.wait_for(OPENIM_CREATE, 2).await[1].body["groupID"], "g8", "as it was chosen");
    assert_eq!(group_info(&stage, "g8").await, None);
}

#[tokio::test]
async fn an_openim_backend_is_asked_before_an_invitation_and_answers_per_account() {
    let stage = Stage::openim().await;
    stage.openim.create_group("g100", "alice", &["bob"]).await;
    let joins = stage.backend.calls_of(OPENIM_JOIN).len();
    let invite =
        |users: &[&str]| json!({"groupID": "g100", "invitedUserIDs": users, "reason": "join us", "sendMessage": false});
    stage.backend.answers(OPENIM_INVITE, openim_yes(json!({"refusedMembersAccount": ["dave"]})));
    let later = 4_000_000_000_000_i64;
    let muted = json!({"memberCallbackList": [{"userID": "carol", "muteEndTime": later, "nickname": "C."}]});
    stage.backend.answers(OPENIM_JOIN, openim_yes(muted));
    let reply = stage.openim.call_as("op-9", "/group/invite_user_to_group", invite(&["carol", "dave", "bob"])).await;
    assert_eq!(reply["errCode"], 0, "{reply}");
    insta::assert_json_snapshot!(stage.backend.first(OPENIM_INVITE).await.body, @r#"
    {
      "callbackCommand": "callbackBeforeInviteJoinGroupCommand",
      "operationID": "op-9",
      "groupID": "g100",
      "reason": "join us",
      "invitedUserIDs": [
        "carol",
        "dave"
      ]
    }
    "#);
    let joining = stage.backend.wait_for(OPENIM_JOIN, joins + 1).await.remove(joins);
    assert_eq!(joining.body["memberList"], json!([{"userID": "carol", "ex": ""}]), "dave is out already");
    assert_eq!(members(&stage, "g100").await, ["alice", "bob", "carol"]);
    // Muted from the start.
    assert_eq!(stage.openim.refused("/msg/send_msg", tests::openim::group("carol", "g100", "hi")).await, 1402);

    // Nobody is left to join: the second question has nobody to be about, and the caller hears of it.
    assert_eq!(stage.openim.refused("/group/invite_user_to_group", invite(&["dave"])).await, 80_000);
    assert_eq!(stage.backend.calls_of(OPENIM_JOIN).len(), joins + 1);
    stage.backend.answers(OPENIM_INVITE, openim_no(5003));
    assert_eq!(stage.openim.refused("/group/invite_user_to_group", invite(&["dave"])).await, 5003);
    assert_eq!(members(&stage, "g100").await, ["alice", "bob", "carol"]);
}

#[tokio::test]
async fn an_openim_backend_is_asked_before_a_group_is_changed() {
    let stage = Stage::openim().await;
    stage.openim.create_group("g100", "alice", &[]).await;
    let set = |fields: Value| json!({"groupInfoForSet": with(json!({"groupID": "g100"}), fields)});
    stage.openim.ok("/group/set_group_info", set(json!({"groupName": "Lunch 2", "notification": ""}))).await;
    insta::assert_json_snapshot!(stage.backend.first(OPENIM_SET).await.body, @r#"
    {
      "callbackCommand": "callbackBeforeSetGroupInfoCommand",
      "operationID": "",
      "groupID": "g100",
      "groupName": "Lunch 2",
      "notification": "",
      "introduction": "",
      "faceURL": "",
      "ex": "",
      "needVerification": 0,
      "lookMemberInfo": 0,
      "applyMemberFriend": 0
    }
    "#);
    let ex = json!({"groupID": "g100", "groupName": "Lunch 3", "introduction": "at one", "lookMemberInfo": 1});
    let shaped = json!({"groupID": "g100", "groupName": "Lunch 4", "lookMemberInfo": 1, "introduction": null});
    stage.backend.answers(OPENIM_SET_EX, openim_yes(shaped));
    stage.openim.ok("/group/set_group_info_ex", ex.clone()).await;
    insta::assert_json_snapshot!(stage.backend.first(OPENIM_SET_EX).await.body, @r#"
    {
      "callbackCommand": "callbackBeforeSetGroupInfoExCommand",
      "operationID": "",
      "groupID": "g100",
      "groupName": "Lunch 3",
      "notification": null,
      "introduction": "at one",
      "faceURL": null,
      "ex": null,
      "needVerification": null,
      "lookMemberInfo": 1,
      "applyMemberFriend": null
    }
    "#);
    let info = group_info(&stage, "g100").await.expect("the group");
    let shown = (&info["groupName"], &info["introduction"], &info["lookMemberInfo"]);
    assert_eq!(shown, (&json!("Lunch 4"), &json!(""), &json!(1)));

    stage.backend.answers(OPENIM_SET_EX, openim_no(5004));
    assert_eq!(stage.openim.refused("/group/set_group_info_ex", ex).await, 5004);
    // The other dialect's changes are asked about in the newer form, and refused in that dialect's words.
    assert_eq!(stage.tencent.refused(MODIFY, json!({"GroupId": "g100", "Name": "no"})).await, 10_016);
    assert_eq!(group_info(&stage, "g100").await.expect("the group")["groupName"], "Lunch 4");
    // Nothing that OpenIM would ask about, or nothing at all.
    stage.tencent.ok(MODIFY, json!({"GroupId": "g100", "MuteAllMember": "On"})).await;
    stage.tencent.ok(MODIFY, json!({"GroupId": "g100", "Name": "Lunch 4"})).await;
    assert_eq!((stage.backend.calls_of(OPENIM_SET).len(), stage.backend.calls_of(OPENIM_SET_EX).len()), (1, 3));
}

#[tokio::test]
async fn an_openim_backend_is_asked_before_accounts_are_made_known() {
    let stage = Stage::openim().await;
    let before = stage.backend.calls_of(OPENIM_REGISTER).len();
    let users = |ids: &[&str]| {
        let users: Vec<_> = ids.iter().map(|id| json!({"userID": id, "nickname": "new", "faceURL": "f"})).collect();
        json!({ "users": users })
    };
    let shaped =
        json!({"users": [{"userID": "zoe", "nickname": "Zoe", "ex": "e"}, {"userID": "yan", "nickname": "Yan"}]});
    stage.backend.answers(OPENIM_REGISTER, openim_yes(shaped));
    stage.openim.ok("/user/user_register", users(&["zoe"])).await;
    insta::assert_json_snapshot!(stage.backend.calls_of(OPENIM_REGISTER)[before].body, @r#"
    {
      "callbackCommand": "callbackBeforeUserRegisterCommand",
      "users": [
        {
          "userID": "zoe",
          "nickname": "new",
          "faceURL": "f",
          "ex": "",
          "createTime": 0,
          "appMangerLevel": 0,
          "globalRecvMsgOpt": 0
        }
      ]
    }
    "#);
    let data = stage.openim.ok("/user/get_users_info", json!({"userIDs": ["zoe", "yan"]})).await;
    let shown: Vec<_> = (0..2).map(|n| json!([data["usersInfo"][n]["nickname"], data["usersInfo"][n]["ex"]])).collect();
    assert_eq!(shown, [json!(["Zoe", "e"]), json!(["Yan", ""])]);

    // Per account where the answer is: who is known stays so, who is left out fails.
    let shaped = json!({"users": [{"userID": "u1"}]});
    stage.backend.answers(OPENIM_REGISTER, openim_yes(shaped));
    let answer = stage.tencent.ok(MULTI_IMPORT, json!({"Accounts": ["u1", "bob", "u2"]})).await;
    assert_eq!(answer["FailAccounts"], json!(["u2"]));
    assert_eq!(known(&stage, &["u1", "bob", "u2"]).await, [true, true, false]);
    assert_eq!(stage.tencent.refused(IMPORT, json!({"UserID": "u2"})).await, 70_402);

    stage.backend.answers(OPENIM_REGISTER, openim_no(5005));
    assert_eq!(stage.openim.refused("/user/user_register", users(&["u3"])).await, 5005);
    assert_eq!(stage.tencent.refused(IMPORT, json!({"UserID": "u4"})).await, 70_402);
    assert_eq!(stage.tencent.refused(MULTI_IMPORT, json!({"Accounts": ["u4", "u5"]})).await, 70_402);
    assert_eq!(known(&stage, &["u2", "u3", "u4", "u5"]).await, [false; 4]);
    // With others in their place the call succeeds.
    stage.backend.answers(OPENIM_REGISTER, openim_yes(json!({"users": [{"userID": "instead"}]})));
    stage.openim.ok("/user/user_register", users(&["u3"])).await;
    assert_eq!(known(&stage, &["u3", "instead"]).await, [false, true]);
    // A known account is not asked about.
    let asked = stage.backend.calls_of(OPENIM_REGISTER).len();
    stage.tencent.ok(IMPORT, json!({"UserID": "bob", "Nick": "Bob"})).await;
    assert_eq!(stage.openim.refused("/user/user_register", users(&["bob", "u6"])).await, 1102);
    assert_eq!(stage.backend.calls_of(OPENIM_REGISTER).len(), asked);
}

#[tokio::test]
async fn an_openim_backend_is_asked_about_each_block() {
    let stage = Stage::openim().await;
    stage.backend.answers_with(OPENIM_BLOCK, |call| {
        let code = if call.body["blackUserID"] == "carol" { Some(38_123) } else { None };
        let other = if call.body["blackUserID"] == "dave" { Some(5006) } else { code };
        other.map_or_else(Answer::go_on, |code| openim_no(code).into())
    });
    let answer =
        stage.tencent.ok(BLOCK, json!({"From_Account": "alice", "To_Account": ["bob", "carol", "dave"]})).await;
    let items = json!([
        {"To_Account": "bob", "ResultCode": 0, "ResultInfo": ""},
        {"To_Account": "carol", "ResultCode": 38_123, "ResultInfo": "not today"},
        {"To_Account": "dave", "ResultCode": 30_001, "ResultInfo": "the app's before-callback refused"},
    ]);
    assert_eq!(answer["ResultItem"], items);
    assert_eq!(answer["Fail_Account"], json!(["carol", "dave"]));
    let mut asked: Vec<_> = stage.backend.calls_of(OPENIM_BLOCK).into_iter().map(|call| call.body).collect();
    asked.sort_by_key(|body| body["blackUserID"].to_string());
    assert_eq!(asked.len(), 3);
    insta::assert_json_snapshot!(asked[0], @r#"
    {
      "callbackCommand": "callbackBeforeAddBlackCommand",
      "ownerUserID": "alice",
      "blackUserID": "bob"
    }
    "#);
    // Bob is blocked, carol is not.
    assert_eq!(stage.openim.refused("/msg/send_msg", single("bob", "alice", "hi")).await, 1302);
    stage.openim.ok("/msg/send_msg", single("carol", "alice", "hi")).await;
}

/// One is asked after the other; each sees what the ones before have left, and their refusals add up.
#[tokio::test]
async fn two_backends_are_asked_in_their_order() {
    let stage = Stage::both().await;
    stage.tencent.import(&["erin"]).await;
    stage.openim.create_group("g100", "alice", &["bob"]).await;
    let joins = stage.backend.calls_of(OPENIM_JOIN).len();
    stage.backend.answers(BEFORE_INVITE, tencent(0, json!({"RefusedMembers_Account": ["carol"]})));
    stage.backend.answers(OPENIM_INVITE, openim_yes(json!({"refusedMembersAccount": ["dave"]})));
    let add = json!({"GroupId": "g100", "MemberList": listed(&["carol", "dave", "erin"])});
    let answer = stage.tencent.ok(ADD, add).await;
    let results: Vec<_> = (0..3).map(|n| answer["MemberList"][n]["Result"].clone()).collect();
    assert_eq!(results, [0, 0, 1]);
    assert_eq!(members(&stage, "g100").await, ["alice", "bob", "erin"]);
    assert_eq!(stage.backend.first(OPENIM_INVITE).await.body["invitedUserIDs"], json!(["dave", "erin"]));
    let joining = stage.backend.wait_for(OPENIM_JOIN, joins + 1).await.remove(joins);
    assert_eq!(joining.body["memberList"], json!([{"userID": "erin", "ex": ""}]));

    // Who leaves nobody over ends it; who refuses, too.
    stage.backend.answers(BEFORE_INVITE, tencent(0, json!({"RefusedMembers_Account": ["carol", "dave"]})));
    let asked = stage.backend.calls_of(OPENIM_INVITE).len();
    let add = json!({"GroupId": "g100", "MemberList": listed(&["carol", "dave"])});
    stage.tencent.ok(ADD, add.clone()).await;
    stage.backend.answers(BEFORE_INVITE, tencent(10_120, json!({})));
    assert_eq!(stage.tencent.refused(ADD, add).await, 10_120);
    assert_eq!(stage.backend.calls_of(OPENIM_INVITE).len(), asked);
}

/// A stage whose questions go to a backend that says 500.
async fn over(asked: Endpoint) -> Stage {
    Stage::with(Setup::new().endpoint(asked.named("rogue")), |_| Vec::new()).await
}

#[tokio::test]
async fn a_backend_that_fails_and_may_be_ignored() {
    let dialects: [fn(String) -> Endpoint; 2] = [|url| Endpoint::tencent(url), |url| Endpoint::openim(url)];
    for dialect in dialects {
        let rogue = Rogue::start(Manner::Says500).await;
        let stage = over(dialect(rogue.url("")).on_failure("allow")).await;
        stage.tencent.ok(CREATE, climbers(&["bob"])).await;
        stage.tencent.ok(ADD, json!({"GroupId": "climbers", "MemberList": listed(&["carol"])})).await;
        stage.tencent.ok(MODIFY, json!({"GroupId": "climbers", "Name": "new"})).await;
        stage.tencent.ok(BLOCK, json!({"From_Account": "alice", "To_Account": ["bob"]})).await;
        stage.openim.register(&["zoe"]).await;
        assert_eq!(members(&stage, "climbers").await, ["alice", "bob", "carol"]);
        assert!(rogue.requests() > 0, "it was asked");
    }
}

#[tokio::test]
async fn a_backend_that_fails_and_must_be_heard() {
    let rogue = Rogue::start(Manner::Says500).await;
    let stage = over(Endpoint::tencent(rogue.url("")).on_failure("reject")).await;
    assert_eq!(stage.tencent.refused(CREATE, climbers(&["bob"])).await, 80_003);
    let theirs = json!({"ownerUserID": "alice", "groupInfo": {"groupType": 2, "groupName": "x"}});
    assert_eq!(stage.openim.refused("/group/create_group", theirs).await, 90_004);
    assert_eq!(group_info(&stage, "climbers").await, None);

    // OpenIM's questions, to a backend that comes to fail. (After a few of them it counts as down: the same to a caller.)
    let questions =
        [OPENIM_CREATE, OPENIM_JOIN, OPENIM_INVITE, OPENIM_SET, OPENIM_SET_EX, OPENIM_REGISTER, OPENIM_BLOCK];
    let stage = Stage::with(Setup::new(), |url| {
        vec![Endpoint::openim(format!("{url}/webhook")).hears(questions).on_failure("reject")]
    })
    .await;
    stage.openim.create_group("g100", "alice", &["bob"]).await;
    let set_ex = json!({"groupID": "g100", "groupName": "x"});
    // An answer that is none is another kind of failure.
    stage.backend.answers(OPENIM_SET_EX, json!({"groupID": "another", "groupName": "x"}));
    assert_eq!(stage.openim.refused("/group/set_group_info_ex", set_ex.clone()).await, 90_007);
    for command in questions {
        stage.backend.answers(command, Answer::status(500));
    }
    let theirs = json!({"ownerUserID": "alice", "groupInfo": {"groupType": 2, "groupName": "x", "groupID": "g8"}});
    assert_eq!(stage.openim.refused("/group/create_group", theirs).await, 90_004);
    let invite = json!({"groupID": "g100", "invitedUserIDs": ["carol"]});
    assert_eq!(stage.openim.refused("/group/invite_user_to_group", invite).await, 90_004);
    let set = json!({"groupInfoForSet": {"groupID": "g100", "groupName": "x"}});
    assert_eq!(stage.openim.refused("/group/set_group_info", set).await, 90_004);
    assert_eq!(stage.openim.refused("/group/set_group_info_ex", set_ex).await, 90_004);
    let user = json!({"users": [{"userID": "zoe", "nickname": "z"}]});
    assert_eq!(stage.openim.refused("/user/user_register", user).await, 90_004);
    let answer = stage.tencent.ok(BLOCK, json!({"From_Account": "alice", "To_Account": ["bob"]})).await;
    assert_eq!(answer["ResultItem"][0]["ResultCode"], 80_003);
    stage.openim.ok("/msg/send_msg", single("bob", "alice", "not blocked")).await;
    assert_eq!(members(&stage, "g100").await, ["alice", "bob"]);
    assert_eq!(group_info(&stage, "g100").await.expect("the group")["groupName"], "g100");
    assert_eq!(group_info(&stage, "g8").await, None);
    assert_eq!(known(&stage, &["zoe"]).await, [false]);
}

#[tokio::test]
async fn a_backend_that_does_not_subscribe_is_not_asked() {
    let stage = Stage::with(Setup::new(), |url| {
        vec![
            Endpoint::tencent(format!("{url}/callback")).hears(["C2C.CallbackAfterSendMsg"]),
            Endpoint::openim(format!("{url}/webhook")).hears([OPENIM_SET]),
        ]
    })
    .await;
    stage.tencent.ok(CREATE, climbers(&["bob"])).await;
    stage.tencent.ok(ADD, json!({"GroupId": "climbers", "MemberList": listed(&["carol"])})).await;
    stage.tencent.ok(MODIFY, json!({"GroupId": "climbers", "Name": "new"})).await;
    stage.openim.ok("/group/set_group_info_ex", json!({"groupID": "climbers", "groupName": "newer"})).await;
    stage.tencent.ok(BLOCK, json!({"From_Account": "alice", "To_Account": ["dave"]})).await;
    stage.openim.register(&["zoe"]).await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "marker")).await;
    stage.backend.first("C2C.CallbackAfterSendMsg").await;
    assert_eq!(stage.backend.count(), 1);
    let set = json!({"groupInfoForSet": {"groupID": "climbers", "groupName": "newest"}});
    stage.openim.ok("/group/set_group_info", set).await;
    assert_eq!(stage.backend.calls_of(OPENIM_SET).len(), 1);
}

/// The backend takes its time over one question, and others get on with the same group: nothing is locked meanwhile.
#[tokio::test]
async fn a_group_goes_on_while_a_backend_thinks_about_it() {
    let stage = Stage::both().await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    let (added, renamed) = (Gate::closed(), Gate::closed());
    stage.backend.answers_in_turn(BEFORE_INVITE, [Answer::go_on().held_by(&added), Answer::go_on()]);
    stage.backend.answers_in_turn(OPENIM_SET_EX, [Answer::go_on().held_by(&renamed), Answer::go_on()]);
    let behind = stage.tencent.clone();
    let adding =
        tokio::spawn(
            async move { behind.ok(ADD, json!({"GroupId": "climbers", "MemberList": listed(&["carol"])})).await },
        );
    let behind = stage.tencent.clone();
    let renaming = tokio::spawn(async move { behind.ok(MODIFY, json!({"GroupId": "climbers", "Name": "slow"})).await });
    stage.backend.first(BEFORE_INVITE).await;
    stage.backend.first(OPENIM_SET_EX).await;

    let more = json!({"GroupId": "climbers", "MemberList": listed(&["carol", "dave"])});
    stage.tencent.ok(ADD, more).await;
    stage.tencent.ok(MODIFY, json!({"GroupId": "climbers", "Name": "quick", "Introduction": "kept"})).await;
    assert_eq!(members(&stage, "climbers").await, ["alice", "bob", "carol", "dave"]);
    added.open();
    renamed.open();
    let answer = adding.await.expect("an answer");
    assert_eq!(answer["MemberList"], json!([{"Member_Account": "carol", "Result": 2}]), "came in by another way");
    renaming.await.expect("an answer");
    let info = group_info(&stage, "climbers").await.expect("the group");
    assert_eq!((&info["groupName"], &info["introduction"]), (&json!("slow"), &json!("kept")));
}

/// A message that says when it was sent shows that time, and no other, wherever time is shown; only its id is of now.
#[tokio::test]
async fn a_message_of_another_time_has_an_id_of_this_one() {
    let stage = Stage::both().await;
    let early = with(single("alice", "bob", "early"), json!({"sendTime": 1_600_000_000_123_i64}));
    let first = stage.openim.ok("/msg/send_msg", single("alice", "bob", "first")).await;
    let second = stage.openim.ok("/msg/send_msg", early).await;
    assert_eq!(second["sendTime"], 1_600_000_000_123_i64);
    let id = |data: &Value| data["serverMsgID"].as_str().expect("an id").to_owned();
    assert!(id(&first)[..12] <= id(&second)[..12], "they entered in this order: {first} {second}");
    let told = stage.backend.wait_for("C2C.CallbackAfterSendMsg", 2).await.remove(1).body;
    assert_eq!((&told["MsgTime"], &told["MsgId"]), (&json!(1_600_000_000), &second["serverMsgID"]));
    assert!(told["MsgKey"].as_str().expect("a key").ends_with("_1600000000"), "{told}");
    let pulled = stage.openim.pull("bob", "si_alice_bob").await;
    assert_eq!((&pulled[1]["serverMsgID"], &pulled[1]["sendTime"]), (&second["serverMsgID"], &second["sendTime"]));
}
