//! An agent steers an Erlang or Elixir node that already exists: a sidecar that finds the node's
//! peers and has it connect them, without a line of code in the node.
//!
//! An [`Agent`] is a [`Connector`](enmesh::Connector): a [`Steering`](enmesh::Steering) follows the
//! topologies, decides as a member does, and reports who comes and goes. To the node it is a hidden
//! neighbour, which listens nowhere and stands in no epmd.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use enmesh::{Cookie, NodeName, Steering};
//! use enmesh_agent::Agent;
//!
//! let node: NodeName = "webserver@10.1.2.3".parse()?;
//! let agent = Agent::builder(node.clone(), Cookie::new("secret")?).start();
//! let steering = Steering::builder(node)
//!     .topology("strategy=epmd hosts=webserver@10.1.2.4".parse()?)
//!     .start(agent)?;
//! steering.ended().await;
//! # Ok(()) }
//! ```

mod agent;
mod builder;
mod cookies;
mod follower;
mod hosts;
mod keeper;
mod knock;
mod reach;
mod session;
mod waiting;

pub use agent::{Agent, AgentChanges};
pub use builder::AgentBuilder;
pub use reach::addresses;
