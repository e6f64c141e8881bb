// A test has no driver to take the time from.
#![allow(clippy::disallowed_methods)]

mod away;
mod collisions;
mod dialling;
mod limits;
mod standing;
mod steered;

use std::time::{Duration, Instant};

use enmesh_identity::{Creation, NodeName, PeerAddr};
use enmesh_proto::{Direction, Flags, LinkError, PeerInfo, Question};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn peer(text: &str) -> PeerAddr {
    PeerAddr::new(name(text))
}

/// A plan, the time, and the actions that were not looked at yet.
struct World {
    now: Instant,
    plan: Plan,
    /// Whether those who authenticate themselves are visible nodes.
    peer_visible: bool,
}

impl World {
    /// The plan of the node `own`.
    fn new(own: &str) -> Self {
        Self::with(own, |_| {})
    }

    fn with(own: &str, change: impl FnOnce(&mut PlanConfig)) -> Self {
        let mut config = PlanConfig::new(name(own), 42);
        change(&mut config);
        Self {
            now: Instant::now(),
            plan: Plan::new(config),
            peer_visible: true,
        }
    }

    fn want(&mut self, text: &str) {
        self.plan
            .handle_intent(self.now, Intent::Want(peer(text).into()));
    }

    fn leave(&mut self, text: &str) {
        self.plan.handle_intent(self.now, Intent::Leave(name(text)));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.plan.handle_timeout(self.now);
    }

    /// Lets time pass up to the next deadline and says how long that was.
    fn wait(&mut self) -> Duration {
        let at = self.plan.deadline().expect("something is pending");
        let time = at.saturating_duration_since(self.now);
        self.pass(time);
        time
    }

    /// Everything there is to poll, a few words each.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.plan.poll_action())
            .map(|action| tell(&action))
            .collect()
    }

    fn accept(&mut self) -> LinkId {
        self.plan.handle_accepted(self.now)
    }

    fn inbound(&mut self, text: &str) -> LinkId {
        let link = self.accept();
        self.plan
            .handle_question(self.now, link, Question::Inbound { name: name(text) });
        link
    }

    fn authenticated(&mut self, link: LinkId, text: &str, creation: u32, direction: Direction) {
        let info = PeerInfo {
            name: name(text),
            creation: Creation::from_wire(creation),
            flags: Flags::ours(true),
            visible: self.peer_visible,
            direction,
        };
        self.plan
            .handle_question(self.now, link, Question::Authenticated(info));
    }

    fn closed(&mut self, link: LinkId, error: LinkError) {
        self.plan.handle_closed(self.now, link, &error);
    }

    fn dial_failed(&mut self, link: LinkId, failure: DialFailure) {
        self.plan.handle_dial_failed(self.now, link, failure);
    }

    /// Wants the peer and lets the dial come up.
    fn connect(&mut self, text: &str) -> LinkId {
        self.want(text);
        let link = self.dial();
        self.authenticated(link, text, 7, Direction::Dialled);
        assert!(self.told().iter().any(|told| told.starts_with("nodeup")));
        link
    }

    /// The next dial that is polled; everything else is dropped.
    fn dial(&mut self) -> LinkId {
        loop {
            match self.plan.poll_action().expect("a dial") {
                Action::Dial { link, .. } => return link,
                _ => continue,
            }
        }
    }
}

fn tell(action: &Action) -> String {
    match action {
        Action::Dial { link, peer } => format!("dial {link} {peer}"),
        Action::Answer { link, verdict } => format!("answer {link} {verdict:?}"),
        Action::Close { link, reason } => format!("close {link} {reason}"),
        Action::Nodeup(up) => format!("nodeup {} {} {}", up.connection, up.link, up.name),
        Action::Nodedown { connection, reason } => {
            format!(
                "nodedown {} {} {reason}",
                connection.connection, connection.name
            )
        }
        Action::DialFailed {
            peer,
            failure,
            retry_in,
            first,
        } => {
            let retry = if retry_in.is_some() {
                "again"
            } else {
                "never again"
            };
            format!(
                "failed {peer} {failure} {retry}{}",
                if *first { " first" } else { "" }
            )
        }
        Action::WrongCookie {
            peer,
            direction,
            certain,
        } => {
            format!("cookie {peer} {direction:?} {certain}")
        }
        Action::Warn(PlanWarning::VisibleClose { peer }) => format!("visible close {peer}"),
        Action::Warn(PlanWarning::TooManyPeers { peer }) => format!("too many {peer}"),
    }
}
