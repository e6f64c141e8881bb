//! What goes wrong in a run.

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use crate::event::{Micros, SECOND};

/// A kind of fault. Each one happens in at least a tenth of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// Some machines' traffic takes twenty times as long.
    Delay,
    /// Segments are lost and sent again late; connections open late.
    Loss,
    /// Between some machines and the others what is sent later on another connection comes
    /// earlier; within one connection the order stays, as TCP has it.
    Reorder,
    /// Open connections break.
    Reset,
    /// Open connections carry nothing any more, and nobody is told.
    Blackhole,
    /// What some machines send to others does not arrive; the other way is open.
    OneWayCut,
    /// Two halves cannot reach each other.
    Partition,
    /// A node is killed and starts again as another incarnation.
    Crash,
    /// A machine loses its power, so that nobody is told, and starts again.
    PowerLoss,
    /// A node is stopped and goes on later.
    Freeze,
    /// Sources say that nobody is there.
    SourceEmpty,
    /// Sources name only some.
    SourcePartial,
    /// Sources fail.
    SourceFailed,
    /// Sources name nodes that do not exist, and others at wrong addresses.
    SourceWrong,
    /// Sources name everybody, nobody, everybody …
    SourceFlapping,
    /// Sources say of everybody ever anew that it is ready, is not, is silent, was started anew.
    SourceRestless,
    /// Sources say that we are being ended, are not, are …
    SourceDraining,
    /// Sources are replaced again and again by others, which fail or tell of single peers first.
    SourceReplaced,
    /// Sources do not answer for a long time.
    SourceSlow,
    /// A node starts with another cookie, which is put right while it runs.
    WrongCookie,
    /// Somebody without the cookie dials everybody under the name of a node.
    Impostor,
    /// Users disconnect peers.
    Disconnect,
    /// Nodes are told to go: they close all links, and come back together with the end.
    Leave,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 23] = [
        Self::Delay,
        Self::Loss,
        Self::Reorder,
        Self::Reset,
        Self::Blackhole,
        Self::OneWayCut,
        Self::Partition,
        Self::Crash,
        Self::PowerLoss,
        Self::Freeze,
        Self::SourceEmpty,
        Self::SourcePartial,
        Self::SourceFailed,
        Self::SourceWrong,
        Self::SourceFlapping,
        Self::SourceRestless,
        Self::SourceDraining,
        Self::SourceReplaced,
        Self::SourceSlow,
        Self::WrongCookie,
        Self::Impostor,
        Self::Disconnect,
        Self::Leave,
    ];

    /// Whether it is a node that fails, so that no other fault of this sort may hit it meanwhile.
    pub(crate) fn takes_node(self) -> bool {
        matches!(
            self,
            Self::Crash | Self::PowerLoss | Self::Freeze | Self::WrongCookie
        )
    }

    pub(crate) fn takes_source(self) -> bool {
        matches!(
            self,
            Self::SourceEmpty
                | Self::SourcePartial
                | Self::SourceFailed
                | Self::SourceWrong
                | Self::SourceFlapping
                | Self::SourceRestless
                | Self::SourceDraining
                | Self::SourceReplaced
                | Self::SourceSlow
        )
    }
}

/// One fault of a run.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Whom it hits.
    pub(crate) nodes: Vec<usize>,
    /// When it ends.
    pub(crate) until: Micros,
}

/// Draws what goes wrong between `from` and `to`, as (when, what).
pub(crate) fn draw(
    rng: &mut SmallRng,
    nodes: usize,
    from: Micros,
    to: Micros,
) -> Vec<(Micros, Fault)> {
    let mut drawn = Vec::new();
    for kind in FaultKind::ALL {
        if !rng.random_bool(0.4) {
            continue;
        }
        for _ in 0..rng.random_range(1..=3) {
            let at = rng.random_range(from..to);
            let longest = (to - at).min(25 * SECOND);
            let until = at + rng.random_range(longest / 10..=longest);
            let mut all: Vec<_> = (0..nodes).collect();
            all.shuffle(rng);
            let most = match kind {
                FaultKind::Partition | FaultKind::OneWayCut => (nodes / 2).max(1),
                kind if kind.takes_source() => nodes,
                FaultKind::Impostor => 1,
                FaultKind::Leave => (nodes / 3).max(2),
                _ => (nodes / 10).max(1),
            };
            all.truncate(rng.random_range(1..=most));
            drawn.push((
                at,
                Fault {
                    kind,
                    nodes: all,
                    until,
                },
            ));
        }
    }
    drawn
}
