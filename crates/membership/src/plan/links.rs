//! Every dial and link that has not ended, by what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use enmesh_identity::NodeName;
use enmesh_proto::PeerInfo;

use super::{Connection, LinkId};

/// What a link is at this time.
#[derive(Debug)]
pub(super) enum Stage {
    /// We dialled; nothing is proven yet.
    Dial {
        peer: NodeName,
        since: Instant,
        /// When it has taken too long; `None` once there is a socket, whose link has timers.
        deadline: Option<Instant>,
    },
    /// Accepted; the name, once told, is a mere claim.
    Setup {
        claimed: Option<NodeName>,
        was_asked_alive: bool,
    },
    /// Authenticated and admitted.
    Up {
        connection: Connection,
        since: Instant,
    },
}

/// All links. Bounded by the plan's limits: `max_dials`, `max_setups` and `max_peers`.
#[derive(Debug, Default)]
pub(super) struct Links {
    last: u64,
    stages: BTreeMap<LinkId, Stage>,
    /// Accepted and not authenticated; the oldest first, since ids grow.
    setups: BTreeSet<LinkId>,
    deadlines: BTreeSet<(Instant, LinkId)>,
    dials: usize,
    /// Accepted and authenticated, and not judged before our own dial of the peer has come to something.
    held: BTreeMap<LinkId, PeerInfo>,
}

impl Links {
    pub(super) fn accept(&mut self) -> LinkId {
        let link = self.next();
        self.stages.insert(
            link,
            Stage::Setup {
                claimed: None,
                was_asked_alive: false,
            },
        );
        self.setups.insert(link);
        link
    }

    pub(super) fn dial(&mut self, peer: NodeName, since: Instant, deadline: Instant) -> LinkId {
        let link = self.next();
        self.stages.insert(
            link,
            Stage::Dial {
                peer,
                since,
                deadline: Some(deadline),
            },
        );
        self.deadlines.insert((deadline, link));
        self.dials += 1;
        link
    }

    pub(super) fn dialled(&mut self, link: LinkId) {
        if let Some(Stage::Dial { deadline, .. }) = self.stages.get_mut(&link)
            && let Some(at) = deadline.take()
        {
            self.deadlines.remove(&(at, link));
        }
    }

    /// Whether this is a dial that has come as far as its socket, so that the peer may have heard of it.
    pub(super) fn has_socket(&self, dial: LinkId) -> bool {
        matches!(
            self.stages.get(&dial),
            Some(Stage::Dial { deadline: None, .. })
        )
    }

    /// The accepted link is judged later.
    pub(super) fn hold(&mut self, link: LinkId, info: PeerInfo) {
        self.held.insert(link, info);
    }

    /// Takes out a link whose time to be judged has come.
    pub(super) fn take_held(
        &mut self,
        mut is_time: impl FnMut(&Self, &PeerInfo) -> bool,
    ) -> Option<(LinkId, PeerInfo)> {
        let mut held = self.held.iter();
        let link = held.find_map(|(link, info)| is_time(self, info).then_some(*link))?;
        self.held.remove_entry(&link)
    }

    pub(super) fn claim(&mut self, link: LinkId, name: NodeName, is_asked_alive: bool) {
        if let Some(Stage::Setup {
            claimed,
            was_asked_alive,
        }) = self.stages.get_mut(&link)
        {
            *claimed = Some(name);
            *was_asked_alive = is_asked_alive;
        }
    }

    /// The link was authenticated and admitted; what it was before has been removed.
    pub(super) fn up(&mut self, connection: Connection, since: Instant) {
        self.stages
            .insert(connection.link, Stage::Up { connection, since });
    }

    pub(super) fn remove(&mut self, link: LinkId) -> Option<Stage> {
        let stage = self.stages.remove(&link)?;
        self.held.remove(&link);
        match &stage {
            Stage::Dial { deadline, .. } => {
                self.dials -= 1;
                if let Some(at) = deadline {
                    self.deadlines.remove(&(*at, link));
                }
            }
            Stage::Setup { .. } => {
                self.setups.remove(&link);
            }
            Stage::Up { .. } => {}
        }
        Some(stage)
    }

    /// Takes out the dials that took too long.
    pub(super) fn overdue_dials(&mut self, now: Instant) -> Vec<(LinkId, NodeName)> {
        let mut overdue = Vec::new();
        while let Some(&(at, link)) = self.deadlines.first() {
            if at > now {
                break;
            }
            self.deadlines.pop_first();
            if let Some(Stage::Dial { peer, .. }) = self.remove(link) {
                overdue.push((link, peer));
            }
        }
        overdue
    }

    pub(super) fn next_overdue(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    pub(super) fn get(&self, link: LinkId) -> Option<&Stage> {
        self.stages.get(&link)
    }

    pub(super) fn connection(&self, link: LinkId) -> Option<&Connection> {
        match self.stages.get(&link) {
            Some(Stage::Up { connection, .. }) => Some(connection),
            _ => None,
        }
    }

    /// Whether somebody who is not authenticated claims this name.
    pub(super) fn is_claimed(&self, name: &NodeName) -> bool {
        self.setups.iter().any(|link| match self.stages.get(link) {
            Some(Stage::Setup { claimed, .. }) => claimed.as_ref() == Some(name),
            _ => false,
        })
    }

    pub(super) fn oldest_setup_over(&self, max: usize) -> Option<LinkId> {
        if self.setups.len() > max {
            self.setups.first().copied()
        } else {
            None
        }
    }

    pub(super) fn ids(&self) -> Vec<LinkId> {
        self.stages.keys().copied().collect()
    }

    pub(super) fn dials(&self) -> usize {
        self.dials
    }

    pub(super) fn setups(&self) -> usize {
        self.setups.len()
    }

    fn next(&mut self) -> LinkId {
        self.last += 1;
        LinkId(self.last)
    }
}
