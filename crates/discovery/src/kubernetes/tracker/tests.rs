use proptest::prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest};

use super::*;

/// A pod with this number; of each only what tells it from the others is known.
fn pod(number: u32) -> Seen {
    let address = std::net::Ipv4Addr::from(number).into();
    Seen {
        uid: Some(format!("u{number:05}").into()),
        ..Seen::at(vec![address], "ns")
    }
}

fn id(number: u32) -> PodId {
    pod(number).id().unwrap()
}

fn pods(numbers: &[u32]) -> Vec<Seen> {
    numbers.iter().map(|&number| pod(number)).collect()
}

fn shared(numbers: &[u32]) -> Vec<Arc<Seen>> {
    pods(numbers).into_iter().map(Arc::new).collect()
}

fn applied(name: &str, numbers: &[u32]) -> Event {
    Event::Applied(name.into(), pods(numbers))
}

fn listed(name: &str, numbers: &[u32]) -> Event {
    Event::Listed(name.into(), pods(numbers))
}

/// A tracker that has listed the object `p1` with pod 1 and `p2` with pod 2.
fn listed_two() -> Tracker {
    let mut tracker = Tracker::new(1);
    assert_eq!(tracker.handle(0, Event::ListBegins), None);
    assert_eq!(tracker.handle(0, listed("p1", &[1])), None);
    assert_eq!(tracker.handle(0, listed("p2", &[2])), None);
    let change = tracker.handle(0, Event::ListEnds);
    assert_eq!(change, Some(Change::Whole(shared(&[1, 2]))));
    tracker
}

#[track_caller]
fn check(tracker: &mut Tracker, event: Event, present: &[u32], gone: &[u32]) {
    let change = Change::Part {
        present: shared(present),
        gone: gone.iter().map(|&number| id(number)).collect(),
    };
    assert_eq!(tracker.handle(0, event), Some(change));
}

#[test]
fn a_new_object_s_pods_are_present() {
    check(&mut listed_two(), applied("p3", &[3]), &[3], &[]);
}

#[test]
fn an_object_without_pods_any_more_is_gone() {
    let mut tracker = listed_two();
    check(&mut tracker, applied("p1", &[]), &[], &[1]);
    // The deletion that follows says nothing new.
    assert_eq!(tracker.handle(0, Event::Deleted("p1".into())), None);
}

#[test]
fn a_deleted_object_s_pods_are_gone() {
    let mut tracker = listed_two();
    check(&mut tracker, Event::Deleted("p2".into()), &[], &[2]);
    assert_eq!(tracker.handle(0, Event::Deleted("p9".into())), None);
}

#[test]
fn a_change_that_tells_nothing_new_says_nothing() {
    assert_eq!(listed_two().handle(0, applied("p1", &[1])), None);
}

#[test]
fn of_a_changed_slice_only_the_changed_pods_are_told() {
    let mut tracker = Tracker::new(1);
    let numbers: Vec<_> = (0..100).collect();
    check(
        &mut tracker,
        applied("s1", &numbers),
        &{ numbers.clone() },
        &[],
    );
    let mut changed = pods(&numbers[1..]);
    changed[49].ready = false;
    let event = Event::Applied("s1".into(), changed.clone());
    let present = vec![Arc::new(changed.swap_remove(49))];
    let gone = vec![id(0)];
    let change = Change::Part { present, gone };
    assert_eq!(tracker.handle(0, event), Some(change));
}

#[test]
fn a_pod_that_another_object_still_tells_is_not_gone() {
    let mut tracker = listed_two();
    assert_eq!(tracker.handle(0, applied("p3", &[1])), None);
    assert_eq!(tracker.handle(0, Event::Deleted("p3".into())), None);
    check(&mut tracker, Event::Deleted("p1".into()), &[], &[1]);
}

#[test]
fn a_dual_stack_pod_stands_in_two_slices_and_is_one() {
    let mut tracker = Tracker::new(1);
    let four = pod(1);
    let six = Seen {
        addresses: vec!["fd00::1".parse().unwrap()],
        terminating: true,
        ..four.clone()
    };
    check(&mut tracker, applied("v4", &[1]), &[1], &[]);
    let mut both = four.clone();
    both.merge(&six);
    assert_eq!(both.addresses.len(), 2);
    let change = Change::Part {
        present: vec![Arc::new(both)],
        gone: Vec::new(),
    };
    let event = Event::Applied("v6".into(), vec![six]);
    assert_eq!(tracker.handle(0, event), Some(change));
    check(&mut tracker, Event::Deleted("v6".into()), &[1], &[]);
    check(&mut tracker, Event::Deleted("v4".into()), &[], &[1]);
}

#[test]
fn a_pod_that_one_object_names_twice_is_one() {
    let mut tracker = Tracker::new(1);
    check(&mut tracker, applied("e", &[1, 1]), &[1], &[]);
}

