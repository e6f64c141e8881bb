//! The cookie, which may change while we run.

use std::path::Path;
use std::time::Duration;

use enmesh::Cookie;
use tracing::warn;

use crate::builder::AgentBuilder;

/// How often the file is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// More than this is no cookie's file.
const MAX_BYTES: u64 = 4096;

/// How many cookies are remembered that the node had once; the oldest is forgotten.
const MAX_PROVEN: usize = 3;

/// The cookie that counts now, and those that the node has had.
#[derive(Debug)]
pub(crate) struct Cookies {
    now: Cookie,
    /// What the node let us in with, or was given by us; the newest first.
    proven: Vec<Cookie>,
    is_failure_said: bool,
}

impl Cookies {
    pub(crate) fn new(settings: &AgentBuilder) -> Self {
        Self {
            now: settings.cookie.clone(),
            proven: Vec::new(),
            is_failure_said: false,
        }
    }

    /// Reads the file, if there is one; true if the cookie is another one by that. A file that
    /// cannot be read, or is half-written, changes nothing.
    pub(crate) fn look(&mut self, settings: &AgentBuilder) -> bool {
        let Some(path) = &settings.cookie_file else {
            return false;
        };
        match read(path) {
            Ok(cookie) => {
                self.is_failure_said = false;
                let is_another = !is_same(&cookie, &self.now);
                self.now = cookie;
                is_another
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failure_said, true) {
                    let file = path.display();
                    warn!(%file, error, "cookie file cannot be read; the last cookie stays in force");
                }
                false
            }
        }
    }

    /// The cookie that the node is to have.
    pub(crate) fn now(&self) -> &Cookie {
        &self.now
    }

    /// What to try, in order: a node that was restarted may have its cookie of before.
    pub(crate) fn to_try(&self) -> Vec<Cookie> {
        let former = self.proven.iter().filter(|it| !is_same(it, &self.now));
        std::iter::once(&self.now).chain(former).cloned().collect()
    }

    /// The node let us in with this one, or has it by our order.
    pub(crate) fn prove(&mut self, cookie: Cookie) {
        self.proven.retain(|it| !is_same(it, &cookie));
        self.proven.insert(0, cookie);
        self.proven.truncate(MAX_PROVEN);
    }
}

pub(crate) fn is_same(one: &Cookie, other: &Cookie) -> bool {
    one.expose() == other.expose()
}

fn read(path: &Path) -> Result<Cookie, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err("not a cookie's file".to_owned());
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    Cookie::new(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_cookie_is_tried_before_the_one_that_worked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cookie");
        std::fs::write(&path, "one\n").unwrap();
        let settings = AgentBuilder::new("a@h".parse().unwrap(), Cookie::new("one").unwrap())
            .cookie_file(&path);
        let mut cookies = Cookies::new(&settings);
        assert!(!cookies.look(&settings));
        cookies.prove(cookies.now().clone());
        let tried = |cookies: &Cookies| -> Vec<Vec<u8>> {
            cookies
                .to_try()
                .iter()
                .map(|it| it.expose().to_vec())
                .collect()
        };
        assert_eq!(tried(&cookies), [b"one"]);
        std::fs::write(&path, "two").unwrap();
        assert!(cookies.look(&settings));
        assert_eq!(tried(&cookies), [b"two", b"one"]);
        // Once the node has taken the new one, the old one may come back with its next life.
        cookies.prove(cookies.now().clone());
        assert_eq!(tried(&cookies), [b"two", b"one"]);
        // What is no cookie changes nothing.
        for bad in ["", "\u{1}\u{2}"] {
            std::fs::write(&path, bad).unwrap();
            assert!(!cookies.look(&settings));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!cookies.look(&settings));
        assert_eq!(cookies.now().expose(), b"two");
    }
}
