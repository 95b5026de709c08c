//! The REST routes of the OpenIM dialect: tokens, users, groups, sending, pulling.

use serde_json::{Value, json};
use tests::openim::{OpenIm, group, operation, single};
use tests::server::{IM_ADMIN, OPENIM_SECRET};
use tests::tencent::with;
use tests::wire::{keys, steady};
use tests::{Server, Setup};

const SEND: &str = "/msg/send_msg";
const BATCH: &str = "/msg/batch_send_msg";
const PULL: &str = "/msg/pull_msg_by_seq";
const NEWEST: &str = "/msg/newest_seq";

async fn server() -> (Server, OpenIm) {
    let server = Setup::new().start().await;
    let openim = server.openim().await;
    openim.register(&["alice", "bob", "carol", "dave"]).await;
    (server, openim)
}

async fn as_user(server: &Server, openim: &OpenIm, user: &str) -> OpenIm {
    OpenIm::with_token(server.http(), &openim.user_token(user, 5).await)
}

#[tokio::test]
async fn an_admin_token_is_given_for_the_secret() {
    let (server, openim) = server().await;
    let nobody = OpenIm::with_token(server.http(), "");
    let answer = nobody.call("/auth/get_admin_token", json!({"secret": OPENIM_SECRET, "userID": IM_ADMIN})).await;
    assert_eq!(keys(&answer), ["data", "errCode", "errDlt", "errMsg"]);
    assert_eq!(keys(&answer["data"]), ["expireTimeSeconds", "token"]);
    assert_eq!(answer["data"]["expireTimeSeconds"], 90 * 86400);

    assert_eq!(nobody.refused("/auth/get_admin_token", json!({"secret": "openIM123", "userID": IM_ADMIN})).await, 1002);
    assert_eq!(nobody.refused("/auth/get_admin_token", json!({"secret": "", "userID": IM_ADMIN})).await, 1002);
    assert_eq!(
        nobody.refused("/auth/get_admin_token", json!({"secret": OPENIM_SECRET, "userID": "alice"})).await,
        1001
    );

    let parsed = nobody.ok("/auth/parse_token", json!({"token": openim.token()})).await;
    assert_eq!((&parsed["userID"], &parsed["platformID"]), (&json!(IM_ADMIN), &json!(10)));
    let expires = parsed["expireTimeSeconds"].as_u64().expect("an absolute second");
    let expected = tests::usersig::now() + 90 * 86400;
    assert!(expires.abs_diff(expected) < 600, "{expires} is not in 90 days");
}

#[tokio::test]
async fn a_user_token_is_given_to_an_admin_for_ordinary_users() {
    let (server, openim) = server().await;
    let token = openim.user_token("alice", 5).await;
    let nobody = OpenIm::with_token(server.http(), "");
    let parsed = nobody.ok("/auth/parse_token", json!({ "token": token })).await;
    assert_eq!((&parsed["userID"], &parsed["platformID"]), (&json!("alice"), &json!(5)));

    assert_eq!(openim.refused("/auth/get_user_token", json!({"userID": "alice", "platformID": 10})).await, 1002);
    assert_eq!(openim.refused("/auth/get_user_token", json!({"userID": IM_ADMIN, "platformID": 5})).await, 1002);
    let unknown = openim.refused("/auth/get_user_token", json!({"userID": "nobody", "platformID": 5})).await;
    assert!([1101, 1004].contains(&unknown), "{unknown}");
    let alice = OpenIm::with_token(server.http(), &token);
    assert_eq!(alice.refused("/auth/get_user_token", json!({"userID": "alice", "platformID": 5})).await, 1002);
}

