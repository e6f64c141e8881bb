//! What no log and no message may show.

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use crate::config::{ConfigError, Field, Fields};
use crate::source::SourceError;

/// The longest secret, in bytes.
const MAX_SECRET_BYTES: usize = 4096;

/// What stands where a secret would be shown, and is therefore none.
const HIDDEN: &str = "(hidden)";

const SECRET_ALLOWED: &str = "a text of 1 to 4096 bytes, which is never shown again";

/// A secret that stands in the configuration. `Debug` does not show it, and neither does whatever
/// writes a topology: `(hidden)` stands in its place, which is refused where it is read again.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: Arc<str>,
}

impl Secret {
    /// The secret `text`, as it stands.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into() }
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The value of `key`, if it is given. An error does not repeat it.
    pub(crate) fn take(
        fields: &mut Fields,
        key: &'static str,
    ) -> Result<Option<Self>, ConfigError> {
        match fields.text(key, SECRET_ALLOWED) {
            Ok(text) => Ok(text.map(Self::new)),
            Err(_) => Err(refused(key)),
        }
    }

    pub(crate) fn field(&self) -> Field {
        Field::Text(HIDDEN.to_owned())
    }

    /// Refuses what is no secret as the value of `key`.
    pub(crate) fn check(&self, key: &'static str) -> Result<(), ConfigError> {
        if self.text.is_empty() || self.text.len() > MAX_SECRET_BYTES || *self.text == *HIDDEN {
            return Err(refused(key));
        }
        Ok(())
    }

    /// The secret that the file holds alone; white space and line breaks at its end do not count.
    pub(crate) fn read(path: &Path, key: &'static str) -> Result<Self, SourceError> {
        let unreadable = |error: std::io::Error| SourceError::Unreadable {
            key,
            path: path.to_owned(),
            kind: error.kind(),
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(MAX_SECRET_BYTES as u64 + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        let secret = Self::new(text.trim_ascii_end());
        match text.len() > MAX_SECRET_BYTES {
            true => Err(refused(key).into()),
            false => secret
                .check(key)
                .map(|()| secret)
                .map_err(SourceError::Config),
        }
    }
}

fn refused(key: &'static str) -> ConfigError {
    ConfigError::BadValue {
        key,
        value: HIDDEN.to_owned(),
        allowed: SECRET_ALLOWED,
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Secret, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        Secret::read(&path, "secret_file")
    }

    #[test]
    fn a_file_holds_the_secret_alone() {
        assert_eq!(read(b"some password\r\n"), Ok(Secret::new("some password")));
        for content in [&b""[..], b" \n", &[b'x'; 4097], b"(hidden)\n"] {
            assert!(matches!(read(content), Err(SourceError::Config(_))));
        }
        assert!(matches!(read(b"\xff"), Err(SourceError::Unreadable { .. })));
        let error = Secret::read(Path::new("/no/such/file"), "secret_file").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the file of key `secret_file`, /no/such/file, cannot be read: entity not found"
        );
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new("abc")), "Secret(..)");
    }
}
