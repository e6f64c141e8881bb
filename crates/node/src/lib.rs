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
//! Messages, requests and replies are Rust types: `#[derive(ToTerm, FromTerm)]`, explained on the
//! page of [`enmesh-derive`](https://docs.rs/enmesh-derive), turns structs and enums into terms as
//! Erlang and Elixir write them, and back.
//!
//! ```
//! use enmesh::{FromTerm, Term, ToTerm};
//!
//! #[derive(Debug, PartialEq, ToTerm, FromTerm)]
//! enum Request {
//!     Get,
//!     Add { item: String, count: u32 },
//! }
//!
//! let request = Request::Add { item: "apple".into(), count: 2 };
//! assert_eq!(request.to_term().to_string(), r#"{add,#{item => <<"apple">>,count => 2}}"#);
//! assert_eq!(Request::from_term(&Term::atom("get"))?, Request::Get);
//! # Ok::<(), enmesh::FromTermError>(())
//! ```
//!
//! Links, ticks and the answers that a BEAM waits for run on a runtime of the node's own, and one
//! thread of its is always ready to drive that: code that blocks delays none of them. The node works
//! from any executor; [`Builder::start`] and the other `async` functions need no tokio around them.
//! Where a message should be handled without a change of threads, that is in servers and in what
//! runs under [`Node::block_on`].

mod builder;
mod call;
mod condition;
mod connector;
mod crew;
mod deadline;
mod destination;
mod dial;
mod events;
mod functions;
mod gen_server;
mod global_names;
mod groups;
mod jobs;
mod kernel_driver;
mod link_driver;
mod link_queue;
mod listen;
mod mailbox;
mod manager;
mod messaging;
mod node;
mod orders;
mod process;
mod pubsub;
mod registration;
mod routes;
mod rpc;
mod runtime;
mod send;
mod slot;
mod sources;
mod steer;
mod steering;
mod timers;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod topologies;
mod transport;
mod turns;
mod view;
mod warnings;
mod workers;

pub use builder::{Builder, StartError};
pub use call::CallError;
pub use condition::{Condition, ConditionChanges};
pub use connector::{Change, Changes, Connected, Connector, NodeChanges};
pub use destination::Destination;
pub use enmesh_derive::{FromTermOfEnmesh as FromTerm, ToTermOfEnmesh as ToTerm};
pub use enmesh_discovery::{ConfigError, Jitter, JitterError, SourceError, TopologyConfig};
pub use enmesh_epmd::EpmdMode;
pub use enmesh_identity::{
    Cookie, CookieError, Creation, Host, NameError, NameForm, NodeName, PeerAddr,
};
pub use enmesh_membership::{
    AddTopologyError, ConnectionId, DialFailure, DownReason, Failure, FailureKind, Prune,
    SourceFailure, TlsFault, TopologyName,
};
pub use enmesh_otp::{Address, AutoConnect, NodeTypes, PgEvent, RegisterError};
pub use enmesh_proto::Allowed;
#[doc(hidden)]
pub use enmesh_term as __term;
pub use enmesh_term::{
    Atom, AtomTooLong, Binary, Charlist, DecodeError, Encoder, Export, FromTerm, FromTermError,
    Fun, Limits, Mismatch, NativeRecord, PathStep, Pid, Port, Reference, Term, TermKind, TermRef,
    TermView, ToTerm, ViewElements, ViewPairs,
};
#[cfg(feature = "serde")]
pub use enmesh_term::{SerdeError, from_term, to_term};
pub use events::{Event, Events};
pub use functions::{Arguments, Raise};
pub use gen_server::{Answer, Caller, GenServer, Request, Stop};
pub use global_names::GlobalError;
pub use groups::{ProcessGroups, ScopeError};
pub use mailbox::{
    Ended, Mailbox, MailboxError, MailboxOptions, Message, MessageError, Overflow, Received,
};
pub use node::{ConnectError, Node};
pub use process::Process;
pub use pubsub::{PubSub, PubSubError, PubSubOptions, Subscription};
pub use rpc::RpcError;
pub use send::SendError;
pub use steering::{OnLeave, Steering, SteeringBuilder, UnknownOnLeave};
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsConfigError};
pub use topologies::{TopologyChanges, TopologyError, TopologyStatus};
pub use view::{Peer, View};

/// What the README shows of Rust compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
