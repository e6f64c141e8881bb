//! When peers are dialled.

use super::*;
use crate::Sighting;

#[test]
fn one_dead_peer_never_delays_another() {
    let mut world = World::new("a@h");
    world.want("b@h");
    world.want("c@h");
    assert_eq!(world.told(), ["dial 1 b@h", "dial 2 c@h"]);
}

#[test]
fn back_off_doubles_from_a_quarter_second_to_ten_seconds() {
    let mut world = World::new("a@h");
    world.want("b@h");
    for millis in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
        let dial = world.dial();
        world.dial_failed(dial, DialFailure::Refused);
        let waited = world.wait();
        let step = Duration::from_millis(millis);
        assert!(
            waited >= step.mul_f64(0.75) && waited <= step.mul_f64(1.25),
            "{waited:?}"
        );
    }
}

#[test]
fn a_failure_is_news_once_and_again_when_it_changes() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let mut fail = |failure| {
        let dial = world.dial();
        world.dial_failed(dial, failure);
        let told = world.told();
        world.wait();
        told
    };
    assert_eq!(
        fail(DialFailure::Refused),
        ["failed b@h refused again first"]
    );
    assert_eq!(fail(DialFailure::Refused), ["failed b@h refused again"]);
    assert_eq!(
        fail(DialFailure::TimedOut),
        ["failed b@h timed_out again first"]
    );
}

#[test]
fn a_dial_without_an_end_is_ended_after_seven_seconds() {
    let mut world = World::new("a@h");
    world.want("b@h");
    world.told();
    assert_eq!(world.wait(), 7 * SECOND);
    assert_eq!(
        world.told(),
        ["close 1 timed_out", "failed b@h timed_out again first"]
    );
    world.dial_failed(LinkId(1), DialFailure::TimedOut);
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn a_dial_with_a_socket_has_the_time_that_the_handshake_takes() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let dial = world.dial();
    world.plan.handle_dialled(world.now, dial);
    assert_eq!(world.plan.deadline(), None);
}

#[test]
fn after_a_stable_link_fell_the_peer_is_dialled_within_a_quarter_second() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    world.pass(5 * SECOND);
    world.closed(link, LinkError::TickTimeout);
    assert_eq!(world.told(), ["nodedown 1 b@h net_tick_timeout"]);
    assert!(world.wait() <= Duration::from_millis(250));
    assert_eq!(world.told(), ["dial 2 b@h"]);
}

#[test]
fn links_that_fall_early_are_dialled_ever_later() {
    let mut world = World::new("a@h");
    let mut link = world.connect("b@h");
    for millis in [250, 500, 1000, 2000] {
        world.pass(SECOND);
        world.closed(link, LinkError::Closed);
        let waited = world.wait();
        assert!(
            waited >= Duration::from_millis(millis * 3 / 4),
            "{waited:?}"
        );
        link = world.dial();
        world.authenticated(link, "b@h", 7, Direction::Dialled);
    }
}

#[test]
fn a_stable_link_is_forgiving_even_if_another_one_took_its_place() {
    let mut world = World::new("a@h");
    world.want("b@h");
    for _ in 0..7 {
        let dial = world.dial();
        world.dial_failed(dial, DialFailure::Refused);
        world.wait();
    }
    let dial = world.dial();
    world.authenticated(dial, "b@h", 7, Direction::Dialled);
    world.pass(5 * SECOND);
    let next_life = world.inbound("b@h");
    world.authenticated(next_life, "b@h", 8, Direction::Accepted);
    world.closed(next_life, LinkError::Closed);
    assert!(world.wait() <= Duration::from_millis(313));
}

#[test]
fn leaving_ends_dialling_and_not_life() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    world.want("c@h");
    world.told();
    world.leave("b@h");
    world.leave("c@h");
    assert_eq!(world.told(), ["close 2 unwanted"]);
    world.closed(link, LinkError::Closed);
    assert_eq!(world.told(), ["nodedown 1 b@h connection_closed"]);
    // The back-off of who was being dialled, or fell early, is remembered until it has passed.
    assert_eq!(world.plan.known_peers(), 2);
    world.wait();
    world.wait();
    assert_eq!(world.told(), [""; 0]);
    assert_eq!((world.plan.deadline(), world.plan.known_peers()), (None, 0));
}

