use super::*;
use crate::effect::Address;

const US: &str = "us@h";
const BEAM: &str = "b1@h";

fn ours() -> Pg {
    Pg::new(scope(), pid(US, 1))
}

fn beam() -> Atom {
    Atom::from_static(BEAM)
}

fn term(pid: Pid) -> Term {
    Term::from(pid)
}

fn pids(list: &[Pid]) -> Term {
    Term::List(list.iter().cloned().map(Term::from).collect())
}

fn discover(peer: &Pid) -> Term {
    Term::tuple([word("discover"), term(peer.clone())])
}

fn sync_of(peer: &Pid, groups: Vec<Term>) -> Term {
    let sync = [word("sync"), term(peer.clone()), Term::List(groups)];
    Term::tuple([word("$gen_cast"), Term::tuple(sync)])
}

fn sent(pg: &mut Pg) -> Vec<(Address, Term)> {
    let effects = effects(pg).into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Send { from, to, message } => {
                assert_eq!(from, pid(US, 1));
                Some((to, message))
            }
            _ => None,
        })
        .collect()
}

/// A scope that exchanged its groups with that of a BEAM.
fn acquainted() -> (Pg, Pid) {
    let (mut pg, peer) = (ours(), pid(BEAM, 90));
    pg.handle_message(&beam(), &discover(&peer));
    effects(&mut pg);
    (pg, peer)
}

#[test]
fn a_node_that_comes_up_is_asked_in_version_0() {
    let mut pg = ours();
    pg.handle_nodeup(&beam());
    let to = Address::Name {
        name: scope(),
        node: beam(),
    };
    assert_eq!(sent(&mut pg), [(to, discover(&pid(US, 1)))]);
}

#[test]
fn who_discovers_us_is_told_all_and_watched_and_asked_back() {
    let versioned = |peer: &Pid| {
        let parts = [word("discover"), term(peer.clone()), Term::Int(1)];
        Term::tuple(parts)
    };
    for form in [discover as fn(&Pid) -> Term, versioned] {
        let (mut pg, peer) = (ours(), pid(BEAM, 90));
        let (twice, once) = (pid(US, 2), pid(US, 3));
        for member in [&twice, &once, &twice] {
            assert!(pg.join(word("g"), member.clone()));
        }
        pg.handle_message(&beam(), &form(&peer));
        let all = effects(&mut pg);
        let watched = Effect::Monitor {
            id: 1,
            by: pid(US, 1),
            target: peer.clone(),
        };
        assert_eq!(all[0], watched);
        let group = [word("g"), pids(&[twice.clone(), twice, once])];
        let expected = [
            sync_of(&pid(US, 1), vec![Term::tuple(group)]),
            discover(&pid(US, 1)),
        ];
        for (effect, expected) in all[1..].iter().zip(expected) {
            let to = Address::Pid(peer.clone());
            let from = pid(US, 1);
            let message = expected;
            assert_eq!(*effect, Effect::Send { from, to, message });
        }
        assert_eq!(all.len(), 3);
        pg.handle_message(&beam(), &form(&peer));
        assert_eq!(sent(&mut pg).len(), 1, "a known one is not asked again");
    }
}

#[test]
fn joins_and_leaves_of_ours_go_to_acquainted_peers() {
    let (mut pg, peer) = acquainted();
    let member = pid(US, 2);
    assert!(pg.join(word("g"), member.clone()));
    assert!(pg.leave(&word("g"), &member));
    assert!(!pg.leave(&word("g"), &member), "it is out already");
    let own = || term(pid(US, 1));
    let join = Term::tuple([word("join"), own(), word("g"), term(member.clone())]);
    let groups = Term::List(vec![word("g")]);
    let leave = Term::tuple([word("leave"), own(), term(member.clone()), groups]);
    let to = Address::Pid(peer);
    assert_eq!(sent(&mut pg), [(to.clone(), join), (to, leave)]);
    let event = |event| (event, word("g"), vec![member.clone()]);
    assert_eq!(
        events(&mut pg),
        [event(PgEvent::Join), event(PgEvent::Leave)]
    );
}

