//! Clients of OpenIM's gateway: connecting, sending, what is pushed, pulled and watched, and what bad input costs.

use prost::Message as _;
use serde_json::json;
use tests::gateway::{
    self, Client, KICKED, LAST, LOG_OUT, LastMessages, MAX_SEQS, MaxSeqs, Messages, MsgData, PRESENCE, PULL, Presences,
    Pull, READ_AND_MAX_SEQS, Range, ReadAndMaxSeqs, SEND, SINGLE_SEQS, SeqsOf, SingleSeqs, UserAnd, Watch,
};
use tests::openim::{group, single};
use tests::wait::until;
use tests::{OpenIm, Server, Setup};
use tokio_tungstenite::tungstenite::Message as Frame;

const WEB: i64 = 5;
const IOS: i64 = 1;

/// A server with alice, bob and carol, of whom alice and bob are in the group `g`.
async fn stage() -> (Server, OpenIm) {
    let server = Setup::new().start().await;
    let openim = server.openim().await;
    openim.register(&["alice", "bob", "carol"]).await;
    openim.create_group("g", "alice", &["bob"]).await;
    (server, openim)
}

#[tokio::test]
async fn what_one_sends_is_pushed_to_both_on_all_their_devices() {
    let (server, openim) = stage().await;
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    let mut phone = Client::sign_in(&server, &openim, "alice", IOS).await;
    let mut bob = Client::sign_in(&server, &openim, "bob", WEB).await;
    let mut carol = Client::sign_in(&server, &openim, "carol", WEB).await;

    let message = MsgData::to_user("alice", "bob", "hi");
    let answer = alice.ask_as("op-of-alice", SEND, &message).await;
    assert_eq!((answer.code, answer.operation.as_str()), (0, "op-of-alice"));
    let sent = gateway::Sent::decode(&*answer.data).unwrap();
    assert_eq!(sent.client_msg_id, message.client_msg_id);
    assert_eq!(sent.modify, None);
    for client in [&mut alice, &mut phone, &mut bob] {
        let push = client.pushed(gateway::PUSH).await;
        assert_eq!(push.operation, "op-of-alice", "clients know their own echo by it");
        let push = Messages::decode(&*push.data).unwrap();
        let pushed = &push.msgs["si_alice_bob"].msgs[0];
        assert_eq!((pushed.seq, pushed.status, pushed.words().as_str()), (1, 2, "hi"));
        assert_eq!((&pushed.server_msg_id, pushed.send_time), (&sent.server_msg_id, sent.send_time));
        assert_eq!((pushed.send_id.as_str(), pushed.recv_id.as_str(), pushed.msg_from), ("alice", "bob", 100));
    }
    // What concerned carol first is what she is given first.
    bob.send(&MsgData::to_user("bob", "carol", "and you")).await;
    assert_eq!(carol.texts(1).await, ["and you"]);
}

#[tokio::test]
async fn members_are_pushed_what_is_said_in_their_group_in_order() {
    let (server, openim) = stage().await;
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    let mut bob = Client::sign_in(&server, &openim, "bob", WEB).await;
    let mut carol = Client::sign_in(&server, &openim, "carol", WEB).await;
    let words: Vec<String> = (0..50).map(|number| format!("no. {number}")).collect();
    for words in &words {
        alice.send(&MsgData::to_group("alice", "g", words)).await;
    }
    assert_eq!(bob.texts(50).await, words);
    assert_eq!(alice.texts(50).await, words);
    let refused = carol.ask(SEND, &MsgData::to_group("carol", "g", "let me in")).await;
    assert_eq!((refused.code, refused.message.as_str()), (1203, "NotInGroupYetError"));
    // The app's backends push, too, in both dialects.
    openim.ok("/msg/send_msg", group("alice", "g", "from a backend")).await;
    let (conversation, message) = bob.message().await;
    assert_eq!((conversation.as_str(), message.words().as_str(), message.msg_from), ("sg_g", "from a backend", 200));
    assert!(!carol_hears(&mut carol, &openim).await.contains(&"from a backend".to_owned()));
}

/// All that carol was pushed up to now.
async fn carol_hears(carol: &mut Client, openim: &OpenIm) -> Vec<String> {
    openim.ok("/msg/send_msg", single("bob", "carol", "the end")).await;
    let mut heard = Vec::new();
    while heard.last().map(String::as_str) != Some("the end") {
        heard.extend(carol.texts(1).await);
    }
    heard
}

