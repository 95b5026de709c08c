//! Elements on the wire ↔ elements of the core.
//!
//! `{"type": "text", "text": "hi"}`: an object with a type, and the fields of that type beside it. An element that is
//! answered as it came is the same element. What an answer has beyond the fields of its type is an error rather than lost.

use chat::element as core;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One unit of content.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Element {
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
    /// Several messages, forwarded as one. The messages themselves are in `carried`.
    Merged(Merged),
    /// Something that only a vendor's dialect knows; the content itself is in `carried`.
    Foreign(Foreign),
}

/// Fields of a vendor's dialect that have no name of ours. They reach clients of that dialect as they are here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Carried {
    /// Whose fields: `tencent` or `openim`.
    dialect: String,
    /// The fields, in that dialect's names.
    fields: Map<String, Value>,
}

/// Text. `carried`, here and in the other kinds, holds what its dialect said beyond these fields.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    /// The text.
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<Carried>,
}

/// What only its own dialect knows.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Foreign {
    /// What its dialect calls it.
    kind: String,
    /// What to show where it is not understood.
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<Carried>,
}

/// One size of an image.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Picture {
    /// Where to fetch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<i64>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<i64>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<i64>,
}

/// The kinds whose fields may all be left out. A field that the sender left out is left out here.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $(
                $(#[$field_doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                $field: Option<$type>,
            )*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            carried: Option<Carried>,
        }

        impl $name {
            fn show(content: &core::$name, carried: Option<Carried>) -> Self {
                // Named one by one: a field that is new in the core is missed here.
                let core::$name { $($field),* } = content;
                Self { $($field: $field.as_ref().map(Wire::show),)* carried }
            }

            fn read(self) -> (core::Content, Option<Carried>) {
                let content = core::$name { $($field: self.$field.map(Wire::read),)* };
                (core::Content::$name(content), self.carried)
            }
        }
    )*};
}

kinds! {
    /// A sticker.
    Face {
        /// Which one; the app defines the numbers.
        index: i64,
        /// The app's own data.
        data: String,
    }
    /// A place.
    Location {
        /// Its name.
        description: String,
        /// Degrees.
        latitude: f64,
        /// Degrees.
        longitude: f64,
    }
    /// The app's own content.
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
    /// A picture.
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
    /// A voice message.
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
    /// A video.
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
    /// A file.
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
    /// Several messages, forwarded as one.
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

/// One field, in the core and on the wire.
trait Wire {
    type Core;
    fn show(core: &Self::Core) -> Self;
    fn read(self) -> Self::Core;
}

macro_rules! same_on_both_sides {
    ($($type:ty),*) => {$(
        impl Wire for $type {
            type Core = Self;
            fn show(core: &Self) -> Self {
                core.clone()
            }
            fn read(self) -> Self {
                self
            }
        }
    )*};
}

same_on_both_sides!(String, i64, f64, Vec<String>);

impl Wire for Picture {
    type Core = core::Picture;

    fn show(core: &core::Picture) -> Self {
        let core::Picture { url, size, width, height } = core.clone();
        Self { url, size, width, height }
    }

    fn read(self) -> core::Picture {
        core::Picture { url: self.url, size: self.size, width: self.width, height: self.height }
    }
}

impl From<&core::Carried> for Carried {
    fn from(core: &core::Carried) -> Self {
        Self { dialect: core.dialect.clone(), fields: core.fields.clone() }
    }
}

impl From<Carried> for core::Carried {
    fn from(wire: Carried) -> Self {
        Self { dialect: wire.dialect, fields: wire.fields }
    }
}

/// What stands in an element's `type`.
pub(crate) fn type_of(element: &core::Element) -> &'static str {
    match element.content {
        core::Content::Text(_) => "text",
        core::Content::Face(_) => "face",
        core::Content::Location(_) => "location",
        core::Content::Custom(_) => "custom",
        core::Content::Image(_) => "image",
        core::Content::Sound(_) => "sound",
        core::Content::Video(_) => "video",
        core::Content::File(_) => "file",
        core::Content::Merged(_) => "merged",
        core::Content::Foreign(_) => "foreign",
    }
}

