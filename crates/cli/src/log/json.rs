//! One JSON object a line, its fields on top level.

use std::fmt::Write;

use serde_json::Value;

use super::fields::Record;

/// The record as one line of JSON.
pub(crate) fn render(record: &Record) -> String {
    let mut line = String::with_capacity(256);
    line.push_str("{\"timestamp\":\"");
    let time = humantime::format_rfc3339_millis(record.time);
    write!(line, "{time}\",\"level\":\"{}\"", record.level).expect("a String takes any text");
    member(
        &mut line,
        "message",
        &Value::from(record.fields.message.as_str()),
    );
    for (name, value) in &record.fields.values {
        member(&mut line, name, value);
    }
    line.push_str("}\n");
    line
}

fn member(line: &mut String, name: &str, value: &Value) {
    write!(line, ",{}:{value}", Value::from(name)).expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use tracing::Level;

    use super::*;
    use crate::log::fields::Fields;

    fn check(message: &str, values: &[(&'static str, Value)], expected: &str) {
        let record = Record {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_724_000_123),
            level: Level::INFO,
            fields: Fields {
                message: message.to_owned(),
                values: values.to_vec(),
            },
        };
        let line = render(&record);
        assert_eq!(line, format!("{expected}\n"));
        serde_json::from_str::<Value>(&line).expect("each line is JSON");
    }

    #[test]
    fn fields_stand_on_top_level_in_their_order() {
        check(
            "node connected",
            &[
                ("node", "b@h".into()),
                ("topology", vec!["web"].into()),
                ("cluster", vec!["b@h", "c@h"].into()),
                ("port", 4370.into()),
            ],
            "{\"timestamp\":\"2025-11-21T11:20:00.123Z\",\"level\":\"INFO\",\"message\":\
             \"node connected\",\"node\":\"b@h\",\"topology\":[\"web\"],\
             \"cluster\":[\"b@h\",\"c@h\"],\"port\":4370}",
        );
    }

    #[test]
    fn what_a_peer_says_cannot_break_the_line() {
        check(
            "a \"b\"\n",
            &[("x", "\u{1b}[31m\r\n".into())],
            "{\"timestamp\":\"2025-11-21T11:20:00.123Z\",\"level\":\"INFO\",\"message\":\
             \"a \\\"b\\\"\\n\",\"x\":\"\\u001b[31m\\r\\n\"}",
        );
    }
}
