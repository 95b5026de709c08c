//! From the core's content to the wire's object.

use chat::element::{Content, Custom, File, Foreign, Image, Location, Merged, Picture, Sound, Video};
use chat::message::Mention;
use serde_json::{Map, Value};

use super::{AT_TEXT, CUSTOM, TEXT};
use crate::mentions;

/// How much of an object is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Only what is there: the rest is carried, or was not there on the way in.
    Sparse,
    /// All that OpenIM's clients read, with zero values for what is not there.
    Complete,
}

/// The native type of a content.
pub(super) fn content_type(content: &Content, mentions: &[Mention]) -> i32 {
    match content {
        Content::Text(_) if mentions.is_empty() => TEXT,
        Content::Text(_) => AT_TEXT,
        Content::Image(_) => 102,
        Content::Sound(_) => 103,
        Content::Video(_) => 104,
        Content::File(_) => 105,
        Content::Merged(_) => 107,
        Content::Location(_) => 109,
        Content::Custom(_) | Content::Foreign(_) => CUSTOM,
        Content::Face(_) => 115,
    }
}

/// Under which key a content of this type has its text.
pub(super) fn text_key(content_type: i32) -> Option<&'static str> {
    match content_type {
        101 | 118 => Some("content"),
        106 | 114 | 117 => Some("text"),
        108 => Some("nickname"),
        _ => None,
    }
}

/// The object that shows a content as this type.
pub(super) fn object(content: &Content, content_type: i32, form: Form) -> Map<String, Value> {
    let mut object = Writer { object: Map::new(), form };
    match content {
        Content::Text(text) => object.put(text_key(content_type).unwrap_or("content"), text.text.as_str()),
        Content::Face(face) => {
            object.int("index", face.index);
            object.text("data", &face.data);
        }
        Content::Location(location) => place(&mut object, location),
        Content::Custom(custom) => own(&mut object, custom),
        Content::Image(image) => pictures(&mut object, image),
        Content::Sound(sound) => voice(&mut object, sound),
        Content::Video(video) => film(&mut object, video),
        Content::File(file) => document(&mut object, file),
        Content::Merged(merged) => forwarded(&mut object, merged),
        Content::Foreign(foreign) => words(&mut object, foreign, content_type),
    }
    object.object
}

/// The at-lists of a text whose sender's dialect has none in its content.
pub(super) fn add_mentions(object: &mut Map<String, Value>, mentions: &[Mention]) {
    let list = mentions::list(mentions);
    let info = |id: &String| {
        let mut info = Map::new();
        info.insert("atUserID".into(), id.as_str().into());
        info.insert("groupNickname".into(), "".into());
        Value::Object(info)
    };
    let infos = list.iter().map(info).collect();
    object.insert("atUserList".into(), list.into());
    object.insert("atUsersInfo".into(), Value::Array(infos));
    object.insert("isAtSelf".into(), false.into());
}

fn words(object: &mut Writer, foreign: &Foreign, content_type: i32) {
    if let (Some(key), false) = (text_key(content_type), foreign.text.is_empty()) {
        object.put(key, foreign.text.as_str());
    }
}

fn place(object: &mut Writer, location: &Location) {
    object.text("description", &location.description);
    object.degrees("longitude", location.longitude);
    object.degrees("latitude", location.latitude);
}

fn own(object: &mut Writer, custom: &Custom) {
    object.text("data", &custom.data);
    object.text("description", &custom.description);
    object.text("extension", &custom.extension);
}

fn voice(object: &mut Writer, sound: &Sound) {
    object.text("uuid", &sound.id);
    object.text("sourceUrl", &sound.url);
    object.int("dataSize", sound.size);
    object.int("duration", sound.seconds);
    object.absent("soundPath", "");
    object.absent("soundType", "");
}

fn film(object: &mut Writer, video: &Video) {
    object.text("videoUUID", &video.id);
    object.text("videoUrl", &video.url);
    object.text("videoType", &video.format);
    object.int("videoSize", video.size);
    object.int("duration", video.seconds);
    object.text("snapshotUUID", &video.snapshot_id);
    object.text("snapshotUrl", &video.snapshot_url);
    object.int("snapshotSize", video.snapshot_size);
    object.int("snapshotWidth", video.snapshot_width);
    object.int("snapshotHeight", video.snapshot_height);
    object.text("snapshotType", &video.snapshot_format);
    object.absent("videoPath", "");
    object.absent("snapshotPath", "");
}

fn document(object: &mut Writer, file: &File) {
    object.text("uuid", &file.id);
    object.text("sourceUrl", &file.url);
    object.text("fileName", &file.name);
    object.int("fileSize", file.size);
    object.absent("filePath", "");
    object.absent("fileType", "");
}

fn pictures(object: &mut Writer, image: &Image) {
    let format = image.format.and_then(format_name);
    picture(object, "sourcePicture", image.original.as_ref(), image.id.as_deref(), format);
    // The sizes of one image share its name and format; on the way in only the original's are read.
    let (id, format) = match object.form {
        Form::Sparse => (None, None),
        Form::Complete => (image.id.as_deref(), format),
    };
    picture(object, "bigPicture", image.large.as_ref(), id, format);
    picture(object, "snapshotPicture", image.thumbnail.as_ref(), id, format);
    object.absent("sourcePath", "");
}

fn picture(object: &mut Writer, name: &str, picture: Option<&Picture>, id: Option<&str>, format: Option<&str>) {
    if picture.is_none() && object.form == Form::Sparse {
        return;
    }
    let empty = Picture::default();
    let shown = picture.unwrap_or(&empty);
    let mut inner = Writer { object: Map::new(), form: object.form };
    inner.text("uuid", &id.map(str::to_owned));
    inner.text("type", &format.map(str::to_owned));
    inner.int("size", shown.size);
    inner.int("width", shown.width);
    inner.int("height", shown.height);
    inner.text("url", &shown.url);
    object.put(name, Value::Object(inner.object));
}

/// The file extension of the core's number; none for 'other'.
fn format_name(format: i64) -> Option<&'static str> {
    match format {
        1 => Some("jpg"),
        2 => Some("gif"),
        3 => Some("png"),
        4 => Some("bmp"),
        _ => None,
    }
}

fn forwarded(object: &mut Writer, merged: &Merged) {
    object.text("title", &merged.title);
    match &merged.digest {
        Some(lines) => object.put("abstractList", lines.clone()),
        None => object.absent("abstractList", Vec::<String>::new()),
    }
    object.absent("multiMessage", Vec::<String>::new());
    object.absent("messageEntityList", Vec::<String>::new());
}

struct Writer {
    object: Map<String, Value>,
    form: Form,
}

impl Writer {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.object.insert(name.to_owned(), value.into());
    }

    /// Writes a zero value if all is written.
    fn absent(&mut self, name: &str, zero: impl Into<Value>) {
        if self.form == Form::Complete {
            self.put(name, zero);
        }
    }

    fn text(&mut self, name: &str, value: &Option<String>) {
        match value {
            Some(text) => self.put(name, text.as_str()),
            None => self.absent(name, ""),
        }
    }

    fn int(&mut self, name: &str, value: Option<i64>) {
        match value {
            Some(number) => self.put(name, number),
            None => self.absent(name, 0),
        }
    }

    fn degrees(&mut self, name: &str, value: Option<f64>) {
        match value {
            Some(number) => self.put(name, number),
            None => self.absent(name, 0.0),
        }
    }
}
