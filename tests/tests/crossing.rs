//! An event is called back in the dialect of each endpoint, whatever dialect it entered in, and one history is
//! seen through both.

use serde_json::{Value, json};
use tests::openim::{content_of, group, single};
use tests::tencent::{text_of, with};
use tests::wire::{contains, sample, steady};
use tests::{Stage, c2c, group_text, text};

const C2C_BEFORE: &str = "C2C.CallbackBeforeSendMsg";
const C2C_AFTER: &str = "C2C.CallbackAfterSendMsg";
const GROUP_BEFORE: &str = "Group.CallbackBeforeSendMsg";
const GROUP_AFTER: &str = "Group.CallbackAfterSendMsg";
const BEFORE_SINGLE: &str = "callbackBeforeSendSingleMsgCommand";
const AFTER_SINGLE: &str = "callbackAfterSendSingleMsgCommand";
const BEFORE_GROUP: &str = "callbackBeforeSendGroupMsgCommand";
const AFTER_GROUP: &str = "callbackAfterSendGroupMsgCommand";
const MODIFY: &str = "callbackBeforeMsgModifyCommand";

const TENCENT_SEND: &str = "openim/sendmsg";
const TENCENT_SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const OPENIM_SEND: &str = "/msg/send_msg";

fn tencent_verdict(code: i64, info: &str) -> Value {
    json!({"ActionStatus": "OK", "ErrorInfo": info, "ErrorCode": code})
}

fn openim_rejection(code: i64) -> Value {
    json!({"actionCode": 0, "nextCode": 1, "errCode": code, "errMsg": "not today", "errDlt": "sender limited"})
}

/// One backend that hears both dialects; alice's group, with bob.
async fn climbers() -> Stage {
    let stage = Stage::both().await;
    stage.openim.create_group("climbers", "alice", &["bob"]).await;
    stage
}

#[tokio::test]
async fn a_group_message_sent_through_openim_reaches_a_tencent_backend() {
    let stage = climbers().await;
    stage.openim.ok(OPENIM_SEND, group("alice", "climbers", "rope?")).await;

    let told = stage.backend.first(GROUP_AFTER).await;
    let random = told.body["Random"].as_u64().expect("a Random");
    assert!(u32::try_from(random).is_ok());
    let mut body = steady(&told.body);
    body["Random"] = "<uint32>".into();
    insta::assert_json_snapshot!(body, @r#"
    {
      "CallbackCommand": "Group.CallbackAfterSendMsg",
      "EventTime": "<milliseconds, quoted>",
      "From_Account": "alice",
      "GroupId": "climbers",
      "MsgBody": [
        {
          "MsgContent": {
            "Text": "rope?"
          },
          "MsgType": "TIMTextElem"
        }
      ],
      "MsgSeq": 1,
      "MsgTime": "<seconds>",
      "OnlineOnlyFlag": 0,
      "Operator_Account": "imAdmin",
      "Random": "<uint32>",
      "Type": "Public"
    }
    "#);
    assert_eq!(told.query["SdkAppid"], "1400000000");
    assert_eq!(told.query["ClientIP"], "127.0.0.1");
    let asked = stage.backend.first(GROUP_BEFORE).await.body;
    assert_eq!(
        (text_of(&asked).as_str(), &asked["GroupId"], &asked["Random"]),
        ("rope?", &json!("climbers"), &told.body["Random"])
    );
    assert_eq!(stage.tencent.group_texts("climbers").await, ["rope?"]);
}

#[tokio::test]
async fn a_group_message_sent_through_tencent_reaches_an_openim_backend() {
    let stage = climbers().await;
    stage.tencent.ok(TENCENT_SEND_GROUP, group_text("climbers", "alice", "rope?")).await;

    let told = stage.backend.first(AFTER_GROUP).await;
    let mut body = steady(&told.body);
    for open in ["msgFrom", "senderPlatformID"] {
        assert!(body[open].is_i64(), "{open}: {body}");
        body[open] = "<integer>".into();
    }
    insta::assert_json_snapshot!(body, @r#"
    {
      "atUserList": null,
      "callbackCommand": "callbackAfterSendGroupMsgCommand",
      "clientMsgID": "<id>",
      "content": "{\"content\":\"rope?\"}",
      "contentType": 101,
      "createTime": "<milliseconds>",
      "ex": "",
      "faceURL": "https://cdn.example.com/alice.png",
      "groupID": "climbers",
      "msgFrom": "<integer>",
      "operationID": "<id>",
      "sendID": "alice",
      "sendTime": "<milliseconds>",
      "senderFaceURL": "https://cdn.example.com/alice.png",
      "senderNickname": "Alice",
      "senderPlatformID": "<integer>",
      "seq": 1,
      "serverMsgID": "<id>",
      "sessionType": 3,
      "status": 1
    }
    "#);
    assert_eq!(told.headers["operationid"], told.body["operationID"]);
    assert_eq!(content_of(&stage.backend.first(BEFORE_GROUP).await.body)["content"], "rope?");
    let history = stage.openim.pull("bob", "sg_climbers").await;
    assert_eq!(history[0]["serverMsgID"], told.body["serverMsgID"]);
}

#[tokio::test]
async fn one_to_one_crosses_both_ways_into_one_history() {
    let stage = Stage::both().await;
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "from tencent")).await;
    stage.openim.ok(OPENIM_SEND, single("bob", "alice", "from openim")).await;

    let in_openim = stage.backend.wait_for(AFTER_SINGLE, 2).await;
    let told: Vec<_> = in_openim
        .iter()
        .map(|call| {
            json!([call.body["sendID"], call.body["recvID"], call.body["seq"], content_of(&call.body)["content"]])
        })
        .collect();
    assert_eq!(told, [json!(["alice", "bob", 1, "from tencent"]), json!(["bob", "alice", 2, "from openim"])]);

    let in_tencent = stage.backend.wait_for(C2C_AFTER, 2).await;
    let told: Vec<_> = in_tencent
        .iter()
        .map(|call| {
            json!([call.body["From_Account"], call.body["To_Account"], call.body["SendMsgResult"], text_of(&call.body)])
        })
        .collect();
    assert_eq!(told, [json!(["alice", "bob", 0, "from tencent"]), json!(["bob", "alice", 0, "from openim"])]);
    let key = in_tencent[1].body["MsgKey"].as_str().expect("MsgKey");
    let parts = ["MsgSeq", "MsgRandom", "MsgTime"].map(|part| in_tencent[1].body[part].to_string());
    assert_eq!(key, parts.join("_"));

    assert_eq!(stage.tencent.texts("alice", "bob").await, ["from tencent", "from openim"]);
    let history = stage.openim.pull("alice", "si_alice_bob").await;
    let texts: Vec<_> = history.iter().map(|message| message["content"]["content"].as_str().expect("a text")).collect();
    assert_eq!(texts, ["from tencent", "from openim"]);
    assert_eq!(stage.tencent.history("bob", "alice").await[1]["MsgKey"], key);
}