#[tokio::test]
async fn what_was_missed_is_pulled() {
    let (server, openim) = stage().await;
    for number in 1..=30 {
        openim.ok("/msg/send_msg", single("alice", "bob", &format!("no. {number}"))).await;
    }
    openim.ok("/msg/send_msg", group("alice", "g", "in the group")).await;
    let mut bob = Client::sign_in(&server, &openim, "bob", WEB).await;
    let user_id = "bob".to_owned();
    let of_bob = UserAnd { user_id: user_id.clone(), ids: Vec::new() };
    let heads: MaxSeqs = bob.get(MAX_SEQS, &of_bob).await;
    assert_eq!(heads.max_seqs.into_iter().collect::<Vec<_>>(), [("sg_g".into(), 1), ("si_alice_bob".into(), 30)]);
    let marks: ReadAndMaxSeqs = bob.get(READ_AND_MAX_SEQS, &of_bob).await;
    let direct = marks.seqs["si_alice_bob"];
    assert_eq!((marks.seqs.len(), direct.max_seq, direct.has_read_seq), (2, 30, 0));
    assert!(direct.max_seq_time > 0);
    // Over REST the same.
    let body = json!({"userID": "bob", "conversationIDs": ["si_alice_bob"]});
    let same = openim.ok("/msg/get_conversations_has_read_and_max_seq", body).await;
    let expected = json!({"maxSeq": 30, "hasReadSeq": 0, "maxSeqTime": direct.max_seq_time});
    assert_eq!(same, json!({"seqs": {"si_alice_bob": expected}, "pinnedConversationIDs": null}));

    let range = Range { conversation_id: "si_alice_bob".into(), begin: 1, end: 30, num: 10 };
    let pull = Pull { user_id: user_id.clone(), seq_ranges: vec![range], order: 0 };
    let pulled: Messages = bob.get(PULL, &pull).await;
    let page = &pulled.msgs["si_alice_bob"];
    let seqs: Vec<i64> = page.msgs.iter().map(|message| message.seq).collect();
    assert_eq!((seqs, page.is_end), ((21..=30).collect(), true), "the newest ten");

    let wanted = SeqsOf { conversation_id: "si_alice_bob".into(), seqs: vec![2, 29, 31, 0, 2] };
    let single_seqs = SingleSeqs { user_id: user_id.clone(), conversations: vec![wanted], order: 0 };
    let pulled: Messages = bob.get(SINGLE_SEQS, &single_seqs).await;
    let page = &pulled.msgs["si_alice_bob"];
    let texts: Vec<String> = page.msgs.iter().map(MsgData::words).collect();
    assert_eq!((texts, page.is_end, page.end_seq), (vec!["no. 2".to_owned(), "no. 29".to_owned()], true, 30));

    let ids = vec!["sg_g".to_owned(), "si_alice_bob".to_owned(), "si_alice_carol".to_owned()];
    let newest: LastMessages = bob.get(LAST, &UserAnd { user_id, ids }).await;
    let newest: Vec<(&str, String)> = newest.msgs.iter().map(|(id, message)| (id.as_str(), message.words())).collect();
    assert_eq!(newest, [("sg_g", "in the group".to_owned()), ("si_alice_bob", "no. 30".to_owned())]);
    let of_alice = UserAnd { user_id: "alice".into(), ids: Vec::new() };
    assert_eq!(bob.ask(MAX_SEQS, &of_alice).await.code, 1002, "it is not bob's to know");
}

#[tokio::test]
async fn a_retried_send_is_the_same_message() {
    let (server, openim) = stage().await;
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    let message = MsgData::to_user("alice", "bob", "once");
    let first = alice.send(&message).await;
    let again = alice.send(&message).await;
    assert_eq!(first, again);
    alice.send(&MsgData::to_user("alice", "bob", "twice")).await;
    assert_eq!(alice.texts(2).await, ["once", "twice"]);
}

#[tokio::test]
async fn what_is_not_kept_reaches_those_who_are_here_and_has_no_seq() {
    let (server, openim) = stage().await;
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    let mut bob = Client::sign_in(&server, &openim, "bob", WEB).await;
    let typing = MsgData {
        content_type: 113,
        content: json!({"msgTips": "yes"}).to_string().into_bytes(),
        ..MsgData::to_user("alice", "bob", "")
    };
    alice.send(&typing).await;
    let (_, message) = bob.message().await;
    assert_eq!((message.content_type, message.seq), (113, 0));
    alice.send(&MsgData::to_user("alice", "bob", "kept")).await;
    assert_eq!(alice.message().await.1.words(), "kept", "that alice types is no news to alice");
    let heads: MaxSeqs = bob.get(MAX_SEQS, &UserAnd { user_id: "bob".into(), ids: Vec::new() }).await;
    assert_eq!(heads.max_seqs["si_alice_bob"], 1);
}

