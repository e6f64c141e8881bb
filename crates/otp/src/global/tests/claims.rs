//! What each message does.

use std::time::{Duration, Instant};

use bytes::Bytes;
use enmesh_term::{Atom, Export, Pid, Reference, Term};
use proptest::prelude::*;

use crate::effect::{Address, CallFailed, Effect};
use crate::global::locks::{LockId, Locks, MAX_HOLDERS, Taken};
use crate::global::{Global, GlobalConfig, resolve_it};

/// The machine of `m@h`, and the time.
pub(super) struct Machine {
    pub(super) global: Global,
    pub(super) now: Instant,
}

pub(super) fn atom(text: &str) -> Term {
    Term::Atom(Atom::new(text).unwrap())
}

pub(super) fn pid(node: &str, id: u32) -> Pid {
    Pid::new(Atom::new(node).unwrap(), id, 0, 7)
}

pub(super) fn tuple<const N: usize>(parts: [Term; N]) -> Term {
    Term::tuple(parts)
}

pub(super) fn cast<const N: usize>(parts: [Term; N]) -> Term {
    tuple([atom("$gen_cast"), tuple(parts)])
}

fn alias(id: u32) -> Reference {
    Reference::new(Atom::new("b@h").unwrap(), 7, &[id, 0, 0]).unwrap()
}

fn lock(resource: &str, requester: &str) -> Term {
    tuple([atom(resource), atom(requester)])
}

/// An effect in a few words.
pub(super) fn tell(effect: &Effect) -> String {
    match effect {
        Effect::Send { to, message, .. } => match to {
            Address::Pid(pid) => format!("{pid} ! {message}"),
            Address::Alias(alias) => format!("alias {} ! {message}", alias.ids()[0]),
            Address::Name { name, node } => format!("{name}@{node} ! {message}"),
        },
        Effect::Call {
            from, to, request, ..
        } => format!("{from} calls {} {request}", to.node()),
        Effect::CancelCall { .. } => "cancel".into(),
        Effect::Monitor { target, .. } => format!("monitor {target}"),
        Effect::Demonitor { .. } => "demonitor".into(),
        Effect::Exit { to, reason, .. } => format!("exit {to} {reason}"),
        Effect::Connect(nodes) => {
            let nodes: Vec<_> = nodes.iter().map(|known| known.node.as_str()).collect();
            format!("connect {}", nodes.join(" "))
        }
        Effect::Leave { rejoin_after } => format!("leave for {} s", rejoin_after.as_secs()),
    }
}

impl Machine {
    pub(super) fn new() -> Self {
        let pid = |id| Pid::new(Atom::from_static("m@h"), id, 0, 1);
        let global = Global::new(GlobalConfig {
            node: Atom::from_static("m@h"),
            server: pid(1),
            locker: pid(2),
            registrar: pid(3),
            seed: 5,
        });
        let now = Instant::now();
        Self { global, now }
    }

    /// With `b@h` connected, whose tag is 90 and which has introduced itself.
    pub(super) fn met() -> (Self, i64) {
        let mut machine = Self::new();
        machine.up("b@h");
        let tag = machine.global.last_tag;
        machine.says("b@h", introduction("b@h", 90));
        (machine, tag)
    }

    /// As [`Machine::met`], and merged.
    pub(super) fn merged() -> Self {
        let (mut machine, tag) = Self::met();
        machine.merge(tag, vec![], vec![], vec![]);
        machine
    }

    pub(super) fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.global.poll_effect()).collect()
    }

    pub(super) fn told(&mut self) -> Vec<String> {
        self.effects().iter().map(tell).collect()
    }

    pub(super) fn up(&mut self, node: &str) -> Vec<String> {
        self.global
            .handle_nodeup(self.now, &Atom::new(node).unwrap());
        self.told()
    }

    pub(super) fn down(&mut self, node: &str) -> Vec<String> {
        self.global
            .handle_nodedown(self.now, &Atom::new(node).unwrap());
        self.told()
    }

    pub(super) fn says(&mut self, node: &str, message: Term) -> Vec<String> {
        self.global
            .handle_message(self.now, &Atom::new(node).unwrap(), &message);
        self.told()
    }

    /// What a call of the process `from` of `b@h` is answered.
    fn asks(&mut self, from: u32, request: Term) -> Vec<String> {
        let tag = Term::improper(vec![atom("alias")], alias(from).into());
        let from = tuple([pid("b@h", from).into(), tag]);
        self.says("b@h", tuple([atom("$gen_call"), from, request]))
    }

    /// Answers all open calls with `true`.
    pub(super) fn grant(&mut self, effects: &[Effect]) -> Vec<Effect> {
        for effect in effects {
            if let Effect::Call { id, .. } = effect {
                self.global
                    .handle_reply(self.now, *id, Ok(Term::from(true)));
            }
        }
        self.effects()
    }

    /// Passively, as he has taken the lock first.
    fn merge(
        &mut self,
        tag: i64,
        names: Vec<Term>,
        ops: Vec<Term>,
        known: Vec<Term>,
    ) -> Vec<String> {
        let locker = pid("b@h", 2);
        let set = cast([
            atom("lock_set"),
            locker.into(),
            true.into(),
            Term::nil(),
            tag.into(),
        ]);
        let mut told = self.says("b@h", set);
        let names = cast([
            atom("exchange"),
            atom("b@h"),
            names.into(),
            Term::nil(),
            tag.into(),
        ]);
        told.extend(self.says("b@h", names));
        let word = atom("resolved");
        let unused = atom("unused");
        let done = [
            word,
            atom("b@h"),
            ops.into(),
            known.into(),
            unused,
            Term::nil(),
            tag.into(),
        ];
        told.extend(self.says("b@h", cast(done)));
        told
    }
}

