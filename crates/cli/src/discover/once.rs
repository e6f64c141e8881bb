//! One answer of each topology.

use std::time::Duration;

use enmesh_membership::{TopologyName, Update};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

use super::Asked;
use super::error::{DiscoverError, Unanswered};
use super::found::{self, Peers};

/// The first complete answers, in the order of the topologies, all asked side by side.
pub(super) async fn ask(
    asked: Vec<Asked>,
    timeout: Duration,
) -> Result<Vec<(TopologyName, Peers)>, DiscoverError> {
    let deadline = Instant::now() + timeout;
    let mut tasks = JoinSet::new();
    for (place, asked) in asked.into_iter().enumerate() {
        tasks.spawn(async move { (place, first_answer(asked, timeout, deadline).await) });
    }
    // A source that panics has said so on stderr; there is no answer then.
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for (_, answer) in answers {
        match answer {
            Ok(peers) => found.push(peers),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() {
        Ok(found)
    } else {
        Err(DiscoverError::Failed { failures })
    }
}

async fn first_answer(
    asked: Asked,
    after: Duration,
    deadline: Instant,
) -> Result<(TopologyName, Peers), Unanswered> {
    let (topology, strategy) = (asked.name, asked.strategy);
    let mut source = asked.source;
    let mut peers = Peers::new();
    let mut heard = false;
    loop {
        match tokio::time::timeout_at(deadline, source.next()).await {
            Ok(Update::Failed(failure)) => {
                return Err(Unanswered::Failure {
                    topology,
                    strategy,
                    failure,
                });
            }
            Ok(Update::Draining(_)) => {}
            Ok(update) => {
                heard = true;
                if found::apply(&mut peers, update) {
                    return Ok((topology, peers));
                }
            }
            Err(_) if heard => {
                warn!(
                    %topology,
                    strategy,
                    peers = peers.len(),
                    "the list may not be complete; these are who was heard of in time"
                );
                return Ok((topology, peers));
            }
            Err(_) => {
                return Err(Unanswered::TimedOut {
                    topology,
                    strategy,
                    after,
                });
            }
        }
    }
}
