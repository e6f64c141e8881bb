//! What happens at the bounds, and what holds whatever comes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[test]
fn of_too_many_handshakes_the_oldest_is_closed() {
    let mut world = World::with("z@h", |config| config.max_setups = 2);
    world.inbound("a@h");
    world.inbound("b@h");
    world.told();
    world.accept();
    assert_eq!(world.told(), ["close 1 too_many_setups"]);
    assert_eq!(world.plan.setups(), 2);
}

#[test]
fn without_room_for_a_socket_the_oldest_handshake_is_closed_and_no_link() {
    let mut world = World::new("z@h");
    let link = world.inbound("a@h");
    world.authenticated(link, "a@h", 7, Direction::Accepted);
    world.inbound("b@h");
    world.inbound("c@h");
    world.told();
    let now = world.now;
    for told in [
        &["close 2 too_many_setups"][..],
        &["close 3 too_many_setups"],
        &[],
    ] {
        world.plan.handle_no_room(now);
        assert_eq!(world.told(), told);
    }
    assert!(world.plan.connection(&name("a@h")).is_some());
}

#[test]
fn an_authenticated_link_is_no_handshake_any_more() {
    let mut world = World::with("z@h", |config| config.max_setups = 1);
    let link = world.inbound("a@h");
    world.authenticated(link, "a@h", 7, Direction::Accepted);
    world.inbound("b@h");
    assert!(world.plan.connection(&name("a@h")).is_some());
}

#[test]
fn dials_over_the_limit_wait_for_room() {
    let mut world = World::with("a@h", |config| config.max_dials = 2);
    for text in ["b@h", "c@h", "d@h"] {
        world.want(text);
    }
    assert_eq!(world.told(), ["dial 1 b@h", "dial 2 c@h"]);
    world.dial_failed(LinkId(1), DialFailure::Refused);
    assert_eq!(
        world.told(),
        ["failed b@h refused again first", "dial 3 d@h"]
    );
}

#[test]
fn peers_over_the_limit_are_neither_dialled_nor_admitted() {
    let mut world = World::with("a@h", |config| config.max_peers = 1);
    world.connect("b@h");
    world.want("c@h");
    let link = world.inbound("d@h");
    world.authenticated(link, "d@h", 7, Direction::Accepted);
    let told = ["too many c@h", "answer 2 Accept", "answer 2 Discard"];
    assert_eq!(world.told(), told);
    assert_eq!(world.plan.counters().refused_peers, 2);
}

#[test]
fn claims_leave_nothing_behind() {
    let mut world = World::new("z@h");
    for i in 0..1000 {
        let link = world.inbound(&format!("n{i}@h"));
        world.closed(link, LinkError::Closed);
    }
    assert_eq!((world.plan.known_peers(), world.plan.setups()), (0, 0));
}

/// What the driver does with one of its links.
#[derive(Clone, Copy, Debug)]
enum Step {
    Want(usize),
    Leave(usize),
    Prune(usize),
    Connect(usize),
    Disconnect(usize),
    Away,
    Inbound(usize),
    Authenticate(usize, u32),
    Alive(usize),
    Dialled(usize),
    Close(usize, usize),
    Fail(usize),
    Pass(u64),
    Shutdown,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..4_usize;
    let link = 0..12_usize;
    let step = prop_oneof![
        3 => who.clone().prop_map(Step::Want),
        1 => who.clone().prop_map(Step::Leave),
        1 => who.clone().prop_map(Step::Prune),
        1 => who.clone().prop_map(Step::Connect),
        1 => who.clone().prop_map(Step::Disconnect),
        1 => Just(Step::Away),
        4 => who.prop_map(Step::Inbound),
        6 => (link.clone(), 4..6_u32).prop_map(|(link, creation)| Step::Authenticate(link, creation)),
        2 => link.clone().prop_map(Step::Alive),
        1 => link.clone().prop_map(Step::Dialled),
        3 => (link.clone(), 0..6_usize).prop_map(|(link, error)| Step::Close(link, error)),
        1 => link.prop_map(Step::Fail),
        3 => (0..12_000_u64).prop_map(Step::Pass),
    ];
    (proptest::collection::vec(step, 0..120), any::<bool>()).prop_map(|(mut steps, ends)| {
        steps.extend(ends.then_some(Step::Shutdown));
        steps
    })
}

/// A driver that knows of each link who is at the other end, and checks every action.
struct Driver {
    world: World,
    /// Links that live, with the peer's name and who dialled.
    links: BTreeMap<LinkId, (NodeName, Direction)>,
    up: BTreeMap<NodeName, Connection>,
    seen: BTreeSet<ConnectionId>,
    /// For whom the user waits.
    asked: BTreeSet<NodeName>,
}

impl Driver {
    fn new() -> Self {
        let world = World::with("c@h", |config| {
            config.max_setups = 6;
            config.max_dials = 2;
        });
        Self {
            world,
            links: BTreeMap::new(),
            up: BTreeMap::new(),
            seen: BTreeSet::new(),
            asked: BTreeSet::new(),
        }
    }

