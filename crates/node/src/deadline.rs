//! Waiting for what a machine says is due.

use std::time::Instant;

/// Waits until `deadline`; for ever if nothing is pending. Cancel safe.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
