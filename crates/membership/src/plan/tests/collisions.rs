//! Which of two colliding links lives.

use super::*;

#[test]
fn an_inbound_link_of_a_stranger_name_is_accepted_and_admitted() {
    let mut world = World::new("b@h");
    let link = world.inbound("a@h");
    assert_eq!(world.told(), ["answer 1 Accept"]);
    world.authenticated(link, "a@h", 7, Direction::Accepted);
    assert_eq!(world.told(), ["nodeup 1 1 a@h", "answer 1 Admit"]);
    world.closed(link, LinkError::Closed);
    assert_eq!(world.told(), ["nodedown 1 a@h connection_closed"]);
    // In no topology, so nobody dials it, and nothing is remembered.
    assert_eq!((world.plan.deadline(), world.plan.known_peers()), (None, 0));
}

#[test]
fn our_own_name_is_not_let_in() {
    let mut world = World::new("b@h");
    world.inbound("b@h");
    assert_eq!(world.told(), ["answer 1 NotAllowed"]);
    assert_eq!(world.plan.setups(), 0);
}

#[test]
fn the_dial_of_the_greater_name_goes_first() {
    let mut greater = World::new("b@h");
    greater.want("a@h");
    greater.inbound("a@h");
    assert_eq!(greater.told(), ["dial 1 a@h", "answer 2 Nok"]);

    let mut lesser = World::new("a@h");
    lesser.want("b@h");
    let inbound = lesser.inbound("b@h");
    assert_eq!(lesser.told(), ["dial 1 b@h", "answer 2 AcceptSimultaneous"]);
    lesser.authenticated(inbound, "b@h", 7, Direction::Accepted);
    assert_eq!(
        lesser.told(),
        ["close 1 unwanted", "nodeup 1 2 b@h", "answer 2 Admit"]
    );
}

#[test]
fn a_mere_claim_does_not_end_our_dial() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let dial = world.dial();
    let liar = world.inbound("b@h");
    world.closed(liar, LinkError::WrongDigest { peer: name("b@h") });
    assert_eq!(
        world.told(),
        ["answer 2 AcceptSimultaneous", "cookie b@h Accepted true"]
    );
    world.authenticated(dial, "b@h", 7, Direction::Dialled);
    assert_eq!(world.told(), ["nodeup 1 1 b@h", "answer 1 Admit"]);
}

#[test]
fn a_dial_that_gets_nowhere_keeps_the_peer_out_for_a_second_only() {
    let mut world = World::new("b@h");
    world.want("a@h");
    let dial = world.dial();
    world.pass(SECOND);
    world.inbound("a@h");
    assert_eq!(world.told(), ["answer 2 AcceptSimultaneous"]);
    world.plan.handle_dialled(world.now, dial);
    world.inbound("a@h");
    assert_eq!(world.told(), ["answer 3 Nok"]);
}

#[test]
fn nok_is_no_failure_and_the_peer_has_a_second_to_connect() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let dial = world.dial();
    world.closed(dial, LinkError::Nok);
    assert_eq!(world.told(), [""; 0]);
    assert_eq!(world.wait(), SECOND);
    assert_eq!(world.told(), ["dial 2 b@h"]);
}

#[test]
fn who_says_nok_for_ever_counts_as_failed() {
    let mut world = World::new("a@h");
    world.want("b@h");
    for _ in 0..5 {
        let dial = world.dial();
        world.closed(dial, LinkError::Nok);
        world.wait();
    }
    let dial = world.dial();
    world.closed(dial, LinkError::Nok);
    assert_eq!(world.told(), ["failed b@h nok again first"]);
}

#[test]
fn a_dial_is_put_off_once_for_who_claims_to_be_the_peer() {
    let mut world = World::new("b@h");
    world.inbound("a@h");
    world.want("a@h");
    assert_eq!(world.told(), ["answer 1 Accept"]);
    assert_eq!(world.wait(), SECOND);
    assert_eq!(world.told(), ["dial 2 a@h"]);
}

