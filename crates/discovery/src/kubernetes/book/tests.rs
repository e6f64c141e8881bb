use enmesh_identity::PeerAddr;
use enmesh_membership::Standing;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

use super::*;

fn seen(uid: &str, address: &str) -> Seen {
    Seen {
        uid: Some(uid.into()),
        ..Seen::at(vec![address.parse().unwrap()], "ns")
    }
}

fn terminating(uid: &str, address: &str) -> Seen {
    Seen {
        terminating: true,
        ..seen(uid, address)
    }
}

fn peer(name: &str) -> Sighting {
    PeerAddr::new(name.parse().unwrap()).into()
}

fn entry(seen: Seen, names: &[&str]) -> Entry {
    (
        Arc::new(seen),
        names.iter().map(|name| peer(name)).collect(),
    )
}

fn uid(uid: &str) -> PodId {
    PodId::Uid(uid.into())
}

fn book() -> Book {
    Book::new("web@10.0.0.9".parse().unwrap(), None)
}

fn updates(book: &mut Book) -> Vec<Update> {
    std::iter::from_fn(|| book.next()).collect()
}

fn nobody() -> Update {
    Update::snapshot(Vec::<Sighting>::new())
}

fn changed(present: &[&str], gone: &[&str]) -> Update {
    Update::Changed {
        present: present.iter().map(|name| peer(name)).collect(),
        gone: gone.iter().map(|name| name.parse().unwrap()).collect(),
    }
}

/// A book of two pods, `web@10.0.0.1` and `web@10.0.0.2`.
fn two() -> Book {
    let mut book = book();
    book.set(vec![
        entry(seen("u1", "10.0.0.1"), &["web@10.0.0.1"]),
        entry(seen("u2", "10.0.0.2"), &["web@10.0.0.2"]),
    ]);
    let expected = Update::snapshot(["web@10.0.0.1", "web@10.0.0.2"].map(peer));
    assert_eq!(updates(&mut book), [expected]);
    book
}

#[test]
fn who_comes_is_present_and_who_goes_is_gone() {
    let mut book = two();
    let third = entry(seen("u3", "10.0.0.3"), &["web@10.0.0.3"]);
    book.change(vec![third], vec![uid("u1")]);
    let expected = changed(&["web@10.0.0.3"], &["web@10.0.0.1"]);
    assert_eq!(updates(&mut book), [expected]);
}

#[test]
fn who_is_being_ended_is_gone() {
    let mut book = two();
    let ending = entry(terminating("u1", "10.0.0.1"), &["web@10.0.0.1"]);
    book.change(vec![ending.clone()], Vec::new());
    assert_eq!(updates(&mut book), [changed(&[], &["web@10.0.0.1"])]);
    // That its object goes in the end is nothing new, and a list does not bring it back.
    book.change(Vec::new(), vec![uid("u1")]);
    assert_eq!(updates(&mut book), []);
    book.set(vec![ending]);
    assert_eq!(
        updates(&mut book),
        [nobody(), changed(&[], &["web@10.0.0.1"])]
    );
}

/// Its neighbours know it as long as it runs, and tell whoever comes meanwhile.
#[test]
fn who_is_being_ended_when_it_is_first_seen_is_told_to_be_gone_once() {
    let mut book = two();
    let ending = || entry(terminating("u3", "10.0.0.3"), &["web@10.0.0.3"]);
    book.change(vec![ending()], Vec::new());
    assert_eq!(updates(&mut book), [changed(&[], &["web@10.0.0.3"])]);
    let unready = Seen {
        ready: false,
        ..terminating("u3", "10.0.0.3")
    };
    book.change(vec![entry(unready, &["web@10.0.0.3"])], Vec::new());
    book.change(Vec::new(), vec![uid("u3")]);
    assert_eq!(updates(&mut book), []);
}

/// A StatefulSet's next pod has the name of the one before.
#[test]
fn a_name_that_a_living_pod_has_is_not_gone_with_another_one() {
    let ending = || entry(terminating("u1", "10.0.0.1"), &["web@web-0"]);
    let living = || entry(seen("u2", "10.0.0.2"), &["web@web-0"]);
    let mut book = book();
    book.set(vec![ending(), living()]);
    assert_eq!(updates(&mut book), [Update::snapshot([peer("web@web-0")])]);
    book.change(Vec::new(), vec![uid("u2")]);
    assert_eq!(updates(&mut book), [changed(&[], &["web@web-0"])]);
    book.change(vec![living(), ending()], Vec::new());
    assert_eq!(updates(&mut book), [changed(&["web@web-0"], &[])]);
}

#[test]
fn who_turns_ready_is_present_again() {
    let mut book = two();
    let unready = Seen {
        ready: false,
        ..seen("u1", "10.0.0.1")
    };
    let sighting = peer("web@10.0.0.1").with_standing(Standing::Unready);
    book.change(
        vec![(Arc::new(unready), vec![sighting.clone()])],
        Vec::new(),
    );
    let update = Update::Changed {
        present: vec![sighting],
        gone: Vec::new(),
    };
    assert_eq!(updates(&mut book), [update]);
}

#[test]
fn a_pod_with_several_names_may_change_some() {
    let mut book = book();
    book.set(vec![entry(
        seen("u1", "10.0.0.1"),
        &["a@10.0.0.1", "b@10.0.0.1"],
    )]);
    updates(&mut book);
    let entries = vec![entry(seen("u1", "10.0.0.1"), &["b@10.0.0.1", "c@10.0.0.1"])];
    book.change(entries, Vec::new());
    assert_eq!(
        updates(&mut book),
        [changed(&["c@10.0.0.1"], &["a@10.0.0.1"])]
    );
}

