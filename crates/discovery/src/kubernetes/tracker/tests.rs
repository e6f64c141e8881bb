use proptest::prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest};

use enmesh_identity::PeerAddr;

use super::*;

fn key(name: &str) -> Key {
    Key {
        namespace: "ns".to_owned(),
        name: name.to_owned(),
    }
}

fn peers(names: &[&str]) -> Vec<Sighting> {
    names
        .iter()
        .map(|name| PeerAddr::new(name.parse().unwrap()).into())
        .collect()
}

/// A tracker that has listed the pod `p1` at `a@1` and the pod `p2` at `a@2`.
fn listed() -> Tracker {
    let mut tracker = Tracker::default();
    assert_eq!(tracker.handle(Event::ListBegins), None);
    assert_eq!(
        tracker.handle(Event::Listed(key("p1"), peers(&["a@1"]))),
        None
    );
    assert_eq!(
        tracker.handle(Event::Listed(key("p2"), peers(&["a@2"]))),
        None
    );
    let update = tracker.handle(Event::ListEnds);
    assert_eq!(update, Some(Update::Snapshot(peers(&["a@1", "a@2"]))));
    tracker
}

#[track_caller]
fn check(tracker: &mut Tracker, event: Event, present: &[&str], gone: &[&str]) {
    let gone = gone.iter().map(|name| name.parse().unwrap()).collect();
    let present = peers(present);
    assert_eq!(
        tracker.handle(event),
        Some(Update::Changed { present, gone })
    );
}

#[test]
fn a_new_object_s_peers_are_present() {
    check(
        &mut listed(),
        Event::Applied(key("p3"), peers(&["a@3"])),
        &["a@3"],
        &[],
    );
}

#[test]
fn an_object_without_peers_any_more_is_gone() {
    let mut tracker = listed();
    check(
        &mut tracker,
        Event::Applied(key("p1"), Vec::new()),
        &[],
        &["a@1"],
    );
    // The deletion that follows says nothing new.
    assert_eq!(tracker.handle(Event::Deleted(key("p1"))), None);
}

#[test]
fn a_deleted_object_s_peers_are_gone() {
    let mut tracker = listed();
    check(&mut tracker, Event::Deleted(key("p2")), &[], &["a@2"]);
    assert_eq!(tracker.handle(Event::Deleted(key("p9"))), None);
}

#[test]
fn a_change_that_tells_nothing_new_says_nothing() {
    assert_eq!(
        listed().handle(Event::Applied(key("p1"), peers(&["a@1"]))),
        None
    );
}

#[test]
fn a_changed_address_is_present_and_not_gone() {
    let moved = PeerAddr::new("a@1".parse().unwrap());
    let moved = Sighting::from(moved.with_address("10.0.0.1".parse().unwrap()));
    let update = listed().handle(Event::Applied(key("p1"), vec![moved.clone()]));
    assert_eq!(
        update,
        Some(Update::Changed {
            present: vec![moved],
            gone: Vec::new()
        })
    );
}

#[test]
fn a_name_that_another_object_still_has_is_not_gone() {
    let mut tracker = listed();
    assert_eq!(tracker.handle(Event::Applied(key("p3"), Vec::new())), None);
    check(
        &mut tracker,
        Event::Applied(key("p3"), peers(&["a@1"])),
        &["a@1"],
        &[],
    );
    assert_eq!(tracker.handle(Event::Deleted(key("p3"))), None);
    check(&mut tracker, Event::Deleted(key("p1")), &[], &["a@1"]);
}

#[test]
fn a_second_list_takes_the_first_one_s_place_when_it_is_whole() {
    let mut tracker = listed();
    tracker.handle(Event::ListBegins);
    tracker.handle(Event::Listed(key("p3"), peers(&["a@3"])));
    assert!(!tracker.is_empty());
    let update = tracker.handle(Event::ListEnds);
    assert_eq!(update, Some(Update::Snapshot(peers(&["a@3"]))));
}

#[test]
fn objects_and_peers_are_bounded() {
    let mut tracker = Tracker::default();
    tracker.handle(Event::ListBegins);
    for number in 0..=MAX_PEERS_PER_UPDATE {
        let name = format!("a@{number}");
        tracker.handle(Event::Listed(key(&name), peers(&[&name])));
    }
    match tracker.handle(Event::ListEnds) {
        Some(Update::Snapshot(peers)) => assert_eq!(peers.len(), MAX_PEERS_PER_UPDATE),
        other => panic!("{other:?}"),
    }
    assert_eq!(tracker.take_left_out(), 1);
    assert_eq!(
        tracker.handle(Event::Applied(key("more"), peers(&["a@more"]))),
        None
    );
    assert_eq!(tracker.take_left_out(), 1);
}

fn any_event() -> impl Strategy<Value = Event> {
    let object = (0_u8..4).prop_map(|number| key(&format!("p{number}")));
    let held = proptest::collection::btree_set(0_u8..4, 0..3).prop_map(|numbers| {
        let names: Vec<_> = numbers.iter().map(|number| format!("a@{number}")).collect();
        peers(&names.iter().map(String::as_str).collect::<Vec<_>>())
    });
    prop_oneof![
        (object.clone(), held.clone()).prop_map(|(key, peers)| Event::Applied(key, peers)),
        object.clone().prop_map(Event::Deleted),
        Just(Event::ListBegins),
        (object, held).prop_map(|(key, peers)| Event::Listed(key, peers)),
        Just(Event::ListEnds),
    ]
}

proptest! {
    /// Whoever follows the updates knows at each time exactly the peers of the objects.
    #[test]
    fn the_updates_add_up_to_the_objects(events in proptest::collection::vec(any_event(), 0..60)) {
        let mut tracker = Tracker::default();
        let mut known = BTreeSet::new();
        for event in events {
            match tracker.handle(event) {
                None => {}
                Some(Update::Snapshot(peers)) => {
                    known = peers.iter().map(|peer| peer.name().clone()).collect();
                }
                Some(Update::Changed { present, gone }) => {
                    known.extend(present.iter().map(|peer| peer.name().clone()));
                    known.retain(|name| !gone.contains(name));
                }
                Some(other) => panic!("{other:?}"),
            }
            let held = tracker.objects.values().flatten().map(|peer| peer.name().clone());
            prop_assert_eq!(&known, &held.collect::<BTreeSet<_>>());
        }
    }
}
