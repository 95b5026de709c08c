//! `MsgBody` ↔ core elements (`spec/tencent/messages.md`).
//!
//! Decoding takes the keys that the core knows; whatever is left is carried and laid over again on the way out, so that
//! a message leaves as it came: unknown keys, odd values and missing keys included.

use chat::element::{
    Carried, Content, Custom, Element, Face, File, Foreign, Image, Location, Merged, Picture, Sound, Text, Video,
};
use serde_json::{Map, Value, json};

use crate::DIALECT;
use crate::envelope::Failure;

/// At most one element of this type is allowed in a message.
const CUSTOM: &str = "TIMCustomElem";

/// What is always 2 where it is at all; see [`Keys::remember_flag`].
const FLAGS: [&str; 3] = ["Download_Flag", "VideoDownloadFlag", "ThumbDownloadFlag"];

/// Reads a `MsgBody`. Fails with the codes of one-to-one messages; the group service maps them to its own.
pub(crate) fn decode_body(body: Value) -> Result<Vec<Element>, Failure> {
    let Value::Array(items) = body else {
        return Err(Failure::new(90007, "MsgBody must be an array"));
    };
    if items.is_empty() {
        return Err(Failure::new(90002, "MsgBody must have at least one element"));
    }
    if items.iter().filter(|item| item.get("MsgType").is_some_and(|kind| kind == CUSTOM)).count() > 1 {
        return Err(Failure::new(90010, "MsgBody may have at most one TIMCustomElem"));
    }
    items.into_iter().map(decode).collect()
}

/// Words a `MsgBody`.
pub(crate) fn encode_body(elements: &[Element]) -> Vec<Value> {
    elements.iter().map(encode).collect()
}

fn decode(mut item: Value) -> Result<Element, Failure> {
    let malformed = |what: &str| Failure::new(90002, format!("an element of MsgBody has no {what}"));
    let content = item.get_mut("MsgContent").map(Value::take);
    let kind = item.get("MsgType").and_then(Value::as_str).ok_or_else(|| malformed("MsgType"))?;
    let Some(Value::Object(left)) = content else { return Err(malformed("MsgContent")) };
    let mut keys = Keys { kind, left };
    let content = match kind {
        "TIMTextElem" => Content::Text(Text {
            text: keys.string("Text")?.ok_or_else(|| Failure::new(90010, "TIMTextElem needs a Text"))?,
        }),
        "TIMFaceElem" => Content::Face(Face { index: keys.integer("Index")?, data: keys.string("Data")? }),
        "TIMLocationElem" => Content::Location(Location {
            description: keys.string("Desc")?,
            latitude: keys.number("Latitude")?,
            longitude: keys.number("Longitude")?,
        }),
        CUSTOM => Content::Custom(Custom {
            data: keys.string("Data")?,
            description: keys.string("Desc")?,
            extension: keys.string("Ext")?,
            sound: keys.string("Sound")?,
        }),
        "TIMSoundElem" => {
            keys.remember_flag("Download_Flag");
            Content::Sound(Sound {
                id: keys.string("UUID")?,
                url: keys.string("Url")?,
                size: keys.integer("Size")?,
                seconds: keys.integer("Second")?,
            })
        }
        "TIMImageElem" => Content::Image(decode_image(&mut keys)?),
        "TIMFileElem" => {
            keys.remember_flag("Download_Flag");
            Content::File(File {
                id: keys.string("UUID")?,
                url: keys.string("Url")?,
                size: keys.integer("FileSize")?,
                name: keys.string("FileName")?,
            })
        }
        "TIMVideoFileElem" => Content::Video(decode_video(&mut keys)?),
        "TIMRelayElem" => Content::Merged(Merged {
            title: keys.string("Title")?,
            digest: keys.strings("AbstractList")?,
            count: keys.integer("MsgNum")?,
            fallback: keys.string("CompatibleText")?,
        }),
        unknown => return Err(Failure::new(90010, format!("the MsgType {unknown:?} is unknown"))),
    };
    Ok(Element { content, carried: Carried::of(DIALECT, keys.left) })
}