pub(super) fn introduction(node: &str, tag: i64) -> Term {
    let version = tuple([8.into(), tag.into()]);
    let locker = [
        atom("locker"),
        atom("no_longer_a_pid"),
        Term::map([]),
        pid(node, 2).into(),
    ];
    cast([atom("init_connect"), version, atom(node), tuple(locker)])
}

pub(super) fn method(name: &'static str) -> Term {
    Term::Export(Export::new(
        Atom::from_static("global"),
        Atom::from_static(name),
        3,
    ))
}

pub(super) fn entry(name: &str, pid: &Pid, how: &'static str) -> Term {
    tuple([atom(name), pid.clone().into(), method(how)])
}

#[test]
fn a_nodeup_is_greeted_by_init_connect_with_a_fresh_tag() {
    let mut machine = Machine::new();
    let greeting = "global_name_server@b@h ! {'$gen_cast',{init_connect,{8,16777217},m@h,\
                    {locker,no_longer_a_pid,#{enmesh => 8},<m@h.2.0>}}}";
    assert_eq!(machine.up("b@h"), [greeting]);
    machine.down("b@h");
    assert!(machine.up("b@h")[0].contains("{8,16777218}"));
}

#[test]
fn an_introduction_is_acknowledged_with_both_tags() {
    let mut machine = Machine::new();
    machine.up("b@h");
    let told = machine.says("b@h", introduction("b@h", 90));
    assert_eq!(
        told,
        ["global_name_server@b@h ! {init_connect_ack,m@h,90,16777217}"]
    );
}

#[test]
fn an_introduction_in_the_name_of_another_node_or_of_an_old_release_is_not_heard() {
    let mut machine = Machine::new();
    machine.up("b@h");
    machine.up("c@h");
    assert!(machine.says("b@h", introduction("c@h", 90)).is_empty());
    let old = cast([
        atom("init_connect"),
        tuple([7.into(), 1.into()]),
        atom("b@h"),
        atom("x"),
    ]);
    assert!(machine.says("b@h", old).is_empty());
}

#[test]
fn an_acknowledgement_of_other_tags_makes_both_begin_anew() {
    let (mut machine, tag) = Machine::met();
    let ack = |mine: i64, his: i64| {
        tuple([
            atom("init_connect_ack"),
            atom("b@h"),
            mine.into(),
            his.into(),
        ])
    };
    assert!(machine.says("b@h", ack(tag, 90)).is_empty());
    assert!(
        machine.says("b@h", ack(tag - 5, 90)).is_empty(),
        "an older session's"
    );
    let told = machine.says("b@h", ack(tag, 91));
    assert!(told[0].contains("{cancel_connect,m@h,91}"), "{told:?}");
    assert!(
        told.iter()
            .any(|it| it.contains("{init_connect,{8,16777218}")),
        "{told:?}"
    );
}

#[test]
fn a_cancelled_session_is_begun_anew_and_an_old_one_is_not() {
    let (mut machine, tag) = Machine::met();
    let cancel = |tag: i64| tuple([atom("cancel_connect"), atom("b@h"), tag.into()]);
    assert!(machine.says("b@h", cancel(tag - 1)).is_empty());
    let told = machine.says("b@h", cancel(tag));
    assert!(
        told.iter()
            .any(|it| it.contains("{init_connect,{8,16777218}")),
        "{told:?}"
    );
}

#[test]
fn a_lock_is_shared_by_one_requester_and_refused_to_others() {
    let mut machine = Machine::new();
    let set = |machine: &mut Machine, from, requester: &str| {
        machine.asks(from, tuple([atom("set_lock"), lock("x", requester)]))
    };
    let tag = "[alias|#Ref<b@h.0.0.";
    let granted = set(&mut machine, 10, "r");
    assert_eq!(granted.len(), 2);
    assert_eq!(granted[0], "monitor <b@h.10.0>");
    assert!(
        granted[1].starts_with(&format!("alias 10 ! {{{tag}")) && granted[1].ends_with("true}")
    );
    assert_eq!(set(&mut machine, 10, "r").len(), 1, "it is watched already");
    assert!(set(&mut machine, 11, "r")[1].ends_with(",true}"));
    assert!(set(&mut machine, 12, "other")[0].ends_with(",false}"));
    for holder in [10, 11] {
        let told = machine.asks(holder, tuple([atom("del_lock"), lock("x", "r")]));
        assert_eq!(told[0], "demonitor");
        assert!(told[1].ends_with(",true}"));
    }
    assert!(set(&mut machine, 12, "other")[1].ends_with(",true}"));
}

