//! The published schema of the events, and a check of exactly the keywords that it uses.

use serde_json::{Map, Value};

const SCHEMA: &str = include_str!("events.schema.json");

/// The schema, read.
pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn published() -> Self {
        Self(serde_json::from_str(SCHEMA).expect("the schema is JSON"))
    }

    /// The names of its events.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.0["oneOf"].as_array().expect("events are alternatives");
        let name =
            |event: &Value| event["properties"]["event"]["const"].as_str().map(str::to_owned);
        events.iter().map(|event| name(event).expect("each has a name")).collect()
    }

    /// What is wrong with an event; `None` when nothing is.
    pub(crate) fn fault(&self, event: &Value) -> Option<String> {
        let events = self.0["oneOf"].as_array().expect("events are alternatives");
        let its = events.iter().find(|of| of["properties"]["event"]["const"] == event["event"]);
        match its {
            Some(schema) => self.mismatch(schema, event),
            None => Some(format!("there is no event {}", event["event"])),
        }
    }

    fn mismatch(&self, schema: &Value, value: &Value) -> Option<String> {
        let keywords = schema.as_object().expect("a schema is an object");
        keywords.iter().find_map(|(keyword, wanted)| {
            let holds = match keyword.as_str() {
                "description" | "properties" => true,
                "$ref" => {
                    let name = wanted.as_str().and_then(|of| of.strip_prefix("#/$defs/"));
                    return self.mismatch(&self.0["$defs"][name.expect("a local name")], value);
                }
                "type" => is_of_type(value, wanted.as_str().expect("one type")),
                "const" => value == wanted,
                "enum" => wanted.as_array().is_some_and(|all| all.contains(value)),
                "minimum" => value.as_f64() >= wanted.as_f64(),
                "pattern" => {
                    value.as_str().is_some_and(|text| fits(text, wanted.as_str().expect("text")))
                }
                "anyOf" => {
                    let any = wanted.as_array().expect("alternatives");
                    any.iter().any(|schema| self.mismatch(schema, value).is_none())
                }
                "items" => {
                    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    return items.iter().find_map(|item| self.mismatch(wanted, item));
                }
                "required" => {
                    let names = wanted.as_array().expect("names");
                    names.iter().all(|name| value.get(name.as_str().expect("a name")).is_some())
                }
                "additionalProperties" => {
                    let known = schema["properties"].as_object().expect("they are listed");
                    let fields = value.as_object().cloned().unwrap_or_default();
                    return self.fields_fault(known, &fields);
                }
                other => panic!("the check does not know the keyword {other}"),
            };
            (!holds).then(|| format!("{value} is not {keyword} {wanted}"))
        })
    }

    fn fields_fault(
        &self,
        known: &Map<String, Value>,
        fields: &Map<String, Value>,
    ) -> Option<String> {
        fields.iter().find_map(|(name, value)| match known.get(name) {
            Some(schema) => self.mismatch(schema, value).map(|fault| format!("{name}: {fault}")),
            None => Some(format!("no field {name} is promised")),
        })
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the check does not know the type {other}"),
    }
}

/// Regular expressions of the few forms that the schema uses: an anchored start, then characters
/// or sets of digits and letters, each perhaps a counted number of times, then perhaps the end.
fn fits(text: &str, pattern: &str) -> bool {
    let mut pattern = pattern.strip_prefix('^').expect("patterns are anchored").chars().peekable();
    let mut text = text.chars();
    while let Some(c) = pattern.next() {
        let set: Vec<(char, char)> = match c {
            '$' => return text.next().is_none(),
            '\\' => {
                let c = pattern.next().expect("something is escaped");
                vec![(c, c)]
            }
            '[' => {
                let inside: Vec<char> = pattern.by_ref().take_while(|c| *c != ']').collect();
                inside.chunks(3).map(|range| (range[0], range[2])).collect()
            }
            c => vec![(c, c)],
        };
        let mut times = 1;
        if pattern.next_if_eq(&'{').is_some() {
            let digits: String = pattern.by_ref().take_while(|c| *c != '}').collect();
            times = digits.parse().expect("a count");
        }
        for _ in 0..times {
            let Some(c) = text.next() else { return false };
            if !set.iter().any(|(from, to)| (*from..=*to).contains(&c)) {
                return false;
            }
        }
    }
    true
}