/// The rows of a table in `samples/`: what enters in one dialect and what is to be seen in the other.
fn table(name: &str) -> Vec<Value> {
    sample(name).as_array().expect("a table").clone()
}

#[tokio::test]
async fn every_element_of_tencent_becomes_a_content_type_of_openim() {
    let stage = climbers().await;
    let table = table("elements_of_tencent");
    for (n, row) in table.iter().enumerate() {
        let message = with(group_text("climbers", "alice", ""), json!({"MsgBody": [row["element"]]}));
        stage.tencent.ok(TENCENT_SEND_GROUP, message).await;
        let told = stage.backend.wait_for(AFTER_GROUP, n + 1).await[n].body.clone();
        let content = content_of(&told);
        assert_eq!(told["contentType"], row["contentType"], "{row}");
        assert!(contains(&content, &row["content"]), "{row}\nbecame {content}");
        let pulled = stage.openim.pull("bob", "sg_climbers").await.remove(n);
        assert_eq!((&pulled["contentType"], &pulled["content"]), (&row["contentType"], &content));
    }
    // And for those who stay with Tencent it is what it was.
    let history = stage.tencent.group_history("climbers").await;
    assert_eq!(history.len(), table.len());
    for (message, row) in history.iter().zip(table) {
        assert_eq!(message["MsgBody"], json!([row["element"]]));
    }
}

#[tokio::test]
async fn several_elements_in_one_message_become_a_custom_message_of_openim() {
    let stage = climbers().await;
    let elements = json!([
        {"MsgType": "TIMTextElem", "MsgContent": {"Text": "look here"}},
        {"MsgType": "TIMFaceElem", "MsgContent": {"Index": 1, "Data": "wow"}},
        {"MsgType": "TIMTextElem", "MsgContent": {"Text": "and there"}},
    ]);
    stage.tencent.ok(TENCENT_SEND_GROUP, with(group_text("climbers", "alice", ""), json!({"MsgBody": elements}))).await;
    let told = stage.backend.first(AFTER_GROUP).await.body;
    assert_eq!(told["contentType"], 110);
    let content = content_of(&told);
    let description = content["description"].as_str().expect("a description");
    let (first, second) = (description.find("look here"), description.find("and there"));
    assert!(first.is_some() && first < second, "the joined text: {description}");
    let data: Value = serde_json::from_str(content["data"].as_str().expect("data")).expect("data in JSON");
    assert_eq!(data.as_array().map(Vec::len), Some(3), "the elements: {data}");
    assert_eq!(stage.tencent.group_history("climbers").await[0]["MsgBody"], elements);
}

