//! Lines for people: time, level, message, then `name=value`.

use std::fmt::Write;

use serde_json::Value;
use tracing::Level;

use super::fields::Record;

/// Messages are padded to this many columns, so that the fields of most lines begin below each
/// other.
const MESSAGE_WIDTH: usize = 18;

/// Whether a terminal reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Yes,
    No,
}

/// The record as one plain line.
pub(crate) fn render_plain(record: &Record) -> String {
    render(record, Colour::No)
}

/// The record as one line with the colours of a terminal.
pub(crate) fn render_coloured(record: &Record) -> String {
    render(record, Colour::Yes)
}

fn render(record: &Record, colour: Colour) -> String {
    let mut line = String::with_capacity(160);
    let time = humantime::format_rfc3339_millis(record.time).to_string();
    paint(&mut line, colour, "2", &time);
    line.push(' ');
    paint(
        &mut line,
        colour,
        level_colour(record.level),
        &format!("{:<5}", record.level.as_str()),
    );
    let mut message = String::new();
    push_printable(&mut message, &record.fields.message);
    if record.fields.values.is_empty() {
        write!(line, " {message}").expect("a String takes any text");
    } else {
        write!(line, " {message:<MESSAGE_WIDTH$}").expect("a String takes any text");
    }
    for (name, value) in &record.fields.values {
        line.push(' ');
        paint(&mut line, colour, "2", &format!("{name}="));
        push_value(&mut line, value);
    }
    line.push('\n');
    line
}

fn level_colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        Level::DEBUG => "34",
        Level::TRACE => "35",
    }
}

fn paint(line: &mut String, colour: Colour, code: &str, text: &str) {
    match colour {
        Colour::Yes => write!(line, "\u{1b}[{code}m{text}\u{1b}[0m"),
        Colour::No => line.write_str(text),
    }
    .expect("a String takes any text");
}

fn push_value(line: &mut String, value: &Value) {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            line.push('"');
            push_printable(line, &text.replace('"', "\\\""));
            line.push('"');
        }
        Value::String(text) => push_printable(line, text),
        Value::Array(items) => {
            line.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    line.push(' ');
                }
                push_value(line, item);
            }
            line.push(']');
        }
        other => write!(line, "{other}").expect("a String takes any text"),
    }
}

/// What a peer says must not steer the terminal or begin a line of its own.
fn push_printable(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::log::fields::Fields;

    fn check(message: &str, values: &[(&'static str, Value)], expected: &str) {
        let record = Record {
            time: SystemTime::UNIX_EPOCH,
            level: Level::INFO,
            fields: Fields {
                message: message.to_owned(),
                values: values.to_vec(),
            },
        };
        let expected = format!("1970-01-01T00:00:00.000Z INFO  {expected}\n");
        assert_eq!(render_plain(&record), expected);
    }

    #[test]
    fn fields_follow_the_message() {
        check(
            "node connected",
            &[
                ("node", "b@h".into()),
                ("cluster", vec!["b@h", "c@h"].into()),
                ("port", 1.into()),
            ],
            "node connected     node=b@h cluster=[b@h c@h] port=1",
        );
        check("bye", &[], "bye");
    }

    #[test]
    fn values_with_spaces_are_quoted_and_control_characters_escaped() {
        check(
            "x",
            &[
                ("error", "no \"such\" host".into()),
                ("odd", "\u{1b}[2J\n".into()),
            ],
            "x                  error=\"no \\\"such\\\" host\" odd=\\u{1b}[2J\\n",
        );
    }

    #[test]
    fn a_terminal_sees_the_level_in_colour() {
        let record = Record {
            time: SystemTime::UNIX_EPOCH,
            level: Level::WARN,
            fields: Fields::default(),
        };
        assert!(render_coloured(&record).contains("\u{1b}[33mWARN \u{1b}[0m"));
        assert!(!render_plain(&record).contains('\u{1b}'));
    }
}
