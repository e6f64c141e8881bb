//! The cluster's shared secret.

use std::fmt;
use std::sync::Arc;

/// The longest cookie, in bytes: a BEAM holds it as an atom of at most 255 characters.
const MAX_COOKIE_BYTES: usize = 255;

/// The shared secret of a cluster: 1 to 255 printable ASCII bytes.
///
/// It never shows itself: `Debug` prints `Cookie(..)` and there is no `Display`. It is compared
/// only as part of a digest, in constant time (crate `enmesh-proto`).
///
/// ```
/// use enmesh_identity::Cookie;
///
/// let cookie = Cookie::new("secret")?;
/// assert!(!format!("{cookie:?}").contains("secret"));
/// # Ok::<(), enmesh_identity::CookieError>(())
/// ```
#[derive(Clone)]
pub struct Cookie {
    bytes: Arc<[u8]>,
}

/// Why a text cannot be a cookie.
///
/// ```
/// use enmesh_identity::{Cookie, CookieError};
///
/// assert_eq!(Cookie::new(" \n").err(), Some(CookieError::Empty));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// Nothing is left after white space at the end is cut off.
    #[error("the cookie is empty")]
    Empty,
    /// Longer than an atom can be.
    #[error("a cookie has at most {MAX_COOKIE_BYTES} bytes")]
    TooLong,
    /// A byte outside printable ASCII, which Erlang's two sides would not digest alike.
    #[error("a cookie has printable ASCII characters only")]
    BadCharacter,
}

impl Cookie {
    /// The cookie in `text`; white space and line breaks at the end are cut off, as Erlang does
    /// with `~/.erlang.cookie`.
    ///
    /// # Errors
    /// If nothing is left, or what is left is too long or not printable ASCII.
    pub fn new(text: impl AsRef<[u8]>) -> Result<Self, CookieError> {
        let bytes = text.as_ref().trim_ascii_end();
        if bytes.is_empty() {
            return Err(CookieError::Empty);
        }
        if bytes.len() > MAX_COOKIE_BYTES {
            return Err(CookieError::TooLong);
        }
        if !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(CookieError::BadCharacter);
        }
        Ok(Self {
            bytes: bytes.into(),
        })
    }

    /// The secret itself, for the digest of the handshake and for nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_at_the_end_does_not_count() {
        assert_eq!(Cookie::new("secret\r\n").unwrap().expose(), b"secret");
    }

    #[test]
    fn a_cookie_never_shows_itself() {
        assert_eq!(
            format!("{:?}", Cookie::new("secret").unwrap()),
            "Cookie(..)"
        );
    }

    #[test]
    fn what_is_no_cookie_is_refused() {
        assert_eq!(Cookie::new("\n").unwrap_err(), CookieError::Empty);
        assert_eq!(
            Cookie::new("x".repeat(256)).unwrap_err(),
            CookieError::TooLong
        );
        assert_eq!(Cookie::new("a\nb").unwrap_err(), CookieError::BadCharacter);
        assert_eq!(Cookie::new("é").unwrap_err(), CookieError::BadCharacter);
    }
}