#[tokio::test]
async fn a_token_that_is_none_is_refused_by_its_fault() {
    let (server, openim) = server().await;
    let (head, rest) = openim.token().split_once('.').expect("a JWT");
    let (payload, signature) = rest.split_once('.').expect("a JWT");
    let turned = format!("{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    for (token, code) in [("not a jwt", 1503), ("a.b.c", 1503), (&format!("{head}.{payload}.{turned}"), 1505)] {
        let nobody = OpenIm::with_token(server.http(), token);
        assert_eq!(nobody.refused("/auth/parse_token", json!({ "token": token })).await, code, "{token}");
        assert_eq!(nobody.refused("/user/get_users_info", json!({"userIDs": ["alice"]})).await, code, "{token}");
    }
    let without = openim.post("/user/get_users_info", &[("operationID", "op")], r#"{"userIDs":["alice"]}"#).await;
    assert_eq!(without.json()["errCode"], 1001, "no token at all");
    let without = openim.post("/user/get_users_info", &[("token", openim.token())], r#"{"userIDs":["alice"]}"#).await;
    assert_eq!(without.json()["errCode"], 1001, "no operationID");
    let without = openim
        .post("/auth/get_admin_token", &[], format!(r#"{{"secret":"{OPENIM_SECRET}","userID":"imAdmin"}}"#))
        .await;
    assert_eq!(without.json()["errCode"], 1001, "no operationID here either");
}

/// A JWT that says of itself that it needs no signature, or names another algorithm, is nobody's.
#[tokio::test]
async fn a_token_signs_with_hs256_or_not_at_all() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let (server, _) = server().await;
    let expires = tests::usersig::now() + 3600;
    let payload = URL_SAFE_NO_PAD
        .encode(json!({"UserID": IM_ADMIN, "PlatformID": 10, "exp": expires, "iat": expires - 4000}).to_string());
    let token = |algorithm: &str, sign: bool| {
        let head = URL_SAFE_NO_PAD.encode(json!({"alg": algorithm, "typ": "JWT"}).to_string());
        let text = format!("{head}.{payload}");
        let signature = if sign {
            URL_SAFE_NO_PAD.encode(tests::usersig::hmac_sha256(OPENIM_SECRET.as_bytes(), text.as_bytes()))
        } else {
            String::new()
        };
        format!("{text}.{signature}")
    };
    for forged in [token("none", false), token("HS256", false)] {
        let forger = OpenIm::with_token(server.http(), &forged);
        let code = forger.refused("/user/get_users_info", json!({"userIDs": [IM_ADMIN]})).await;
        assert!((1501..=1507).contains(&code), "{code}");
    }
    // The same, rightly signed, is good: tokens need no memory of having been issued.
    let own = OpenIm::with_token(server.http(), &token("HS256", true));
    own.ok("/user/get_users_info", json!({"userIDs": [IM_ADMIN]})).await;
}

#[tokio::test]
async fn users_are_registered_all_or_none() {
    let (server, openim) = server().await;
    let erin = json!({"userID": "erin", "nickname": "Erin", "faceURL": "https://cdn.example.com/e.png", "ex": "x"});
    let answer = openim.call("/user/user_register", json!({"users": [erin]})).await;
    assert_eq!((&answer["errCode"], &answer["errMsg"]), (&json!(0), &json!("")));
    let frank = json!({"userID": "frank", "nickname": "Frank"});
    assert_eq!(openim.refused("/user/user_register", json!({"users": [frank, erin]})).await, 1102);
    assert_eq!(openim.refused("/user/user_register", json!({"users": [frank, frank]})).await, 1001);
    assert_eq!(openim.refused("/user/user_register", json!({"users": [{"userID": "frank"}]})).await, 1001);
    assert_eq!(
        openim.refused("/user/user_register", json!({"users": [{"userID": "fr:ank", "nickname": "F"}]})).await,
        1001
    );
    assert_eq!(openim.refused("/user/user_register", json!({"users": []})).await, 1001);
    let alice = as_user(&server, &openim, "alice").await;
    assert_eq!(alice.refused("/user/user_register", json!({"users": [frank]})).await, 1002);

    let shown = alice.ok("/user/get_users_info", json!({"userIDs": ["erin", "frank"]})).await;
    insta::assert_json_snapshot!(steady(&shown), @r#"
    {
      "usersInfo": [
        {
          "appMangerLevel": 1,
          "createTime": "<milliseconds>",
          "ex": "x",
          "faceURL": "https://cdn.example.com/e.png",
          "globalRecvMsgOpt": 0,
          "nickname": "Erin",
          "userID": "erin"
        }
      ]
    }
    "#);
    let none = openim.ok("/user/get_users_info", json!({"userIDs": ["frank"]})).await;
    assert_eq!(none["usersInfo"], Value::Null);
}

#[tokio::test]
async fn a_group_is_created_and_shown() {
    let (server, openim) = server().await;
    let new = json!({
        "ownerUserID": "alice", "memberUserIDs": ["carol"], "adminUserIDs": ["bob"],
        "groupInfo": {
            "groupID": "climbers", "groupName": "Climbers", "notification": "rope", "introduction": "up",
            "faceURL": "https://cdn.example.com/1.png", "ex": "x",
            "groupType": 2, "needVerification": 1, "lookMemberInfo": 1, "applyMemberFriend": 1,
        },
    });
    let created = openim.ok("/group/create_group", new.clone()).await;
    assert_eq!(keys(&created), ["groupInfo"]);
    assert_eq!(created["groupInfo"]["groupID"], "climbers");

    let shown = openim.ok("/group/get_groups_info", json!({"groupIDs": ["nowhere", "climbers"]})).await;
    let mut shown = steady(&shown);
    let group = &mut shown["groupInfos"][0];
    assert!(["imAdmin", "alice"].contains(&group["creatorUserID"].as_str().expect("a creator")), "{group}");
    group["creatorUserID"] = "<creator>".into();
    // Who set the notification, and when, at creation: the sources do not say.
    group["notificationUserID"] = group["notificationUserID"].is_string().then_some("<user>").into();
    group["notificationUpdateTime"] = "<milliseconds>".into();
    insta::assert_json_snapshot!(shown, @r#"
    {
      "groupInfos": [
        {
          "applyMemberFriend": 1,
          "createTime": "<milliseconds>",
          "creatorUserID": "<creator>",
          "ex": "x",
          "faceURL": "https://cdn.example.com/1.png",
          "groupID": "climbers",
          "groupName": "Climbers",
          "groupType": 2,
          "introduction": "up",
          "lookMemberInfo": 1,
          "memberCount": 3,
          "needVerification": 1,
          "notification": "rope",
          "notificationUpdateTime": "<milliseconds>",
          "notificationUserID": "<user>",
          "ownerUserID": "alice",
          "status": 0
        }
      ]
    }
    "#);

    let members = openim
        .ok(
            "/group/get_group_member_list",
            json!({"groupID": "climbers", "pagination": {"pageNumber": 1, "showNumber": 100}}),
        )
        .await;
    assert_eq!(members["total"], 3);
    let roles: Vec<_> = members["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|member| json!([member["userID"], member["roleLevel"], member["nickname"]]))
        .collect();
    assert_eq!(
        roles,
        [
            json!(["alice", 100, "nick of alice"]),
            json!(["bob", 60, "nick of bob"]),
            json!(["carol", 20, "nick of carol"])
        ]
    );
    assert_eq!(
        keys(&members["members"][0]),
        [
            "appMangerLevel",
            "ex",
            "faceURL",
            "groupID",
            "inviterUserID",
            "joinSource",
            "joinTime",
            "muteEndTime",
            "nickname",
            "operatorUserID",
            "roleLevel",
            "userID"
        ]
    );
    let page = openim
        .ok(
            "/group/get_group_member_list",
            json!({"groupID": "climbers", "pagination": {"pageNumber": 2, "showNumber": 2}}),
        )
        .await;
    assert_eq!(
        (&page["total"], &page["members"][0]["userID"], &page["members"][1]),
        (&json!(3), &json!("carol"), &Value::Null)
    );

    // Taken; of a type that is none; with strangers; by somebody else.
    assert_eq!(openim.refused("/group/create_group", new.clone()).await, 1202);
    let other =
        |fields: Value| with(json!({"ownerUserID": "alice", "groupInfo": {"groupName": "x", "groupType": 2}}), fields);
    assert_eq!(
        openim.refused("/group/create_group", other(json!({"groupInfo": {"groupName": "x", "groupType": 1}}))).await,
        1205
    );
    let stranger = openim.refused("/group/create_group", other(json!({"memberUserIDs": ["nobody"]}))).await;
    assert!([1001, 1004, 1101].contains(&stranger), "{stranger}");
    assert_eq!(openim.refused("/group/create_group", other(json!({"memberUserIDs": ["bob", "bob"]}))).await, 1001);
    let bob = as_user(&server, &openim, "bob").await;
    assert_eq!(bob.refused("/group/create_group", other(json!({}))).await, 1002);
    let own = bob.ok("/group/create_group", other(json!({"ownerUserID": "bob"}))).await;
    let id = own["groupInfo"]["groupID"].as_str().expect("a generated id");
    assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
    assert_eq!(openim.refused("/group/get_groups_info", json!({"groupIDs": []})).await, 1001);
}

#[tokio::test]
async fn a_group_is_changed_by_those_who_may() {
    let (server, openim) = server().await;
    openim.create_group("climbers", "alice", &["bob"]).await;
    let (alice, bob, carol) = (
        as_user(&server, &openim, "alice").await,
        as_user(&server, &openim, "bob").await,
        as_user(&server, &openim, "carol").await,
    );
    let name = |name: &str| json!({"groupID": "climbers", "groupName": name});
    alice.ok("/group/set_group_info", json!({ "groupInfoForSet": name("by the owner") })).await;
    alice.ok("/group/set_group_info_ex", json!({"groupID": "climbers", "ex": "e", "needVerification": 2})).await;
    for stranger in [&bob, &carol] {
        let code = stranger.refused("/group/set_group_info", json!({ "groupInfoForSet": name("no") })).await;
        assert!([1002, 1004, 1203].contains(&code), "{code}");
        let code = stranger.refused("/group/set_group_info_ex", name("no")).await;
        assert!([1002, 1004, 1203].contains(&code), "{code}");
    }
    let unknown = openim.refused("/group/set_group_info_ex", json!({"groupID": "nowhere", "groupName": "x"})).await;
    assert!([1004, 1201].contains(&unknown), "{unknown}");
    let shown = openim.ok("/group/get_groups_info", json!({"groupIDs": ["climbers"]})).await;
    let shown = &shown["groupInfos"][0];
    assert_eq!(json!([shown["groupName"], shown["ex"], shown["needVerification"]]), json!(["by the owner", "e", 2]));
}

#[tokio::test]
async fn members_invite_and_lists_are_for_members() {
    let (server, openim) = server().await;
    openim.create_group("climbers", "alice", &["bob"]).await;
    let (bob, carol) = (as_user(&server, &openim, "bob").await, as_user(&server, &openim, "carol").await);
    let invite = |user: &str| json!({"groupID": "climbers", "reason": "come", "invitedUserIDs": [user]});
    let outsider = carol.refused("/group/invite_user_to_group", invite("dave")).await;
    assert!([1002, 1004, 1203].contains(&outsider), "{outsider}");
    let list = json!({"groupID": "climbers", "pagination": {"pageNumber": 1, "showNumber": 10}});
    let outsider = carol.refused("/group/get_group_member_list", list.clone()).await;
    assert!([1002, 1004, 1203].contains(&outsider), "{outsider}");

    bob.ok("/group/invite_user_to_group", invite("carol")).await;
    let members = carol.ok("/group/get_group_member_list", list.clone()).await;
    let carol_now = members["members"]
        .as_array()
        .expect("members")
        .iter()
        .find(|member| member["userID"] == "carol")
        .expect("carol");
    assert_eq!(
        json!([carol_now["roleLevel"], carol_now["joinSource"], carol_now["inviterUserID"]]),
        json!([20, 2, "bob"])
    );
    assert_eq!(openim.refused("/group/invite_user_to_group", invite("nobody")).await, 1004);
    assert_eq!(carol.ok("/group/get_group_member_list", list).await["total"], 3);
}

#[tokio::test]
async fn a_message_is_sent_stored_and_pulled() {
    let (server, openim) = server().await;
    openim.create_group("climbers", "alice", &["bob"]).await;
    let message = with(
        group("alice", "climbers", "rope?"),
        json!({"senderNickname": "Alice", "ex": "x", "senderFaceURL": "https://cdn.example.com/a.png"}),
    );
    let sent = openim.ok(SEND, message).await;
    openim.ok(SEND, single("alice", "bob", "lunch?")).await;

    let newest = openim.ok(NEWEST, json!({"userID": "bob"})).await;
    assert_eq!(newest["maxSeqs"], json!({"sg_climbers": 1, "si_alice_bob": 1}));

    let bob = as_user(&server, &openim, "bob").await;
    let range = json!([{"conversationID": "sg_climbers", "begin": 1, "end": 1, "num": 10}]);
    let pulled = bob.ok(PULL, json!({"userID": "bob", "seqRanges": range})).await;
    let mut shown = steady(&pulled["msgs"]);
    let options =
        shown["sg_climbers"]["Msgs"][0].as_object_mut().expect("a message").remove("options").unwrap_or(json!({}));
    assert!(options.is_object() || options.is_null(), "a map: {options}");
    insta::assert_json_snapshot!(shown, @r#"
    {
      "sg_climbers": {
        "Msgs": [
          {
            "atUserIDList": null,
            "attachedInfo": "",
            "clientMsgID": "<id>",
            "content": "eyJjb250ZW50Ijoicm9wZT8ifQ==",
            "contentType": 101,
            "createTime": "<milliseconds>",
            "ex": "x",
            "groupID": "climbers",
            "isRead": false,
            "msgFrom": 200,
            "offlinePushInfo": null,
            "recvID": "",
            "sendID": "alice",
            "sendTime": "<milliseconds>",
            "senderFaceURL": "https://cdn.example.com/a.png",
            "senderNickname": "Alice",
            "senderPlatformID": 5,
            "seq": 1,
            "serverMsgID": "<id>",
            "sessionType": 3,
            "status": 1
          }
        ],
        "endSeq": 0,
        "isEnd": true
      }
    }
    "#);
    assert_eq!(pulled["msgs"]["sg_climbers"]["Msgs"][0]["serverMsgID"], sent["serverMsgID"]);
    assert_eq!(pulled["msgs"]["sg_climbers"]["Msgs"][0]["sendTime"], sent["sendTime"]);

    // A history is for those who are in it.
    let carol = as_user(&server, &openim, "carol").await;
    let peeked = carol.ok(PULL, json!({"userID": "carol", "seqRanges": range})).await;
    assert!(peeked["msgs"]["sg_climbers"].is_null(), "{peeked}");
    assert_eq!(carol.refused(PULL, json!({"userID": "bob", "seqRanges": range})).await, 1002);
    assert_eq!(carol.refused(NEWEST, json!({"userID": "bob"})).await, 1002);
    assert_eq!(carol.refused(SEND, single("carol", "bob", "no")).await, 1002, "sending by REST is for admins");
    assert_eq!(carol.refused(BATCH, json!({
        "sendID": "carol", "recvIDs": ["bob"], "contentType": 101, "sessionType": 1, "content": {"content": "no"},
    })).await, 1002);
}

#[tokio::test]
async fn a_range_is_pulled_in_order_and_by_number() {
    let (_server, openim) = server().await;
    for n in 1..=30 {
        openim.ok(SEND, single("alice", "bob", &n.to_string())).await;
    }
    let pull = async |begin: i64, end: i64, num: i64, order: i64| {
        let range = json!([{"conversationID": "si_alice_bob", "begin": begin, "end": end, "num": num}]);
        let data = openim.ok(PULL, json!({"userID": "bob", "seqRanges": range, "order": order})).await;
        let page = &data["msgs"]["si_alice_bob"];
        let seqs: Vec<_> = page["Msgs"]
            .as_array()
            .expect("Msgs")
            .iter()
            .map(|message| message["seq"].as_i64().expect("seq"))
            .collect();
        (seqs, page["isEnd"].as_bool().expect("isEnd"))
    };
    assert_eq!(pull(1, 10, 100, 0).await, ((1..=10).collect(), false));
    assert_eq!(pull(21, 30, 100, 0).await, ((21..=30).collect(), true));
    assert_eq!(pull(1, 30, 5, 0).await, ((26..=30).collect(), true), "the newest of the range");
    let (seqs, is_end) = pull(1, 10, 100, 1).await;
    assert_eq!((seqs.len(), is_end), (10, true), "descending ends at the beginning");
    let (seqs, is_end) = pull(11, 20, 100, 1).await;
    assert_eq!((seqs.len(), is_end), (10, false));
}

#[tokio::test]
async fn the_receiver_decides_by_session_type() {
    let (_server, openim) = server().await;
    openim.create_group("climbers", "alice", &["bob"]).await;
    assert_eq!(openim.refused(SEND, group("carol", "climbers", "no member")).await, 1203);
    let unknown = openim.refused(SEND, group("alice", "nowhere", "no group")).await;
    assert!([1201, 1203, 1004].contains(&unknown), "{unknown}");
    for (field, value) in [
        ("sessionType", json!(7)),
        ("sessionType", json!(1)),
        ("contentType", json!(109)),
        ("contentType", json!(0)),
        ("contentType", json!(1507)),
    ] {
        assert_eq!(
            openim.refused(SEND, with(group("alice", "climbers", "x"), json!({field: value}))).await,
            1001,
            "{field} {value}"
        );
    }
    let content = json!({"content": {"text": "not the field of a text"}});
    assert_eq!(openim.refused(SEND, with(group("alice", "climbers", "x"), content)).await, 1001);
    assert_eq!(openim.pull("bob", "sg_climbers").await.len(), 0);
}

#[tokio::test]
async fn a_batch_is_sent_one_by_one_and_names_who_failed() {
    let (_server, openim) = server().await;
    let batch = |receivers: Value| {
        json!({
            "sendID": "alice", "recvIDs": receivers, "contentType": 101, "sessionType": 1,
            "content": {"content": "to all"},
        })
    };
    let sent = openim.ok(BATCH, batch(json!(["bob", "carol"]))).await;
    let results = sent["results"].as_array().expect("results");
    let receivers: Vec<_> = results.iter().map(|result| result["recvID"].as_str().expect("recvID")).collect();
    assert_eq!(receivers, ["bob", "carol"]);
    for result in results {
        for field in ["serverMsgID", "clientMsgID", "sendTime"] {
            assert!(!result[field].is_null(), "{field}: {result}");
        }
    }
    assert_eq!(sent["failedUserIDs"].as_array().map_or(0, Vec::len), 0);
    for receiver in ["bob", "carol"] {
        let conversation = format!("si_alice_{receiver}");
        let history = openim.pull(receiver, &conversation).await;
        assert_eq!(history[0]["content"]["content"], "to all");
    }
    let sent = openim.ok(BATCH, batch(json!(["nobody", "dave"]))).await;
    assert_eq!(sent["failedUserIDs"], json!(["nobody"]));
    assert_eq!(sent["results"].as_array().map(Vec::len), Some(1));
    openim.ok(BATCH, batch(json!([]))).await;
    let mut missing = batch(json!([]));
    missing.as_object_mut().expect("a body").remove("recvIDs");
    assert_eq!(openim.refused(BATCH, missing).await, 1001);
}

#[tokio::test]
async fn the_wire_is_as_lenient_as_openims() {
    let (_server, openim) = server().await;
    // The case of keys does not matter, unknown fields do not, null is "not given", and the content type is not read.
    let body = r#"{"SENDID":"alice","recvid":"bob","contentType":101,"SessionType":1,"content":{"content":"hi"},"ex":null,"unknown":{"x":1}}"#;
    let headers =
        [("operationID", operation()), ("token", openim.token().to_owned()), ("content-type", "text/plain".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let reply = openim.post(SEND, &headers, body).await;
    assert_eq!((reply.status, &reply.json()["errCode"]), (200, &json!(0)), "{}", reply.text());

    let reply = openim.post("/no/such/path", &headers, "{}").await;
    assert_eq!((reply.status, &reply.json()["errCode"]), (404, &json!(1004)));
}

#[tokio::test]
async fn browsers_may_call() {
    let (_server, openim) = server().await;
    let options = openim
        .http
        .send(hyper::Method::OPTIONS, SEND, &[("origin", "https://app.example.com")], "")
        .await
        .expect("an answer");
    assert_eq!((options.status, options.text().as_str()), (200, "\"Options Request!\""));
    assert_eq!(options.headers["access-control-allow-origin"], "*");
    let reply = openim.http.post("/auth/parse_token", &[("operationID", "op")], r#"{"token":""}"#).await;
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn an_answer_is_zipped_for_those_who_can_unzip() {
    use std::io::Read;
    let (_server, openim) = server().await;
    let users: Vec<_> = (0..200).map(|n| json!({"userID": format!("user{n}"), "nickname": "somebody"})).collect();
    openim.ok("/user/user_register", json!({ "users": users })).await;
    let asked: Vec<_> = (0..200).map(|n| format!("user{n}")).collect();
    let headers = [("operationID", "op"), ("token", openim.token()), ("accept-encoding", "gzip")];
    let reply = openim.http.post("/user/get_users_info", &headers, json!({ "userIDs": asked }).to_string()).await;
    assert_eq!(reply.headers["content-encoding"], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&reply.body[..]).read_to_string(&mut text).expect("gzip");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer["data"]["usersInfo"].as_array().map(Vec::len), Some(200));
}