#[test]
fn a_lock_is_free_when_its_holder_has_died() {
    let mut machine = Machine::new();
    machine.asks(10, tuple([atom("set_lock"), lock("x", "r")]));
    let watch = machine.global.last_id;
    machine
        .global
        .handle_down(machine.now, watch, &atom("killed"));
    let told = machine.asks(12, tuple([atom("set_lock"), lock("x", "other")]));
    assert!(told[1].ends_with(",true}"));
}

#[test]
fn one_lock_has_no_more_holders_than_the_bound() {
    let mut machine = Machine::new();
    for holder in 0..MAX_HOLDERS as u32 {
        let told = machine.asks(holder, tuple([atom("set_lock"), lock("x", "r")]));
        assert!(told[1].ends_with(",true}"));
    }
    let told = machine.asks(70_000, tuple([atom("set_lock"), lock("x", "r")]));
    assert!(told[0].ends_with(",false}"));
}

#[test]
fn a_name_is_entered_for_who_holds_the_lock_and_freed_with_its_process() {
    let mut machine = Machine::merged();
    let owner = pid("b@h", 50);
    let register = |name: &str| {
        tuple([
            atom("register"),
            atom(name),
            owner.clone().into(),
            method("random_exit_name"),
        ])
    };
    machine.asks(10, tuple([atom("set_lock"), lock("global", "r")]));
    assert_eq!(machine.asks(10, register("n"))[0], "monitor <b@h.50.0>");
    assert_eq!(machine.global.whereis(&atom("n")), Some(&owner));
    let watch = machine.global.last_id;
    // Somebody without the lock is told yes as well, as OTP does, and has no effect.
    let told = machine.asks(11, register("other"));
    assert!(told[0].ends_with(",yes}"), "{told:?}");
    assert_eq!(machine.global.whereis(&atom("other")), None);
    machine
        .global
        .handle_down(machine.now, watch, &atom("normal"));
    assert_eq!(machine.global.names().count(), 0);
    machine.asks(10, register("n"));
    machine.asks(10, tuple([atom("unregister"), atom("n")]));
    assert_eq!(machine.global.names().count(), 0);
}

#[test]
fn what_was_begun_under_a_lock_whose_holder_died_does_not_count() {
    let mut machine = Machine::new();
    machine.asks(10, tuple([atom("set_lock"), lock("global", "r")]));
    let watch = machine.global.last_id;
    machine
        .global
        .handle_down(machine.now, watch, &atom("killed"));
    let owner = pid("b@h", 50);
    let register = tuple([
        atom("register"),
        atom("n"),
        owner.into(),
        method("random_exit_name"),
    ]);
    machine.asks(11, register);
    assert_eq!(machine.global.names().count(), 0);
}

#[test]
fn a_call_that_is_not_understood_gets_an_error_and_the_tag_comes_back_as_it_was() {
    let mut machine = Machine::new();
    let refused = "{error,not_served}}";
    for request in [
        atom("stop"),
        Term::Int(4),
        tuple([atom("registrar"), atom("f")]),
    ] {
        let told = machine.asks(10, request);
        assert_eq!(told.len(), 1);
        assert!(told[0].ends_with(refused), "{told:?}");
    }
    let from = tuple([pid("b@h", 1).into(), tuple([alias(4).into(), atom("m@h")])]);
    let told = machine.says(
        "b@h",
        tuple([atom("system"), from.clone(), atom("get_state")]),
    );
    assert!(
        told[0].starts_with("<b@h.1.0> ! {{#Ref") && told[0].ends_with(refused),
        "{told:?}"
    );
    // gen_server:multi_call of OTP 27.
    let inner = Term::improper(vec![atom("alias")], alias(9).into());
    let tag = Term::improper(vec![inner], alias(8).into());
    let from = tuple([pid("b@h", 1).into(), tag]);
    let told = machine.says(
        "b@h",
        tuple([atom("$gen_call"), from, atom("get_protocol_version")]),
    );
    assert!(
        told[0].starts_with("alias 9 ! {[[alias|#Ref") && told[0].ends_with(",8}"),
        "{told:?}"
    );
}