#[tokio::test]
async fn every_content_type_of_openim_becomes_an_element_of_tencent() {
    let stage = climbers().await;
    let table = table("contents_of_openim");
    for (n, row) in table.iter().enumerate() {
        let fields = json!({"contentType": row["contentType"], "content": row["content"]});
        stage.openim.ok(OPENIM_SEND, with(group("alice", "climbers", ""), fields)).await;
        let told = stage.backend.wait_for(GROUP_AFTER, n + 1).await[n].body.clone();
        assert!(contains(&told["MsgBody"], &json!([row["element"]])), "{row}\nbecame {}", told["MsgBody"]);
        assert_eq!(stage.tencent.group_history("climbers").await[n]["MsgBody"], told["MsgBody"]);
    }
    // And for those who stay with OpenIM it is what it was.
    let history = stage.openim.pull("bob", "sg_climbers").await;
    assert_eq!(history.len(), table.len());
    for (message, row) in history.iter().zip(table) {
        assert_eq!(message["contentType"], row["contentType"]);
        assert!(contains(&message["content"], &row["content"]), "{row}\nbecame {}", message["content"]);
    }
}

/// The content types that REST may not send enter through a backend that rewrites: merger, card, location, face.
#[tokio::test]
async fn what_only_clients_of_openim_send_becomes_an_element_of_tencent() {
    let stage = climbers().await;
    for (n, row) in table("contents_of_openim_clients").iter().enumerate() {
        let fields = json!({"contentType": row["contentType"], "content": row["content"].to_string()});
        stage.backend.answers(MODIFY, with(sample("openim_answer"), fields));
        stage.openim.ok(OPENIM_SEND, group("alice", "climbers", "to be rewritten")).await;
        let told = stage.backend.wait_for(GROUP_AFTER, n + 1).await[n].body.clone();
        assert!(contains(&told["MsgBody"], &json!([row["element"]])), "{row}\nbecame {}", told["MsgBody"]);
    }
}

#[tokio::test]
async fn mentions_cross() {
    let stage = climbers().await;
    let at = json!({"GroupAtInfo": [{"GroupAtAllFlag": 0, "GroupAt_Account": "bob"}, {"GroupAtAllFlag": 1}]});
    stage.tencent.ok(TENCENT_SEND_GROUP, with(group_text("climbers", "alice", "@bob @all"), at)).await;
    let told = stage.backend.first(AFTER_GROUP).await.body;
    assert_eq!(told["atUserList"], json!(["bob", "AtAllTag"]));
}

#[tokio::test]
async fn the_apps_own_data_crosses() {
    let stage = Stage::both().await;
    stage.tencent.ok(TENCENT_SEND, with(c2c("alice", "bob", "one"), json!({"CloudCustomData": "from tencent"}))).await;
    assert_eq!(stage.backend.first(AFTER_SINGLE).await.body["ex"], "from tencent");
    stage.openim.ok(OPENIM_SEND, with(single("alice", "bob", "two"), json!({"ex": "from openim"}))).await;
    assert_eq!(stage.backend.wait_for(C2C_AFTER, 2).await[1].body["CloudCustomData"], "from openim");
}

#[tokio::test]
async fn a_tencent_backend_judges_what_openim_sends() {
    let stage = climbers().await;
    for (before, message, own) in
        [(C2C_BEFORE, single("alice", "bob", "no"), 120_007), (GROUP_BEFORE, group("alice", "climbers", "no"), 10_107)]
    {
        stage.backend.answers(before, tencent_verdict(1, ""));
        assert_eq!(stage.openim.refused(OPENIM_SEND, message.clone()).await, 80000);
        stage.backend.answers(before, tencent_verdict(own, "own words"));
        let reply = stage.openim.call(OPENIM_SEND, message.clone()).await;
        assert_eq!((&reply["errCode"], &reply["errMsg"]), (&json!(own), &json!("own words")));
        stage.backend.answers(before, tencent_verdict(2, ""));
        let discarded = stage.openim.ok(OPENIM_SEND, message).await;
        assert!(discarded["serverMsgID"].as_str().is_some_and(|id| !id.is_empty()), "it looks sent: {discarded}");
        stage.backend.answers(before, with(tencent_verdict(0, ""), json!({"MsgBody": text("rewritten")})));
    }
    stage.openim.ok(OPENIM_SEND, single("alice", "bob", "yes")).await;
    stage.openim.ok(OPENIM_SEND, group("alice", "climbers", "yes")).await;
    for (after, user, conversation) in [(AFTER_SINGLE, "alice", "si_alice_bob"), (AFTER_GROUP, "alice", "sg_climbers")]
    {
        assert_eq!(content_of(&stage.backend.first(after).await.body), json!({"content": "rewritten"}));
        let history = stage.openim.pull(user, conversation).await;
        let texts: Vec<_> = history.iter().map(|message| &message["content"]["content"]).collect();
        assert_eq!(texts, ["rewritten"]);
    }
}