#[test]
fn a_second_list_takes_the_first_one_s_place_when_it_is_whole() {
    let mut tracker = listed_two();
    tracker.handle(0, Event::ListBegins);
    tracker.handle(0, listed("p3", &[3]));
    check(&mut tracker, applied("p2", &[]), &[], &[2]);
    let change = tracker.handle(0, Event::ListEnds);
    assert_eq!(change, Some(Change::Whole(shared(&[3]))));
}

#[test]
fn all_pods_are_known_when_each_namespace_was_listed() {
    let mut tracker = Tracker::new(2);
    let list = |tracker: &mut Tracker, space, name, numbers: &[u32]| {
        tracker.handle(space, Event::ListBegins);
        tracker.handle(space, listed(name, numbers));
        tracker.handle(space, Event::ListEnds)
    };
    let part = |present: &[u32], gone: &[u32]| {
        Some(Change::Part {
            present: shared(present),
            gone: gone.iter().map(|&number| id(number)).collect(),
        })
    };
    // Of the other namespace nothing is known: nobody of it may leave.
    assert_eq!(list(&mut tracker, 0, "a", &[1, 2]), part(&[1, 2], &[]));
    assert_eq!(list(&mut tracker, 0, "a", &[2]), part(&[], &[1]));
    // Objects of the same name are different ones.
    let whole = list(&mut tracker, 1, "a", &[3]);
    assert_eq!(whole, Some(Change::Whole(shared(&[2, 3]))));
    let whole = list(&mut tracker, 0, "a", &[4]);
    assert_eq!(whole, Some(Change::Whole(shared(&[3, 4]))));
}

#[test]
fn objects_and_pods_are_bounded() {
    let most = u32::try_from(MAX_PEERS_PER_UPDATE).unwrap();
    let mut tracker = Tracker::new(1);
    tracker.handle(0, Event::ListBegins);
    for number in 0..=most {
        tracker.handle(0, listed(&format!("o{number}"), &[number]));
    }
    match tracker.handle(0, Event::ListEnds) {
        Some(Change::Whole(pods)) => assert_eq!(pods.len(), MAX_PEERS_PER_UPDATE),
        other => panic!("{other:?}"),
    }
    assert_eq!(tracker.take_left_out(), 1);
    assert_eq!(tracker.handle(0, applied("more", &[most + 1])), None);
    assert_eq!(tracker.take_left_out(), 1);
    assert!(tracker.handle(0, applied("o0", &[most + 1])).is_some());
    let numbers: Vec<_> = (0..=most).collect();
    assert!(tracker.handle(0, applied("o1", &numbers)).is_none());
    assert!(tracker.take_left_out() > 0);
    assert_eq!(tracker.pods.len(), MAX_PEERS_PER_UPDATE);
}

fn any_event() -> impl Strategy<Value = Event> {
    let object = (0_u8..4).prop_map(|number| Arc::from(format!("p{number}")));
    let held = proptest::collection::vec((0_u32..5, proptest::bool::ANY), 0..4).prop_map(|held| {
        let told = |(number, ready)| Seen {
            ready,
            ..pod(number)
        };
        held.into_iter().map(told).collect::<Vec<_>>()
    });
    prop_oneof![
        (object.clone(), held.clone()).prop_map(|(name, seen)| Event::Applied(name, seen)),
        object.clone().prop_map(Event::Deleted),
        Just(Event::ListBegins),
        (object, held).prop_map(|(name, seen)| Event::Listed(name, seen)),
        Just(Event::ListEnds),
    ]
}

proptest! {
    /// Whoever follows the changes knows at each time exactly what the objects tell.
    #[test]
    fn the_changes_add_up_to_the_objects(
        events in proptest::collection::vec((0_usize..2, any_event()), 0..80),
    ) {
        let mut tracker = Tracker::new(2);
        let mut known = BTreeMap::new();
        for (space, event) in events {
            match tracker.handle(space, event) {
                None => {}
                Some(Change::Whole(pods)) => {
                    known = pods.into_iter().map(|seen| (seen.id().unwrap(), seen)).collect();
                }
                Some(Change::Part { present, gone }) => {
                    for seen in present {
                        known.insert(seen.id().unwrap(), seen);
                    }
                    for id in gone {
                        known.remove(&id).expect("who goes was there");
                    }
                }
            }
            let mut told: BTreeMap<PodId, Arc<Seen>> = BTreeMap::new();
            for seen in tracker.spaces.iter().flat_map(|space| space.objects.values()).flatten() {
                let (id, seen) = seen;
                told.entry(id.clone())
                    .and_modify(|known| Arc::make_mut(known).merge(seen))
                    .or_insert_with(|| seen.clone());
            }
            prop_assert_eq!(&known, &told);
        }
    }
}
