//! The REST routes of the Tencent dialect, beside sending: accounts, groups, members, histories, blocks, topics.

use serde_json::{Value, json};
use tests::tencent::{Tencent, text_of, with};
use tests::wire::{keys, steady};
use tests::{Server, Setup, c2c, group_text, text};

const IMPORT: &str = "im_open_login_svc/account_import";
const IMPORT_MANY: &str = "im_open_login_svc/multiaccount_import";
const CHECK: &str = "im_open_login_svc/account_check";
const CREATE: &str = "group_open_http_svc/create_group";
const INFO: &str = "group_open_http_svc/get_group_info";
const ADD: &str = "group_open_http_svc/add_group_member";
const MEMBERS: &str = "group_open_http_svc/get_group_member_info";
const MODIFY: &str = "group_open_http_svc/modify_group_base_info";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const GROUP_HISTORY: &str = "group_open_http_svc/group_msg_get_simple";
const TOPIC: &str = "million_group_open_http_svc/create_topic";
const SEND: &str = "openim/sendmsg";
const HISTORY: &str = "openim/admin_getroammsg";
const UNREAD: &str = "openim/get_c2c_unread_msg_num";
const BLOCK: &str = "sns/black_list_add";

async fn server() -> (Server, Tencent) {
    let server = Setup::new().start().await;
    let tencent = server.tencent();
    tests::stage::cast(&tencent).await;
    (server, tencent)
}

fn ok() -> Value {
    json!({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0})
}

async fn info(tencent: &Tencent, group: &str) -> Value {
    tencent.ok(INFO, json!({"GroupIdList": [group]})).await["GroupInfo"][0].clone()
}

#[tokio::test]
async fn accounts_are_imported_once_and_checked() {
    let (_server, tencent) = server().await;
    assert_eq!(
        tencent
            .call(IMPORT, json!({"UserID": "erin", "Nick": "Erin", "FaceUrl": "https://cdn.example.com/e.png"}))
            .await,
        ok()
    );
    assert_eq!(tencent.call(IMPORT, json!({"UserID": "erin"})).await, ok(), "again is fine");
    assert_eq!(tencent.call(IMPORT, json!({"Identifier": "frank"})).await, ok(), "the older clients' name");

    let many = tencent.ok(IMPORT_MANY, json!({"Accounts": ["gina", "erin", "x".repeat(33), ""]})).await;
    assert_eq!(many["FailAccounts"], json!(["x".repeat(33), ""]));

    let answer = tencent
        .ok(
            CHECK,
            json!({"CheckItem": [{"UserID": "erin"}, {"UserID": "frank"}, {"UserID": "gina"}, {"UserID": "nobody"}]}),
        )
        .await;
    let item =
        |user: &str, status: &str| json!({"UserID": user, "ResultCode": 0, "ResultInfo": "", "AccountStatus": status});
    let expected = json!([
        item("erin", "Imported"),
        item("frank", "Imported"),
        item("gina", "Imported"),
        item("nobody", "NotImported")
    ]);
    assert_eq!(answer, with(ok(), json!({"ResultItem": expected})));
}

#[tokio::test]
async fn a_batch_has_at_most_100_accounts() {
    let (_server, tencent) = server().await;
    let names = |n: usize| (0..n).map(|i| format!("user{i}")).collect::<Vec<_>>();
    tencent.ok(IMPORT_MANY, json!({"Accounts": names(100)})).await;
    assert_eq!(tencent.refused(IMPORT_MANY, json!({"Accounts": names(101)})).await, 70402);
    let items = |n: usize| names(n).into_iter().map(|user| json!({"UserID": user})).collect::<Vec<_>>();
    assert_eq!(
        tencent.ok(CHECK, json!({"CheckItem": items(100)})).await["ResultItem"].as_array().map(Vec::len),
        Some(100)
    );
    assert_eq!(tencent.refused(CHECK, json!({"CheckItem": items(101)})).await, 70402);
}

