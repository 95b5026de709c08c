//! What a body may look like, and bodies that do.

use std::collections::BTreeSet;

use jsonschema::Validator;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// A schema with examples of it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// As it is published: types that occur several times stand in `$defs`.
    schema: Value,
    /// The same without `$defs`.
    inlined: Value,
    examples: Vec<Value>,
}

impl Shape {
    /// Of what is sent. Fields may be added to it later, so it forbids none.
    pub fn sent<T: JsonSchema + ?Sized>() -> Self {
        Self::generated::<T>(SchemaSettings::draft2020_12().for_serialize()).each_object(open)
    }

    /// Of what is read.
    pub fn read<T: JsonSchema + ?Sized>() -> Self {
        Self::generated::<T>(SchemaSettings::draft2020_12().for_deserialize())
    }

    fn generated<T: JsonSchema + ?Sized>(settings: SchemaSettings) -> Self {
        let make = |settings: SchemaSettings| {
            let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
            unwrap_lines(&mut schema);
            schema
        };
        let inlined = make(settings.clone().with(|settings| settings.inline_subschemas = true));
        Self { schema: make(settings), inlined, examples: Vec::new() }
    }

    /// Says that a field of the body, a text otherwise, is always this one.
    pub fn always(mut self, field: &str, text: &str) -> Self {
        for schema in [&mut self.schema, &mut self.inlined] {
            let described = schema.pointer_mut(&format!("/properties/{field}")).and_then(Value::as_object_mut);
            described.expect("a described field").insert("const".into(), text.into());
        }
        self
    }

    /// Says that the body always has a field that others of its type may lack.
    pub fn requires(mut self, field: &str) -> Self {
        for schema in [&mut self.schema, &mut self.inlined] {
            assert!(schema["properties"].get(field).is_some(), "no field {field}");
            schema["required"].as_array_mut().expect("a list of required fields").push(field.into());
        }
        self
    }

    /// Says that the body never has a field that others of its type may have.
    pub fn lacks(mut self, field: &str) -> Self {
        for schema in [&mut self.schema, &mut self.inlined] {
            let properties = schema["properties"].as_object_mut().expect("described fields");
            assert!(properties.shift_remove(field).is_some(), "no field {field}");
        }
        self
    }

    /// Says that what is not there is left out, and never null.
    pub fn without_nulls(self) -> Self {
        self.each_object(forbid_nulls)
    }

    fn each_object(mut self, change: fn(&mut Map<String, Value>)) -> Self {
        for schema in [&mut self.schema, &mut self.inlined] {
            each_object(schema, change);
        }
        self
    }

    /// Adds a real body. All of them together must show every field that the schema has.
    pub fn example(mut self, body: &[u8]) -> Self {
        self.examples.push(serde_json::from_slice(body).expect("an example is JSON"));
        self
    }

    /// Whether a body fits.
    pub fn fits(&self, body: &Value) -> bool {
        validator(&self.schema).is_valid(body)
    }

    /// As it is published, named and with its examples.
    pub(crate) fn published(&self, title: &str, description: Option<&str>) -> Value {
        let Value::Object(mut rest) = self.schema.clone() else { return self.schema.clone() };
        let mut shown = Map::new();
        for first in ["$schema", "title", "description"] {
            if let Some(value) = rest.shift_remove(first) {
                shown.insert(first.into(), value);
            }
        }
        shown.insert("title".into(), title.into());
        shown.extend(description.map(|description| ("description".to_owned(), description.into())));
        let definitions = rest.shift_remove("$defs");
        shown.extend(rest);
        shown.insert("examples".into(), self.examples.clone().into());
        shown.extend(definitions.map(|definitions| ("$defs".to_owned(), definitions)));
        Value::Object(shown)
    }

    /// The schema says exactly what the examples show: nothing of them is missing in it, and it has nothing that none
    /// of them has. So neither a field that was forgotten nor one that was made up gets into the documents.
    pub(crate) fn check(&self, what: &str) {
        assert!(!self.examples.is_empty(), "{what}: no example");
        let mut closed = self.inlined.clone();
        close(&mut closed);
        for (kind, schema) in [("", &self.schema), (" of which all fields are known", &closed)] {
            let validator = validator(schema);
            for example in &self.examples {
                let problems = validator.validate(example).err().into_iter().flatten();
                let problems: Vec<_> = problems.map(|error| format!("{}: {error}", error.instance_path)).collect();
                assert!(problems.is_empty(), "{what}: not a body{kind}: {example:#}\n{problems:#?}");
            }
        }
        let (mut described, mut shown) = (BTreeSet::new(), BTreeSet::new());
        properties(&self.inlined, &mut described);
        self.examples.iter().for_each(|example| keys(example, &mut shown));
        let unseen: Vec<_> = described.difference(&shown).collect();
        assert!(unseen.is_empty(), "{what}: no example has {unseen:?}");
        for broken in [json!(null), json!([]), json!("text"), json!(7)] {
            assert!(!self.fits(&broken), "{what}: takes {broken}");
        }
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).expect("a schema")
}