#[test]
fn who_the_user_wants_is_asked_again_a_millisecond_after_nok_and_ever_more_rarely() {
    let mut world = World::new("a@h");
    world.plan.handle_connect(world.now, peer("b@h"));
    let (mut tries, begin) = (1, world.now);
    loop {
        let dial = world.dial();
        world.closed(dial, LinkError::Nok);
        if world.plan.deadline().is_none() {
            break;
        }
        // Others who ask meanwhile change nothing.
        world.plan.handle_connect(world.now, peer("b@h"));
        let step = Duration::from_millis(1 << (tries - 1));
        assert_eq!(world.wait(), step.min(SECOND));
        tries += 1;
    }
    assert_eq!(world.told(), ["failed b@h nok never again first"]);
    assert_eq!((tries, world.plan.known_peers()), (15, 0));
    let waited = world.now - begin;
    assert!((4 * SECOND..=6 * SECOND).contains(&waited), "{waited:?}");
}

#[test]
fn the_users_connect_does_not_inherit_the_pauses_of_discovery() {
    let mut world = World::new("a@h");
    world.want("b@h");
    for _ in 0..4 {
        let dial = world.dial();
        world.closed(dial, LinkError::Nok);
        world.wait();
    }
    let dial = world.dial();
    world.closed(dial, LinkError::Nok);
    world.plan.handle_connect(world.now, peer("b@h"));
    let dial = world.dial();
    world.closed(dial, LinkError::Nok);
    assert_eq!(world.wait(), Duration::from_millis(1));
    let dial = world.dial();
    world.authenticated(dial, "b@h", 7, Direction::Dialled);
    assert_eq!(world.told()[0], "nodeup 1 7 b@h");
}

#[test]
fn a_dial_that_was_put_off_goes_when_the_claim_has_ended() {
    let mut world = World::new("b@h");
    let (one, other) = (world.inbound("a@h"), world.inbound("a@h"));
    world.want("a@h");
    world.told();
    let eof = || LinkError::ClosedInSetup {
        phase: enmesh_proto::Phase::Reply,
    };
    world.closed(one, eof());
    assert_eq!(world.told(), [""; 0]);
    world.closed(other, eof());
    assert_eq!(world.told(), ["dial 3 a@h"]);
}

#[test]
fn the_users_dial_is_put_off_for_a_claim_by_a_tenth_of_a_second_however_many_ask() {
    let mut world = World::new("b@h");
    world.inbound("a@h");
    world.plan.handle_connect(world.now, peer("a@h"));
    world.pass(Duration::from_millis(60));
    world.plan.handle_connect(world.now, peer("a@h"));
    assert_eq!(world.told(), ["answer 1 Accept"]);
    assert_eq!(world.wait(), Duration::from_millis(40));
    assert_eq!(world.told(), ["dial 2 a@h"]);
}

/// A greater node whose dial has a socket, with the peer's own link, which has just been authenticated.
fn collision() -> (World, LinkId, LinkId) {
    let mut world = World::new("b@h");
    let inbound = world.inbound("a@h");
    world.want("a@h");
    world.wait();
    let dial = world.dial();
    world.plan.handle_dialled(world.now, dial);
    world.authenticated(inbound, "a@h", 7, Direction::Accepted);
    assert_eq!(world.told(), [""; 0]);
    (world, dial, inbound)
}

/// The peer admitted one of the two; only it knows which. A nodedown must not stand between them.
#[test]
fn the_dial_of_the_greater_is_waited_for() {
    let (mut world, dial, _) = collision();
    world.authenticated(dial, "a@h", 7, Direction::Dialled);
    let told = ["nodeup 1 2 a@h", "answer 2 Admit", "answer 1 Discard"];
    assert_eq!(world.told(), told);
    assert_eq!(world.plan.connected().count(), 1);
}

#[test]
fn the_peers_link_is_admitted_when_our_dial_fails_and_nothing_is_said_of_that() {
    for error in [
        LinkError::ClosedAfterDigest { peer: name("a@h") },
        LinkError::Nok,
        LinkError::Closed,
    ] {
        let (mut world, dial, _) = collision();
        world.closed(dial, error);
        assert_eq!(world.told(), ["nodeup 1 1 a@h", "answer 1 Admit"]);
        assert_eq!(world.plan.dialling(), 0);
    }
    let (mut world, ..) = collision();
    world.plan.handle_disconnect(world.now, &name("a@h"));
    let told = ["close 2 disconnect", "nodeup 1 1 a@h", "answer 1 Admit"];
    assert_eq!(world.told(), told);
}