#[test]
fn a_source_that_flaps_makes_no_dial_storm() {
    let mut world = World::new("a@h");
    for _ in 0..100 {
        world.want("b@h");
        world.pass(Duration::from_millis(50));
        world.leave("b@h");
        world.pass(Duration::from_millis(50));
    }
    // Ten seconds hold dials after 0, 1/4, 1/2, 1, 2 and 4 s, give or take a quarter.
    assert!(
        (5..=7).contains(&world.plan.counters().dials),
        "{:?}",
        world.plan.counters()
    );
}

#[test]
fn a_source_that_flaps_makes_no_dial_storm_where_leaving_closes_links() {
    let mut world = World::new("a@h");
    let mut dials = 0;
    for _ in 0..100 {
        world.want("b@h");
        while let Some(action) = world.plan.poll_action() {
            if let Action::Dial { link, .. } = action {
                dials += 1;
                world.authenticated(link, "b@h", 7, Direction::Dialled);
            }
        }
        world.pass(Duration::from_millis(50));
        world.leave("b@h");
        let prune = Intent::Prune(name("b@h"));
        world.plan.handle_intent(world.now, prune);
        world.pass(Duration::from_millis(50));
    }
    assert!((5..=8).contains(&dials), "{dials}");
}

#[test]
fn pruning_closes_the_live_link_and_a_visible_member_warns() {
    let mut world = World::with("a@h", |config| config.visible = true);
    world.connect("b@h");
    world.leave("b@h");
    world
        .plan
        .handle_intent(world.now, Intent::Prune(name("b@h")));
    let told = [
        "visible close b@h",
        "close 1 pruned",
        "nodedown 1 b@h pruned",
    ];
    assert_eq!(world.told(), told);
    world
        .plan
        .handle_intent(world.now, Intent::Prune(name("b@h")));
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn nobody_is_warned_of_a_close_that_global_does_not_see() {
    for (own_visible, peer_visible) in [(false, true), (true, false), (false, false)] {
        let mut world = World::with("a@h", |config| config.visible = own_visible);
        world.peer_visible = peer_visible;
        world.connect("b@h");
        world.leave("b@h");
        let prune = Intent::Prune(name("b@h"));
        world.plan.handle_intent(world.now, prune);
        assert_eq!(world.told(), ["close 1 pruned", "nodedown 1 b@h pruned"]);
    }
}

#[test]
fn a_peer_that_moved_is_dialled_at_once() {
    let mut world = World::new("a@h");
    world.want("b@h");
    for _ in 0..6 {
        let dial = world.dial();
        world.dial_failed(dial, DialFailure::Unreachable);
        world.wait();
    }
    let dial = world.dial();
    let moved = peer("b@h").with_port(9);
    world
        .plan
        .handle_intent(world.now, Intent::Want(moved.into()));
    assert_eq!(world.told(), [""; 0]);
    world.dial_failed(dial, DialFailure::Unreachable);
    assert_eq!(world.told()[1..], ["dial 8 b@h at port 9"]);
}

#[test]
fn neither_our_name_nor_our_address_is_dialled() {
    let mut world = World::with("a@h", |config| {
        config.own_addrs = vec!["10.0.0.1:9".parse().unwrap(), "0.0.0.0:8".parse().unwrap()];
    });
    world.want("a@h");
    assert_eq!(world.told(), [""; 0]);
    let mut check = |text: &str, address: &str, port, told: &str| {
        let addr = peer(text)
            .with_address(address.parse().unwrap())
            .with_port(port);
        world
            .plan
            .handle_intent(world.now, Intent::Want(addr.into()));
        assert_eq!(world.told(), [told]);
    };
    check("b@h", "10.0.0.1", 9, "failed b@h own_address again first");
    check(
        "c@h",
        "::ffff:10.0.0.1",
        9,
        "failed c@h own_address again first",
    );
    check("d@h", "127.0.0.1", 8, "failed d@h own_address again first");
    check("e@h", "10.0.0.1", 10, "dial 1 e@h at 10.0.0.1:10");
    check("f@h", "10.0.0.2", 9, "dial 2 f@h at 10.0.0.2:9");
    world.plan.handle_connect(world.now, peer("a@h"));
    assert_eq!(world.told(), ["failed a@h own_address never again first"]);
}

/// Ends the next dial as a peer does that has another cookie, and says what is told of it.
fn refused_digest(world: &mut World) -> Vec<String> {
    let dial = world.dial();
    world.closed(dial, LinkError::ClosedAfterDigest { peer: name("b@h") });
    world.told()
}

#[test]
fn a_wrong_cookie_is_said_once_for_each_direction_and_waits_longest() {
    let mut world = World::new("a@h");
    world.want("b@h");
    assert_eq!(refused_digest(&mut world), [""; 0]);
    assert!(
        world.wait() <= Duration::from_millis(313),
        "it is asked again"
    );
    let told = ["cookie b@h Dialled false", "failed b@h wrong_cookie again"];
    assert_eq!(refused_digest(&mut world), told);
    assert!(world.wait() >= 7 * SECOND);
    let told = ["failed b@h wrong_cookie again"];
    assert_eq!(refused_digest(&mut world), told);
    assert_eq!(world.plan.counters().failed_dials, 3);
    for told in [
        &["answer 4 Accept", "cookie b@h Accepted true"][..],
        &["answer 5 Accept"],
    ] {
        let link = world.inbound("b@h");
        world.closed(link, LinkError::WrongDigest { peer: name("b@h") });
        assert_eq!(world.told(), told);
    }
    // Once it was up, another wrong cookie is news.
    world.wait();
    let dial = world.dial();
    world.authenticated(dial, "b@h", 7, Direction::Dialled);
    world.closed(dial, LinkError::Closed);
    world.wait();
    let dial = world.dial();
    world.closed(dial, LinkError::AckWrongDigest { peer: name("b@h") });
    assert_eq!(world.told()[0], "cookie b@h Dialled true");
}

#[test]
fn a_peer_that_ends_after_our_digest_is_not_said_to_have_another_cookie() {
    let mut world = World::new("a@h");
    world.want("b@h");
    for _ in 0..3 {
        assert_eq!(refused_digest(&mut world), [""; 0]);
        world.wait();
        let dial = world.dial();
        world.dial_failed(dial, DialFailure::NotRegistered);
        assert!(world.told()[0].starts_with("failed b@h not_registered"));
        world.wait();
    }
    // Nor is one whose next life, of which the roster knows, comes to the same end.
    assert_eq!(refused_digest(&mut world), [""; 0]);
    let next = Sighting {
        life: 2,
        ..peer("b@h").into()
    };
    world.plan.handle_intent(world.now, Intent::Want(next));
    assert_eq!(refused_digest(&mut world), [""; 0]);
    // Whoever asked for the dial is told once it is certain enough.
    let mut world = World::new("a@h");
    world.plan.handle_connect(world.now, peer("b@h"));
    assert_eq!(refused_digest(&mut world), [""; 0]);
    world.wait();
    let told = [
        "cookie b@h Dialled false",
        "failed b@h wrong_cookie never again",
    ];
    assert_eq!(refused_digest(&mut world), told);
    assert_eq!(world.plan.known_peers(), 0);
}

#[test]
fn a_stranger_cannot_slow_our_dials_down() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let dial = world.dial();
    for _ in 0..3 {
        let liar = world.inbound("b@h");
        world.closed(liar, LinkError::WrongDigest { peer: name("b@h") });
    }
    world.dial_failed(dial, DialFailure::Refused);
    assert!(world.wait() <= Duration::from_millis(313));
}

