//! One AsyncAPI 3.0 document per dialect: the callbacks as operations, the schemas by reference.

use serde_json::{Map, Value, json};

use crate::{Callback, Dialect, Moment};

/// What AsyncAPI calls the kind of our schemas.
const FORMAT: &str = "application/schema+json;version=draft-2020-12";

impl Dialect {
    /// The document; it refers to the schemas by their paths beside it.
    pub(crate) fn asyncapi(&self) -> Value {
        let mut channels = Map::new();
        let mut operations = Map::new();
        let mut messages = Map::new();
        for callback in &self.callbacks {
            let command = callback.command;
            let refer = |message: &str| json!({ "$ref": format!("#/components/messages/{message}") });
            let answer = format!("{command}.answer");
            channels.insert(
                command.into(),
                json!({
                    // The operator configures it.
                    "address": null,
                    "messages": { "call": refer(command), "answer": refer(&answer) },
                }),
            );
            operations.insert(command.into(), operation(callback));
            messages.insert(command.into(), self.message(command));
            messages.insert(answer.clone(), self.message(&answer));
        }
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": self.title,
                "version": env!("CARGO_PKG_VERSION"),
                "description": self.description,
                "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
            },
            "defaultContentType": "application/json",
            "channels": channels,
            "operations": operations,
            "components": { "messages": messages },
        })
    }

    fn message(&self, name: &str) -> Value {
        let path = format!("{}/{name}.json", self.name);
        json!({ "name": name, "payload": { "schemaFormat": FORMAT, "schema": { "$ref": path } } })
    }
}

fn operation(callback: &Callback) -> Value {
    let channel = format!("#/channels/{}", callback.command);
    let refer = |message: &str| json!([{ "$ref": format!("{channel}/messages/{message}") }]);
    let effect = match callback.moment {
        Moment::Asked => "Asked before: the answer decides.",
        Moment::Told => "Told after: any 2xx within the deadline counts as told.",
    };
    json!({
        "action": "send",
        "channel": { "$ref": channel },
        "summary": callback.summary,
        "description": effect,
        "messages": refer("call"),
        "reply": { "channel": { "$ref": channel }, "messages": refer("answer") },
    })
}
