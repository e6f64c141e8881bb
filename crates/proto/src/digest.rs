//! The proof that a node holds the cookie.

use std::fmt;

use enmesh_identity::Cookie;
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq;

/// The answer to a challenge: the MD5 of the cookie followed by the challenge in decimal
/// (erl_dist_protocol, "The Handshake Digests").
///
/// Digests are compared in constant time, and `Debug` does not show them.
#[derive(Clone, Copy)]
pub struct Digest([u8; Digest::LEN]);

impl Digest {
    /// The length of a digest, in bytes.
    pub const LEN: usize = 16;

    /// What a holder of `cookie` answers to `challenge`.
    pub fn new(cookie: &Cookie, challenge: u32) -> Self {
        let mut md5 = Md5::new();
        md5.update(cookie.expose());
        md5.update(challenge.to_string().as_bytes());
        Self(md5.finalize().into())
    }

    /// The digest that a peer sent.
    pub fn from_bytes(bytes: [u8; Digest::LEN]) -> Self {
        Self(bytes)
    }

    /// The digest as it travels.
    pub fn as_bytes(&self) -> &[u8; Digest::LEN] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_digested_as_unsigned_decimal() {
        // erlang:md5("secret4294967295") as printed by OTP 25.
        let digest = Digest::new(&Cookie::new("secret").unwrap(), u32::MAX);
        let hex: String = digest
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "5dfd181e69aa587cc812eb333e6536b6");
    }

    #[test]
    fn another_cookie_gives_another_digest() {
        let one = Digest::new(&Cookie::new("a").unwrap(), 1);
        assert_ne!(one, Digest::new(&Cookie::new("b").unwrap(), 1));
        assert_ne!(one, Digest::new(&Cookie::new("a").unwrap(), 2));
        assert_eq!(one, Digest::from_bytes(*one.as_bytes()));
    }
}