#[test]
fn the_users_connect_dials_once_at_once() {
    let mut world = World::new("a@h");
    world.plan.handle_connect(world.now, peer("b@h"));
    let dial = world.dial();
    world.dial_failed(dial, DialFailure::Refused);
    assert_eq!(world.told(), ["failed b@h refused never again first"]);
    assert_eq!((world.plan.deadline(), world.plan.known_peers()), (None, 0));
    world.want("c@h");
    let dial = world.dial();
    world.dial_failed(dial, DialFailure::Refused);
    world.plan.handle_connect(world.now, peer("c@h"));
    assert_eq!(world.told()[1..], ["dial 3 c@h"]);
}

#[test]
fn the_users_disconnect_ends_the_users_dial_and_says_so() {
    let mut world = World::new("a@h");
    world.plan.handle_connect(world.now, peer("b@h"));
    world.told();
    world.plan.handle_disconnect(world.now, &name("b@h"));
    assert_eq!(
        world.told(),
        ["close 1 disconnect", "failed b@h given_up never again"]
    );
    assert_eq!(world.plan.known_peers(), 0);
}

#[test]
fn the_users_disconnect_holds_for_the_longest_back_off() {
    let mut world = World::new("a@h");
    world.connect("b@h");
    world.plan.handle_disconnect(world.now, &name("b@h"));
    assert_eq!(
        world.told(),
        ["close 1 disconnect", "nodedown 1 b@h disconnect"]
    );
    assert!(world.wait() >= 7 * SECOND);
    assert_eq!(world.told(), ["dial 2 b@h"]);
}