/// A StatefulSet gives the name of a pod that is being ended to the next one.
#[test]
fn a_name_that_goes_over_to_another_pod_stays() {
    let at = |address: &str| {
        let peer = PeerAddr::new("web@web-0".parse().unwrap());
        Sighting::from(peer.with_address(address.parse().unwrap()))
    };
    let mut book = book();
    book.set(vec![(
        Arc::new(seen("u1", "10.0.0.1")),
        vec![at("10.0.0.1")],
    )]);
    updates(&mut book);
    let next = (Arc::new(seen("u2", "10.0.0.2")), vec![at("10.0.0.2")]);
    book.change(vec![next], Vec::new());
    let update = Update::Changed {
        present: vec![at("10.0.0.2")],
        gone: Vec::new(),
    };
    assert_eq!(updates(&mut book), [update]);
    book.change(Vec::new(), vec![uid("u1")]);
    assert_eq!(updates(&mut book), []);
    book.change(Vec::new(), vec![uid("u2")]);
    let update = Update::Changed {
        present: Vec::new(),
        gone: vec!["web@web-0".parse().unwrap()],
    };
    assert_eq!(updates(&mut book), [update]);
}

#[test]
fn our_own_entry_at_our_address_tells_that_we_are_being_ended() {
    let mut book = two();
    let name = "web@10.0.0.9";
    book.change(vec![entry(seen("u9", "10.0.0.9"), &[name])], Vec::new());
    assert_eq!(updates(&mut book), [changed(&[name], &[])]);
    book.change(
        vec![entry(terminating("u9", "10.0.0.9"), &[name])],
        Vec::new(),
    );
    assert_eq!(
        updates(&mut book),
        [Update::Draining(true), changed(&[], &[name])]
    );
    // When it is gone we are still being ended, and so in the list after it.
    book.change(Vec::new(), vec![uid("u9")]);
    assert_eq!(updates(&mut book), []);
    book.set(Vec::new());
    assert_eq!(updates(&mut book), [nobody()]);
    book.set(vec![entry(seen("u9", "10.0.0.9"), &[name])]);
    let whole = Update::snapshot([peer(name)]);
    assert_eq!(updates(&mut book), [Update::Draining(false), whole]);
}

#[test]
fn our_own_entry_by_name_or_by_the_pod_s_address_counts_too() {
    let mut book = Book::new(
        "web@web-0.web".parse().unwrap(),
        Some("10.0.0.9".parse().unwrap()),
    );
    book.set(vec![entry(terminating("u9", "10.0.0.9"), &[])]);
    assert_eq!(book.next(), Some(Update::Draining(true)));
    let mut book = Book::new("web@web-0.web".parse().unwrap(), None);
    book.set(vec![entry(
        terminating("u9", "10.0.0.9"),
        &["web@web-0.web"],
    )]);
    assert_eq!(book.next(), Some(Update::Draining(true)));
}

/// Pods on the host's network share an address.
#[test]
fn a_neighbour_at_our_address_that_is_being_ended_is_not_us() {
    let mut book = book();
    let neighbour = || entry(terminating("u1", "10.0.0.9"), &["api@10.0.0.9"]);
    let ours = || entry(seen("u9", "10.0.0.9"), &["web@10.0.0.9"]);
    book.set(vec![neighbour(), ours()]);
    assert!(!updates(&mut book).contains(&Update::Draining(true)));
    book.change(
        vec![entry(terminating("u9", "10.0.0.9"), &["web@10.0.0.9"])],
        Vec::new(),
    );
    assert!(updates(&mut book).contains(&Update::Draining(true)));
}

fn any_pods() -> impl Strategy<Value = Vec<(u8, u8, bool)>> {
    proptest::collection::vec((0_u8..4, 0_u8..4, proptest::bool::ANY), 0..4)
}

proptest! {
    /// Whoever follows the updates knows at each time exactly the names of the living pods, and of those who are being ended
    /// that they are gone.
    #[test]
    fn the_updates_add_up_to_the_pods(
        changes in proptest::collection::vec((any_pods(), proptest::collection::vec(0_u8..4, 0..3)), 0..40),
    ) {
        let mut book = book();
        let (mut known, mut told_gone) = (BTreeMap::new(), BTreeSet::new());
        for (present, gone) in changes {
            let present = present.into_iter().map(|(pod, name, ending)| {
                let seen = Seen { terminating: ending, ..seen(&format!("u{pod}"), "10.0.0.1") };
                entry(seen, &[&format!("a@{name}")])
            });
            let gone = gone.into_iter().map(|pod| uid(&format!("u{pod}")));
            book.change(present.collect(), gone.collect());
            while let Some(update) = book.next() {
                let Update::Changed { present, gone } = update else {
                    panic!("{update:?}");
                };
                for peer in present {
                    told_gone.remove(peer.name());
                    known.insert(peer.name().clone(), peer);
                }
                for name in gone {
                    known.remove(&name);
                    told_gone.insert(name);
                }
            }
            let held: BTreeSet<_> =
                book.pods.values().flatten().map(|peer| peer.name().clone()).collect();
            prop_assert_eq!(known.keys().cloned().collect::<BTreeSet<_>>(), held.clone());
            for name in book.ending.values().flatten() {
                prop_assert!(held.contains(name) || told_gone.contains(name), "{name}");
            }
        }
    }
}
