//! From the wire's object to the core's content. A field that is missing or of another type stays `None`; the object
//! itself is kept by the caller where that loses something.

use chat::element::{Content, Custom, Face, File, Foreign, Image, Location, Merged, Picture, Sound, Text, Video};
use serde_json::{Map, Value};

use super::native::text_key;

type Object = Map<String, Value>;

/// The content that this object is, as far as the core can say it.
pub(super) fn read(content_type: i32, object: &Object) -> Content {
    match content_type {
        101 | 106 => match object.get(text_key(content_type).unwrap_or_default()) {
            Some(Value::String(text)) => Content::Text(Text { text: text.clone() }),
            _ => foreign(content_type, object),
        },
        102 => Content::Image(image(object)),
        103 => Content::Sound(sound(object)),
        104 => Content::Video(video(object)),
        105 => Content::File(file(object)),
        107 => Content::Merged(merged(object)),
        109 => Content::Location(location(object)),
        // 119 and 120 are custom messages that are shown or kept differently (semantics.md, section 6).
        110 | 119 | 120 => Content::Custom(custom(object)),
        115 => Content::Face(Face { index: int(object, "index"), data: text(object, "data") }),
        _ => foreign(content_type, object),
    }
}

/// What only OpenIM knows. What a person would read of it is kept apart, for the content filter and the other dialect.
fn foreign(content_type: i32, object: &Object) -> Content {
    let readable = text_key(content_type).and_then(|key| text(object, key)).unwrap_or_default();
    Content::Foreign(Foreign { kind: content_type.to_string(), text: readable })
}

fn image(object: &Object) -> Image {
    let picture = |name: &str| match object.get(name) {
        Some(Value::Object(picture)) => Some(Picture {
            url: text(picture, "url"),
            size: int(picture, "size"),
            width: int(picture, "width"),
            height: int(picture, "height"),
        }),
        _ => None,
    };
    let source = match object.get("sourcePicture") {
        Some(Value::Object(source)) => Some(source),
        _ => None,
    };
    Image {
        id: source.and_then(|source| text(source, "uuid")),
        format: source.and_then(|source| text(source, "type")).and_then(|name| image_format(&name)),
        original: picture("sourcePicture"),
        large: picture("bigPicture"),
        thumbnail: picture("snapshotPicture"),
    }
}

/// The core's number for `png`, `image/png`, `PNG` …
fn image_format(name: &str) -> Option<i64> {
    match subtype(name).to_ascii_lowercase().as_str() {
        "" => None,
        "jpg" | "jpeg" => Some(1),
        "gif" => Some(2),
        "png" => Some(3),
        "bmp" => Some(4),
        _ => Some(255),
    }
}

/// The SDKs write a file extension or a media type; the core holds the shorter one.
fn subtype(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, subtype)| subtype)
}

fn sound(object: &Object) -> Sound {
    Sound {
        id: text(object, "uuid"),
        url: text(object, "sourceUrl"),
        size: int(object, "dataSize"),
        seconds: int(object, "duration"),
    }
}

fn video(object: &Object) -> Video {
    let format = |name| text(object, name).map(|format| subtype(&format).to_owned());
    Video {
        id: text(object, "videoUUID"),
        url: text(object, "videoUrl"),
        size: int(object, "videoSize"),
        seconds: int(object, "duration"),
        format: format("videoType"),
        snapshot_id: text(object, "snapshotUUID"),
        snapshot_url: text(object, "snapshotUrl"),
        snapshot_size: int(object, "snapshotSize"),
        snapshot_width: int(object, "snapshotWidth"),
        snapshot_height: int(object, "snapshotHeight"),
        snapshot_format: format("snapshotType"),
    }
}

fn file(object: &Object) -> File {
    File {
        id: text(object, "uuid"),
        url: text(object, "sourceUrl"),
        size: int(object, "fileSize"),
        name: text(object, "fileName"),
    }
}

fn custom(object: &Object) -> Custom {
    Custom {
        data: text(object, "data"),
        description: text(object, "description"),
        extension: text(object, "extension"),
        sound: None,
    }
}

fn location(object: &Object) -> Location {
    let degrees = |name| object.get(name).and_then(Value::as_f64);
    Location {
        description: text(object, "description"),
        latitude: degrees("latitude"),
        longitude: degrees("longitude"),
    }
}

/// The forwarded messages themselves are carried.
fn merged(object: &Object) -> Merged {
    let lines = |lines: &Vec<Value>| -> Option<Vec<String>> {
        lines.iter().map(|line| line.as_str().map(str::to_owned)).collect()
    };
    Merged {
        title: text(object, "title"),
        digest: object.get("abstractList").and_then(Value::as_array).and_then(lines),
        count: object.get("multiMessage").and_then(Value::as_array).and_then(|all| i64::try_from(all.len()).ok()),
        fallback: None,
    }
}

fn text(object: &Object, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn int(object: &Object, name: &str) -> Option<i64> {
    object.get(name).and_then(Value::as_i64)
}