fn decode_image(keys: &mut Keys<'_>) -> Result<Image, Failure> {
    let mut image = Image { id: keys.string("UUID")?, format: keys.integer("ImageFormat")?, ..Image::default() };
    let Some(sizes) = keys.left.get("ImageInfoArray") else { return Ok(image) };
    let wrong = || Failure::new(90010, "ImageInfoArray of a TIMImageElem must be an array of objects");
    for size in sizes.as_array().ok_or_else(wrong)? {
        let mut left = Keys { kind: keys.kind, left: size.as_object().ok_or_else(wrong)?.clone() };
        let kind = left.integer("Type")?;
        let picture = Picture {
            url: left.string("URL")?,
            size: left.integer("Size")?,
            width: left.integer("Width")?,
            height: left.integer("Height")?,
        };
        match kind {
            Some(1) => image.original = Some(picture),
            Some(2) => image.large = Some(picture),
            Some(3) => image.thumbnail = Some(picture),
            _ => {}
        }
    }
    // Only an array that we would word in just the same way is ours; any other is carried as it is.
    if encode_sizes(&image).is_some_and(|ours| ours == *sizes) {
        keys.left.shift_remove("ImageInfoArray");
    }
    Ok(image)
}

fn decode_video(keys: &mut Keys<'_>) -> Result<Video, Failure> {
    keys.remember_flag("VideoDownloadFlag");
    keys.remember_flag("ThumbDownloadFlag");
    Ok(Video {
        id: keys.string("VideoUUID")?,
        url: keys.string("VideoUrl")?,
        size: keys.integer("VideoSize")?,
        seconds: keys.integer("VideoSecond")?,
        format: keys.string("VideoFormat")?,
        snapshot_id: keys.string("ThumbUUID")?,
        snapshot_url: keys.string("ThumbUrl")?,
        snapshot_size: keys.integer("ThumbSize")?,
        snapshot_width: keys.integer("ThumbWidth")?,
        snapshot_height: keys.integer("ThumbHeight")?,
        snapshot_format: keys.string("ThumbFormat")?,
    })
}

/// The keys of a `MsgContent` that are not taken yet.
struct Keys<'a> {
    kind: &'a str,
    left: Map<String, Value>,
}

