use chat::element::Face;
use chat::id::AccountId;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}

fn shown(content_type: i32, value: Value) -> Shown {
    Shown { content_type, object: object(value) }
}

fn decoded(content_type: i32, value: Value) -> Element {
    decode(shown(content_type, value), &[])
}

#[test]
fn a_plain_text_carries_nothing() {
    assert_eq!(decoded(101, json!({"content": "lunch?"})), Element::text("lunch?"));
}

#[test]
fn what_the_core_knows_is_typed() {
    let element = decoded(106, json!({"text": "@all hi", "atUserList": ["AtAllTag"], "isAtSelf": false}));
    assert_eq!(element.readable(), "@all hi");
    assert!(matches!(element.content, Content::Text(_)));

    let picture = json!({"uuid": "u1", "type": "image/png", "size": 7, "width": 3, "height": 4, "url": "http://a/p"});
    let element = decoded(102, json!({"sourcePath": "/x", "sourcePicture": picture, "bigPicture": picture}));
    let Content::Image(image) = &element.content else { panic!("{element:?}") };
    assert_eq!((image.id.as_deref(), image.format), (Some("u1"), Some(3)));
    assert_eq!(image.original.as_ref().and_then(|original| original.url.as_deref()), Some("http://a/p"));
    assert_eq!(image.thumbnail, None);

    let element = decoded(109, json!({"description": "Square", "latitude": 52, "longitude": 13.5}));
    let Content::Location(location) = &element.content else { panic!("{element:?}") };
    assert_eq!((location.latitude, location.longitude), (Some(52.0), Some(13.5)));

    for (content_type, value) in [
        (114, json!({"text": "so true", "quoteMessage": {"seq": 3}})),
        (117, json!({"text": "so true", "messageEntityList": []})),
        (118, json!({"content": "so true"})),
        (108, json!({"userID": "u", "nickname": "so true"})),
    ] {
        let element = decoded(content_type, value);
        assert_eq!(element.readable(), "so true", "{content_type}");
        assert!(matches!(&element.content, Content::Foreign(f) if f.kind == content_type.to_string()));
    }
}

/// The message size limit counts what is stored: nothing is stored twice.
#[test]
fn a_text_is_not_stored_twice() {
    let long = "x".repeat(5000);
    for (content_type, key) in [(101, "content"), (106, "text"), (114, "text"), (118, "content"), (117, "text")] {
        let element = decoded(content_type, json!({key: long, "more": [1]}));
        assert!(serde_json::to_string(&element).unwrap().len() < 5200, "{content_type}");
    }
}

#[test]
fn an_element_of_the_other_dialect_is_shown_natively_and_completely() {
    let face = Element { content: Content::Face(Face { index: Some(7), data: None }), carried: None };
    assert_eq!(encode(&[face], &[]), shown(115, json!({"index": 7, "data": ""})));

    let mentions = [Mention::All, Mention::Account(AccountId::new("bob"))];
    let text = encode(&[Element::text("hi @bob")], &mentions);
    assert_eq!(text.content_type, 106);
    assert_eq!(text.object["atUserList"], json!(["AtAllTag", "bob"]));
    assert_eq!(text.object["text"], "hi @bob");

    let image = encode(&[Content::Image(chat::element::Image { format: Some(1), ..Default::default() }).into()], &[]);
    assert_eq!(image.content_type, 102);
    assert_eq!(image.object["bigPicture"]["type"], "jpg");
    assert_eq!(image.object["sourcePicture"]["width"], 0);
}

#[test]
fn several_elements_become_one_custom_content() {
    let elements =
        [Element::text("look"), Content::Face(Face { index: Some(1), data: None }).into(), Element::text("there")];
    let custom = encode(&elements, &[]);
    assert_eq!((custom.content_type, content_type(&elements, &[])), (110, 110));
    assert_eq!(custom.object["description"], "look there");
    let back: Vec<Element> = serde_json::from_str(custom.object["data"].as_str().unwrap()).unwrap();
    assert_eq!(back, elements);
}

#[test]
fn typing_and_notifications_are_never_called_back() {
    for content_type in [113, 1000, 1400, 1501, 2101, 5000] {
        assert!(!is_called_back(content_type), "{content_type}");
    }
    for content_type in [101, 110, 119, 999, 5001] {
        assert!(is_called_back(content_type), "{content_type}");
    }
}

/// Keys that the decoder looks at, so that chance finds them with values of every type.
const KEYS: &[&str] = &[
    "content",
    "text",
    "nickname",
    "data",
    "description",
    "extension",
    "index",
    "latitude",
    "longitude",
    "title",
    "abstractList",
    "multiMessage",
    "uuid",
    "type",
    "size",
    "width",
    "height",
    "url",
    "sourcePicture",
    "bigPicture",
    "snapshotPicture",
    "sourceUrl",
    "dataSize",
    "duration",
    "videoUUID",
    "videoUrl",
    "videoType",
    "videoSize",
    "snapshotType",
    "fileName",
    "fileSize",
    "atUserList",
    "contentType",
    "carried",
    "",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop_oneof![Just("png"), Just("image/png"), Just("jpeg"), Just("video/mp4"), Just("")].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            map_of(inner).prop_map(Value::Object),
        ]
    })
}

fn map_of(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof![4 => prop::sample::select(KEYS).prop_map(str::to_owned), 1 => ".{0,4}"];
    prop::collection::vec((key, inner), 0..8).prop_map(|pairs| pairs.into_iter().collect())
}

fn kind() -> impl Strategy<Value = i32> {
    prop_oneof![101..=120_i32, Just(1400), Just(2101), any::<i32>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_content_survives(content_type in kind(), object in map_of(value()), mentions in any::<bool>()) {
        let mentions: &[Mention] = if mentions { &[Mention::All] } else { &[] };
        let original = Shown { content_type, object };
        let element = decode(original.clone(), mentions);
        // Through the stored form, as a real message goes.
        let stored = serde_json::to_string(&element).unwrap();
        let element: Element = serde_json::from_str(&stored).unwrap();
        let elements = [element];
        prop_assert_eq!(super::content_type(&elements, mentions), content_type);
        prop_assert_eq!(encode(&elements, mentions), original);
    }
}