#[tokio::test]
async fn an_accounts_profile_has_limits() {
    let (_server, tencent) = server().await;
    tencent.ok(IMPORT, json!({"UserID": "x".repeat(32), "Nick": "n".repeat(500), "FaceUrl": "f".repeat(500)})).await;
    assert_eq!(tencent.refused(IMPORT, json!({"UserID": "x".repeat(33)})).await, 70402);
    assert_eq!(tencent.refused(IMPORT, json!({"UserID": "erin", "Nick": "n".repeat(501)})).await, 40601);
    assert_eq!(tencent.refused(IMPORT, json!({"UserID": "erin", "FaceUrl": "f".repeat(501)})).await, 40601);
    let answer = tencent.ok(CHECK, json!({"CheckItem": [{"UserID": "erin"}]})).await;
    assert_eq!(answer["ResultItem"][0]["AccountStatus"], "NotImported", "nothing is half done");
}

#[tokio::test]
async fn a_group_is_created_and_shown() {
    let (_server, tencent) = server().await;
    let group = json!({
        "Type": "Public", "GroupId": "climbers", "Owner_Account": "alice", "Name": "Climbers",
        "Introduction": "up", "Notification": "bring a rope", "FaceUrl": "https://cdn.example.com/1.png",
        "MaxMemberCount": 500, "ApplyJoinOption": "FreeAccess",
        "MemberList": [{"Member_Account": "bob", "Role": "Admin"}, {"Member_Account": "carol"}],
    });
    assert_eq!(tencent.call(CREATE, group).await, with(ok(), json!({"GroupId": "climbers", "Type": "Public"})));

    let shown = tencent.ok(INFO, json!({"GroupIdList": ["climbers"]})).await;
    assert_eq!(keys(&shown), ["ActionStatus", "ErrorCode", "ErrorInfo", "GroupInfo"]);
    let shown = &shown["GroupInfo"][0];
    for (field, value) in [
        ("GroupId", json!("climbers")),
        ("ErrorCode", json!(0)),
        ("ErrorInfo", json!("")),
        ("Type", json!("Public")),
        ("Name", json!("Climbers")),
        ("Appid", json!(1_400_000_000)),
        ("Introduction", json!("up")),
        ("Notification", json!("bring a rope")),
        ("FaceUrl", json!("https://cdn.example.com/1.png")),
        ("Owner_Account", json!("alice")),
        ("LastMsgTime", json!(0)),
        ("NextMsgSeq", json!(1)),
        ("MemberNum", json!(3)),
        ("MaxMemberNum", json!(500)),
        ("ApplyJoinOption", json!("FreeAccess")),
        ("MuteAllMember", json!("Off")),
        ("ShutUpAllMember", json!("Off")),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    for field in ["CreateTime", "LastInfoTime", "InfoSeq"] {
        assert!(shown[field].is_u64(), "{field}: {shown}");
    }
    let members = shown["MemberList"].as_array().expect("members");
    let members: Vec<_> =
        members.iter().map(|member| json!([member["Member_Account"], member["Role"], member["MsgFlag"]])).collect();
    assert_eq!(
        members,
        [
            json!(["alice", "Owner", "AcceptAndNotify"]),
            json!(["bob", "Admin", "AcceptAndNotify"]),
            json!(["carol", "Member", "AcceptAndNotify"])
        ]
    );

    tencent.ok(SEND_GROUP, group_text("climbers", "alice", "hi")).await;
    let shown = info(&tencent, "climbers").await;
    assert_eq!(shown["NextMsgSeq"], 2);
    assert_ne!(shown["LastMsgTime"], 0);
}

/// Custom fields have filters of their own.
#[tokio::test]
async fn a_filter_names_the_fields_to_show() {
    let (_server, tencent) = server().await;
    tencent.create_group("climbers", "alice", &["bob"]).await;
    let filter = json!({"GroupBaseInfoFilter": ["Type", "Name"], "MemberInfoFilter": ["Account", "Role"]});
    let shown = tencent.ok(INFO, json!({"GroupIdList": ["climbers"], "ResponseFilter": filter})).await;
    let shown = &shown["GroupInfo"][0];
    let fields: Vec<_> = keys(shown).into_iter().filter(|field| *field != "AppDefinedData").collect();
    assert_eq!(fields, ["ErrorCode", "ErrorInfo", "GroupId", "MemberList", "Name", "Type"]);
    let fields: Vec<_> =
        keys(&shown["MemberList"][0]).into_iter().filter(|field| *field != "AppMemberDefinedData").collect();
    assert_eq!(fields, ["Member_Account", "Role"]);
}

#[tokio::test]
async fn each_group_asked_for_has_its_own_code() {
    let (_server, tencent) = server().await;
    tencent.create_group("climbers", "alice", &[]).await;
    let answer = tencent.ok(INFO, json!({"GroupIdList": ["nobody", "climbers"]})).await;
    let groups = answer["GroupInfo"].as_array().expect("GroupInfo");
    let codes: Vec<_> = groups.iter().map(|group| json!([group["GroupId"], group["ErrorCode"]])).collect();
    assert_eq!(codes, [json!(["nobody", 10010]), json!(["climbers", 0])]);
    assert_ne!(groups[0]["ErrorInfo"], "");
}

#[tokio::test]
async fn the_five_types_by_both_of_their_names() {
    let (_server, tencent) = server().await;
    for (asked, shown, prefix) in [
        ("Private", "Private", "@TGS#"),
        ("Work", "Private", "@TGS#"),
        ("Public", "Public", "@TGS#"),
        ("ChatRoom", "ChatRoom", "@TGS#"),
        ("Meeting", "ChatRoom", "@TGS#"),
        ("AVChatRoom", "AVChatRoom", "@TGS#"),
        ("Community", "Community", "@TGS#_"),
    ] {
        let answer = tencent.ok(CREATE, json!({"Type": asked, "Name": asked, "Owner_Account": "alice"})).await;
        let id = answer["GroupId"].as_str().expect("a generated id");
        assert!(id.starts_with(prefix) && id.len() <= 48, "{asked}: {id}");
        assert_eq!(id.starts_with("@TGS#_"), asked == "Community", "{asked}: {id}");
        assert_eq!(info(&tencent, id).await["Type"], shown);
    }
    assert_eq!(tencent.refused(CREATE, json!({"Type": "BChatRoom2", "Name": "x"})).await, 10004);
    assert_eq!(tencent.refused(CREATE, json!({"Name": "x"})).await, 10004);
    let with_members = json!({"Type": "AVChatRoom", "Name": "x", "MemberList": [{"Member_Account": "bob"}]});
    assert_eq!(tencent.refused(CREATE, with_members).await, 10007);
}

#[tokio::test]
async fn a_group_needs_no_owner() {
    let (_server, tencent) = server().await;
    tencent
        .ok(
            CREATE,
            json!({
                "Type": "Public", "GroupId": "orphans", "Name": "orphans", "MemberList": [{"Member_Account": "bob"}],
            }),
        )
        .await;
    let shown = info(&tencent, "orphans").await;
    assert_eq!(json!([shown["Owner_Account"], shown["MemberNum"]]), json!(["", 1]));
}

#[tokio::test]
async fn members_are_added_each_with_a_result() {
    let (_server, tencent) = server().await;
    tencent.create_group("climbers", "alice", &["bob"]).await;
    let members = json!([{"Member_Account": "bob"}, {"Member_Account": "carol"}, {"Member_Account": "dave"}]);
    let answer = tencent.call(ADD, json!({"GroupId": "climbers", "Silence": 1, "MemberList": members})).await;
    let expected = json!([
        {"Member_Account": "bob", "Result": 2}, {"Member_Account": "carol", "Result": 1},
        {"Member_Account": "dave", "Result": 1},
    ]);
    assert_eq!(answer, with(ok(), json!({"MemberList": expected})));

    let stranger = json!([{"Member_Account": "nobody"}]);
    assert_eq!(tencent.refused(ADD, json!({"GroupId": "climbers", "MemberList": stranger})).await, 10019);
    assert_eq!(tencent.refused(ADD, json!({"GroupId": "nowhere", "MemberList": members})).await, 10010);
    assert_eq!(info(&tencent, "climbers").await["MemberNum"], 4);

    let id =
        tencent.ok(CREATE, json!({"Type": "AVChatRoom", "Name": "live", "Owner_Account": "alice"})).await["GroupId"]
            .clone();
    assert_eq!(tencent.refused(ADD, json!({"GroupId": id, "MemberList": members})).await, 10007);
}

#[tokio::test]
async fn a_full_group_takes_nobody_more() {
    let (_server, tencent) = server().await;
    let group =
        json!({"Type": "Public", "GroupId": "boat", "Name": "boat", "Owner_Account": "alice", "MaxMemberCount": 2});
    tencent.ok(CREATE, group).await;
    let add = |user: &str| json!({"GroupId": "boat", "MemberList": [{"Member_Account": user}]});
    tencent.ok(ADD, add("bob")).await;
    assert_eq!(tencent.refused(ADD, add("carol")).await, 10014);
    assert_eq!(info(&tencent, "boat").await["MemberNum"], 2);
}

#[tokio::test]
async fn members_are_listed_by_page_role_and_field() {
    let (_server, tencent) = server().await;
    let members =
        json!([{"Member_Account": "bob", "Role": "Admin"}, {"Member_Account": "carol"}, {"Member_Account": "dave"}]);
    tencent
        .ok(
            CREATE,
            json!({
                "Type": "Public", "GroupId": "climbers", "Name": "c", "Owner_Account": "alice", "MemberList": members,
            }),
        )
        .await;
    tencent.ok(SEND_GROUP, group_text("climbers", "bob", "hi")).await;

    let all = tencent.ok(MEMBERS, json!({"GroupId": "climbers"})).await;
    assert_eq!(keys(&all), ["ActionStatus", "ErrorCode", "ErrorInfo", "MemberList", "MemberNum"]);
    assert_eq!(all["MemberNum"], 4);
    let bob = all["MemberList"]
        .as_array()
        .expect("members")
        .iter()
        .find(|member| member["Member_Account"] == "bob")
        .expect("bob");
    let fields = keys(bob);
    for field in [
        "JoinTime",
        "LastSendMsgTime",
        "Member_Account",
        "MsgFlag",
        "MsgSeq",
        "MuteUntil",
        "NameCard",
        "Role",
        "ShutUpUntil",
    ] {
        assert!(fields.contains(&field), "{field}: {bob}");
    }
    assert_eq!(json!([bob["Role"], bob["MuteUntil"], bob["ShutUpUntil"]]), json!(["Admin", 0, 0]));
    assert_ne!(bob["LastSendMsgTime"], 0);

    let names = |answer: &Value| {
        answer["MemberList"]
            .as_array()
            .expect("members")
            .iter()
            .map(|m| m["Member_Account"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    let page = tencent.ok(MEMBERS, json!({"GroupId": "climbers", "Limit": 2, "Offset": 1})).await;
    assert_eq!(names(&page), names(&all)[1..3]);
    let by_role = tencent.ok(MEMBERS, json!({"GroupId": "climbers", "MemberRoleFilter": ["Owner", "Admin"]})).await;
    assert_eq!((names(&by_role), &by_role["MemberNum"]), (vec!["alice".to_owned(), "bob".to_owned()], &json!(4)));
    let by_field = tencent.ok(MEMBERS, json!({"GroupId": "climbers", "MemberInfoFilter": ["Role"]})).await;
    let fields: Vec<_> =
        keys(&by_field["MemberList"][0]).into_iter().filter(|field| *field != "AppMemberDefinedData").collect();
    assert_eq!(fields, ["Member_Account", "Role"]);
    assert_eq!(tencent.refused(MEMBERS, json!({"GroupId": "nowhere"})).await, 10010);
}

#[tokio::test]
async fn a_profile_is_modified_field_by_field_within_its_limits() {
    let (_server, tencent) = server().await;
    tencent.create_group("climbers", "alice", &[]).await;
    let limits = [("Name", 30), ("Introduction", 240), ("Notification", 300), ("FaceUrl", 100)];
    for (field, limit) in limits {
        assert_eq!(tencent.call(MODIFY, json!({"GroupId": "climbers", field: "x".repeat(limit)})).await, ok());
        assert_eq!(
            tencent.refused(MODIFY, json!({"GroupId": "climbers", field: "y".repeat(limit + 1)})).await,
            10004,
            "{field}"
        );
    }
    let shown = info(&tencent, "climbers").await;
    for (field, limit) in limits {
        assert_eq!(shown[field], "x".repeat(limit), "{field}");
    }
    // One bad field and nothing is done.
    assert_eq!(
        tencent
            .refused(MODIFY, json!({"GroupId": "climbers", "Name": "half done", "Notification": "y".repeat(301)}))
            .await,
        10004
    );
    assert_eq!(info(&tencent, "climbers").await["Name"], "x".repeat(30));
}

#[tokio::test]
async fn who_speaks_when_everybody_is_muted() {
    let (_server, tencent) = server().await;
    tencent.create_group("climbers", "alice", &["bob"]).await;
    tencent.ok(MODIFY, json!({"GroupId": "climbers", "MuteAllMember": "On"})).await;
    assert_eq!(info(&tencent, "climbers").await["ShutUpAllMember"], "On");
    tencent.ok(SEND_GROUP, group_text("climbers", "alice", "the owner")).await;
    let mut from_admin = group_text("climbers", "", "the app");
    from_admin.as_object_mut().expect("a body").remove("From_Account");
    tencent.ok(SEND_GROUP, from_admin).await;
    assert_eq!(tencent.refused(SEND_GROUP, group_text("climbers", "bob", "a member")).await, 10017);
    assert_eq!(tencent.group_texts("climbers").await, ["the owner", "the app"]);
}

#[tokio::test]
async fn a_groups_history_is_read_from_the_newest_back() {
    let (_server, tencent) = server().await;
    tencent.create_group("climbers", "alice", &["bob"]).await;
    for n in 1..=45 {
        let message = with(
            group_text("climbers", "alice", &format!("{n}")),
            json!({"Random": n, "MsgPriority": "High", "CloudCustomData": "v"}),
        );
        assert_eq!(tencent.ok(SEND_GROUP, message).await["MsgSeq"], n);
    }
    let seqs = |answer: &Value| {
        answer["RspMsgList"]
            .as_array()
            .expect("RspMsgList")
            .iter()
            .map(|m| m["MsgSeq"].as_i64().expect("MsgSeq"))
            .collect::<Vec<_>>()
    };
    let newest = tencent.ok(GROUP_HISTORY, json!({"GroupId": "climbers", "ReqMsgNumber": 2})).await;
    insta::assert_json_snapshot!(steady(&newest), @r#"
    {
      "ActionStatus": "OK",
      "ErrorCode": 0,
      "ErrorInfo": "",
      "GroupId": "climbers",
      "IsFinished": 1,
      "RspMsgList": [
        {
          "CloudCustomData": "v",
          "From_Account": "alice",
          "IsPlaceMsg": 0,
          "MsgBody": [
            {
              "MsgContent": {
                "Text": "45"
              },
              "MsgType": "TIMTextElem"
            }
          ],
          "MsgPriority": 1,
          "MsgRandom": 45,
          "MsgSeq": 45,
          "MsgTimeStamp": "<seconds>"
        },
        {
          "CloudCustomData": "v",
          "From_Account": "alice",
          "IsPlaceMsg": 0,
          "MsgBody": [
            {
              "MsgContent": {
                "Text": "44"
              },
              "MsgType": "TIMTextElem"
            }
          ],
          "MsgPriority": 1,
          "MsgRandom": 44,
          "MsgSeq": 44,
          "MsgTimeStamp": "<seconds>"
        }
      ]
    }
    "#);
    let older = tencent.ok(GROUP_HISTORY, json!({"GroupId": "climbers", "ReqMsgNumber": 20, "ReqMsgSeq": 25})).await;
    assert_eq!(seqs(&older), (6..=25).rev().collect::<Vec<_>>());
    let oldest = tencent.ok(GROUP_HISTORY, json!({"GroupId": "climbers", "ReqMsgNumber": 20, "ReqMsgSeq": 5})).await;
    assert_eq!(seqs(&oldest), [5, 4, 3, 2, 1]);
    let more = tencent.ok(GROUP_HISTORY, json!({"GroupId": "climbers", "ReqMsgNumber": 30})).await;
    assert_eq!((seqs(&more).len(), &more["IsFinished"]), (20, &json!(0)), "at most 20 at a time");
    assert_eq!(tencent.group_texts("climbers").await, (1..=45).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(tencent.refused(GROUP_HISTORY, json!({"GroupId": "nowhere", "ReqMsgNumber": 1})).await, 10010);
}

#[tokio::test]
async fn a_one_to_one_history_is_read_in_pages() {
    let (_server, tencent) = server().await;
    let start = tests::usersig::now();
    for n in 0..25 {
        let (from, to) = if n % 2 == 0 { ("alice", "bob") } else { ("bob", "alice") };
        tencent
            .ok(SEND, with(c2c(from, to, &format!("{n}")), json!({"MsgSeq": 1000 + n, "CloudCustomData": "v"})))
            .await;
    }
    let range = json!({"MinTime": start - 1, "MaxTime": tests::usersig::now() + 1});
    let ask = |fields: Value| {
        with(with(json!({"Operator_Account": "alice", "Peer_Account": "bob", "MaxCnt": 10}), range.clone()), fields)
    };
    let page = tencent.ok(HISTORY, ask(json!({}))).await;
    assert_eq!(
        keys(&page),
        ["ActionStatus", "Complete", "ErrorCode", "ErrorInfo", "LastMsgKey", "LastMsgTime", "MsgCnt", "MsgList"]
    );
    assert_eq!((&page["Complete"], &page["MsgCnt"]), (&json!(0), &json!(10)));
    let texts = |page: &Value| page["MsgList"].as_array().expect("MsgList").iter().map(text_of).collect::<Vec<_>>();
    assert_eq!(texts(&page), (15..25).map(|n| n.to_string()).collect::<Vec<_>>(), "the newest page, ascending");
    assert_eq!(page["LastMsgKey"], page["MsgList"][0]["MsgKey"]);
    assert_eq!(page["LastMsgTime"], page["MsgList"][0]["MsgTimeStamp"]);
    let mut message = steady(&page["MsgList"][0]);
    message["MsgRandom"] = message["MsgRandom"].is_u64().then_some("<uint32>").into();
    insta::assert_json_snapshot!(message, @r#"
    {
      "CloudCustomData": "v",
      "From_Account": "bob",
      "IsPeerRead": 0,
      "MsgBody": [
        {
          "MsgContent": {
            "Text": "15"
          },
          "MsgType": "TIMTextElem"
        }
      ],
      "MsgFlagBits": 0,
      "MsgKey": "<MsgSeq_MsgRandom_MsgTime>",
      "MsgRandom": "<uint32>",
      "MsgSeq": 1015,
      "MsgTimeStamp": "<seconds>",
      "To_Account": "alice"
    }
    "#);

    let page =
        tencent.ok(HISTORY, ask(json!({"MaxTime": page["LastMsgTime"], "LastMsgKey": page["LastMsgKey"]}))).await;
    assert_eq!(texts(&page), (5..15).map(|n| n.to_string()).collect::<Vec<_>>());
    let page =
        tencent.ok(HISTORY, ask(json!({"MaxTime": page["LastMsgTime"], "LastMsgKey": page["LastMsgKey"]}))).await;
    assert_eq!((texts(&page), &page["Complete"]), ((0..5).map(|n| n.to_string()).collect::<Vec<_>>(), &json!(1)));

    // The older clients' names; and nothing before the beginning.
    let old_names = with(json!({"From_Account": "bob", "To_Account": "alice", "MaxCnt": 100}), range.clone());
    assert_eq!(texts(&tencent.ok(HISTORY, old_names).await).len(), 25);
    let before = tencent.ok(HISTORY, ask(json!({"MinTime": 0, "MaxTime": start - 1}))).await;
    assert_eq!((&before["Complete"], &before["MsgCnt"], &before["MsgList"]), (&json!(1), &json!(0), &json!([])));
}

#[tokio::test]
async fn a_sender_may_keep_no_copy() {
    let (_server, tencent) = server().await;
    tencent.ok(SEND, with(c2c("alice", "bob", "bob's only"), json!({"SyncOtherMachine": 2}))).await;
    tencent.ok(SEND, c2c("alice", "bob", "for both")).await;
    assert_eq!(tencent.texts("bob", "alice").await, ["bob's only", "for both"]);
    assert_eq!(tencent.texts("alice", "bob").await, ["for both"]);
}

#[tokio::test]
async fn unread_is_the_total_or_per_peer() {
    let (_server, tencent) = server().await;
    for from in ["alice", "alice", "carol"] {
        tencent.ok(SEND, c2c(from, "bob", "hi")).await;
    }
    assert_eq!(tencent.call(UNREAD, json!({"To_Account": "bob"})).await, with(ok(), json!({"AllC2CUnreadMsgNum": 3})));
    let answer = tencent.ok(UNREAD, json!({"To_Account": "bob", "Peer_Account": ["carol", "dave", "nobody"]})).await;
    assert_eq!(
        answer["C2CUnreadMsgNumList"],
        json!([{"Peer_Account": "carol", "C2CUnreadMsgNum": 1}, {"Peer_Account": "dave", "C2CUnreadMsgNum": 0}])
    );
    assert_eq!(answer["ErrorList"], json!([{"Peer_Account": "nobody", "ErrorCode": 70107}]));
    assert!(!keys(&answer).contains(&"AllC2CUnreadMsgNum"), "{answer}");
}

#[tokio::test]
async fn blocks_are_answered_one_by_one() {
    let (_server, tencent) = server().await;
    let answer = tencent.call(BLOCK, json!({"From_Account": "bob", "To_Account": ["alice", "carol"]})).await;
    let item = |user: &str| json!({"To_Account": user, "ResultCode": 0, "ResultInfo": ""});
    assert_eq!(answer, with(ok(), json!({"ErrorDisplay": "", "ResultItem": [item("alice"), item("carol")]})));

    let again = tencent.ok(BLOCK, json!({"From_Account": "bob", "To_Account": ["alice", "dave", "nobody"]})).await;
    let codes: Vec<_> = again["ResultItem"]
        .as_array()
        .expect("ResultItem")
        .iter()
        .map(|item| json!([item["To_Account"], item["ResultCode"]]))
        .collect();
    assert_eq!(codes, [json!(["alice", 30001]), json!(["dave", 0]), json!(["nobody", 30003])]);
    assert_eq!(again["Fail_Account"], json!(["alice", "nobody"]));
    assert_eq!(tencent.refused(BLOCK, json!({"From_Account": "nobody", "To_Account": ["alice"]})).await, 30003);
}

#[tokio::test]
async fn topics_belong_to_communities_that_have_them() {
    let (_server, tencent) = server().await;
    tencent.ok(CREATE, json!({
        "Type": "Community", "GroupId": "@TGS#_alps", "Name": "alps", "Owner_Account": "alice", "SupportTopic": 1,
    })).await;
    let answer =
        tencent.ok(TOPIC, json!({"GroupId": "@TGS#_alps", "TopicName": "routes", "Introduction": "where"})).await;
    assert_eq!(keys(&answer), ["ActionStatus", "ErrorCode", "ErrorInfo", "TopicId"]);
    let topic = answer["TopicId"].as_str().expect("an id");
    assert!(topic.starts_with("@TGS#_alps@TOPIC#_@TOPIC#"), "{topic}");
    let custom = json!({"GroupId": "@TGS#_alps", "TopicName": "gear", "TopicId": "@TGS#_alps@TOPIC#_gear"});
    assert_eq!(tencent.ok(TOPIC, custom.clone()).await["TopicId"], "@TGS#_alps@TOPIC#_gear");
    assert!([10021, 10025].contains(&tencent.refused(TOPIC, custom).await));

    tencent
        .ok(SEND_GROUP, with(group_text("@TGS#_alps", "alice", "up the north face"), json!({"TopicId": topic})))
        .await;
    let history =
        tencent.ok(GROUP_HISTORY, json!({"GroupId": "@TGS#_alps", "TopicId": topic, "ReqMsgNumber": 20})).await;
    assert_eq!(
        history["RspMsgList"].as_array().expect("RspMsgList").iter().map(text_of).collect::<Vec<_>>(),
        ["up the north face"]
    );
    assert_eq!(tencent.group_texts("@TGS#_alps").await, [""; 0], "the topic's messages are the topic's");

    assert_eq!(tencent.refused(TOPIC, json!({"GroupId": "@TGS#_nowhere", "TopicName": "x"})).await, 10010);
    tencent.create_group("climbers", "alice", &[]).await;
    assert_eq!(tencent.refused(TOPIC, json!({"GroupId": "climbers", "TopicName": "x"})).await, 10007);
}

/// Every element type comes back as it was sent, with the fields that we do not know.
#[tokio::test]
async fn a_message_comes_back_as_it_was_sent() {
    let (_server, tencent) = server().await;
    let body = json!([
        {"MsgType": "TIMTextElem", "MsgContent": {"Text": "a\u{0}\u{1f600}\u{202e}\\ \"", "Unknown": [1, {"x": null}]}},
        {"MsgType": "TIMLocationElem", "MsgContent": {"Desc": "x", "Latitude": 1.5, "Longitude": -0.25}},
        {"MsgType": "TIMFaceElem", "MsgContent": {"Index": 1, "Data": "\u{0}\u{1}"}},
        {"MsgType": "TIMCustomElem", "MsgContent": {"Data": "d", "Desc": "e", "Ext": "f", "Sound": "g"}},
        {"MsgType": "TIMSoundElem", "MsgContent": {"UUID": "an old SDK gives no URL", "Size": 1, "Second": 2}},
        {"MsgType": "TIMFileElem", "MsgContent": {"Url": "https://x", "UUID": "f", "FileSize": 3, "FileName": "n", "Download_Flag": 2}},
    ]);
    tencent.ok(SEND, with(c2c("alice", "bob", ""), json!({"MsgBody": body}))).await;
    assert_eq!(tencent.history("bob", "alice").await[0]["MsgBody"], body);
}

#[tokio::test]
async fn an_unknown_command_is_told_so_in_the_words_of_its_service() {
    let (server, tencent) = server().await;
    for (command, code) in [
        ("openim/no_such_command", 60009),
        ("no_such_service/sendmsg", 60009),
        ("openim", 60009),
        ("", 60009),
        ("group_open_http_svc/no_such_command", 10003),
        ("million_group_open_http_svc/no_such_command", 10003),
    ] {
        assert_eq!(tencent.refused(command, json!({})).await, code, "{command}");
    }
    // Any other path is not of this dialect.
    let reply = server.openim().await.http.post("/no/such/path", &[("operationID", "op")], "{}").await;
    assert_eq!((reply.status, &reply.json()["errCode"]), (404, &json!(1004)));
}

#[tokio::test]
async fn the_answer_is_json_over_a_kept_connection() {
    let (_server, tencent) = server().await;
    let reply = tencent.post(SEND, with(c2c("alice", "bob", "hi"), json!({"MsgBody": text("hi")})).to_string()).await;
    let content_type = reply.headers["content-type"].to_str().expect("a content type");
    assert!(content_type.starts_with("application/json"), "{content_type}");
    assert!(!reply.headers.contains_key("connection"), "HTTP/1.1 keeps connections: {:?}", reply.headers);
}
