//! Whether a node lives and whether it is ready, over HTTP: `GET /livez` and `GET /readyz`, as
//! Kubernetes' own components have them, and nothing else.
//!
//! It reads how the node fares and changes nothing. Clients are strangers: however many there are
//! and however slow, they cost the node nothing that matters.
//!
//! ```no_run
//! # async fn example(node: enmesh::Node) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use enmesh_admin::{Health, Rules, Server};
//! use tokio_util::sync::CancellationToken;
//!
//! let server = Server::bind("127.0.0.1:9369".parse()?)?;
//! let health = Arc::new(Health::new(Rules { min_peers: 2, counts_hidden: false }));
//! health.running(node);
//! server.serve(health, CancellationToken::new()).await;
//! # Ok(()) }
//! ```

mod health;
mod report;
mod routes;
mod server;
mod subject;

pub use health::Health;
pub use report::{Report, Rules};
pub use server::{BindError, Server};
pub use subject::Subject;
