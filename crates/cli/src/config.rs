//! What the member is to do: flag over environment over file over default.
//!
//! Every setting is a text with an origin until [`Merged::read`] parses it, so that there is one
//! road for all origins and an error can name where the text came from, its key, its value and
//! what is allowed.

mod cookie;
mod environment;
mod error;
mod expand;
mod file;
mod merge;
mod node_flags;
mod peer_cookie;
mod pod_name;
mod print;
mod setting;
mod topology;

pub(crate) use cookie::{CookieSource, load_cookie};
pub(crate) use environment::Environment;
pub(crate) use error::{ConfigError, ConfigErrors, Origin};
pub(crate) use file::{MAX_FILE_BYTES, read_file};
pub(crate) use merge::{Flags, Layer, Merged, RunConfig};
pub(crate) use node_flags::{NameFlags, ReachFlags, WatchFlags};
pub(crate) use peer_cookie::PeerCookie;
pub(crate) use print::print;
pub(crate) use setting::LogFormat;

#[cfg(test)]
mod tests;
