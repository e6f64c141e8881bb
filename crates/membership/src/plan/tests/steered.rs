//! Links that somebody else watches over.

use super::*;

#[test]
fn a_link_falls_for_the_reason_that_is_told_and_once() {
    let mut world = World::new("a@h");
    let link = world.connect("b@h");
    let reason = DownReason::NetTickTimeout;
    world.plan.handle_fell(world.now, link, reason);
    assert_eq!(world.told(), ["nodedown 1 b@h net_tick_timeout"]);
    world.plan.handle_fell(world.now, link, reason);
    assert_eq!(world.told(), [""; 0]);
    // It is wanted still.
    world.wait();
    world.dial();
}

#[test]
fn a_dial_that_has_no_link_yet_does_not_fall() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let link = world.dial();
    let reason = DownReason::ConnectionClosed;
    world.plan.handle_fell(world.now, link, reason);
    assert_eq!(world.told(), [""; 0]);
    world.authenticated(link, "b@h", 7, Direction::Dialled);
    let told = world.told();
    assert!(told.iter().any(|it| it.starts_with("nodeup")), "{told:?}");
}

#[test]
fn whoever_dials_for_us_may_say_that_the_cookie_is_wrong() {
    let mut world = World::new("a@h");
    world.want("b@h");
    let mut fail = |failure| {
        let link = world.dial();
        world.plan.handle_dial_failed(world.now, link, failure);
        let told = world.told();
        let waited = world.wait();
        (told, waited)
    };
    let (told, waited) = fail(Failure::WrongCookie);
    let wanted = ["cookie b@h Dialled false", "failed b@h wrong_cookie again"];
    assert_eq!(told, wanted);
    assert!(waited >= 7 * SECOND, "somebody has to put it right first");
    let (told, _) = fail(Failure::WrongCookie);
    assert_eq!(told, ["failed b@h wrong_cookie again"]);
    let (told, _) = fail(Failure::Untold);
    assert_eq!(told, ["failed b@h untold again first"]);
}