#[test]
fn both_sides_take_the_lock_exchange_names_and_become_one() {
    let (mut machine, tag) = Machine::met();
    let owner = pid("b@h", 50);
    let names = vec![entry("n", &owner, "random_exit_name")];
    let known = vec![tuple([atom("c@h"), 8.into()])];
    let told = machine.merge(tag, names, vec![], known);
    let expected = [
        "global_name_server@b@h ! {'$gen_cast',{lock_set,<m@h.2.0>,true,[],90}}",
        "global_name_server@b@h ! {'$gen_cast',{exchange,m@h,[],[],90}}",
        "monitor <b@h.50.0>",
        "connect c@h",
        "global_name_server@b@h ! {'$gen_cast',{resolved,m@h,[],[],unused,[],90}}",
    ];
    assert_eq!(told, expected);
    let known: Vec<&str> = machine.global.known().map(Atom::as_str).collect();
    assert_eq!(known, ["b@h", "c@h"]);
    assert_eq!(machine.global.whereis(&atom("n")), Some(&owner));
    assert!(machine.global.is_synced(&Atom::from_static("b@h")));
    assert!(machine.global.is_locker_idle() && machine.global.locks.len() == 0);
    // Whom we know from him alone is greeted when it has greeted us, and not before.
    assert!(machine.up("c@h").is_empty());
    let greeting = cast([atom("in_sync"), atom("c@h"), true.into()]);
    assert_eq!(
        machine.says("c@h", greeting.clone()),
        ["global_name_server@c@h ! {'$gen_cast',{in_sync,m@h,enmesh}}"]
    );
    assert!(machine.says("c@h", greeting).is_empty(), "once is enough");
    machine.down("b@h");
    let known: Vec<&str> = machine.global.known().map(Atom::as_str).collect();
    assert_eq!(known, ["c@h"]);
}

/// What he says is meant for the life before this one, which was of his partition. He would tell
/// us of nothing more.
#[test]
fn names_are_not_changed_by_another_partition() {
    let (mut machine, _) = Machine::met();
    let register = |name: &'static str| {
        let owner = pid("b@h", 50).into();
        tuple([
            atom("register"),
            atom(name),
            owner,
            method("random_exit_name"),
        ])
    };
    let told = machine.asks(60, register("stale"));
    assert_eq!(told.len(), 1, "it is answered all the same: {told:?}");
    assert!(told[0].ends_with("yes}"), "{told:?}");
    assert_eq!(machine.global.whereis(&atom("stale")), None);
    let told = machine.says(
        "b@h",
        cast([
            atom("new_nodes"),
            atom("b@h"),
            Term::list([tuple([
                atom("insert"),
                entry("stale", &pid("b@h", 50), "random_exit_name"),
            ])]),
            Term::nil(),
            Term::list([tuple([atom("c@h"), 8.into()])]),
            Term::nil(),
        ]),
    );
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(machine.global.whereis(&atom("stale")), None);
    assert_eq!(machine.global.known().count(), 0);
    // Not even if he has our lock, which he may have asked the life before for.
    machine.asks(60, tuple([atom("set_lock"), lock("global", "x")]));
    machine.asks(60, register("stale"));
    assert_eq!(machine.global.whereis(&atom("stale")), None);
    machine.asks(60, tuple([atom("del_lock"), lock("global", "x")]));
    let word = atom("unregister");
    machine
        .global
        .register(machine.now, atom("ours"), pid("m@h", 9), 1);
    assert_eq!(machine.global.poll_outcome(), Some((1, true)));
    machine.asks(60, tuple([word, atom("ours")]));
    assert!(machine.global.whereis(&atom("ours")).is_some());
}

/// A node that dies when it has given us its lock may be back before it is told of the name.
#[test]
fn a_name_is_told_to_nobody_who_was_lost_since_it_gave_its_lock() {
    let mut machine = Machine::merged();
    let nodes = Term::list([tuple([atom("a@h"), 8.into()])]);
    let word = atom("new_nodes");
    let message = [
        word,
        atom("b@h"),
        Term::nil(),
        Term::nil(),
        nodes,
        Term::nil(),
    ];
    machine.says("b@h", cast(message));
    machine.up("a@h");
    machine
        .global
        .register(machine.now, atom("n"), pid("m@h", 9), 1);
    // We are the greatest; then `a@h` has given its lock, and `b@h` not yet.
    let calls = machine.effects();
    let [
        Effect::Call { id: first, .. },
        Effect::Call { id: second, .. },
    ] = &calls[..]
    else {
        panic!("{calls:?}");
    };
    machine
        .global
        .handle_reply(machine.now, *first, Ok(Term::from(true)));
    machine.down("a@h");
    machine.up("a@h");
    machine
        .global
        .handle_reply(machine.now, *second, Ok(Term::from(true)));
    let told = machine.told();
    assert!(
        told.iter().any(|it| it.contains("calls b@h {register,n,")),
        "{told:?}"
    );
    assert!(!told.iter().any(|it| it.contains("calls a@h")), "{told:?}");
}

/// He may have died before he told his partition of us, and then it would tell us of nothing.
#[test]
fn who_is_known_from_a_dead_node_alone_is_merged_with_anew() {
    let (mut machine, tag) = Machine::met();
    machine.up("c@h");
    machine.says("c@h", introduction("c@h", 91));
    let owner = pid("c@h", 50);
    let names = vec![entry("n", &owner, "random_exit_name")];
    let known = vec![tuple([atom("c@h"), 8.into()])];
    machine.merge(tag, names, vec![], known);
    assert_eq!(machine.global.whereis(&atom("n")), Some(&owner));
    assert_eq!(machine.down("b@h"), ["demonitor"]);
    assert_eq!(machine.global.whereis(&atom("n")), None);
    assert_eq!(machine.global.known().count(), 0);
    // The session that was open with it goes on.
    machine.now = machine.global.deadline().unwrap();
    machine.global.handle_timeout(machine.now);
    let told = machine.told();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("calls c@h {set_lock,{global,[<c@h.2.0>,<m@h.2.0>]}}"),
        "{told:?}"
    );
}