#[test]
fn who_told_us_its_groups_but_never_asked_for_ours_hears_no_leave() {
    let (mut pg, peer) = (ours(), pid(BEAM, 90));
    assert!(pg.join(word("g"), pid(US, 2)));
    pg.handle_message(&beam(), &sync_of(&peer, vec![]));
    effects(&mut pg);
    assert!(pg.leave(&word("g"), &pid(US, 2)));
    assert_eq!(sent(&mut pg), []);
}

#[test]
fn a_process_that_ends_leaves_each_group_as_often_as_it_joined() {
    let (mut pg, _) = acquainted();
    for group in ["a", "b", "a"] {
        assert!(pg.join(word(group), pid(US, 2)));
    }
    effects(&mut pg);
    pg.process_ended(&pid(US, 2));
    pg.process_ended(&pid(US, 2));
    let groups = Term::List(vec![word("a"), word("b"), word("a")]);
    let parts = [word("leave"), term(pid(US, 1)), term(pid(US, 2)), groups];
    let sent = sent(&mut pg);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1, Term::tuple(parts));
    assert!(pg.groups().is_empty());
}

#[test]
fn remote_joins_and_leaves_take_one_pid_or_several() {
    let (mut pg, peer) = acquainted();
    let (a, b) = (pid(BEAM, 100), pid(BEAM, 101));
    let said = |word: &'static str, rest: [Term; 2]| {
        let [x, y] = rest;
        Term::tuple([Term::atom(word), term(peer.clone()), x, y])
    };
    pg.handle_message(&beam(), &said("join", [word("g"), term(a.clone())]));
    pg.handle_message(
        &beam(),
        &said("join", [word("g"), pids(&[b.clone(), a.clone()])]),
    );
    assert_eq!(pg.members(&word("g")), [a.clone(), a.clone(), b.clone()]);
    assert_eq!(pg.local_members(&word("g")), []);
    let groups = Term::List(vec![word("g"), word("unknown")]);
    pg.handle_message(&beam(), &said("leave", [pids(&[a.clone(), b]), groups]));
    assert_eq!(pg.members(&word("g")), [a]);
    assert_eq!(pg.groups(), [word("g")]);
}

#[test]
fn an_update_of_otp_29_is_a_join_and_a_leave() {
    let (mut pg, peer) = acquainted();
    let change = |joined: &[Pid], left: &[Pid]| {
        let change = Term::tuple([word("g"), pids(joined), pids(left)]);
        Term::tuple([word("update"), term(peer.clone()), Term::List(vec![change])])
    };
    let (a, b) = (pid(BEAM, 100), pid(BEAM, 101));
    pg.handle_message(&beam(), &change(&[a.clone(), b.clone()], &[]));
    pg.handle_message(&beam(), &change(&[], &[a]));
    assert_eq!(pg.members(&word("g")), [b]);
}

#[test]
fn a_second_sync_tells_only_what_changed() {
    let (mut pg, peer) = acquainted();
    let (a, b) = (pid(BEAM, 100), pid(BEAM, 101));
    let group = |name, members: &[Pid]| Term::tuple([word(name), pids(members)]);
    pg.handle_message(
        &beam(),
        &sync_of(
            &peer,
            ["g", "h"]
                .map(|name| group(name, std::slice::from_ref(&a)))
                .to_vec(),
        ),
    );
    events(&mut pg);
    pg.handle_message(
        &beam(),
        &sync_of(&peer, vec![group("g", &[b.clone(), a.clone(), a.clone()])]),
    );
    let expected = [
        (PgEvent::Leave, word("h"), vec![a.clone()]),
        (PgEvent::Join, word("g"), vec![a, b]),
    ];
    assert_eq!(events(&mut pg), expected);
}

