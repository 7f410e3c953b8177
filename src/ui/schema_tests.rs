//! Checks events against the schema of `--json-schema`.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Value, json};

/// The schema, by its events' names. Here no further fields are allowed in them.
pub(crate) struct Schema(BTreeMap<String, Vec<Validator>>);

impl Schema {
    pub(crate) fn strict(mut schema: Value) -> Self {
        close(&mut schema);
        let mut events: BTreeMap<String, Vec<Validator>> = BTreeMap::new();
        for mut event in schema["anyOf"].as_array().expect("events are alternatives").clone() {
            let name = event["properties"]["event"]["const"].as_str().expect("a name").to_owned();
            event["$defs"] = schema["$defs"].clone();
            let validator = jsonschema::draft202012::new(&event).expect("a schema");
            events.entry(name).or_default().push(validator);
        }
        Self(events)
    }

    /// The names of its events, sorted.
    pub(crate) fn events(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// What is wrong with an event; `None` if nothing is.
    pub(crate) fn fault(&self, event: &Value) -> Option<String> {
        let Some(kinds) = event["event"].as_str().and_then(|name| self.0.get(name)) else {
            return Some(format!("there is no event {}", event["event"]));
        };
        let faults = kinds.iter().map(|kind| kind.validate(event).err().map(|e| e.to_string()));
        faults.reduce(Option::and).flatten()
    }
}

/// Allows no fields that are not listed.
fn close(schema: &mut Value) {
    if schema["type"] == "object" {
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
