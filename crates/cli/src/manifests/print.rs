//! Manifests as text: YAML in the order in which people write it, or one List in JSON.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use super::document::Document;

/// Keys that come first, in this order; the others follow by the alphabet.
const FIRST: [&str; 14] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "labels",
    "image",
    "imagePullPolicy",
    "restartPolicy",
    "command",
    "args",
    "replicas",
    "selector",
    "serviceAccountName",
];

/// A value whose maps are written with their best known keys first.
struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    sequence.serialize_element(&Ordered(item))?;
                }
                sequence.end()
            }
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in in_order(fields) {
                    map.serialize_entry(key, &Ordered(value))?;
                }
                map.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

fn in_order(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = fields.iter().collect();
    let place = |key: &str| FIRST.iter().position(|first| *first == key);
    fields.sort_by_key(|(key, _)| (place(key).unwrap_or(FIRST.len()), key.as_str()));
    fields
}

/// One object as YAML, without a separator.
pub(crate) fn yaml(object: &Value) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(&Ordered(object), options)
        .expect("a value of JSON is one of YAML");
    text.trim_end().to_owned() + "\n"
}

/// All documents as YAML, below a header of comments.
pub(crate) fn yaml_documents(header: &[String], documents: &[Document]) -> String {
    let mut text = comment(header);
    for document in documents {
        text += "---\n";
        text += &comment(&document.comment);
        text += &yaml(&document.object);
    }
    text
}

/// All documents as one List in JSON.
pub(crate) fn json_list(documents: &[Document]) -> String {
    let items: Vec<&Value> = documents.iter().map(|document| &document.object).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let mut text = serde_json::to_string_pretty(&list).expect("a value of JSON can be written");
    text.push('\n');
    text
}

fn comment(lines: &[String]) -> String {
    lines.iter().map(|line| format!("# {line}\n")).collect()
}
