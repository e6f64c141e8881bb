//! A Rust program as a first-class node of an Erlang or Elixir cluster.
//!
//! A [`Node`] discovers its peers, connects to them over the Erlang distribution protocol, keeps
//! the links up, and tells who came and went:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use enmesh::{Cookie, Event, Node};
//!
//! let node = Node::builder("rust@127.0.0.1".parse()?, Cookie::new("secret")?)
//!     .topology("strategy=epmd hosts=web@127.0.0.1".parse()?)
//!     .start()
//!     .await?;
//! let mut events = node.events();
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Nodeup { peer } => println!("{} is here", peer.name),
//!         Event::Nodedown { peer, reason } => println!("{} is gone: {reason:?}", peer.name),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! Links, ticks and the answers that a BEAM waits for run on a thread and runtime of the node's
//! own: code that blocks the caller's runtime delays none of them. The node works from any
//! executor; [`Builder::start`] and the other `async` functions need no tokio around them.

mod builder;
mod deadline;
mod dial;
mod events;
mod link_driver;
mod listen;
mod manager;
mod node;
mod registration;
mod runtime;
mod sources;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod transport;
mod view;
mod warnings;

pub use builder::{Builder, StartError};
pub use enmesh_discovery::{SourceError, TopologyConfig};
pub use enmesh_epmd::EpmdMode;
pub use enmesh_identity::{Cookie, Creation, NodeName, PeerAddr};
pub use enmesh_membership::{ConnectionId, DownReason, Failure, Prune, TopologyName};
pub use enmesh_otp::AutoConnect;
pub use enmesh_proto::Allowed;
pub use events::{Event, Events};
pub use node::{ConnectError, Node};
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsConfigError};
pub use view::{Peer, View};
