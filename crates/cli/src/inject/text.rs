//! The documents of a file, each with the text that it came from.

use serde_json::Value;

use super::InjectError;
use crate::manifests::yaml;

/// One document.
#[derive(Debug)]
pub(super) struct Part {
    /// What it says; null where there are comments alone.
    pub(super) object: Value,
    /// Whether it says something else than its text by now.
    pub(super) is_changed: bool,
    /// As it was read, with the line that begins it.
    source: String,
    is_json: bool,
}

impl Part {
    /// The document as it is now: its own text, if nothing was changed.
    pub(super) fn text(&self) -> String {
        if !self.is_changed {
            return self.source.clone();
        }
        if self.is_json {
            let text = serde_json::to_string_pretty(&self.object);
            return text.expect("a value of JSON can be written") + "\n";
        }
        let begin = if begins(&self.source) { "---\n" } else { "" };
        format!("{begin}{}", yaml(&self.object))
    }

    /// Whether there were comments that are there no more. A `#` in a text counts as one.
    pub(super) fn loses_comments(&self) -> bool {
        self.is_changed && !self.is_json && self.source.contains('#')
    }
}

/// The documents of `input`, as `kubectl` reads them: YAML 1.1, or one object of JSON.
pub(super) fn parts(input: &str) -> Result<Vec<Part>, InjectError> {
    let is_json = input.trim_start().starts_with('{');
    let mut sources: Vec<String> = Vec::new();
    for line in input.split_inclusive('\n') {
        match sources.last_mut() {
            Some(source) if is_json || !begins(line) => source.push_str(line),
            _ => sources.push(line.to_owned()),
        }
    }
    let numbered = sources.into_iter().enumerate();
    numbered
        .map(|(index, source)| {
            let object = read(&source).map_err(|error| InjectError::NotYaml {
                number: index + 1,
                error,
            })?;
            Ok(Part {
                object,
                is_changed: false,
                source,
                is_json,
            })
        })
        .collect()
}

fn read(source: &str) -> Result<Value, String> {
    let is_empty = |line: &str| {
        let line = line.strip_prefix("---").unwrap_or(line).trim();
        line.is_empty() || line.starts_with('#')
    };
    if source.lines().all(is_empty) {
        return Ok(Value::Null);
    }
    // A mode such as 0400 is octal to kubectl.
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    serde_saphyr::from_str_with_options(source, options).map_err(|error| error.to_string())
}

/// Whether a new document begins with this line.
fn begins(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}
