//! Cookies of single peers that do not have ours.

use std::collections::BTreeMap;
use std::path::PathBuf;

use enmesh_identity::{Cookie, NodeName};

use super::cookie::load_file;
use super::environment::Environment;
use super::error::{ConfigError, ConfigErrors, Origin};
use super::setting;

/// One `NODE=FILE` a line.
const VARIABLE: &str = "ENMESH_COOKIES";

/// What is allowed, in words.
pub(crate) const ALLOWED: &str = "a node's name and the path of a file that holds its cookie alone";

/// The file that holds the cookie of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerCookie {
    pub(crate) peer: NodeName,
    pub(crate) path: PathBuf,
    origin: &'static str,
}

impl PeerCookie {
    /// The file at `path` for `peer`, or what is wrong with either.
    pub(crate) fn new(peer: &str, path: &str, origin: &Origin) -> Result<Self, String> {
        Ok(Self {
            peer: peer.parse().map_err(|error| format!("{peer:?}: {error}"))?,
            path: setting::path(path)?,
            origin: match origin {
                Origin::Flag => "--cookie-for",
                Origin::Variable(name) => name,
                Origin::File(_) => "[cookies]",
            },
        })
    }

    fn of_pair(text: &str, origin: &Origin) -> Result<Self, String> {
        let (peer, path) = text.trim().split_once('=').ok_or("no = in it")?;
        Self::new(peer, path, origin)
    }

    /// What the file holds.
    pub(crate) fn load(&self) -> Result<Cookie, ConfigErrors> {
        load_file(&self.path, self.origin)
    }
}

/// Those of the command line over those of the environment over the file's, peer by peer.
pub(super) fn merge(
    file: Vec<PeerCookie>,
    flags: &[String],
    environment: &Environment,
    errors: &mut Vec<ConfigError>,
) -> Vec<PeerCookie> {
    let lines = environment.get_filled(VARIABLE).into_iter();
    let lines = lines
        .flat_map(str::lines)
        .filter(|line| !line.trim().is_empty());
    let of_environment = lines.map(|line| (line, Origin::Variable(VARIABLE)));
    let of_flags = flags.iter().map(|text| (text.as_str(), Origin::Flag));
    let mut found: BTreeMap<_, _> = file
        .into_iter()
        .map(|cookie| (cookie.peer.clone(), cookie))
        .collect();
    for (text, origin) in of_environment.chain(of_flags) {
        match PeerCookie::of_pair(text, &origin) {
            Ok(cookie) => {
                found.insert(cookie.peer.clone(), cookie);
            }
            Err(reason) => errors.push(ConfigError::BadValue {
                origin,
                key: "cookie_for".to_owned(),
                value: text.to_owned(),
                reason,
                allowed: ALLOWED.to_owned(),
            }),
        }
    }
    found.into_values().collect()
}
