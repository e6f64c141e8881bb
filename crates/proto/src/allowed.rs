//! Which peers may have a link with us.

use enmesh_identity::{NameError, NodeName};

/// The peers that links are allowed with, in both directions (`net_kernel:allow/1`): everybody, or
/// whoever one of the entries matches.
///
/// An entry is a whole name (`app@10.0.0.1`), the part before the `@` with it (`app@`), or a host
/// alone (`10.0.0.1`).
///
/// ```
/// use enmesh_proto::Allowed;
///
/// let allowed = Allowed::parse(["web@", "10.0.0.7"])?;
/// assert!(allowed.allows(&"web@10.0.0.9".parse()?));
/// assert!(allowed.allows(&"job@10.0.0.7".parse()?));
/// assert!(!allowed.allows(&"job@10.0.0.9".parse()?));
/// # Ok::<(), enmesh_identity::NameError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Empty: everybody.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Node(NodeName),
    Alive(String),
    Host(String),
}

impl Allowed {
    /// Everybody.
    pub fn everybody() -> Self {
        Self::default()
    }

    /// Whoever one of `entries` matches; everybody if there is none.
    ///
    /// # Errors
    /// If an entry is none of the three forms.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        let entries = entries.into_iter().map(Entry::parse);
        let entries = entries.collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Whether a link with `peer` is allowed.
    pub fn allows(&self, peer: &NodeName) -> bool {
        let matches = |entry: &Entry| match entry {
            Entry::Node(name) => name == peer,
            Entry::Alive(alive) => alive == peer.alive(),
            Entry::Host(host) => host == peer.host().as_str(),
        };
        self.entries.is_empty() || self.entries.iter().any(matches)
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, NameError> {
        match text.split_once('@') {
            // A name of any host, and a host of any name, show that the part can be one.
            None => NodeName::new("any", text).map(|_| Self::Host(text.to_owned())),
            Some((alive, "")) => NodeName::new(alive, "any").map(|_| Self::Alive(alive.to_owned())),
            Some(_) => text.parse().map(Self::Node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entries: &[&str], peer: &str) -> bool {
        let allowed = Allowed::parse(entries.iter().copied()).unwrap();
        allowed.allows(&peer.parse().unwrap())
    }

    /// `dist_util:is_allowed/2`.
    #[test]
    fn an_entry_is_a_node_or_a_name_or_a_host() {
        assert!(allows(&[], "a@h"));
        assert!(allows(&["b@h", "a@h"], "a@h"));
        assert!(!allows(&["a@h"], "a@i"));
        assert!(allows(&["a@"], "a@i"));
        assert!(!allows(&["a@"], "b@i"));
        assert!(allows(&["i"], "a@i"));
        assert!(!allows(&["i"], "i@h"));
    }

    #[test]
    fn what_can_match_nobody_is_refused() {
        let parse = |entry| Allowed::parse([entry]).unwrap_err();
        assert_eq!(parse(""), NameError::EmptyHost);
        assert_eq!(parse("@"), NameError::EmptyAlive);
        assert_eq!(parse("@h"), NameError::EmptyAlive);
        assert_eq!(parse("a@h@i"), NameError::NotOneAt);
        assert_eq!(parse("a b"), NameError::BadCharacter);
    }
}