impl From<&core::Element> for Element {
    fn from(element: &core::Element) -> Self {
        let carried = element.carried.as_ref().map(Carried::from);
        match &element.content {
            core::Content::Text(core::Text { text }) => Self::Text(Text { text: text.clone(), carried }),
            core::Content::Face(face) => Self::Face(Face::show(face, carried)),
            core::Content::Location(location) => Self::Location(Location::show(location, carried)),
            core::Content::Custom(custom) => Self::Custom(Custom::show(custom, carried)),
            core::Content::Image(image) => Self::Image(Image::show(image, carried)),
            core::Content::Sound(sound) => Self::Sound(Sound::show(sound, carried)),
            core::Content::Video(video) => Self::Video(Video::show(video, carried)),
            core::Content::File(file) => Self::File(File::show(file, carried)),
            core::Content::Merged(merged) => Self::Merged(Merged::show(merged, carried)),
            core::Content::Foreign(core::Foreign { kind, text }) => {
                Self::Foreign(Foreign { kind: kind.clone(), text: text.clone(), carried })
            }
        }
    }
}

impl From<Element> for core::Element {
    fn from(element: Element) -> Self {
        let (content, carried) = match element {
            Element::Text(Text { text, carried }) => (core::Content::Text(core::Text { text }), carried),
            Element::Face(face) => face.read(),
            Element::Location(location) => location.read(),
            Element::Custom(custom) => custom.read(),
            Element::Image(image) => image.read(),
            Element::Sound(sound) => sound.read(),
            Element::Video(video) => video.read(),
            Element::File(file) => file.read(),
            Element::Merged(merged) => merged.read(),
            Element::Foreign(Foreign { kind, text, carried }) => {
                (core::Content::Foreign(core::Foreign { kind, text }), carried)
            }
        };
        Self { content, carried: carried.map(core::Carried::from) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample;

    fn there_and_back(element: &core::Element) -> core::Element {
        let text = serde_json::to_string(&Element::from(element)).unwrap();
        serde_json::from_str::<Element>(&text).unwrap().into()
    }

    #[test]
    fn every_element_comes_back_as_it_left() {
        for element in sample::every_element().iter().chain(&sample::bare_elements()) {
            assert_eq!(there_and_back(element), *element);
        }
    }

    #[test]
    fn an_element_is_flat_and_says_what_it_is() {
        let shown = |element: &core::Element| serde_json::to_value(Element::from(element)).unwrap();
        for element in sample::bare_elements() {
            assert_eq!(shown(&element)["type"], type_of(&element));
        }
        assert_eq!(shown(&core::Element::text("hi")), json!({"type": "text", "text": "hi"}));
        let picture = core::Picture { url: Some("u".into()), width: Some(3), ..Default::default() };
        let image = core::Image { id: Some("i".into()), large: Some(picture), ..Default::default() };
        let fields = json!({"Download_Flag": 1}).as_object().cloned().unwrap();
        let element =
            core::Element { content: core::Content::Image(image), carried: core::Carried::of("tencent", fields) };
        let expected = json!({
            "type": "image", "id": "i", "large": {"url": "u", "width": 3},
            "carried": {"dialect": "tencent", "fields": {"Download_Flag": 1}},
        });
        assert_eq!(shown(&element), expected);
    }

    #[test]
    fn what_is_no_element_is_refused() {
        let read = |value: Value| serde_json::from_value::<Element>(value);
        assert!(read(json!({"type": "face"})).is_ok(), "all of it may be left out");
        for wrong in [
            json!({"type": "text"}),
            json!({"type": "text", "text": 1}),
            json!({"type": "text", "text": "hi", "txt": "hi"}),
            json!({"type": "dance"}),
            json!({"text": "hi"}),
            json!({"type": "image", "large": {"hight": 3}}),
            json!({"type": "file", "carried": {"fields": {}}}),
            json!({"type": "foreign", "kind": "114"}),
            json!("hi"),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