impl Keys<'_> {
    fn take<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        match self.left.get(key) {
            // A null is carried, so that it comes back as a null.
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let wrong = || Failure::new(90010, format!("{key} of a {} must be {wanted}", self.kind));
                let taken = read(value).ok_or_else(wrong)?;
                self.left.shift_remove(key);
                Ok(Some(taken))
            }
        }
    }

    fn string(&mut self, key: &str) -> Result<Option<String>, Failure> {
        self.take(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    fn integer(&mut self, key: &str) -> Result<Option<i64>, Failure> {
        self.take(key, "an integer", Value::as_i64)
    }

    fn number(&mut self, key: &str) -> Result<Option<f64>, Failure> {
        self.take(key, "a number", Value::as_f64)
    }

    fn strings(&mut self, key: &str) -> Result<Option<Vec<String>>, Failure> {
        self.take(key, "an array of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// `2` is what a download flag always is: taken, and written again. Its absence is remembered as a carried null,
    /// which [`encode`] takes as 'leave it out'.
    fn remember_flag(&mut self, key: &str) {
        match self.left.get(key) {
            None => drop(self.left.insert(key.to_owned(), Value::Null)),
            Some(value) if value.as_i64() == Some(2) => drop(self.left.shift_remove(key)),
            Some(_) => {}
        }
    }
}

fn encode(element: &Element) -> Value {
    let (kind, mut content) = match &element.content {
        Content::Text(text) => ("TIMTextElem", object(json!({ "Text": text.text }))),
        Content::Face(face) => ("TIMFaceElem", object(json!({ "Index": face.index, "Data": face.data }))),
        Content::Location(location) => (
            "TIMLocationElem",
            object(json!({
                "Desc": location.description,
                "Latitude": location.latitude.map(number),
                "Longitude": location.longitude.map(number),
            })),
        ),
        Content::Custom(custom) => (
            CUSTOM,
            object(json!({
                "Data": custom.data, "Desc": custom.description, "Ext": custom.extension, "Sound": custom.sound,
            })),
        ),
        Content::Sound(sound) => (
            "TIMSoundElem",
            object(json!({
                "Url": sound.url, "UUID": sound.id, "Size": sound.size, "Second": sound.seconds, "Download_Flag": 2,
            })),
        ),
        Content::Image(image) => (
            "TIMImageElem",
            object(json!({
                "UUID": image.id, "ImageFormat": image.format, "ImageInfoArray": encode_sizes(image),
            })),
        ),
        Content::File(file) => (
            "TIMFileElem",
            object(json!({
                "Url": file.url, "UUID": file.id, "FileSize": file.size, "FileName": file.name, "Download_Flag": 2,
            })),
        ),
        Content::Video(video) => ("TIMVideoFileElem", encode_video(video)),
        Content::Merged(merged) => (
            "TIMRelayElem",
            object(json!({
                "Title": merged.title, "MsgNum": merged.count, "CompatibleText": merged.fallback,
                "AbstractList": merged.digest,
            })),
        ),
        Content::Foreign(foreign) => return encode_foreign(element, foreign),
    };
    if let Some(carried) = Carried::for_dialect(&element.carried, DIALECT) {
        for (key, value) in carried {
            let is_left_out = value.is_null() && FLAGS.contains(&key.as_str());
            if is_left_out {
                content.shift_remove(key);
            } else {
                content.insert(key.clone(), value.clone());
            }
        }
    }
    json!({ "MsgType": kind, "MsgContent": content })
}

/// What only another dialect knows: a custom element with its text in `Desc`, and all of it in `Data`.
fn encode_foreign(element: &Element, foreign: &Foreign) -> Value {
    let fields = element.carried.as_ref().map(|carried| &carried.fields);
    let data = fields.and_then(|fields| serde_json::to_string(fields).ok()).unwrap_or_default();
    json!({ "MsgType": CUSTOM, "MsgContent": { "Data": data, "Desc": foreign.text, "Ext": foreign.kind } })
}

fn encode_sizes(image: &Image) -> Option<Value> {
    let sizes = [(1, &image.original), (2, &image.large), (3, &image.thumbnail)];
    let sizes: Vec<Value> = sizes
        .into_iter()
        .filter_map(|(kind, picture)| {
            let picture = picture.as_ref()?;
            Some(Value::Object(object(json!({
                "Type": kind, "Size": picture.size, "Width": picture.width, "Height": picture.height,
                "URL": picture.url,
            }))))
        })
        .collect();
    (!sizes.is_empty()).then_some(Value::Array(sizes))
}

fn encode_video(video: &Video) -> Map<String, Value> {
    object(json!({
        "VideoUrl": video.url, "VideoUUID": video.id, "VideoSize": video.size, "VideoSecond": video.seconds,
        "VideoFormat": video.format, "VideoDownloadFlag": 2,
        "ThumbUrl": video.snapshot_url, "ThumbUUID": video.snapshot_id, "ThumbSize": video.snapshot_size,
        "ThumbWidth": video.snapshot_width, "ThumbHeight": video.snapshot_height,
        "ThumbFormat": video.snapshot_format, "ThumbDownloadFlag": 2,
    }))
}

/// The object without what was left out.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(mut map) => {
            map.retain(|_, value| !value.is_null());
            map
        }
        _ => Map::new(),
    }
}

