//! Sources that lie.

use enmesh_identity::PeerAddr;
use enmesh_membership::{FailureKind, Sighting, SourceFailure, Standing, Update};
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::FaultKind;
use crate::network::PORT;

/// The source of one topology of one node.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Whom it names while it tells the truth.
    truth: Vec<PeerAddr>,
    /// What is wrong with it now; the last one counts.
    faults: Vec<FaultKind>,
    is_odd: bool,
    /// Whether it has said that we are being ended.
    is_draining: bool,
}

impl Source {
    pub(crate) fn new(truth: Vec<PeerAddr>) -> Self {
        Self {
            truth,
            faults: Vec::new(),
            is_odd: false,
            is_draining: false,
        }
    }

    pub(crate) fn begin(&mut self, fault: FaultKind) {
        self.faults.push(fault);
    }

    pub(crate) fn end(&mut self, fault: FaultKind) {
        if let Some(at) = self.faults.iter().position(|&other| other == fault) {
            self.faults.remove(at);
        }
    }

    /// What it says when asked now, and which lie that was.
    pub(crate) fn ask(&mut self, rng: &mut SmallRng) -> (Vec<Update>, Option<FaultKind>) {
        self.is_odd = !self.is_odd;
        let fault = self.faults.last().copied();
        let mut updates = Vec::new();
        match fault {
            Some(FaultKind::SourceSlow) => return (updates, fault),
            Some(FaultKind::SourceDraining) => {
                self.is_draining = rng.random_bool(0.5);
                updates.push(Update::Draining(self.is_draining));
            }
            _ if std::mem::take(&mut self.is_draining) => updates.push(Update::Draining(false)),
            _ => {}
        }
        let truth = || self.truth.iter().cloned();
        let update = match fault {
            Some(FaultKind::SourceEmpty) => Update::Snapshot(Vec::new()),
            Some(FaultKind::SourceFlapping) if self.is_odd => Update::Snapshot(Vec::new()),
            Some(FaultKind::SourcePartial) if self.is_odd => some(truth(), rng),
            Some(FaultKind::SourcePartial) => {
                Update::snapshot(truth().filter(|_| rng.random_bool(0.5)))
            }
            Some(FaultKind::SourceFailed) => failure(rng),
            Some(FaultKind::SourceReplaced) => match rng.random_range(0..4) {
                0 => failure(rng),
                1 => Update::snapshot(truth()),
                _ => some(truth(), rng),
            },
            Some(FaultKind::SourceWrong) => Update::snapshot(self.wrong(rng)),
            Some(FaultKind::SourceRestless) => {
                Update::snapshot(truth().map(|peer| restless(peer, rng)))
            }
            _ => Update::snapshot(truth()),
        };
        updates.push(update);
        (updates, fault)
    }

    /// Ghosts, and some of the others at places of others.
    fn wrong(&self, rng: &mut SmallRng) -> Vec<PeerAddr> {
        let mut wrong = Vec::new();
        for peer in &self.truth {
            if rng.random_bool(0.2) {
                continue;
            }
            let other = &self.truth[rng.random_range(0..self.truth.len())];
            match (rng.random_bool(0.2), other.address()) {
                (true, Some(address)) => {
                    wrong.push(peer.clone().with_address(address).with_port(PORT));
                }
                _ => wrong.push(peer.clone()),
            }
        }
        for ghost in 0..rng.random_range(1..=3) {
            let name = format!("ghost@10.9.0.{ghost}");
            wrong.push(PeerAddr::new(name.parse().expect("a plain name")));
        }
        wrong
    }
}

/// Half of them, and nothing about the others.
fn some(truth: impl Iterator<Item = PeerAddr>, rng: &mut SmallRng) -> Update {
    let half = truth.filter(|_| rng.random_bool(0.5));
    Update::Changed {
        present: half.map(Into::into).collect(),
        gone: Vec::new(),
    }
}

/// No answer.
fn failure(rng: &mut SmallRng) -> Update {
    let kind = [
        FailureKind::Forbidden,
        FailureKind::TimedOut,
        FailureKind::Empty,
    ][rng.random_range(0..3)];
    Update::Failed(SourceFailure::new(kind, "the source is down"))
}

/// The peer, with a standing and a life by chance.
fn restless(peer: PeerAddr, rng: &mut SmallRng) -> Sighting {
    let standing = [Standing::Ready, Standing::Unready, Standing::Silent][rng.random_range(0..3)];
    Sighting::from(peer)
        .with_standing(standing)
        .with_life(rng.random_range(0..4))
}
