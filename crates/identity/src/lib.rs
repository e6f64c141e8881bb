//! What a node of an Erlang cluster is called, and where it is: three different things, each
//! parsed once.
//!
//! | item | what it is |
//! |---|---|
//! | [`NodeName`] | the full name, `alive@host`, as the handshake carries it |
//! | [`Host`] | the part after the `@` |
//! | [`Cookie`] | the shared secret of a cluster |
//! | [`Creation`] | which incarnation of a name this is |
//! | [`PeerAddr`] | a name together with the address and port to dial, where they are known |
//!
//! The crate is pure: no socket, no clock, no randomness.

mod addr;
mod cookie;
mod creation;
mod name;

pub use addr::PeerAddr;
pub use cookie::{Cookie, CookieError};
pub use creation::Creation;
pub use name::{Host, MAX_NAME_CHARS, NameError, NameForm, NodeName};