#[test]
fn shutdown_closes_everything_and_dials_nobody() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    world.want("c@h");
    world.inbound("d@h");
    world.told();
    world.plan.handle_shutdown(world.now);
    let told = [
        "close 1 shutdown",
        "nodedown 1 b@h shutdown",
        "close 2 shutdown",
        "close 3 shutdown",
    ];
    assert_eq!(world.told(), told);
    world.closed(link, LinkError::Closed);
    world.want("e@h");
    world.plan.handle_connect(world.now, peer("f@h"));
    world.inbound("g@h");
    assert_eq!(
        world.told(),
        ["failed f@h given_up never again", "close 4 shutdown"]
    );
    assert_eq!((world.plan.deadline(), world.plan.known_peers()), (None, 0));
}

#[test]
fn a_source_that_flaps_between_addresses_makes_no_dial_storm() {
    let mut world = World::new("a@h");
    for port in [1, 2].into_iter().cycle().take(100) {
        let moved = peer("b@h").with_port(port);
        world
            .plan
            .handle_intent(world.now, Intent::Want(moved.into()));
        while let Some(action) = world.plan.poll_action() {
            if let Action::Dial { link, .. } = action {
                world.dial_failed(link, DialFailure::Refused);
            }
        }
        world.pass(Duration::from_millis(100));
    }
    // Each real move, one in five seconds, begins the back-off anew.
    let dials = world.plan.counters().dials;
    assert!((8..=14).contains(&dials), "{dials}");
}

#[test]
fn a_source_that_flaps_makes_no_dial_storm_where_the_peer_closes_links() {
    let mut world = World::new("a@h");
    for _ in 0..100 {
        world.want("b@h");
        let mut up = None;
        while let Some(action) = world.plan.poll_action() {
            if let Action::Dial { link, .. } = action {
                world.authenticated(link, "b@h", 7, Direction::Dialled);
                up = Some(link);
            }
        }
        world.pass(Duration::from_millis(50));
        world.leave("b@h");
        if let Some(link) = up {
            world.closed(link, LinkError::Closed);
        }
        world.pass(Duration::from_millis(50));
    }
    let dials = world.plan.counters().dials;
    assert!((5..=8).contains(&dials), "{dials}");
}

#[test]
fn a_dial_whose_task_died_is_a_failed_one() {
    let mut world = World::new("a@h");
    world.plan.handle_connect(world.now, peer("b@h"));
    let dial = world.dial();
    // The plan did not discard it, so that the driver must have lost it.
    world.closed(dial, LinkError::Discarded);
    assert_eq!(world.told(), ["failed b@h closed never again first"]);
    assert_eq!((world.plan.deadline(), world.plan.known_peers()), (None, 0));
}
