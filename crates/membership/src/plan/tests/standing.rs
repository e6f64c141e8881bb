//! What a source says of dialling a peer, and of our own end.

use super::*;
use crate::{Sighting, Standing};

impl World {
    fn sight(&mut self, text: &str, standing: Standing, life: u64) {
        let sighting = Sighting::from(peer(text))
            .with_standing(standing)
            .with_life(life);
        self.plan.handle_intent(self.now, Intent::Want(sighting));
    }

    fn drain(&mut self, draining: bool) {
        self.plan.handle_intent(self.now, Intent::Drain(draining));
    }

    /// Lets the dials that are polled fail, and what that makes pass by.
    fn fail_dials(&mut self) -> usize {
        let mut dials = 0;
        while let Some(action) = self.plan.poll_action() {
            if let Action::Dial { link, .. } = action {
                dials += 1;
                self.dial_failed(link, DialFailure::Refused);
            }
        }
        dials
    }
}

#[test]
fn those_that_are_ready_are_dialled_first() {
    let mut world = World::new("a@h");
    world.sight("b@h", Standing::Unready, 1);
    world.sight("c@h", Standing::Ready, 1);
    assert_eq!(world.told(), ["dial 1 c@h"]);
    assert_eq!(world.wait(), Duration::from_millis(250));
    assert_eq!(world.told(), ["dial 2 b@h"]);
}

#[test]
fn who_turns_ready_meanwhile_is_dialled_at_once() {
    let mut world = World::new("a@h");
    world.sight("b@h", Standing::Unready, 1);
    world.pass(Duration::from_millis(100));
    world.sight("b@h", Standing::Ready, 2);
    assert_eq!(world.told(), ["dial 1 b@h"]);
}

#[test]
fn turning_unready_or_silent_ends_no_link_and_no_dial() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    world.want("c@h");
    world.told();
    for standing in [Standing::Unready, Standing::Silent] {
        world.sight("b@h", standing, 0);
        world.sight("c@h", standing, 0);
    }
    assert_eq!(world.told(), [""; 0]);
    assert_eq!(world.plan.dialling(), 1);
    assert_eq!(world.plan.connection(&name("b@h")).unwrap().link, link);
}

#[test]
fn who_is_silent_is_not_dialled_and_is_at_once_when_heard_again() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    world.sight("b@h", Standing::Silent, 0);
    world.sight("c@h", Standing::Silent, 0);
    world.pass(5 * SECOND);
    world.closed(link, LinkError::TickTimeout);
    world.pass(60 * SECOND);
    assert_eq!(world.told(), ["nodedown 1 b@h net_tick_timeout"]);
    assert_eq!(world.plan.deadline(), None);
    world.sight("b@h", Standing::Ready, 0);
    world.sight("c@h", Standing::Unready, 0);
    assert_eq!(world.told(), ["dial 2 b@h", "dial 3 c@h"]);
}

#[test]
fn the_user_reaches_who_is_silent() {
    let mut world = World::new("a@h");
    world.sight("b@h", Standing::Silent, 0);
    world.plan.handle_connect(world.now, peer("b@h"));
    assert_eq!(world.told(), ["dial 1 b@h"]);
    world.dial_failed(LinkId(1), DialFailure::Refused);
    world.pass(60 * SECOND);
    assert_eq!(world.told(), ["failed b@h refused again first"]);
}

#[test]
fn another_life_ends_the_back_off_once_in_a_while() {
    let mut world = World::new("a@h");
    world.want("b@h");
    for _ in 0..6 {
        assert_eq!(world.fail_dials(), 1);
        world.wait();
    }
    assert_eq!(world.fail_dials(), 1);
    world.sight("b@h", Standing::Ready, 1);
    assert_eq!(world.fail_dials(), 1, "another life is dialled at once");
    // Its failures are forgotten: the next dial comes after the shortest back-off.
    assert!(world.wait() <= Duration::from_millis(313));
    assert_eq!(world.fail_dials(), 1);
    world.sight("b@h", Standing::Ready, 2);
    assert_eq!(world.fail_dials(), 0, "and the next life is too soon");
    world.pass(5 * SECOND);
    world.fail_dials();
    world.sight("b@h", Standing::Ready, 3);
    assert_eq!(world.fail_dials(), 1);
}

#[test]
fn a_life_that_changes_while_the_link_is_up_uses_nothing_up() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    world.pass(SECOND);
    world.sight("b@h", Standing::Unready, 1);
    assert_eq!(world.told(), [""; 0]);
    world.closed(link, LinkError::Closed);
    world.told();
    world.sight("b@h", Standing::Ready, 2);
    assert_eq!(world.told(), ["dial 2 b@h"]);
}

#[test]
fn a_source_that_flaps_between_silent_and_heard_or_between_lives_makes_no_storm() {
    for (standings, lives) in [
        ([Standing::Silent, Standing::Ready], 1),
        ([Standing::Ready; 2], 2),
    ] {
        let mut world = World::new("a@h");
        world.want("b@h");
        let mut dials = 0;
        for step in 0..6_000_usize {
            world.sight("b@h", standings[step % 2], step as u64 % lives);
            dials += world.fail_dials();
            world.pass(Duration::from_millis(10));
        }
        // One a back-off, and one more each five seconds, after which the back-off begins anew.
        assert!((12..=80).contains(&dials), "{dials} dials in a minute");
    }
}

