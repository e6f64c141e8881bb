//! The Erlang port mapper, epmd: which port of a host belongs to which node.
//!
//! | item | what it is |
//! |---|---|
//! | [`port_please`], [`names`] | what every node asks an epmd |
//! | [`dump`], [`kill`], [`stop`] | what an operator asks one of this host |
//! | [`Registration`] | our own name, kept registered while we live |
//! | [`Server`] | an epmd that real BEAM nodes can use instead of OTP's |
//! | [`Keeper`] | client while somebody serves, server when nobody does |
//! | [`EpmdMode`] | the word by which a user chooses among them |
//!
//! The bytes are made and read by [`enmesh_proto::epmd`]; this crate moves them.

mod client;
mod connection;
mod error;
mod keeper;
mod listen;
mod mode;
mod registration;
mod server;
mod table;

pub use client::{dump, kill, names, port_please, stop};
pub use enmesh_proto::epmd::{DEFAULT_PORT, NodeInfo, NodeType};
pub use error::EpmdError;
pub use keeper::{Keeper, KeeperConfig, Role};
pub use listen::BindError;
pub use mode::{EpmdMode, EpmdModeError};
pub use registration::{Registration, RegistrationConfig, RegistrationState};
pub use server::{Ended, Server, ServerConfig};
