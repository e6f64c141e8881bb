//! How we wait for the node: ever longer, and saying each reason once.

use std::time::Duration;

use enmesh::{DialFailure, Failure, NodeName};
use tracing::{debug, info, warn};

/// The first pause; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// The longest pause after the node has refused our cookie: it writes an error into its own log
/// each time, and only another cookie helps.
const LONGEST_REFUSED: Duration = Duration::from_secs(60);

/// Why we are not attached to the node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    /// There is no link to the node.
    #[error("{}", .0.label())]
    Link(Failure),
    /// The node does not know us for a neighbour, or does not do what we ask.
    #[error("{0}")]
    Refused(String),
    /// Another agent steers it.
    #[error("another agent steers it: {0}")]
    Taken(String),
    /// We cannot even ask.
    #[error("{0}")]
    Ourselves(String),
}

impl Obstacle {
    /// Whether it shows, of a node whose link has just been lost, that it is not running at all.
    ///
    /// An epmd that is gone together with the node was in its container, which has ended: a node that lives on is attached to
    /// again as soon as an epmd knows it, and nobody else is left in a pod that ends.
    pub(crate) fn means_not_running(&self) -> bool {
        use DialFailure::{EpmdUnreachable, NotRegistered, Refused};

        matches!(
            self,
            Self::Link(Failure::Dial(Refused | NotRegistered | EpmdUnreachable))
        )
    }

    /// The longest pause before it is tried again.
    fn longest_pause(&self) -> Duration {
        match self {
            Self::Link(Failure::WrongCookie) => LONGEST_REFUSED,
            _ => LONGEST,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Link(Failure::Dial(DialFailure::Refused)) => {
                "its port is closed: has it ended without a word to epmd?"
            }
            Self::Link(Failure::Dial(DialFailure::NotRegistered)) => {
                "epmd knows no such name: is it still starting, is --node its full name, was it \
                 started with distribution on?"
            }
            Self::Link(Failure::Dial(DialFailure::EpmdUnreachable)) => {
                "no epmd answers: is it still starting, do we share its network?"
            }
            Self::Link(Failure::Dial(DialFailure::NoSuchHost)) => {
                "it is not on loopback, and the host part of its name does not resolve here"
            }
            Self::Link(Failure::WrongCookie | Failure::Closed) => {
                "most likely it has another cookie than ours: compare them"
            }
            Self::Link(Failure::WrongName) => "a node of another name answers: see --node",
            Self::Link(Failure::NotAllowed) => {
                "it does not let us in: see net_kernel:allow/1 there"
            }
            Self::Taken(_) => "one agent a node is enough; we wait until it ends",
            _ => "see the log at level debug, and the node's own",
        }
    }
}

/// The pauses between attempts, and what was said of them.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    attempts: u32,
    /// How often in a row the node was lost soon after we were attached to it.
    losses: u32,
    said: Option<Obstacle>,
}

impl Waiting {
    /// Notes an attempt that failed; says why if that is news. Returns how long to wait.
    pub(crate) fn failed(&mut self, node: &NodeName, obstacle: Obstacle) -> Duration {
        let pause = next_pause(&mut self.attempts, obstacle.longest_pause());
        if self.said.as_ref() == Some(&obstacle) {
            debug!(%node, reason = %obstacle, "still waiting for the node");
        } else {
            let hint = obstacle.hint();
            warn!(%node, reason = %obstacle, hint, "cannot attach to the node; waiting for it quietly");
            self.said = Some(obstacle);
        }
        pause
    }

    /// Notes that the node is lost. Returns how long to wait: ever longer if it never stays for
    /// long.
    pub(crate) fn lost(&mut self, was_stable: bool) -> Duration {
        if was_stable {
            self.losses = 0;
            return Duration::ZERO;
        }
        next_pause(&mut self.losses, LONGEST)
    }

    /// Notes that we are attached.
    pub(crate) fn attached(&mut self, node: &NodeName, agent: &NodeName, release: &str) {
        self.attempts = 0;
        self.said = None;
        info!(%node, agent = %agent, otp = release, "attached to the node");
    }
}

/// Each is twice as long as the one before.
fn next_pause(count: &mut u32, longest: Duration) -> Duration {
    let pause = FIRST.saturating_mul(1 << (*count).min(16));
    *count = count.saturating_add(1);
    pause.min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_went_with_its_epmd_is_gone() {
        let obstacle = |failure| Obstacle::Link(Failure::Dial(failure));
        assert!(obstacle(DialFailure::EpmdUnreachable).means_not_running());
        assert!(!obstacle(DialFailure::TimedOut).means_not_running());
    }

    #[test]
    fn pauses_grow_to_five_seconds() {
        let node: NodeName = "a@h".parse().unwrap();
        let mut waiting = Waiting::default();
        let obstacle = || Obstacle::Link(Failure::Dial(DialFailure::Refused));
        let pauses: Vec<_> = (0..8)
            .map(|_| waiting.failed(&node, obstacle()).as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        for _ in 0..1000 {
            assert_eq!(waiting.failed(&node, obstacle()), LONGEST);
        }
        // The node writes an error into its log for each wrong cookie.
        let refused = Obstacle::Link(Failure::WrongCookie);
        assert_eq!(waiting.failed(&node, refused), LONGEST_REFUSED);
    }

    #[test]
    fn a_node_that_never_stays_is_waited_for_ever_longer() {
        let node: NodeName = "a@h".parse().unwrap();
        let mut waiting = Waiting::default();
        let pauses: Vec<_> = (0..8)
            .map(|_| {
                waiting.attached(&node, &node, "27");
                waiting.lost(false).as_millis()
            })
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(waiting.lost(true), Duration::ZERO);
        assert_eq!(waiting.lost(false), FIRST);
        // Each time the node is looked for anew, it is at once.
        let obstacle = Obstacle::Link(Failure::Dial(DialFailure::Refused));
        assert_eq!(waiting.failed(&node, obstacle), FIRST);
    }
}