/// Our partition hears of him when we have his word; he is to have ours no sooner.
#[test]
fn a_beam_is_told_the_outcome_last_and_a_member_by_the_smaller_of_the_two() {
    let lock_set = |tag: i64| {
        let is_set = true.into();
        cast([
            atom("lock_set"),
            pid("b@h", 2).into(),
            is_set,
            Term::nil(),
            tag.into(),
        ])
    };
    let exchange = |tag: i64| {
        let word = atom("exchange");
        cast([word, atom("b@h"), Term::nil(), Term::nil(), tag.into()])
    };
    let is_told = |told: Vec<String>| told.iter().any(|it| it.contains("{resolved,"));
    let (mut machine, tag) = Machine::met();
    machine.says("b@h", lock_set(tag));
    assert!(!is_told(machine.says("b@h", exchange(tag))));

    // `n@h` is greater than we are, and of our kind.
    let mut machine = Machine::new();
    machine.up("n@h");
    let tag = machine.global.last_tag;
    let locker = [
        atom("locker"),
        atom("no_longer_a_pid"),
        Term::map([(atom("enmesh"), 8.into())]),
        pid("n@h", 2).into(),
    ];
    let version = tuple([8.into(), 90.into()]);
    let init = cast([atom("init_connect"), version, atom("n@h"), tuple(locker)]);
    machine.says("n@h", init);
    let is_set = true.into();
    let set = cast([
        atom("lock_set"),
        pid("n@h", 2).into(),
        is_set,
        Term::nil(),
        tag.into(),
    ]);
    machine.says("n@h", set);
    let names = cast([
        atom("exchange"),
        atom("n@h"),
        Term::nil(),
        Term::nil(),
        tag.into(),
    ]);
    assert!(is_told(machine.says("n@h", names)));
}

#[test]
fn of_our_own_accord_we_lock_ourselves_and_him_and_wait_for_his_lock() {
    let (mut machine, tag) = Machine::met();
    let due = machine.global.deadline().unwrap();
    assert!(due - machine.now >= Duration::from_millis(200));
    machine.now = due;
    machine.global.handle_timeout(due);
    let calls = machine.effects();
    let id = "{set_lock,{global,[<b@h.2.0>,<m@h.2.0>]}}";
    assert_eq!(
        calls.iter().map(tell).collect::<Vec<_>>(),
        [format!("<m@h.2.0> calls b@h {id}")]
    );
    let set = machine.grant(&calls);
    assert!(tell(&set[0]).contains("{lock_set,<m@h.2.0>,true,[],90}"));
    // He refuses: the lock is given back, on him and here.
    let refusal = [
        atom("lock_set"),
        pid("b@h", 2).into(),
        false.into(),
        Term::nil(),
        tag.into(),
    ];
    let told = machine.says("b@h", cast(refusal));
    assert!(told[0].contains("{del_lock,"), "{told:?}");
}

#[test]
fn the_greatest_name_is_asked_first_and_freed_last() {
    let mut machine = Machine::merged();
    let insert = |node: &str| tuple([atom(node), 8.into()]);
    let nodes = vec![insert("z@h"), insert("a@h")];
    let extra = Term::nil();
    machine.says(
        "b@h",
        cast([
            atom("new_nodes"),
            atom("b@h"),
            Term::nil(),
            Term::nil(),
            nodes.into(),
            extra,
        ]),
    );
    machine.up("z@h");
    machine.up("a@h");
    let (name, owner) = (atom("n"), pid("m@h", 9));
    machine.global.register(machine.now, name.clone(), owner, 1);
    let boss = machine.effects();
    assert_eq!(boss.len(), 1);
    assert!(tell(&boss[0]).contains("calls z@h {set_lock,{global,<m@h.3.0>}}"));
    let rest = machine.grant(&boss);
    let told: Vec<String> = rest.iter().map(tell).collect();
    assert!(told[0].contains("calls a@h {set_lock") && told[1].contains("calls b@h {set_lock"));
    let write = machine.grant(&rest);
    assert_eq!(machine.global.whereis(&name), Some(&pid("m@h", 9)));
    let free = machine.grant(&write);
    assert_eq!(machine.global.poll_outcome(), Some((1, true)));
    let told: Vec<String> = free.iter().map(tell).collect();
    assert!(
        told.iter()
            .all(|it| it.contains("{del_lock,") && !it.contains("calls z@h"))
    );
    let last = machine.grant(&free);
    assert_eq!(last.len(), 1);
    assert!(tell(&last[0]).contains("calls z@h {del_lock,"));
}