#[test]
fn a_link_that_waits_may_end_by_itself() {
    let (mut world, dial, inbound) = collision();
    world.closed(inbound, LinkError::Closed);
    world.authenticated(dial, "a@h", 7, Direction::Dialled);
    assert_eq!(world.told(), ["nodeup 1 2 a@h", "answer 2 Admit"]);
}

/// The peer cannot have heard of it yet.
#[test]
fn a_dial_without_a_socket_gives_way_to_the_peers_link() {
    let mut world = World::new("b@h");
    let inbound = world.inbound("a@h");
    world.want("a@h");
    world.wait();
    world.dial();
    world.authenticated(inbound, "a@h", 7, Direction::Accepted);
    let told = ["close 2 unwanted", "nodeup 1 1 a@h", "answer 1 Admit"];
    assert_eq!(world.told(), told);
    assert_eq!((world.plan.dialling(), world.plan.deadline()), (0, None));
}

#[test]
fn the_dial_of_the_lesser_that_was_admitted_first_stays() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let dial = world.dial();
    let inbound = world.inbound("b@h");
    world.authenticated(dial, "b@h", 7, Direction::Dialled);
    assert_eq!(world.told()[1..], ["nodeup 1 1 b@h", "answer 1 Admit"]);
    world.authenticated(inbound, "b@h", 7, Direction::Accepted);
    assert_eq!(world.told(), ["answer 2 Discard"]);
}

#[test]
fn a_peer_with_a_live_link_is_asked_and_the_newest_lives() {
    let mut world = World::new("b@h");
    world.connect("a@h");
    let again = world.inbound("a@h");
    assert_eq!(world.told(), ["answer 2 AskAlive"]);
    world.authenticated(again, "a@h", 8, Direction::Accepted);
    let told = [
        "close 1 superseded",
        "nodedown 1 a@h superseded",
        "nodeup 2 2 a@h",
        "answer 2 Admit",
    ];
    assert_eq!(world.told(), told);
}

#[test]
fn a_stranger_who_claims_a_live_name_changes_nothing() {
    let mut world = World::new("b@h");
    world.connect("a@h");
    let liar = world.inbound("a@h");
    world.closed(liar, LinkError::WrongDigest { peer: name("a@h") });
    assert_eq!(
        world.told(),
        ["answer 2 AskAlive", "cookie a@h Accepted true"]
    );
    assert!(world.plan.connection(&name("a@h")).is_some());
}

#[test]
fn of_several_accepted_links_the_latest_that_is_authenticated_lives() {
    let mut world = World::new("b@h");
    let (first, second) = (world.inbound("a@h"), world.inbound("a@h"));
    world.authenticated(first, "a@h", 7, Direction::Accepted);
    world.authenticated(second, "a@h", 7, Direction::Accepted);
    assert_eq!(world.plan.connection(&name("a@h")).unwrap().link, second);

    let mut world = World::new("b@h");
    let (first, second) = (world.inbound("a@h"), world.inbound("a@h"));
    world.authenticated(second, "a@h", 7, Direction::Accepted);
    world.authenticated(first, "a@h", 7, Direction::Accepted);
    assert_eq!(world.plan.connection(&name("a@h")).unwrap().link, second);
}

#[test]
fn a_later_life_of_the_peer_takes_its_place_unasked() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let dial = world.dial();
    let inbound = world.inbound("b@h");
    world.authenticated(dial, "b@h", 7, Direction::Dialled);
    world.authenticated(inbound, "b@h", 8, Direction::Accepted);
    assert_eq!(world.plan.connection(&name("b@h")).unwrap().link, inbound);
}

#[test]
fn a_dial_goes_on_after_alive_only_without_a_live_link() {
    let mut world = World::new("b@h");
    world.want("a@h");
    let dial = world.dial();
    world.plan.handle_question(world.now, dial, Question::Alive);
    assert_eq!(world.told(), ["answer 1 Continue"]);

    // It waits for the dial, and the peer says that this is in vain: its own link is the one.
    let (mut world, dial, _) = collision();
    world.plan.handle_question(world.now, dial, Question::Alive);
    assert_eq!(world.told(), ["answer 2 Continue"]);
    world.closed(dial, LinkError::Closed);
    assert_eq!(world.told(), ["nodeup 1 1 a@h", "answer 1 Admit"]);
}
