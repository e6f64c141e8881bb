//! Variables in the words of a shell.

use std::fmt::Write as _;

/// What exports them, whatever their values hold.
pub(super) fn exports(variables: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        writeln!(text, "export {name}={}", quoted(value)).expect("a String takes any text");
    }
    text
}

/// `NAME=value`, one to a line; no value has a line break in it.
pub(super) fn lines(variables: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        writeln!(text, "{name}={value}").expect("a String takes any text");
    }
    text
}

/// What ends the shell that evaluates it. Without this, `eval "$(…)"` would go on with an empty
/// text and success, and the node would start under a wrong name.
pub(super) fn exit(code: u8) -> String {
    format!("exit {code}")
}

/// Within single quotes nothing has a meaning but their own end.
pub(crate) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