/// Comments are wrapped; what is published is not.
fn unwrap_lines(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        *text = text.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
                    }
                    value => unwrap_lines(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

fn each_object(schema: &mut Value, change: fn(&mut Map<String, Value>)) {
    match schema {
        Value::Object(fields) => {
            change(fields);
            fields.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        _ => {}
    }
}

/// Allows fields that are not named.
fn open(schema: &mut Map<String, Value>) {
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.shift_remove("additionalProperties");
    }
}

/// Takes null away from the fields that may be left out.
fn forbid_nulls(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|other| other == name));
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
        let Value::Object(property) = property else { continue };
        if let Some(Value::Array(kinds)) = property.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [kind] = &kinds[..] {
                let kind = kind.clone();
                property.insert("type".into(), kind);
            }
        }
        if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
            choices.retain(|choice| choice["type"] != "null");
            if let [Value::Object(choice)] = &mut choices[..] {
                let choice = std::mem::take(choice);
                property.shift_remove("anyOf");
                for (name, value) in choice {
                    property.entry(name).or_insert(value);
                }
            }
        }
    }
}

/// Forbids fields that the schema does not name, at every place of a body that the schema reaches.
fn close(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    let names_fields = |name: &str| matches!(name, "properties" | "oneOf" | "anyOf" | "allOf");
    if fields.keys().any(|name| names_fields(name)) {
        fields.insert("unevaluatedProperties".into(), false.into());
    }
    close_below(fields);
}

/// Closes what is deeper in the body; parts of a choice share its place, and are left to it.
fn close_below(fields: &mut Map<String, Value>) {
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(close);
    }
    for name in ["items", "additionalProperties"] {
        fields.get_mut(name).into_iter().for_each(close);
    }
    for name in ["oneOf", "anyOf", "allOf"] {
        let parts = fields.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten();
        parts.filter_map(Value::as_object_mut).for_each(close_below);
    }
}

/// The names of all fields that a schema describes, at any depth.
fn properties<'a>(schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(described) if name == "properties" => {
                        names.extend(described.keys().map(String::as_str));
                        described.values().for_each(|schema| properties(schema, names));
                    }
                    value => properties(value, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, names)),
        _ => {}
    }
}

/// The names of all fields of a body, at any depth.
fn keys<'a>(body: &'a Value, names: &mut BTreeSet<&'a str>) {
    match body {
        Value::Object(fields) => {
            names.extend(fields.keys().map(String::as_str));
            fields.values().for_each(|value| keys(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Body {
        command: String,
        /// One
        /// or the other.
        inner: Option<Inner>,
    }

    #[derive(JsonSchema)]
    #[schemars(tag = "kind", rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its schema is of interest")]
    enum Inner {
        One { number: i64 },
        Other { text: String },
    }

    const ONE: &[u8] = br#"{"command":"c","inner":{"kind":"one","number":1}}"#;
    const OTHER: &[u8] = br#"{"command":"c","inner":{"kind":"other","text":""}}"#;

    fn shape() -> Shape {
        Shape::sent::<Body>().always("command", "c")
    }

    fn is_refused(shape: Shape) -> bool {
        std::panic::catch_unwind(|| shape.check("body")).is_err()
    }

    #[test]
    fn examples_show_all_that_is_described_and_nothing_else() {
        shape().example(ONE).example(OTHER).check("body");
        assert!(is_refused(shape()), "none");
        assert!(is_refused(shape().example(ONE)), "nobody shows `text`");
        for strange in [
            r#"{"command":"c","inner":{"kind":"one","number":1,"text":""}}"#,
            r#"{"command":"c","inner":null,"more":1}"#,
            r#"{"command":"c","inner":{"kind":"one","number":"1"}}"#,
            r#"{"command":"d","inner":null}"#,
            r#"{"inner":null}"#,
        ] {
            assert!(is_refused(shape().example(ONE).example(OTHER).example(strange.as_bytes())), "{strange}");
        }
    }

    #[test]
    fn bodies_of_one_type_may_differ() {
        let (with, without) = (json!({"command": "c", "inner": null}), json!({"command": "c"}));
        let read = || Shape::read::<Body>();
        assert!(read().fits(&with) && read().fits(&without));
        assert!(read().requires("inner").fits(&with) && !read().requires("inner").fits(&without));
        read().lacks("inner").example(br#"{"command":"c"}"#).check("body");
        assert!(is_refused(read().lacks("inner").example(br#"{"command":"c","inner":null}"#)));
    }

    #[test]
    fn null_is_allowed_only_where_it_is_sent() {
        let null = json!({"command": "c", "inner": null});
        assert!(shape().fits(&null));
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is of interest")]
        struct Sparse {
            #[schemars(skip_serializing_if = "Option::is_none")]
            inner: Option<Inner>,
            #[schemars(skip_serializing_if = "Option::is_none")]
            number: Option<i64>,
            null: Option<i64>,
        }
        let sparse = || Shape::sent::<Sparse>();
        assert!(sparse().fits(&json!({"null": null, "number": null, "inner": null})));
        assert!(sparse().without_nulls().fits(&json!({"null": null})));
        assert!(sparse().without_nulls().fits(&json!({"null": 1, "number": 1, "inner": {"kind": "one", "number": 1}})));
        for broken in [json!({"null": 1, "number": null}), json!({"null": 1, "inner": null}), json!({"number": 1})] {
            assert!(!sparse().without_nulls().fits(&broken), "{broken}");
        }
    }

    #[test]
    fn what_is_published_begins_with_what_it_is() {
        let published = shape().example(ONE).published("c", None);
        let keys: Vec<_> = published.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["$schema", "title", "type", "properties", "required", "examples", "$defs"]);
        assert_eq!(published["title"], "c");
        assert_eq!(published["properties"]["inner"]["description"], "One or the other.");
    }
}