#[test]
fn a_peer_that_dies_takes_its_members_along() {
    let (mut pg, peer) = acquainted();
    let group = Term::tuple([word("g"), pids(&[pid(BEAM, 100)])]);
    pg.handle_message(&beam(), &sync_of(&peer, vec![group]));
    events(&mut pg);
    pg.handle_down(7);
    assert_eq!(
        pg.groups(),
        [word("g")],
        "no monitor of ours has this number"
    );
    pg.handle_down(1);
    assert!(pg.groups().is_empty());
    assert_eq!(
        events(&mut pg),
        [(PgEvent::Leave, word("g"), vec![pid(BEAM, 100)])]
    );
    let join = [word("join"), term(peer), word("g"), term(pid(BEAM, 100))];
    pg.handle_message(&beam(), &Term::tuple(join));
    assert!(pg.groups().is_empty(), "a late join of it is ignored");
}

#[test]
fn nobody_speaks_for_another_node() {
    let (mut pg, peer) = acquainted();
    let stranger = Atom::from_static("b2@h");
    let join =
        |member: Pid| Term::tuple([word("join"), term(peer.clone()), word("g"), term(member)]);
    pg.handle_message(&stranger, &join(pid(BEAM, 100)));
    pg.handle_message(&beam(), &join(pid("b2@h", 100)));
    pg.handle_message(&beam(), &join(pid(US, 100)));
    pg.handle_message(&stranger, &discover(&peer));
    assert!(pg.groups().is_empty());
    assert_eq!(effects(&mut pg), []);
    assert_eq!(events(&mut pg), []);
}

#[test]
fn one_node_has_a_bounded_number_of_scopes_and_memberships() {
    let mut pg = ours();
    for number in 0..1_000 {
        pg.handle_message(&beam(), &discover(&pid(BEAM, number)));
    }
    assert_eq!(pg.peers.len(), MAX_PEERS_OF_A_NODE);
    let many = Term::List(vec![term(pid(BEAM, 5_000)); MAX_MEMBERSHIPS / 2 + 1]);
    for _ in 0..3 {
        let join = [word("join"), term(pid(BEAM, 0)), word("g"), many.clone()];
        pg.handle_message(&beam(), &Term::tuple(join));
    }
    assert_eq!(pg.members(&word("g")).len(), MAX_MEMBERSHIPS);
    let groups = Term::List(vec![word("g"); 1_000]);
    let unknown = Term::List(vec![term(pid(BEAM, 6_000)); 100_000]);
    let leave = [word("leave"), term(pid(BEAM, 0)), unknown, groups];
    pg.handle_message(&beam(), &Term::tuple(leave));
    assert_eq!(pg.members(&word("g")).len(), MAX_MEMBERSHIPS);
}

#[test]
fn a_call_of_the_scope_is_refused_and_not_left_waiting() {
    let mut pg = ours();
    let reference = enmesh_term::Reference::new(beam(), 1, &[1, 2, 3]).unwrap();
    let tag = Term::improper(vec![word("alias")], reference.clone().into());
    let from = Term::tuple([term(pid(BEAM, 50)), tag.clone()]);
    let call = Term::tuple([word("system"), from, word("get_state")]);
    pg.handle_message(&beam(), &call);
    let refused = Term::tuple([tag, Term::tuple([word("error"), word("not_served")])]);
    assert_eq!(sent(&mut pg), [(Address::Alias(reference), refused)]);
}

#[test]
fn what_nobody_understands_changes_nothing() {
    let (mut pg, peer) = acquainted();
    let (t, list) = (|| term(peer.clone()), Term::List(vec![word("g")]));
    for message in [
        word("hello"),
        Term::tuple([]),
        Term::tuple([word("join"), t()]),
        Term::tuple([word("join"), word("g"), word("g"), word("g")]),
        Term::tuple([word("join"), t(), word("g"), word("g")]),
        Term::tuple([word("leave"), t(), list.clone(), word("g")]),
        Term::tuple([word("leave"), t(), list.clone(), list.clone()]),
        Term::tuple([
            word("update"),
            t(),
            Term::List(vec![word("g"), Term::tuple([])]),
        ]),
        Term::tuple([word("sync"), t(), list.clone()]),
        Term::tuple([word("$gen_cast"), discover(&peer)]),
        sync_of(&peer, vec![word("g"), Term::tuple([word("g")])]),
    ] {
        pg.handle_message(&beam(), &message);
        assert_eq!(effects(&mut pg), [], "{message}");
        assert_eq!(events(&mut pg), [], "{message}");
    }
}
