//! Log events and output of processes elsewhere that belong to us.

use enmesh_term::{Atom, Term};

use crate::services::format::{Text, format};
use crate::services::gen_call::Incoming;
use crate::services::{Served, ServiceAction, Services};

/// How grave an event is, in the words of OTP's `logger`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// The system is unusable.
    Emergency,
    /// Somebody must act at once.
    Alert,
    /// A critical condition.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal but significant.
    Notice,
    /// For information.
    Info,
    /// For debugging.
    Debug,
}

impl LogLevel {
    fn named(name: &Atom) -> Option<Self> {
        Some(match name.as_str() {
            "emergency" => Self::Emergency,
            "alert" => Self::Alert,
            "critical" => Self::Critical,
            "error" => Self::Error,
            "warning" => Self::Warning,
            "notice" => Self::Notice,
            "info" => Self::Info,
            "debug" => Self::Debug,
            _ => return None,
        })
    }
}

/// What a process on another node wants in our log, because its group leader is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The node.
    pub node: Atom,
    /// How grave it is; `None` for what was printed (`io:format/2`).
    pub level: Option<LogLevel>,
    /// The text: at most 8,192 bytes, what is beyond is cut off.
    pub text: String,
}

impl Services {
    /// logger.erl, `log_remote/2`: `{log, Level, Format, Args, Meta}` or `{log, Level, Msg, Meta}`.
    pub(super) fn logger(&mut self, from_node: &Atom, message: &Term) {
        let message = match Incoming::of(message) {
            Incoming::Call(caller, _) | Incoming::System(caller) => {
                self.refuse(Served::Logger, &caller);
                return;
            }
            Incoming::Cast(_) => return,
            Incoming::Info(message) => message,
        };
        let (level, text) = match message.as_tuple().unwrap_or_default() {
            [word, Term::Atom(level), layout, args, _meta] if word.is_atom("log") => {
                let formatted = format(layout, args).unwrap_or_else(|| raw(layout, Some(args)));
                (level, formatted)
            }
            [word, Term::Atom(level), what, _meta] if word.is_atom("log") => (level, report(what)),
            _ => return,
        };
        let Some(level) = LogLevel::named(level) else {
            return;
        };
        self.log(from_node, Some(level), text);
    }

    pub(super) fn log(&mut self, node: &Atom, level: Option<LogLevel>, text: Text) {
        self.actions.push_back(ServiceAction::Log(LogLine {
            node: node.clone(),
            level,
            text: text.into_string(),
        }));
    }
}

/// `{string, Chars}`, `{report, Report}`, or one of them without its mark.
fn report(what: &Term) -> Text {
    let what = match what.as_tuple() {
        Some([word, inner]) if word.is_atom("string") || word.is_atom("report") => inner,
        _ => what,
    };
    let mut text = Text::default();
    if text.push_chars(what, false).is_some() && !text.is_empty() {
        return text;
    }
    raw(what, None)
}

/// What cannot be formatted, as terms.
fn raw(what: &Term, args: Option<&Term>) -> Text {
    let mut text = Text::default();
    text.push(&what.to_string());
    if let Some(args) = args {
        text.push(" - ");
        text.push(&args.to_string());
    }
    text
}