#[test]
fn a_lock_that_is_refused_is_given_back_and_tried_again_after_a_while() {
    let mut machine = Machine::merged();
    machine
        .global
        .register(machine.now, atom("n"), pid("m@h", 9), 1);
    let Some(Effect::Call { id, .. }) = machine.effects().pop() else {
        panic!("no call");
    };
    machine
        .global
        .handle_reply(machine.now, id, Ok(Term::from(false)));
    assert!(machine.told().is_empty());
    machine.now = machine.global.deadline().unwrap();
    machine.global.handle_timeout(machine.now);
    assert!(machine.told()[0].contains("{set_lock,"));
    assert_eq!(machine.global.poll_outcome(), None);
}

/// How long it waits after each of some refusals, in a cluster of so many nodes.
fn waits_when_refused(nodes: usize, refusals: usize) -> Vec<Duration> {
    let mut machine = Machine::merged();
    let others: Vec<String> = (2..nodes).map(|number| format!("z{number}@h")).collect();
    let known = others.iter().map(|name| tuple([atom(name), 8.into()]));
    machine.says(
        "b@h",
        cast([
            atom("new_nodes"),
            atom("b@h"),
            Term::nil(),
            Term::nil(),
            Term::List(known.collect()),
            Term::nil(),
        ]),
    );
    for name in &others {
        machine.up(name);
    }
    let now = machine.now;
    machine.global.register(now, atom("n"), pid("m@h", 9), 1);
    let mut waits = Vec::new();
    let mut refused = now;
    while waits.len() < refusals {
        for effect in machine.effects() {
            let Effect::Call { id, request, .. } = effect else {
                continue;
            };
            if request.to_string().starts_with("{set_lock,") {
                waits.push(machine.now - refused);
                refused = machine.now;
                let refusal = Ok(Term::from(false));
                machine.global.handle_reply(machine.now, id, refusal);
            }
        }
        machine.now = machine.global.deadline().unwrap();
        machine.global.handle_timeout(machine.now);
    }
    // The first was asked at once.
    waits.split_off(1)
}

/// OTP's `global:random_sleep/1` waits up to 8 s after six, however small the cluster.
#[test]
fn a_refusal_is_waited_out_for_a_second_at_most_and_longer_in_large_clusters() {
    for (nodes, longest) in [
        (2, 1000),
        (50, 1000),
        (200, 4000),
        (400, 8000),
        (1000, 8000),
    ] {
        let waits = waits_when_refused(nodes, 400);
        let longest = Duration::from_millis(longest);
        let whole: Duration = waits.iter().sum();
        let mean = whole / u32::try_from(waits.len()).unwrap();
        assert!(waits[0] <= Duration::from_millis(125), "{:?}", waits[0]);
        assert!(waits[1] <= Duration::from_millis(250), "{:?}", waits[1]);
        assert!(waits.iter().all(|wait| *wait <= longest), "{nodes} nodes");
        assert!(mean > longest * 2 / 5, "{nodes} nodes: {mean:?}");
    }
}

#[test]
fn a_node_that_cannot_be_reached_does_not_keep_others_from_registering() {
    let mut machine = Machine::merged();
    machine
        .global
        .register(machine.now, atom("n"), pid("m@h", 9), 1);
    let Some(Effect::Call { id, .. }) = machine.effects().pop() else {
        panic!("no call");
    };
    let reason = atom("noconnection");
    machine
        .global
        .handle_reply(machine.now, id, Err(CallFailed { reason }));
    assert_eq!(machine.global.poll_outcome(), Some((1, true)));
}

/// With `b@h`, whose lock we wait for; ours is taken.
fn waiting() -> Machine {
    let (mut machine, _) = Machine::met();
    machine.now = machine.global.deadline().unwrap();
    machine.global.handle_timeout(machine.now);
    let calls = machine.effects();
    let set = machine.grant(&calls);
    assert!(tell(&set[0]).contains("{lock_set,<m@h.2.0>,true,[],90}"));
    machine
}

#[test]
fn who_does_not_say_for_too_long_that_it_has_the_lock_is_to_begin_anew() {
    let mut machine = waiting();
    let second = Duration::from_secs(1);
    let begin = machine.now;
    let mut told = Vec::new();
    while told.is_empty() {
        machine.now += second;
        assert!(machine.now - begin <= 21 * second, "it waits on");
        machine.global.handle_timeout(machine.now);
        told = machine.told();
    }
    let has = |what: &str| told.iter().any(|told| told.contains(what));
    assert!(has("! {cancel_connect,m@h,90}"), "{told:?}");
    assert!(has("{del_lock,") && has("{init_connect,"), "{told:?}");
}

#[test]
fn a_node_that_is_gone_is_not_called_to_free_the_lock_that_it_had() {
    let mut machine = waiting();
    let told = machine.down("b@h");
    assert!(told.iter().all(|it| !it.contains("b@h")), "{told:?}");
    assert_eq!(machine.global.locks.len(), 0);
    assert!(machine.global.is_locker_idle());
}