#[test]
fn who_is_being_ended_dials_nobody_but_for_its_user() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    world.drain(true);
    world.want("c@h");
    world.pass(5 * SECOND);
    world.closed(link, LinkError::Closed);
    world.pass(60 * SECOND);
    assert_eq!(world.told(), ["nodedown 1 b@h connection_closed"]);
    assert_eq!(world.plan.deadline(), None);
    world.plan.handle_connect(world.now, peer("d@h"));
    assert_eq!(world.told(), ["dial 2 d@h"]);
    world.dial_failed(LinkId(2), DialFailure::Refused);
    world.told();
    world.plan.handle_connect(world.now, peer("c@h"));
    assert_eq!(world.told(), ["dial 3 c@h"]);
    world.dial_failed(LinkId(3), DialFailure::Refused);
    world.pass(60 * SECOND);
    assert_eq!(world.told(), ["failed c@h refused again first"]);
}

#[test]
fn when_our_end_is_called_off_everybody_is_dialled() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    let stays = world.connect("e@h");
    world.drain(true);
    world.want("c@h");
    world.sight("d@h", Standing::Silent, 0);
    world.pass(5 * SECOND);
    world.closed(link, LinkError::Closed);
    world.pass(SECOND);
    world.told();
    world.drain(false);
    assert_eq!(world.told(), ["dial 3 b@h", "dial 4 c@h"]);
    assert_eq!(world.plan.connection(&name("e@h")).unwrap().link, stays);
    world.drain(false);
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn an_end_that_is_announced_and_called_off_all_the_time_makes_no_storm() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let mut dials = 0;
    for step in 0..6_000 {
        world.drain(step % 2 == 0);
        dials += world.fail_dials();
        world.pass(Duration::from_millis(10));
    }
    // A dial that is due while we are being ended comes when that is called off.
    assert!((6..=40).contains(&dials), "{dials} dials in a minute");
}

#[test]
fn a_dial_that_runs_when_our_end_is_announced_goes_on() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let dial = world.dial();
    world.drain(true);
    world.authenticated(dial, "b@h", 7, Direction::Dialled);
    assert_eq!(world.told(), ["nodeup 1 1 b@h", "answer 1 Admit"]);
}

#[test]
fn others_may_still_dial_us_while_we_are_being_ended() {
    let mut world = World::new("a@h");
    world.drain(true);
    let link = world.inbound("b@h");
    world.authenticated(link, "b@h", 7, Direction::Accepted);
    assert!(world.told().contains(&"nodeup 1 1 b@h".to_owned()));
}

/// A pod that died silently, and whose address belongs to a node of another name by now.
#[test]
fn hearsay_of_a_peer_that_was_never_met_is_believed_until_it_is_denied_three_times() {
    for denial in [
        Failure::WrongName,
        Failure::Dial(DialFailure::NotRegistered),
    ] {
        let mut world = World::new("a@h");
        world.sight("b@h", Standing::Heard, 1);
        for _ in 0..3 {
            let link = world.dial();
            world.plan.handle_dial_failed(world.now, link, denial);
            world.pass(20 * SECOND);
        }
        let is_dial = |told: &String| told.starts_with("dial");
        assert!(!world.told().iter().any(is_dial));
        assert_eq!(world.plan.deadline(), None);
        // The user, somebody who tells of it anew and a source are worth a dial.
        world.plan.handle_connect(world.now, peer("b@h"));
        world.dial_failed(LinkId(4), DialFailure::NotRegistered);
        world.pass(20 * SECOND);
        assert_eq!(world.told().iter().filter(|told| is_dial(told)).count(), 1);
        world.sight("b@h", Standing::Heard, 2);
        assert_eq!(world.told(), ["dial 5 b@h"]);
        for link in 5..8 {
            world.dial_failed(LinkId(link), DialFailure::NotRegistered);
            world.pass(20 * SECOND);
        }
        assert_eq!(world.plan.deadline(), None);
        world.told();
        world.sight("b@h", Standing::Ready, 2);
        assert_eq!(world.told(), ["dial 8 b@h"]);
        for link in 8..12 {
            world.dial_failed(LinkId(link), DialFailure::NotRegistered);
            world.pass(20 * SECOND);
        }
        let last = world.told();
        assert_eq!(
            last.last().unwrap(),
            "dial 12 b@h",
            "of a source it is not denied"
        );
    }
}

#[test]
fn hearsay_of_a_peer_that_cannot_be_reached_is_believed() {
    let mut world = World::new("a@h");
    world.sight("b@h", Standing::Heard, 1);
    for _ in 0..9 {
        let link = world.dial();
        world.dial_failed(link, DialFailure::Unreachable);
        world.pass(20 * SECOND);
    }
    world.dial();
}

/// It may have been the pod whose end nobody has noticed yet, at an address that is another pod's by now.
#[test]
fn hearsay_of_a_peer_that_was_met_is_believed_until_it_could_have_been_started_again() {
    let mut world = World::new("a@h");
    world.sight("b@h", Standing::Heard, 1);
    let meet = |world: &mut World| {
        let link = world.dial();
        world.authenticated(link, "b@h", 7, Direction::Dialled);
        world.closed(link, LinkError::Closed);
    };
    meet(&mut world);
    let mut lasted = Duration::ZERO;
    for _ in 0..6 {
        lasted += world.wait();
        let link = world.dial();
        world.dial_failed(link, DialFailure::NotRegistered);
    }
    assert!(lasted >= 5 * SECOND, "{lasted:?}");
    // It is there again: all is as it was.
    lasted += world.wait();
    meet(&mut world);
    for _ in 0..7 {
        lasted += world.wait();
        let link = world.dial();
        world.dial_failed(link, DialFailure::NotRegistered);
    }
    world.pass(60 * SECOND);
    assert_eq!(world.plan.deadline(), None);
    world.told();
    world.sight("b@h", Standing::Heard, 2);
    assert_eq!(world.dial(), LinkId(16));
}