#[tokio::test]
async fn watchers_hear_who_comes_and_goes() {
    let (server, openim) = stage().await;
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    let bob = Client::sign_in(&server, &openim, "bob", WEB).await;
    let watch = Watch { subscribe: vec!["bob".into(), "carol".into()], unsubscribe: Vec::new() };
    let now: Presences = alice.get(PRESENCE, &watch).await;
    let shown: Vec<_> = now.subscribers.iter().map(|of| (of.user_id.as_str(), of.platforms.as_slice())).collect();
    assert_eq!(shown, [("bob", [5].as_slice()), ("carol", &[])]);
    let phone = Client::sign_in(&server, &openim, "bob", IOS).await;
    assert_eq!(heard(&mut alice).await, ("bob".to_owned(), vec![1, 5]));
    drop(bob);
    assert_eq!(heard(&mut alice).await, ("bob".to_owned(), vec![1]));
    let unwatch = Watch { subscribe: Vec::new(), unsubscribe: vec!["bob".into()] };
    let none: Presences = alice.get(PRESENCE, &unwatch).await;
    assert_eq!(none.subscribers, []);
    drop(phone);
    let _carol = Client::sign_in(&server, &openim, "carol", WEB).await;
    assert_eq!(heard(&mut alice).await, ("carol".to_owned(), vec![5]), "of bob nothing more is heard");
}

async fn heard(client: &mut Client) -> (String, Vec<i32>) {
    let mut presences = Presences::decode(&*client.pushed(PRESENCE).await.data).unwrap();
    let presence = presences.subscribers.remove(0);
    (presence.user_id, presence.platforms)
}