    fn step(&mut self, step: Step) {
        // The third is our own name.
        let text = |who: usize| ["a@h", "b@h", "c@h", "d@h"][who];
        let now = self.world.now;
        match step {
            Step::Want(who) => self.world.want(text(who)),
            Step::Leave(who) => self.world.leave(text(who)),
            Step::Prune(who) => {
                self.world
                    .plan
                    .handle_intent(now, Intent::Prune(name(text(who))));
            }
            Step::Connect(who) => {
                if !self.up.contains_key(&name(text(who))) {
                    self.asked.insert(name(text(who)));
                }
                self.world.plan.handle_connect(now, peer(text(who)));
            }
            Step::Disconnect(who) => {
                self.world.plan.handle_disconnect(now, &name(text(who)));
                self.check();
                assert!(!self.asked.contains(&name(text(who))));
            }
            Step::Inbound(who) => {
                let link = self.world.inbound(text(who));
                self.links
                    .insert(link, (name(text(who)), Direction::Accepted));
            }
            Step::Away => self.world.plan.handle_leave(now, 5 * SECOND),
            Step::Pass(millis) => self.world.pass(Duration::from_millis(millis)),
            Step::Shutdown => self.world.plan.handle_shutdown(now),
            Step::Authenticate(which, _)
            | Step::Alive(which)
            | Step::Dialled(which)
            | Step::Close(which, _)
            | Step::Fail(which) => {
                if let Some(&link) = self.links.keys().nth(which) {
                    self.step_link(step, link);
                }
            }
        }
        self.check();
    }

    fn step_link(&mut self, step: Step, link: LinkId) {
        let now = self.world.now;
        let (peer, direction) = self.links[&link].clone();
        match step {
            Step::Authenticate(_, creation) => {
                self.world
                    .authenticated(link, peer.as_str(), creation, direction);
            }
            Step::Alive(_) => self.world.plan.handle_question(now, link, Question::Alive),
            Step::Dialled(_) => self.world.plan.handle_dialled(now, link),
            Step::Close(_, error) => {
                self.links.remove(&link);
                let error = match error {
                    0 => LinkError::Closed,
                    1 => LinkError::Nok,
                    2 => LinkError::ClosedAfterDigest { peer },
                    3 => LinkError::TickTimeout,
                    4 => LinkError::GivenUp,
                    _ => LinkError::WrongDigest { peer },
                };
                self.world.closed(link, error);
            }
            _ => {
                self.links.remove(&link);
                self.world.dial_failed(link, DialFailure::Refused);
            }
        }
    }

    /// Lets every dial fail until nobody waits any more, which must not take long.
    fn answer_everybody(&mut self) {
        for _ in 0..20 {
            let is_dial = |link: &LinkId| self.links[link].1 == Direction::Dialled;
            let dials: Vec<_> = self.links.keys().copied().filter(is_dial).collect();
            for link in dials {
                self.links.remove(&link);
                self.world.closed(link, LinkError::Closed);
            }
            self.step(Step::Pass(1_000));
        }
        assert_eq!(self.asked, BTreeSet::new(), "nobody told the user");
    }

    fn check(&mut self) {
        while let Some(action) = self.world.plan.poll_action() {
            match action {
                Action::Dial { link, peer } => {
                    assert_ne!(peer.name().as_str(), "c@h", "our own name is dialled");
                    let name = peer.name().clone();
                    self.links.insert(link, (name, Direction::Dialled));
                }
                Action::Close { link, .. } => drop(self.links.remove(&link)),
                Action::Nodeup(connection) => {
                    assert!(self.seen.insert(connection.connection), "two nodeups");
                    self.asked.remove(&connection.name);
                    let old = self.up.insert(connection.name.clone(), connection);
                    assert_eq!(old, None, "two live links");
                }
                Action::Nodedown { connection, .. } => {
                    let was = self.up.remove(&connection.name);
                    assert_eq!(was, Some(connection), "a nodedown without nodeup");
                }
                Action::DialFailed { peer, .. } => drop(self.asked.remove(&peer)),
                Action::Answer { .. } | Action::WrongCookie { .. } | Action::Warn(_) => {}
            }
        }
        let connected: Vec<_> = self.world.plan.connected().cloned().collect();
        assert_eq!(connected, self.up.values().cloned().collect::<Vec<_>>());
        assert!(self.world.plan.dialling() <= 2);
        assert!(self.world.plan.setups() <= 6);
        assert!(self.world.plan.known_peers() <= 4);
        assert!(
            self.world
                .plan
                .deadline()
                .is_none_or(|at| at > self.world.now)
        );
    }
}

proptest! {
    /// Whatever a driver reports in whatever order: every nodeup has one nodedown, there is one
    /// live link per peer, the limits hold, no deadline stays in the past, and who asked for a
    /// connect hears how it went.
    #[test]
    fn the_promises_hold_whatever_comes(steps in steps()) {
        let mut driver = Driver::new();
        let ends = matches!(steps.last(), Some(Step::Shutdown));
        for step in steps {
            driver.step(step);
        }
        if ends {
            prop_assert!(driver.up.is_empty());
            prop_assert_eq!(driver.world.plan.deadline(), None);
        } else {
            driver.answer_everybody();
        }
    }
}
