//! Node names and their host parts.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// The longest node name, in characters: `alive`, `@` and `host` together.
///
/// A BEAM node crashes the accepting process with `system_limit` at 256.
pub const MAX_NAME_CHARS: usize = 255;

/// The full name of a node, `alive@host`: exactly one `@`, both parts non-empty, every character
/// printable latin1, at most [`MAX_NAME_CHARS`] characters.
///
/// Names travel as latin1 bytes in the handshake ([`NodeName::to_latin1`]) and as UTF-8 atoms
/// everywhere else ([`NodeName::as_str`]). They are ordered by code points, as Erlang orders
/// atoms; the order decides which of two simultaneous connections survives (erl_dist_protocol,
/// "Distribution Handshake"). Cloning is cheap.
///
/// ```
/// use enmesh_identity::NodeName;
///
/// let name: NodeName = "web@10.0.0.7".parse()?;
/// assert_eq!((name.alive(), name.host().as_str()), ("web", "10.0.0.7"));
/// assert!("no at sign".parse::<NodeName>().is_err());
/// # Ok::<(), enmesh_identity::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName {
    text: Arc<str>,
}

/// Whether a cluster's names carry full host names or addresses (`-name`) or not (`-sname`).
///
/// ```
/// use enmesh_identity::{NameForm, NodeName};
///
/// let name: NodeName = "web@example".parse()?;
/// assert_eq!(name.form(), NameForm::Short);
/// # Ok::<(), enmesh_identity::NameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameForm {
    /// The host part has no dot and is no address: `erl -sname`.
    Short,
    /// The host part has a dot or is an address: `erl -name`.
    Long,
}

/// The host part of a node name, borrowed from it. It need not be resolvable.
///
/// ```
/// use enmesh_identity::NodeName;
///
/// let name: NodeName = "web@10.0.0.7".parse()?;
/// assert!(name.host().as_ip().is_some());
/// # Ok::<(), enmesh_identity::NameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host<'a> {
    text: &'a str,
}

/// Why a text is not a node name.
///
/// ```
/// use enmesh_identity::{NameError, NodeName};
///
/// assert_eq!("web".parse::<NodeName>(), Err(NameError::NotOneAt));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no `@`, or more than one.
    #[error("a node name has exactly one @, as in app@10.0.0.1")]
    NotOneAt,
    /// The part before the `@` is empty.
    #[error("the part before the @ is empty")]
    EmptyAlive,
    /// The part after the `@` is empty.
    #[error("the part after the @ is empty")]
    EmptyHost,
    /// More than [`MAX_NAME_CHARS`] characters.
    #[error("a node name has at most {MAX_NAME_CHARS} characters")]
    TooLong,
    /// A character that is not printable latin1 (a control character, a space, or above U+00FF).
    #[error("a node name has printable latin1 characters only")]
    BadCharacter,
}

impl NodeName {
    /// The name made of `alive` and `host`.
    ///
    /// # Errors
    /// As for parsing `alive@host`.
    pub fn new(alive: &str, host: &str) -> Result<Self, NameError> {
        format!("{alive}@{host}").parse()
    }

    /// The name that the handshake carries as `bytes`, one latin1 character each.
    ///
    /// # Errors
    /// As for parsing; the bytes come from a peer and may be anything.
    pub fn from_latin1(bytes: &[u8]) -> Result<Self, NameError> {
        if bytes.len() > MAX_NAME_CHARS {
            return Err(NameError::TooLong);
        }
        bytes
            .iter()
            .map(|&byte| char::from(byte))
            .collect::<String>()
            .parse()
    }