#[test]
fn one_word_of_each_locker_waits_and_none_of_a_node_that_is_gone() {
    let (mut machine, _) = Machine::met();
    machine.up("c@h");
    machine.now = machine.global.deadline().unwrap();
    machine.global.handle_timeout(machine.now);
    machine.told();
    // While the lock is being taken elsewhere: many processes of one node say that they have one.
    for id in 100..200 {
        let word = [
            atom("lock_set"),
            pid("c@h", id).into(),
            true.into(),
            Term::nil(),
        ];
        assert!(machine.says("c@h", cast(word)).is_empty());
    }
    assert_eq!(machine.global.words_heard(), 1);
    machine.down("c@h");
    assert_eq!(machine.global.words_heard(), 0);
}

#[test]
fn locks_are_bounded_in_number_and_size_and_keep_no_message_alive() {
    let message = Bytes::from(vec![7; 1 << 20]);
    let mut locks = Locks::default();
    let part = Term::from(message.slice(..64));
    let id = |resource: Term, requester: Term| LockId {
        resource,
        requester,
    };
    let of_message = id(part.clone(), part.clone());
    assert_eq!(locks.take(&of_message, &pid("b@h", 1), Some(0)), Taken::New);
    drop((part, of_message));
    assert!(message.is_unique(), "a part of the message is held");
    assert!(locks.died(0));

    let large = |number: u8| id(Term::binary(vec![number; 12 << 20]), Term::nil());
    for number in 1..=2 {
        let watch = Some(u64::from(number));
        assert_eq!(
            locks.take(&large(number), &pid("b@h", 1), watch),
            Taken::New
        );
    }
    assert_eq!(
        locks.take(&large(3), &pid("b@h", 1), Some(3)),
        Taken::Refused
    );
    assert!(locks.died(1));
    assert_eq!(locks.take(&large(3), &pid("b@h", 1), Some(3)), Taken::New);
    locks.lost(&Atom::from_static("b@h"));
    assert_eq!(locks.len(), 0);

    // Many holders of a few locks count like many locks.
    let mut taken = 0;
    for number in 0..70_000 {
        let shared = id(Term::Int(number / 1000), Term::nil());
        let watch = Some(1 << 20 | number as u64);
        let holder = pid("b@h", number as u32);
        taken += u32::from(locks.take(&shared, &holder, watch) == Taken::New);
    }
    assert_eq!(taken, 65_536);
}

#[test]
fn a_locker_of_which_nothing_is_known_is_refused_without_a_tag() {
    let mut machine = Machine::new();
    machine.up("b@h");
    let word = [
        atom("lock_set"),
        pid("b@h", 2).into(),
        true.into(),
        Term::nil(),
    ];
    assert_eq!(
        machine.says("b@h", cast(word)),
        ["<b@h.2.0> ! {lock_set,<m@h.2.0>,false,[]}"]
    );
}

#[test]
fn sync_is_answered_when_all_have_greeted_or_gone() {
    let mut machine = Machine::new();
    machine.up("b@h");
    machine.up("c@h");
    let nodes = Term::from(vec![atom("b@h"), atom("c@h"), atom("nobody@h")]);
    assert!(machine.asks(10, tuple([atom("sync"), nodes])).is_empty());
    assert!(
        machine
            .says("b@h", cast([atom("in_sync"), atom("b@h"), true.into()]))
            .is_empty()
    );
    let told = machine.down("c@h");
    assert!(
        told[0].starts_with("alias 10 ! ") && told[0].ends_with(",ok}"),
        "{told:?}"
    );
    // Who asks and is gone is not answered: that would dial it.
    machine.up("c@h");
    let nodes = Term::from(vec![atom("c@h"); 100]);
    assert!(machine.asks(11, tuple([atom("sync"), nodes])).is_empty());
    machine.down("b@h");
    assert!(machine.down("c@h").iter().all(|it| !it.contains("alias")));
}

#[test]
fn who_is_told_to_go_leaves_everybody_once_and_longer_each_time() {
    let mut machine = Machine::merged();
    let remove = tuple([atom("remove_connection"), atom("b@h")]);
    let told = machine.says("b@h", remove.clone());
    // Nobody had told us of it, it had dialled us: it is to be dialled after the return like all.
    assert_eq!(told[1..], ["connect b@h"]);
    assert!(
        ["leave for 4 s", "leave for 5 s"].contains(&told[0].as_str()),
        "{told:?}"
    );
    assert!(
        machine
            .says("c@h", tuple([atom("remove_connection"), atom("c@h")]))
            .is_empty()
    );
    machine.now += Duration::from_secs(7);
    let told = machine.says("b@h", remove);
    assert_eq!(told.len(), 1);
    let seconds: u64 = told[0].split(' ').nth(2).unwrap().parse().unwrap();
    assert!((8..=12).contains(&seconds), "{told:?}");
}

#[test]
fn a_connection_that_others_lost_is_none_of_our_business() {
    let mut machine = Machine::merged();
    let lost = [
        atom("lost_connection"),
        atom("b@h"),
        1.into(),
        2.into(),
        atom("c@h"),
    ];
    assert!(machine.says("b@h", tuple(lost)).is_empty());
    machine.down("b@h");
    machine.up("c@h");
    assert!(
        !machine
            .down("c@h")
            .iter()
            .any(|told| told.contains("lost_connection"))
    );
}

