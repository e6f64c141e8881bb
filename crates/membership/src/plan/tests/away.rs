use super::*;

#[test]
fn to_leave_closes_every_link_and_gives_up_every_dial_at_once() {
    let mut world = World::new("a@h");
    world.connect("b@h");
    world.connect("c@h");
    world.want("d@h");
    world.told();
    let setup = world.inbound("x@h");
    world.told();
    world.plan.handle_leave(world.now, 5 * SECOND);
    assert_eq!(
        world.told(),
        [
            "close 1 away",
            "nodedown 1 b@h away",
            "close 2 away",
            "nodedown 2 c@h away",
            "close 3 away",
            "close 4 away",
        ]
    );
    assert_eq!(setup.get(), 4);
    assert_eq!((world.plan.dialling(), world.plan.setups()), (0, 0));
    assert_eq!(world.plan.connected().count(), 0);
}

#[test]
fn while_away_nobody_is_dialled_or_let_in_and_then_all_are_dialled_at_once() {
    let mut world = World::new("a@h");
    world.connect("b@h");
    world.connect("c@h");
    world.plan.handle_leave(world.now, 5 * SECOND);
    world.told();
    // A source learns of one more, and forgets another, meanwhile.
    world.want("d@h");
    world.leave("c@h");
    world.pass(2 * SECOND);
    let link = world.inbound("b@h");
    assert_eq!(world.told(), [format!("close {link} away")]);
    assert_eq!(world.plan.setups(), 0);
    assert_eq!(world.wait(), 3 * SECOND);
    assert_eq!(world.told(), ["dial 4 b@h", "dial 5 d@h"]);
    assert_eq!(world.plan.away_for(world.now), None);
    let link = world.inbound("x@h");
    assert_eq!(world.told(), [format!("answer {link} Accept")]);
}

#[test]
fn who_is_asked_for_while_we_are_away_is_refused_at_once() {
    let mut world = World::new("a@h");
    world.connect("b@h");
    world.plan.handle_connect(world.now, peer("x@h"));
    world.told();
    world.plan.handle_leave(world.now, 5 * SECOND);
    assert_eq!(
        world.told().last().map(String::as_str),
        Some("failed x@h away never again")
    );
    world.plan.handle_connect(world.now, peer("b@h"));
    world.plan.handle_connect(world.now, peer("y@h"));
    assert_eq!(
        world.told(),
        ["failed b@h away again", "failed y@h away never again"]
    );
}

#[test]
fn of_two_leaves_the_later_end_counts_and_what_closed_links_report_is_ignored() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    world.plan.handle_leave(world.now, 20 * SECOND);
    world.plan.handle_leave(world.now, 5 * SECOND);
    world.told();
    world.closed(link, LinkError::TickTimeout);
    assert_eq!(world.told(), [""; 0]);
    assert_eq!(world.wait(), 20 * SECOND);
    assert_eq!(world.told(), ["dial 2 b@h"]);
}

#[test]
fn after_a_shutdown_there_is_nothing_to_leave() {
    let mut world = World::new("a@h");
    world.connect("b@h");
    world.plan.handle_shutdown(world.now);
    world.told();
    world.plan.handle_leave(world.now, 5 * SECOND);
    assert_eq!(world.told(), [""; 0]);
    assert_eq!(world.plan.deadline(), None);
}

#[test]
fn a_shutdown_ends_the_time_away() {
    let mut world = World::new("a@h");
    world.plan.handle_leave(world.now, 5 * SECOND);
    world.plan.handle_shutdown(world.now);
    assert_eq!(world.plan.deadline(), None);
}