#[tokio::test]
async fn pings_in_text_are_answered_in_text() {
    let (server, openim) = stage().await;
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    for (ping, pong) in [
        (r#"{"type":"ping"}"#, json!({"type": "pong", "body": null})),
        (r#"{"type":"pong"}"#, json!(null)),
        (r#"{"type":"ping","body":"\"op-1\""}"#, json!({"type": "pong", "body": "\"op-1\""})),
    ] {
        alice.write(Frame::text(ping)).await;
        if !pong.is_null() {
            assert_eq!(alice.text().await, pong);
        }
    }
    alice.write(Frame::text("hello")).await;
    alice.ended().await;
}

#[tokio::test]
async fn who_may_not_connect_is_told_why_and_let_go() {
    let (server, openim) = stage().await;
    let token = openim.user_token("alice", WEB).await;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{other}{}", &signature[1..]);
    for (user, platform, token, code) in [
        ("alice", WEB, "no token at all", 1503),
        ("alice", WEB, forged.as_str(), 1505),
        ("bob", WEB, token.as_str(), 1502),
        ("alice", IOS, token.as_str(), 1502),
        ("", WEB, token.as_str(), 1602),
    ] {
        let token = tests::http::percent(token);
        let told = if code == 1602 {
            by_http(&server, user, platform, &token).await
        } else {
            Client::connect(server.gateway(), user, platform, &token).await.map(drop).unwrap_err()
        };
        assert_eq!(told, code, "{user} on {platform}");
        // A native client wants to hear it over HTTP.
        assert_eq!(by_http(&server, user, platform, &token).await, code, "{user} on {platform}");
    }
}

/// The code in the HTTP answer to a native client.
async fn by_http(server: &Server, user: &str, platform: i64, token: &str) -> i64 {
    let http = tests::http::Http::new(server.gateway());
    let path = format!("/?sendID={user}&token={token}&platformID={platform}&operationID=o&isBackground=false");
    let reply = http.get(&path).await;
    assert_eq!(reply.status, 200);
    reply.json()["errCode"].as_i64().unwrap()
}

#[tokio::test]
async fn what_cannot_be_understood_ends_the_connection_and_nothing_else() {
    let (server, openim) = stage().await;
    let mut bob = Client::sign_in(&server, &openim, "bob", WEB).await;
    let frame = |identifier: i64, sender: &str| json!({"reqIdentifier": identifier, "sendID": sender, "operationID": "o", "msgIncr": "1", "data": ""});
    for bad in [
        Frame::binary("not JSON"),
        Frame::binary(frame(1001, "bob").to_string()),
        Frame::binary(frame(1008, "alice").to_string()),
        Frame::binary(frame(-1, "alice").to_string()),
        Frame::binary(vec![b' '; 60_000]),
    ] {
        let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
        alice.write(bad).await;
        alice.ended().await;
    }
    // What is understood and wrong is answered.
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    for (identifier, code) in [(1004, 1001), (1003, 1001)] {
        let answer = alice.ask(identifier, &UserAnd { user_id: "alice".into(), ids: Vec::new() }).await;
        assert_eq!(answer.code, code, "{answer:?}");
    }
    for (message, code) in [
        (MsgData::to_user("bob", "carol", "in bob's name"), 1002),
        (MsgData::to_user("alice", "", "to nobody"), 1001),
        (MsgData::to_user("alice", "nobody", "to nobody"), 1101),
        (MsgData { session_type: 2, ..MsgData::to_group("alice", "g", "x") }, 1001),
        (MsgData { content: b"no JSON".to_vec(), ..MsgData::to_user("alice", "bob", "") }, 1001),
        (MsgData { content: vec![0xff, 0xfe], ..MsgData::to_user("alice", "bob", "") }, 1001),
        (MsgData { client_msg_id: "x".repeat(129), ..MsgData::to_user("alice", "bob", "") }, 1001),
    ] {
        assert_eq!(alice.ask(SEND, &message).await.code, code, "{message:?}");
    }
    alice.send(&MsgData::to_user("alice", "bob", "still here")).await;
    assert_eq!(bob.texts(1).await, ["still here"]);
}

#[tokio::test]
async fn logging_out_is_answered_and_then_it_is_over() {
    let (server, openim) = stage().await;
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    let answer = alice.ask(LOG_OUT, &UserAnd { user_id: "alice".into(), ids: Vec::new() }).await;
    assert_eq!(answer.code, 0);
    alice.ended().await;
}

#[tokio::test]
async fn clients_are_let_go_when_the_server_stops_and_find_everything_when_it_is_back() {
    let (mut server, openim) = stage().await;
    let mut alice = Client::sign_in(&server, &openim, "alice", WEB).await;
    alice.send(&MsgData::to_user("alice", "bob", "before")).await;
    let status = server.stop().await;
    assert!(status.success(), "{status}");
    alice.ended().await;
    server.launch();
    server.ready().await;
    let openim = server.openim().await;
    let mut bob = Client::sign_in(&server, &openim, "bob", WEB).await;
    let heads: MaxSeqs = bob.get(MAX_SEQS, &UserAnd { user_id: "bob".into(), ids: Vec::new() }).await;
    assert_eq!(heads.max_seqs["si_alice_bob"], 1);
}

#[tokio::test]
async fn the_gateway_is_at_the_root_of_the_http_port_too() {
    let (server, openim) = stage().await;
    let token = openim.user_token("alice", WEB).await;
    let mut alice = Client::connect(server.http(), "alice", WEB, &token).await.unwrap();
    alice.send(&MsgData::to_user("alice", "bob", "by the other door")).await;
    assert_eq!(alice.texts(1).await, ["by the other door"]);
}

#[tokio::test]
async fn what_a_tencent_backend_sends_is_pushed() {
    let (server, openim) = stage().await;
    let mut bob = Client::sign_in(&server, &openim, "bob", WEB).await;
    server.tencent().ok("openim/sendmsg", tests::c2c("alice", "bob", "across")).await;
    let (conversation, message) = bob.message().await;
    assert_eq!(
        (conversation.as_str(), message.content_type, message.words().as_str()),
        ("si_alice_bob", 101, "across")
    );
}

#[tokio::test]
async fn a_newer_sign_in_on_a_platform_kicks_the_older_one_and_no_other() {
    let (server, openim) = stage().await;
    let first = openim.user_token("alice", WEB).await;
    let mut web = Client::connect(server.gateway(), "alice", WEB, &first).await.unwrap();
    let mut phone = Client::sign_in(&server, &openim, "alice", IOS).await;
    // The same token is the same sign-in, which has lost its connection.
    let mut again = Client::connect(server.gateway(), "alice", WEB, &first).await.unwrap();
    web.send(&MsgData::to_user("alice", "bob", "one")).await;
    // Tokens say when they were issued, to the second.
    let second =
        until("another token", async || Some(openim.user_token("alice", WEB).await).filter(|token| *token != first));
    let mut newer = Client::connect(server.gateway(), "alice", WEB, &second.await).await.unwrap();
    for kicked in [&mut web, &mut again] {
        let kick = kicked.pushed(KICKED).await;
        assert_eq!((kick.code, kick.data.len()), (0, 0));
    }
    web.ended().await;
    again.ended().await;
    newer.send(&MsgData::to_user("alice", "bob", "two")).await;
    assert_eq!(newer.texts(1).await, ["two"]);
    assert_eq!(phone.texts(2).await, ["one", "two"]);
}