#[test]
fn a_clash_is_settled_by_the_smaller_node_with_the_method_of_its_name() {
    let check = |how: &'static str, expected: &[&str], keeps: Option<&str>| {
        // Our partition of `a` to `m` has the name; `z@h` brings it too.
        let mut machine = Machine::merged();
        machine.asks(10, tuple([atom("set_lock"), lock("global", "r")]));
        let register = [
            atom("register"),
            atom("n"),
            pid("b@h", 50).into(),
            method(how),
        ];
        machine.asks(10, tuple(register));
        machine.asks(10, tuple([atom("del_lock"), lock("global", "r")]));
        machine.up("z@h");
        let tag = machine.global.last_tag;
        machine.says("z@h", introduction("z@h", 70));
        let locker = pid("z@h", 2);
        let set = [
            atom("lock_set"),
            locker.into(),
            true.into(),
            Term::nil(),
            tag.into(),
        ];
        machine
            .global
            .handle_message(machine.now, &Atom::from_static("z@h"), &cast(set));
        let calls = machine.effects();
        machine.grant(&calls);
        let names = Term::from(vec![entry("n", &pid("z@h", 60), "random_exit_name")]);
        let told = machine.says(
            "z@h",
            cast([
                atom("exchange"),
                atom("z@h"),
                names,
                Term::nil(),
                tag.into(),
            ]),
        );
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{how}: {told} and {expected}");
        }
        let word = [
            atom("resolved"),
            atom("z@h"),
            Term::nil(),
            Term::nil(),
            atom("unused"),
            Term::nil(),
            tag.into(),
        ];
        machine.says("z@h", cast(word));
        let found = machine
            .global
            .whereis(&atom("n"))
            .map(|pid| pid.node().as_str());
        assert_eq!(found, keeps, "{how}");
    };
    check(
        "random_exit_name",
        &[
            "exit <z@h.60.0> kill",
            "{resolved,m@h,[{insert,{n,<b@h.50.0>,",
        ],
        Some("b@h"),
    );
    check(
        "random_notify_name",
        &["<z@h.60.0> ! {global_name_conflict,n}"],
        Some("b@h"),
    );
    check(
        "notify_all_name",
        &[
            "<z@h.60.0> ! {global_name_conflict,n,<b@h.50.0>}",
            "<b@h.50.0> ! {global_name_conflict,n,<z@h.60.0>}",
            "{resolved,m@h,[{delete,n}]",
        ],
        None,
    );
}

#[test]
fn another_node_can_have_a_clash_settled_by_us() {
    let (less, greater) = (pid("a@h", 1), pid("m@h", 2));
    let ask = |method: Term| {
        let args = [
            method,
            atom("n"),
            greater.clone().into(),
            less.clone().into(),
        ];
        resolve_it(&pid("m@h", 1), &args)
    };
    let (answer, effects) = ask(method("random_exit_name")).unwrap();
    assert_eq!(answer, less.clone().into());
    assert_eq!(
        effects.iter().map(tell).collect::<Vec<_>>(),
        ["exit <m@h.2.0> kill"]
    );
    assert!(ask(atom("mine")).is_none());
    assert!(resolve_it(&less, &[]).is_none());
}

/// Words of the protocol with anything as their arguments.
fn any_message() -> impl Strategy<Value = Term> {
    let words = [
        "init_connect",
        "init_connect_ack",
        "lock_set",
        "exchange",
        "resolved",
        "new_nodes",
        "in_sync",
        "cancel_connect",
        "remove_connection",
        "set_lock",
        "del_lock",
        "register",
        "unregister",
        "sync",
        "whereis",
        "get_known",
        "info",
        "$gen_call",
        "$gen_cast",
        "system",
        "alias",
        "lock",
        "insert",
        "delete",
        "b@h",
        "locker",
        "true",
        "global",
    ];
    let leaf = prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(atom),
        (0..3_i64).prop_map(|add| Term::Int(16_777_217 + add)),
        Just(Term::Int(8)),
        (1..4_u32).prop_map(|id| pid("b@h", id).into()),
        Just(alias(1).into()),
        Just(Term::nil()),
    ];
    leaf.prop_recursive(4, 40, 7, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..7).prop_map(Term::Tuple),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Term::List),
            (inner.clone(), inner).prop_map(|(a, b)| Term::improper(vec![a], b)),
        ]
    })
}

proptest! {
    #[test]
    fn no_message_makes_it_stumble(messages in prop::collection::vec(any_message(), 1..12)) {
        let (mut machine, _) = Machine::met();
        for message in messages {
            for message in [message.clone(), tuple([atom("$gen_cast"), message])] {
                let told = machine.says("b@h", message);
                prop_assert!(told.len() < 64);
            }
            machine.now += Duration::from_secs(30);
            machine.global.handle_timeout(machine.now);
            machine.told();
        }
    }
}