/// A whole number is written without a fraction, as it came.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2⁵³: whole numbers up to here are exact.
    if value.fract() == 0.0 && value.abs() < EXACT && !(value == 0.0 && value.is_sign_negative()) {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn roundtrip(body: &Value) -> Value {
        Value::Array(encode_body(&decode_body(body.clone()).unwrap()))
    }

    fn text() -> impl Strategy<Value = Value> {
        any::<String>().prop_map(Value::from)
    }

    fn whole() -> impl Strategy<Value = Value> {
        any::<i64>().prop_map(Value::from)
    }

    fn degrees() -> impl Strategy<Value = Value> {
        prop_oneof![(-180i64..180).prop_map(Value::from), (-180.0..180.0f64).prop_map(number)]
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), whole(), text()];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    /// An object in which each of these keys may be present, and any others.
    fn content(keys: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
        let known: Vec<_> =
            keys.into_iter().map(|(key, value)| prop::option::of(value).prop_map(move |value| (key, value))).collect();
        let others = prop::collection::vec(("x_[a-z]{1,8}", any_json()), 0..3);
        (known, others)
            .prop_map(|(known, others)| {
                let known = known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
                Value::Object(known.chain(others).collect())
            })
            .boxed()
    }

    fn element() -> impl Strategy<Value = Value> {
        let flag = || prop_oneof![Just(json!(2)), Just(json!(1)), any_json()].boxed();
        let size = content(vec![
            ("Type", (0..5i64).prop_map(Value::from).boxed()),
            ("Size", whole().boxed()),
            ("Width", whole().boxed()),
            ("Height", whole().boxed()),
            ("URL", text().boxed()),
        ]);
        let flag_or_none = || flag().prop_filter("a null flag is the same as none", |value| !value.is_null()).boxed();
        prop_oneof![
            (text(), content(vec![])).prop_map(|(text, mut content)| {
                content["Text"] = text;
                json!({ "MsgType": "TIMTextElem", "MsgContent": content })
            }),
            content(vec![("Index", whole().boxed()), ("Data", text().boxed())])
                .prop_map(|content| json!({ "MsgType": "TIMFaceElem", "MsgContent": content })),
            content(vec![("Desc", text().boxed()), ("Latitude", degrees().boxed()), ("Longitude", degrees().boxed())])
                .prop_map(|content| json!({ "MsgType": "TIMLocationElem", "MsgContent": content })),
            content(vec![
                ("Url", text().boxed()),
                ("UUID", text().boxed()),
                ("Size", whole().boxed()),
                ("Second", whole().boxed()),
                ("Download_Flag", flag_or_none()),
            ])
            .prop_map(|content| json!({ "MsgType": "TIMSoundElem", "MsgContent": content })),
            content(vec![
                ("UUID", text().boxed()),
                ("ImageFormat", whole().boxed()),
                ("ImageInfoArray", prop::collection::vec(size, 0..4).prop_map(Value::from).boxed()),
            ])
            .prop_map(|content| json!({ "MsgType": "TIMImageElem", "MsgContent": content })),
            content(vec![
                ("VideoUrl", text().boxed()),
                ("VideoSecond", whole().boxed()),
                ("ThumbWidth", whole().boxed()),
                ("VideoDownloadFlag", flag_or_none()),
                ("ThumbDownloadFlag", flag_or_none()),
            ])
            .prop_map(|content| json!({ "MsgType": "TIMVideoFileElem", "MsgContent": content })),
            content(vec![
                ("Title", text().boxed()),
                ("MsgNum", whole().boxed()),
                ("AbstractList", prop::collection::vec(text(), 0..3).prop_map(Value::from).boxed()),
                ("MsgList", any_json().boxed()),
            ])
            .prop_map(|content| json!({ "MsgType": "TIMRelayElem", "MsgContent": content })),
        ]
    }

    proptest! {
        #[test]
        fn a_body_leaves_as_it_came(elements in prop::collection::vec(element(), 1..4)) {
            let body = Value::Array(elements);
            prop_assert_eq!(roundtrip(&body), body);
        }

        #[test]
        fn stored_elements_are_the_same(elements in prop::collection::vec(element(), 1..4)) {
            let decoded = decode_body(Value::Array(elements)).unwrap();
            let stored = serde_json::to_string(&decoded).unwrap();
            prop_assert_eq!(serde_json::from_str::<Vec<Element>>(&stored).unwrap(), decoded);
        }

        #[test]
        fn no_json_breaks_the_decoder(body in any_json()) {
            let _ = decode_body(body);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let code = |body: Value| decode_body(body).unwrap_err().code;
        assert_eq!(code(json!("x")), 90007);
        assert_eq!(code(json!([])), 90002);
        assert_eq!(code(json!([{ "MsgType": "TIMTextElem" }])), 90002);
        assert_eq!(code(json!([{ "MsgType": "TIMDanceElem", "MsgContent": {} }])), 90010);
        assert_eq!(code(json!([{ "MsgType": "TIMTextElem", "MsgContent": { "Text": 1 } }])), 90010);
        let custom = json!({ "MsgType": CUSTOM, "MsgContent": { "Data": "x" } });
        assert_eq!(code(json!([custom, custom])), 90010);
    }
}
