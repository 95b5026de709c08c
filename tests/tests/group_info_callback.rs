//! `Group.CallbackAfterGroupInfoChanged`: seed document 1. Told for name, introduction, notification and face
//! URL only, only what changed, and not when nothing did.

use serde_json::{Value, json};
use tests::Stage;
use tests::wire::{keys, sample, shape, steady};

const CHANGED: &str = "Group.CallbackAfterGroupInfoChanged";
const MODIFY: &str = "group_open_http_svc/modify_group_base_info";
const ALWAYS: [&str; 5] = ["CallbackCommand", "EventTime", "GroupId", "Operator_Account", "Type"];

/// The climbers, with a whole profile.
async fn climbers() -> Stage {
    let stage = Stage::tencent().await;
    let group = json!({
        "Type": "Public", "GroupId": "climbers", "Owner_Account": "alice",
        "Name": "Climbers", "Introduction": "up", "Notification": "none", "FaceUrl": "https://cdn.example.com/1.png",
    });
    stage.tencent.ok("group_open_http_svc/create_group", group).await;
    stage
}

/// The fields beside those that are always there.
fn told(body: &Value) -> Value {
    let changed = keys(body).into_iter().filter(|key| !ALWAYS.contains(key));
    changed.map(|key| (key.to_owned(), body[key].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn the_notification_changes_and_the_backend_is_told() {
    let stage = climbers().await;
    stage.backend.answers(CHANGED, sample("tencent_answer"));
    stage.tencent.ok(MODIFY, json!({"GroupId": "climbers", "Notification": "bring a rope"})).await;
    let call = stage.backend.first(CHANGED).await;
    insta::assert_json_snapshot!(steady(&call.body), @r#"
    {
      "CallbackCommand": "Group.CallbackAfterGroupInfoChanged",
      "EventTime": "<milliseconds, quoted>",
      "GroupId": "climbers",
      "Notification": "bring a rope",
      "Operator_Account": "administrator",
      "Type": "Public"
    }
    "#);
    assert_eq!(shape(&call.body), shape(&sample("group_info_changed")));
    let expected = format!(
        "SdkAppid=1400000000&CallbackCommand={CHANGED}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI"
    );
    assert_eq!(
        (call.method.as_str(), call.path.as_str(), call.query_text.as_str()),
        ("POST", "/callback", expected.as_str())
    );
}

#[tokio::test]
async fn each_of_the_four_fields_is_told_alone_and_together() {
    let stage = climbers().await;
    let changes = [
        json!({"Name": "Alpinists"}),
        json!({"Introduction": "further up"}),
        json!({"Notification": "bring two ropes"}),
        json!({"FaceUrl": "https://cdn.example.com/2.png"}),
        json!({"Name": "Climbers again", "Introduction": "down", "Notification": "bring nothing", "FaceUrl": ""}),
    ];
    for (n, change) in changes.iter().enumerate() {
        stage.tencent.ok(MODIFY, tests::tencent::with(json!({"GroupId": "climbers"}), change.clone())).await;
        let calls = stage.backend.wait_for(CHANGED, n + 1).await;
        assert_eq!(told(&calls[n].body), *change);
    }
}

#[tokio::test]
async fn only_what_changed_is_told() {
    let stage = climbers().await;
    let change = json!({
        "GroupId": "climbers", "Name": "Climbers", "Introduction": "up", "Notification": "new",
        "FaceUrl": "https://cdn.example.com/1.png",
    });
    stage.tencent.ok(MODIFY, change).await;
    assert_eq!(told(&stage.backend.first(CHANGED).await.body), json!({"Notification": "new"}));
}

#[tokio::test]
async fn nothing_is_told_when_nothing_changed_or_something_else_did() {
    let stage = climbers().await;
    for quiet in [
        json!({"GroupId": "climbers"}),
        json!({"GroupId": "climbers", "Name": "Climbers", "Notification": "none"}),
        json!({"GroupId": "climbers", "MuteAllMember": "On"}),
        json!({"GroupId": "climbers", "MaxMemberNum": 77}),
        json!({"GroupId": "climbers", "ApplyJoinOption": "FreeAccess"}),
    ] {
        stage.tencent.ok(MODIFY, quiet).await;
    }
    assert_eq!(stage.tencent.refused(MODIFY, json!({"GroupId": "nobody", "Name": "x"})).await, 10010);
    // The name changes beside something that is never told.
    stage.tencent.ok(MODIFY, json!({"GroupId": "climbers", "Name": "marker", "MuteAllMember": "Off"})).await;
    let first = stage.backend.first(CHANGED).await;
    assert_eq!(told(&first.body), json!({"Name": "marker"}));

    let info = stage.tencent.ok("group_open_http_svc/get_group_info", json!({"GroupIdList": ["climbers"]})).await;
    let info = &info["GroupInfo"][0];
    let got = json!([
        info["Name"],
        info["MaxMemberNum"],
        info["ApplyJoinOption"],
        info["MuteAllMember"],
        info["ShutUpAllMember"]
    ]);
    assert_eq!(got, json!(["marker", 77, "FreeAccess", "Off", "Off"]));
}

#[tokio::test]
async fn a_change_through_openim_is_told_the_same_way() {
    let stage = climbers().await;
    // Empty strings mean "as it is" here ...
    let change = json!({
        "groupInfoForSet": {
            "groupID": "climbers", "groupName": "Alpinists", "notification": "", "introduction": "",
            "faceURL": "https://cdn.example.com/3.png",
        },
    });
    stage.openim.ok("/group/set_group_info", change).await;
    let first = stage.backend.first(CHANGED).await.body;
    assert_eq!(told(&first), json!({"Name": "Alpinists", "FaceUrl": "https://cdn.example.com/3.png"}));
    assert_eq!(first["Operator_Account"], "imAdmin");

    // ... and "make it empty" here, where null means "as it is".
    stage
        .openim
        .ok("/group/set_group_info_ex", json!({"groupID": "climbers", "notification": "", "introduction": null}))
        .await;
    let second = stage.backend.wait_for(CHANGED, 2).await[1].body.clone();
    assert_eq!(told(&second), json!({"Notification": ""}));

    // A blank name: all is well, and nothing happens.
    stage
        .openim
        .ok("/group/set_group_info_ex", json!({"groupID": "climbers", "groupName": "", "introduction": "unseen"}))
        .await;
    stage
        .openim
        .ok("/group/set_group_info_ex", json!({"groupID": "climbers", "introduction": "marker", "needVerification": 2}))
        .await;
    let third = stage.backend.wait_for(CHANGED, 3).await[2].body.clone();
    assert_eq!(told(&third), json!({"Introduction": "marker"}));
}
