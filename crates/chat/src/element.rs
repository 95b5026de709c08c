//! Elements: what a message consists of.
//!
//! The kinds are rich enough for both dialects. What a dialect sends beyond them travels as [`Carried`] and is given
//! back to that dialect unchanged; no other dialect sees it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One unit of content. A message has at least one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Element {
    /// What it is.
    pub content: Content,
    /// What its own dialect said beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

/// Fields of one dialect that the core does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Whose fields: the dialect's name.
    pub dialect: String,
    /// The fields, in that dialect's names.
    pub fields: Map<String, Value>,
}

impl Carried {
    /// Wraps left-over fields; `None` when nothing is left.
    pub fn of(dialect: &str, fields: Map<String, Value>) -> Option<Self> {
        (!fields.is_empty()).then(|| Self { dialect: dialect.to_owned(), fields })
    }

    /// The fields, if they are `dialect`'s own.
    pub fn for_dialect<'a>(carried: &'a Option<Self>, dialect: &str) -> Option<&'a Map<String, Value>> {
        carried.as_ref().filter(|carried| carried.dialect == dialect).map(|carried| &carried.fields)
    }
}

/// The kinds of content. A field that the sender left out stays `None`, so that it is left out again on the way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Plain text.
    Text(Text),
    /// A sticker, numbered by the app.
    Face(Face),
    /// A place.
    Location(Location),
    /// The app's own content.
    Custom(Custom),
    /// A picture in one or more sizes.
    Image(Image),
    /// A voice message.
    Sound(Sound),
    /// A video with its snapshot.
    Video(Video),
    /// A file.
    File(File),
    /// Several messages, forwarded as one.
    Merged(Merged),
    /// Something that only its own dialect knows; the content itself is [`Carried`].
    Foreign(Foreign),
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name {$(
            $(#[$field_doc])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>,
        )*}
    )*};
}

/// See [`Content::Text`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The text.
    pub text: String,
}

parts! {
    /// See [`Content::Face`].
    Face {
        /// Which one; the app defines the numbers.
        index: i64,
        /// The app's own data.
        data: String,
    }
    /// See [`Content::Location`].
    Location {
        /// Its name.
        description: String,
        /// Degrees.
        latitude: f64,
        /// Degrees.
        longitude: f64,
    }
    /// See [`Content::Custom`].
    Custom {
        /// The content.
        data: String,
        /// What to show where the content is not understood; also the push text.
        description: String,
        /// More of it. Tencent `Ext`, OpenIM `extension`.
        extension: String,
        /// The sound of its push.
        sound: String,
    }
    /// See [`Content::Image`].
    Image {
        /// Globally unique name.
        id: String,
        /// 1 JPG, 2 GIF, 3 PNG, 4 BMP, 255 other.
        format: i64,
        /// The whole picture.
        original: Picture,
        /// A large preview.
        large: Picture,
        /// A thumbnail.
        thumbnail: Picture,
    }
    /// One size of an image.
    Picture {
        /// Where to fetch it.
        url: String,
        /// Bytes.
        size: i64,
        /// Pixels.
        width: i64,
        /// Pixels.
        height: i64,
    }
    /// See [`Content::Sound`].
    Sound {
        /// Globally unique name.
        id: String,
        /// Where to fetch it.
        url: String,
        /// Bytes.
        size: i64,
        /// Length.
        seconds: i64,
    }
    /// See [`Content::Video`].
    Video {
        /// Globally unique name.
        id: String,
        /// Where to fetch it.
        url: String,
        /// Bytes.
        size: i64,
        /// Length.
        seconds: i64,
        /// The container, such as `mp4`.
        format: String,
        /// Snapshot: globally unique name.
        snapshot_id: String,
        /// Snapshot: where to fetch it.
        snapshot_url: String,
        /// Snapshot: bytes.
        snapshot_size: i64,
        /// Snapshot: pixels.
        snapshot_width: i64,
        /// Snapshot: pixels.
        snapshot_height: i64,
        /// Snapshot: image format, such as `jpg`.
        snapshot_format: String,
    }
    /// See [`Content::File`].
    File {
        /// Globally unique name.
        id: String,
        /// Where to fetch it.
        url: String,
        /// Bytes.
        size: i64,
        /// Its name for people.
        name: String,
    }
    /// See [`Content::Merged`]. The forwarded messages themselves are [`Carried`] in their dialect's form.
    Merged {
        /// Its heading.
        title: String,
        /// One line for each of the first messages.
        digest: Vec<String>,
        /// How many messages.
        count: i64,
        /// What to show where merged messages are not understood.
        fallback: String,
    }
}

/// See [`Content::Foreign`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Foreign {
    /// What its dialect calls it.
    pub kind: String,
    /// What to show where it is not understood.
    pub text: String,
}

impl From<Content> for Element {
    fn from(content: Content) -> Self {
        Self { content, carried: None }
    }
}

impl Element {
    /// A plain text element.
    pub fn text(text: impl Into<String>) -> Self {
        Content::Text(Text { text: text.into() }).into()
    }

    /// What a person would read of it: the text to search for restricted words, and to show where the kind is unknown.
    pub fn readable(&self) -> &str {
        match &self.content {
            Content::Text(text) => &text.text,
            Content::Location(location) => location.description.as_deref().unwrap_or_default(),
            Content::Custom(custom) => custom.description.as_deref().unwrap_or_default(),
            Content::File(file) => file.name.as_deref().unwrap_or_default(),
            Content::Merged(merged) => merged.title.as_deref().unwrap_or_default(),
            Content::Foreign(foreign) => &foreign.text,
            Content::Face(_) | Content::Image(_) | Content::Sound(_) | Content::Video(_) => "",
        }
    }
}
