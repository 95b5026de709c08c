//! The scenarios: what the README promises, played and checked.

use serde_json::{Value, json};

use super::stage::{Act, Stage};
use crate::failure::Failure;

const BEFORE: &str = "C2C.CallbackBeforeSendMsg";
const AFTER: &str = "C2C.CallbackAfterSendMsg";
const AFTER_GROUP: &str = "Group.CallbackAfterSendMsg";
const AFTER_GROUP_OPENIM: &str = "callbackAfterSendGroupMsgCommand";

/// Plays all of them; returns how many did not do what they should.
pub(super) async fn play(stage: &mut Stage) -> usize {
    let mut failed = 0;
    let prepared = prepare(stage).await;
    let mut conclude = |stage: &Stage, result: Result<(), String>| {
        stage.conclude(&result);
        failed += usize::from(result.is_err());
    };
    if let Err(failure) = prepared {
        conclude(stage, Err(failure.to_string()));
        return failed;
    }
    stage.announce(1, "A message passes: the backend is asked, and then told");
    let result = allow(stage).await;
    conclude(stage, result);
    stage.announce(2, "The backend refuses: the sender gets its code and its text");
    let result = reject(stage).await;
    conclude(stage, result);
    stage.announce(3, "The backend drops it silently: it looks sent, and nobody has it");
    let result = discard(stage).await;
    conclude(stage, result);
    stage.announce(4, "The backend changes it: everybody gets the changed message");
    let result = modify(stage).await;
    conclude(stage, result);
    stage.announce(5, "A group message, sent through OpenIM: told in both dialects");
    let result = group_message(stage).await;
    conclude(stage, result);
    stage.announce(6, "A group's profile changes: only what changed is told");
    let result = group_profile(stage).await;
    conclude(stage, result);
    failed
}

async fn prepare(stage: &mut Stage) -> Result<(), Failure> {
    let accounts = json!({ "Accounts": ["alice", "bob"] });
    stage.prepare("/v4/im_open_login_svc/multiaccount_import", accounts).await?;
    let group = json!({
        "Type": "Public", "GroupId": "hikers", "Name": "Hikers", "Owner_Account": "alice",
        "MemberList": [{ "Member_Account": "bob" }],
    });
    stage.prepare("/v4/group_open_http_svc/create_group", group).await?;
    stage.sign_in().await
}

async fn send(stage: &mut Stage, random: u32, text: &str, calls: usize) -> Result<Act, String> {
    let body = json!({
        "From_Account": "alice", "To_Account": "bob", "MsgRandom": random,
        "MsgBody": [{ "MsgType": "TIMTextElem", "MsgContent": { "Text": text } }],
    });
    stage.tencent("openim/sendmsg", body, calls).await.map_err(|failure| failure.to_string())
}

async fn allow(stage: &mut Stage) -> Result<(), String> {
    let act = send(stage, 1, "lunch at noon?", 2).await?;
    check("ErrorCode", &act.answer["ErrorCode"], 0)?;
    called(&act, &[BEFORE, AFTER])?;
    check("UnreadMsgNum", &body(&act, AFTER)["UnreadMsgNum"], 1)
}

async fn reject(stage: &mut Stage) -> Result<(), String> {
    let act = send(stage, 2, "win big in our casino", 1).await?;
    check("ErrorCode", &act.answer["ErrorCode"], 120_001)?;
    called(&act, &[BEFORE])
}

async fn discard(stage: &mut Stage) -> Result<(), String> {
    let act = send(stage, 3, "psst, over here", 1).await?;
    check("ErrorCode", &act.answer["ErrorCode"], 0)?;
    called(&act, &[BEFORE])?;
    let texts = history(stage).await?;
    if texts.iter().any(|text| text.contains("psst")) { Err("it is in the history".into()) } else { Ok(()) }
}

async fn modify(stage: &mut Stage) -> Result<(), String> {
    let act = send(stage, 4, "darn, it rains", 2).await?;
    check("ErrorCode", &act.answer["ErrorCode"], 0)?;
    called(&act, &[BEFORE, AFTER])?;
    let told = &body(&act, AFTER)["MsgBody"][0]["MsgContent"]["Text"];
    check("the text that was told", told, "d**n, it rains")?;
    let stored = history(stage).await?;
    check("the history", &json!(stored), json!(["lunch at noon?", "d**n, it rains"]))
}

async fn group_message(stage: &mut Stage) -> Result<(), String> {
    let message = json!({
        "sendID": "bob", "groupID": "hikers", "sessionType": 3, "senderPlatformID": 5,
        "contentType": 101, "content": { "content": "start at 7" },
    });
    let act = stage.openim("/msg/send_msg", message, 4).await.map_err(|failure| failure.to_string())?;
    check("errCode", &act.answer["errCode"], 0)?;
    called(
        &act,
        &["Group.CallbackBeforeSendMsg", "callbackBeforeSendGroupMsgCommand", AFTER_GROUP, AFTER_GROUP_OPENIM],
    )?;
    check("MsgSeq", &body(&act, AFTER_GROUP)["MsgSeq"], 1)?;
    check("seq", &body(&act, AFTER_GROUP_OPENIM)["seq"], 1)
}

async fn group_profile(stage: &mut Stage) -> Result<(), String> {
    let change = json!({ "GroupId": "hikers", "Name": "Hikers", "Notification": "bring water" });
    let act = stage.tencent("group_open_http_svc/modify_group_base_info", change, 1).await;
    let act = act.map_err(|failure| failure.to_string())?;
    check("ErrorCode", &act.answer["ErrorCode"], 0)?;
    called(&act, &["Group.CallbackAfterGroupInfoChanged"])?;
    let told = body(&act, "Group.CallbackAfterGroupInfoChanged");
    check("Notification", &told["Notification"], "bring water")?;
    check("Name, which did not change", &told["Name"], Value::Null)
}

async fn history(stage: &mut Stage) -> Result<Vec<String>, String> {
    let body = json!({
        "Operator_Account": "bob", "Peer_Account": "alice", "MaxCnt": 100, "MinTime": 0, "MaxTime": 4_000_000_000_u64,
    });
    let answer = stage.prepare("/v4/openim/admin_getroammsg", body).await.map_err(|failure| failure.to_string())?;
    let messages = answer["MsgList"].as_array().cloned().unwrap_or_default();
    let text = |message: &Value| message["MsgBody"][0]["MsgContent"]["Text"].as_str().unwrap_or_default().to_owned();
    Ok(messages.iter().map(text).collect())
}

/// The body of the call of that command; null if there was none.
fn body(act: &Act, command: &str) -> Value {
    let call = act.calls.iter().find(|call| call.call.command().is_some_and(|found| found.name == command));
    call.and_then(|call| call.call.json()).unwrap_or_default()
}

/// Whether the backend got just these calls. What is told may come in any order.
fn called(act: &Act, expected: &[&str]) -> Result<(), String> {
    let mut names: Vec<&str> =
        act.calls.iter().map(|call| call.call.command().map_or("?", |command| command.name)).collect();
    let mut expected = expected.to_vec();
    names.sort_unstable();
    expected.sort_unstable();
    if names == expected { Ok(()) } else { Err(format!("the backend got {names:?} instead of {expected:?}")) }
}

fn check(what: &str, found: &Value, expected: impl Into<Value>) -> Result<(), String> {
    let expected = expected.into();
    if *found == expected { Ok(()) } else { Err(format!("{what} is {found} instead of {expected}")) }
}