#[tokio::test]
async fn an_openim_backend_judges_what_tencent_sends() {
    let stage = climbers().await;
    let (one, many) = (c2c("alice", "bob", "no"), group_text("climbers", "alice", "no"));
    for (before, command, message, plain, own) in
        [(BEFORE_SINGLE, TENCENT_SEND, one, 20006, 120_007), (BEFORE_GROUP, TENCENT_SEND_GROUP, many, 10016, 10_107)]
    {
        stage.backend.answers(before, openim_rejection(0));
        assert_eq!(stage.tencent.refused(command, message.clone()).await, plain);
        stage.backend.answers(before, openim_rejection(5001));
        assert_eq!(stage.tencent.refused(command, message.clone()).await, plain);
        stage.backend.answers(before, openim_rejection(own));
        let reply = stage.tencent.call(command, message).await;
        assert_eq!((&reply["ErrorCode"], &reply["ErrorInfo"]), (&json!(own), &json!("not today")));
        stage.backend.answers(before, json!({}));
    }
    let rewrite = json!({"content": "{\"content\":\"rewritten\"}"});
    stage.backend.answers(MODIFY, with(sample("openim_answer"), rewrite));
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "yes")).await;
    stage.tencent.ok(TENCENT_SEND_GROUP, group_text("climbers", "alice", "yes")).await;
    assert_eq!(text_of(&stage.backend.first(C2C_AFTER).await.body), "rewritten");
    assert_eq!(text_of(&stage.backend.first(GROUP_AFTER).await.body), "rewritten");
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["rewritten"]);
    assert_eq!(stage.tencent.group_texts("climbers").await, ["rewritten"]);
}

#[tokio::test]
async fn groups_and_accounts_are_one_set() {
    let stage = climbers().await;
    stage.openim.register(&["erin"]).await;
    let check = stage
        .tencent
        .ok("im_open_login_svc/account_check", json!({"CheckItem": [{"UserID": "erin"}, {"UserID": "nobody"}]}))
        .await;
    let states: Vec<_> =
        check["ResultItem"].as_array().expect("ResultItem").iter().map(|item| item["AccountStatus"].clone()).collect();
    assert_eq!(states, ["Imported", "NotImported"]);
    let users = stage.openim.ok("/user/get_users_info", json!({"userIDs": ["alice"]})).await;
    assert_eq!(users["usersInfo"][0]["nickname"], "Alice");
    assert_eq!(users["usersInfo"][0]["faceURL"], "https://cdn.example.com/alice.png");

    // A group that OpenIM made ..
    let info = stage.tencent.ok("group_open_http_svc/get_group_info", json!({"GroupIdList": ["climbers"]})).await;
    let info = &info["GroupInfo"][0];
    assert_eq!(
        (&info["Type"], &info["Owner_Account"], &info["MemberNum"]),
        (&json!("Public"), &json!("alice"), &json!(2))
    );
    // .. gets a member through Tencent ..
    stage
        .tencent
        .ok(
            "group_open_http_svc/add_group_member",
            json!({"GroupId": "climbers", "MemberList": [{"Member_Account": "carol"}]}),
        )
        .await;
    let members = stage
        .openim
        .ok(
            "/group/get_group_member_list",
            json!({"groupID": "climbers", "pagination": {"pageNumber": 1, "showNumber": 10}}),
        )
        .await;
    let members: Vec<_> = members["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|member| json!([member["userID"], member["roleLevel"]]))
        .collect();
    assert_eq!(members, [json!(["alice", 100]), json!(["bob", 20]), json!(["carol", 20])]);
    // .. and one that Tencent made is seen by OpenIM.
    stage.tencent.create_group("swimmers", "bob", &["alice"]).await;
    let groups = stage.openim.ok("/group/get_groups_info", json!({"groupIDs": ["swimmers"]})).await;
    let group = &groups["groupInfos"][0];
    assert_eq!(
        json!([group["groupName"], group["ownerUserID"], group["memberCount"], group["groupType"], group["status"]]),
        json!(["swimmers", "bob", 2, 2, 0])
    );
}
