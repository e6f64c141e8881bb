//! Which secret a node holds for which peer.

use std::collections::BTreeMap;

use enmesh_identity::{Cookie, NodeName};

/// The secrets of a node: its own, and others for single peers (`erlang:set_cookie/2`).
///
/// Both directions of a handshake use the one cookie that each side holds for the other. Who
/// accepts picks it by the name that the peer claims.
#[derive(Clone, Debug)]
pub struct Cookies {
    own: Cookie,
    by_name: BTreeMap<NodeName, Cookie>,
}

impl Cookies {
    /// `own` for every peer.
    pub fn new(own: Cookie) -> Self {
        let by_name = BTreeMap::new();
        Self { own, by_name }
    }

    /// These, with `cookie` for `peer`; an earlier one for it is replaced.
    #[must_use]
    pub fn with(mut self, peer: NodeName, cookie: Cookie) -> Self {
        self.by_name.insert(peer, cookie);
        self
    }

    /// The node's own cookie.
    pub fn own(&self) -> &Cookie {
        &self.own
    }

    /// The cookie for `peer`.
    pub fn of(&self, peer: &NodeName) -> &Cookie {
        self.by_name.get(peer).unwrap_or(&self.own)
    }
}

impl From<Cookie> for Cookies {
    fn from(own: Cookie) -> Self {
        Self::new(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_without_a_cookie_of_its_own_has_ours() {
        let cookie = |text: &str| Cookie::new(text).unwrap();
        let (one, two) = ("one@h".parse().unwrap(), "two@h".parse().unwrap());
        let cookies = Cookies::from(cookie("own")).with(NodeName::clone(&one), cookie("special"));
        assert_eq!(cookies.of(&one).expose(), b"special");
        assert_eq!(cookies.of(&two).expose(), b"own");
        assert_eq!(cookies.own().expose(), b"own");
    }
}
