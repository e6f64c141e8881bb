//! Why a topology is not understood.

use enmesh_identity::{NameForm, NodeName};

use super::strategy::STRATEGIES;

/// The longest part of a configuration that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 100;

/// Why a topology is not understood. Nothing of it is used then.
///
/// ```
/// use enmesh_discovery::{ConfigError, TopologyConfig};
///
/// let error = "strategy=epmd hosts".parse::<TopologyConfig>().unwrap_err();
/// assert!(matches!(error, ConfigError::MissingEquals { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The string is longer than any sensible topology.
    #[error("a topology has at most {} bytes", super::lexer::MAX_TEXT_BYTES)]
    TooLong,
    /// A word of the string has no `=`, or nothing before it.
    #[error("`{}` is no key=value pair", shown(word))]
    MissingEquals {
        /// The word as it stands.
        word: String,
    },
    /// Nothing stands after the `=`.
    #[error("key `{}` has no value", shown(key))]
    MissingValue {
        /// The key.
        key: String,
    },
    /// A double quote opens and does not close, or stands inside a bare value.
    #[error("the double quotes of key `{}` are not balanced", shown(key))]
    UnbalancedQuotes {
        /// The key.
        key: String,
    },
    /// The same key stands twice.
    #[error("key `{}` stands twice", shown(key))]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// No `strategy` is given.
    #[error("key `strategy` is missing, allowed: {}", STRATEGIES.join(", "))]
    NoStrategy,
    /// The strategy does not exist.
    #[error("strategy `{}` is unknown, allowed: {}", shown(value), STRATEGIES.join(", "))]
    UnknownStrategy {
        /// What stands there.
        value: String,
    },
    /// The strategy has no such key.
    #[error(
        "key `{}` is unknown to strategy {strategy}, allowed: name, strategy, \
         stabilisation_window, jitter, {}",
        shown(key),
        allowed.join(", ")
    )]
    UnknownKey {
        /// The key.
        key: String,
        /// The strategy that was asked.
        strategy: &'static str,
        /// The keys of the strategy.
        allowed: &'static [&'static str],
    },
    /// The strategy cannot do without this key.
    #[error("strategy {strategy} needs key `{key}`: {allowed}")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// The strategy.
        strategy: &'static str,
        /// What may stand there.
        allowed: &'static str,
    },
    /// The value is not one that the key takes.
    #[error("`{}` is not allowed for key `{key}`: {allowed}", shown(value))]
    BadValue {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// Our own name is short and those of the peers would be long, or the other way round.
    #[error(
        "`{}` for key `{key}` makes {} names and our own, {own}, is none of them, and Erlang nodes \
         connect their like alone: {fix}",
        shown(value),
        match own.form() {
            NameForm::Short => "long",
            NameForm::Long => "short",
        }
    )]
    MixedNames {
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// Our own name.
        own: NodeName,
        /// What to do.
        fix: &'static str,
    },
}

/// `text` without what would steer a terminal or begin another line, and cut where it is long.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (place, c) in text.chars().enumerate() {
        if place == MAX_SHOWN_CHARS {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