    /// The bytes of the name in a handshake message: latin1, at most 255.
    pub fn to_latin1(&self) -> Vec<u8> {
        self.text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).expect("parsing allows latin1 only"))
            .collect()
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`: what epmd knows a node by.
    pub fn alive(&self) -> &str {
        self.parts().0
    }

    /// The part after the `@`.
    pub fn host(&self) -> Host<'_> {
        Host {
            text: self.parts().1,
        }
    }

    /// Whether this is a long or a short name, by its host part.
    pub fn form(&self) -> NameForm {
        self.host().form()
    }

    fn parts(&self) -> (&str, &str) {
        self.text.split_once('@').expect("parsing requires an @")
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (alive, host) = text.split_once('@').ok_or(NameError::NotOneAt)?;
        if host.contains('@') {
            return Err(NameError::NotOneAt);
        }
        if alive.is_empty() {
            return Err(NameError::EmptyAlive);
        }
        if host.is_empty() {
            return Err(NameError::EmptyHost);
        }
        if text.chars().any(|c| !is_printable_latin1(c)) {
            return Err(NameError::BadCharacter);
        }
        if text.chars().count() > MAX_NAME_CHARS {
            return Err(NameError::TooLong);
        }
        Ok(Self { text: text.into() })
    }
}

/// net_kernel allows letters, digits, `_` and `-` before the `@` and `!` to `ÿ` after it; anything
/// printable is taken, so that no peer is turned away for a name that some release allows, while
/// line breaks never reach a log.
fn is_printable_latin1(c: char) -> bool {
    matches!(c, '!'..='~' | '\u{a1}'..='\u{ff}')
}

impl TryFrom<&str> for NodeName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        text.parse()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeName({})", self.text)
    }
}

impl<'a> Host<'a> {
    /// The text of the host part.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The address that the host part spells, if it is one.
    pub fn as_ip(self) -> Option<IpAddr> {
        self.text.parse().ok()
    }

    /// Long if there is a dot in it or it is an address, as `inet_tcp_dist` decides.
    pub fn form(self) -> NameForm {
        if self.text.contains('.') || self.as_ip().is_some() {
            NameForm::Long
        } else {
            NameForm::Short
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn the_parts_are_those_around_the_at() {
        let it = name("web@10.1.2.3");
        assert_eq!((it.alive(), it.host().as_str()), ("web", "10.1.2.3"));
        assert_eq!(it.host().as_ip(), Some("10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn long_means_a_dot_or_an_address() {
        for (text, form) in [
            ("a@h", NameForm::Short),
            ("a@localhost", NameForm::Short),
            ("a@h.example", NameForm::Long),
            ("a@127.0.0.1", NameForm::Long),
            ("a@::1", NameForm::Long),
        ] {
            assert_eq!(name(text).form(), form, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (text, error) in [
            ("", NameError::NotOneAt),
            ("a", NameError::NotOneAt),
            ("a@b@c", NameError::NotOneAt),
            ("@h", NameError::EmptyAlive),
            ("a@", NameError::EmptyHost),
            ("a@h\n", NameError::BadCharacter),
            ("a b@h", NameError::BadCharacter),
            ("a@\u{100}", NameError::BadCharacter),
            ("a\u{9b}31m@h", NameError::BadCharacter),
        ] {
            assert_eq!(text.parse::<NodeName>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_limit_is_255_characters() {
        let longest = format!("a@{}", "h".repeat(253));
        assert!(longest.parse::<NodeName>().is_ok());
        assert_eq!(
            format!("{longest}h").parse::<NodeName>(),
            Err(NameError::TooLong)
        );
        let latin = format!("a@{}", "é".repeat(253));
        assert_eq!(latin.parse::<NodeName>().unwrap().to_latin1().len(), 255);
        assert_eq!(NodeName::from_latin1(&[b'a'; 256]), Err(NameError::TooLong));
    }

    #[test]
    fn names_are_ordered_by_code_points() {
        assert!(name("b@h") > name("a@h"));
        assert!(name("é@h") > name("z@h"));
        assert!(name("a@10.0.0.2") > name("a@10.0.0.10"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_name_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(name) = NodeName::from_latin1(&bytes) {
                prop_assert_eq!(name.to_latin1(), bytes);
            }
        }
    }
}
