//! What is done about a peer that has other names than we, or does not know us.

use std::time::Duration;

use enmesh_term::{Atom, Term};

use super::super::audit::MAX_TOLD;
use super::claims::{Machine, atom, cast, entry, introduction, pid, tell, tuple};
use crate::effect::{CallFailed, Effect};

impl Machine {
    /// Lets time pass until there is a call with this in it.
    fn waits_for(&mut self, what: &str) -> u64 {
        for _ in 0..20 {
            let Some(due) = self.global.deadline() else {
                break;
            };
            self.now = due.max(self.now);
            self.global.handle_timeout(self.now);
            if let Some(id) = self.finds(what) {
                return id;
            }
        }
        panic!("nothing asks for {what}");
    }

    fn finds(&mut self, what: &str) -> Option<u64> {
        let effects = self.effects();
        effects.iter().find_map(|effect| match effect {
            Effect::Call { id, .. } if tell(effect).contains(what) => Some(*id),
            _ => None,
        })
    }

    fn answers(&mut self, id: u64, reply: Term) -> Vec<Effect> {
        self.global.handle_reply(self.now, id, Ok(reply));
        self.effects()
    }
}

fn complete(entries: Vec<Term>) -> Term {
    tuple([entries.into(), atom("$end_of_table")])
}

fn told(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(tell).collect()
}

/// Two names that only he has, one of his process and one of ours, and two that only we have.
#[test]
fn of_what_a_process_is_called_its_own_node_is_the_judge() {
    let mut machine = Machine::merged();
    for (name, owner) in [("ours", pid("m@h", 9)), ("gone", pid("b@h", 51))] {
        let register = tuple([atom("register"), atom(name), owner.into(), Term::nil()]);
        let from = tuple([pid("b@h", 60).into(), Term::Int(1)]);
        machine.says("b@h", tuple([atom("$gen_call"), from, register]));
    }
    let listing = || {
        complete(vec![
            entry("his", &pid("b@h", 50), "random_exit_name"),
            entry("stale", &pid("m@h", 10), "random_exit_name"),
            entry("another's", &pid("c@h", 10), "random_exit_name"),
        ])
    };
    let ask = "calls b@h {call,ets,select,[global_names,[{{'$1','$2','$3','_'},\
               [{'orelse',{'=:=',{node,'$2'},m@h},{'=:=',{node,'$2'},b@h}}],[{{'$1','$2','$3'}}]}],10000],";
    let first = machine.waits_for(ask);
    let lock = machine.answers(first, listing());
    assert!(
        told(&lock)[0].contains("{set_lock,{global,<m@h.3.0>}}"),
        "{lock:?}"
    );
    assert_eq!(
        machine.global.whereis(&atom("his")),
        None,
        "not without the lock"
    );
    let asked = machine.grant(&lock);
    let [Effect::Call { id, .. }] = &asked[..] else {
        panic!("{asked:?}");
    };
    let told = told(&machine.answers(*id, listing()));
    let has = |what: &str| told.iter().any(|it| it.contains(what));
    assert!(has("calls b@h {register,ours,<m@h.9.0>,[]}"), "{told:?}");
    assert!(has("calls b@h {unregister,stale}"), "{told:?}");
    assert_eq!(told.iter().filter(|it| it.contains("calls b@h")).count(), 2);
    assert_eq!(machine.global.whereis(&atom("his")), Some(&pid("b@h", 50)));
    assert_eq!(machine.global.whereis(&atom("gone")), None);
    assert_eq!(machine.global.whereis(&atom("ours")), Some(&pid("m@h", 9)));
    assert_eq!(machine.global.whereis(&atom("another's")), None);
}

#[test]
fn a_calm_cluster_is_asked_twice_and_no_more() {
    let mut machine = Machine::merged();
    for _ in 0..2 {
        let id = machine.waits_for("{call,ets,select,");
        assert!(machine.answers(id, atom("$end_of_table")).is_empty());
    }
    let begin = machine.now;
    while let Some(due) = machine.global.deadline() {
        machine.now = due;
        machine.global.handle_timeout(due);
        let told = machine.told();
        assert!(!told.iter().any(|it| it.contains("calls")), "{told:?}");
    }
    assert!(machine.now - begin < Duration::from_secs(60));
}

#[test]
fn a_list_that_is_cut_short_says_nothing_of_what_is_not_in_it() {
    let mut machine = Machine::merged();
    let register = tuple([
        atom("register"),
        atom("his"),
        pid("b@h", 51).into(),
        Term::nil(),
    ]);
    let from = tuple([pid("b@h", 60).into(), Term::Int(1)]);
    machine.says("b@h", tuple([atom("$gen_call"), from, register]));
    let id = machine.waits_for("{call,ets,select,");
    let short = tuple([Term::nil(), atom("more")]);
    assert!(machine.answers(id, short).is_empty());
    assert!(machine.global.whereis(&atom("his")).is_some());
    // Nor does a node that serves no such call.
    let id = machine.waits_for("{call,ets,select,");
    let refusal = tuple([atom("badrpc"), atom("nodedown")]);
    assert!(machine.answers(id, refusal).is_empty());
}

/// He claims names of ours without end.
#[test]
fn a_peer_that_lies_at_length_is_told_so_much_and_no_more() {
    let mut machine = Machine::merged();
    let lies = i64::try_from(MAX_TOLD).unwrap() + 10;
    let listing = || {
        let lie = |n| tuple([Term::Int(n), pid("m@h", 9).into(), Term::nil()]);
        complete((0..lies).map(lie).collect())
    };
    let id = machine.waits_for("{call,ets,select,");
    let lock = machine.answers(id, listing());
    let asked = machine.grant(&lock);
    let [Effect::Call { id, .. }] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(machine.answers(*id, listing()).len(), MAX_TOLD);
}

/// Each name is compared with each of them.
#[test]
fn who_asks_for_the_names_of_many_nodes_is_told_those_of_two() {
    let mut machine = Machine::merged();
    let from = || tuple([pid("b@h", 60).into(), Term::Int(1)]);
    let mut says = |request| machine.says("b@h", tuple([atom("$gen_call"), from(), request]));
    for node in ["b@h", "m@h", "z@h"] {
        let owner = pid(node, 9).into();
        says(tuple([atom("register"), atom(node), owner, Term::nil()]));
    }
    let nodes = Term::list([atom("b@h"), atom("m@h"), atom("z@h")]);
    let told = says(tuple([atom("names_of"), nodes])).join(" ");
    assert!(
        told.contains("{b@h,<b@h.9.0>,[]},{m@h,<m@h.9.0>,[]}],"),
        "{told}"
    );
    assert!(!told.contains("z@h.9.0"), "{told}");
}

/// Else a hundred members would ask one node at the same moment.
#[test]
fn each_member_begins_with_another_peer() {
    let mut machine = Machine::merged();
    for name in ["a@h", "n@h", "z@h"] {
        let node = Atom::new(name).unwrap();
        machine.global.connected.insert(node.clone());
        machine.global.known.insert(node, 8);
    }
    let asked = ["n@h", "z@h", "a@h", "b@h"].map(|name| format!("calls {name} {{call,ets"));
    for call in asked {
        machine.waits_for(&call);
    }
}

/// Each has a process of the name, of which the merge knew nothing.
#[test]
fn a_clash_that_no_merge_saw_is_settled_as_in_one() {
    let mut machine = Machine::merged();
    let register = tuple([
        atom("register"),
        atom("n"),
        pid("m@h", 9).into(),
        super::claims::method("random_exit_name"),
    ]);
    let from = tuple([pid("b@h", 60).into(), Term::Int(1)]);
    machine.says("b@h", tuple([atom("$gen_call"), from, register]));
    let listing = || complete(vec![entry("n", &pid("b@h", 50), "random_exit_name")]);
    let id = machine.waits_for("{call,ets,select,");
    let lock = machine.answers(id, listing());
    let asked = machine.grant(&lock);
    let [Effect::Call { id, .. }] = &asked[..] else {
        panic!("{asked:?}");
    };
    let told = told(&machine.answers(*id, listing()));
    assert!(told.contains(&"exit <m@h.9.0> kill".to_owned()), "{told:?}");
    assert_eq!(machine.global.whereis(&atom("n")), Some(&pid("b@h", 50)));
}

/// It takes no second merge on one link, and so it is told of us as by its own partition.
#[test]
fn a_beam_that_does_not_know_us_is_told_of_us_when_it_has_said_so_twice() {
    let mut machine = Machine::merged();
    for round in 0..2 {
        let id = machine.waits_for("calls b@h get_known");
        let told = told(&machine.answers(id, Term::nil()));
        let is_told = told.iter().any(|it| {
            it.contains("global_name_server@b@h ! {'$gen_cast',{new_nodes,m@h,[],[],[{m@h,8}],")
        });
        assert_eq!(is_told, round == 1, "{told:?}");
    }
    // If it knows us, it is let be.
    let id = machine.waits_for("calls b@h get_known");
    let known = Term::list([tuple([atom("m@h"), 8.into()])]);
    assert!(machine.answers(id, known).is_empty());
}

/// Who has greeted us and is not of our partition knows us by somebody who told us nothing.
#[test]
fn a_beam_that_knows_us_is_known_without_a_merge() {
    let mut machine = Machine::new();
    machine.up("b@h");
    machine.says("b@h", introduction("b@h", 90));
    machine.says("b@h", cast([atom("in_sync"), atom("b@h"), true.into()]));
    let id = machine.waits_for("calls b@h get_known");
    let known = Term::list([tuple([atom("m@h"), 8.into()])]);
    let told = told(&machine.answers(id, known));
    assert!(told.contains(&"connect b@h".to_owned()), "{told:?}");
    let known: Vec<&str> = machine.global.known().map(Atom::as_str).collect();
    assert_eq!(known, ["b@h"]);
    let failed = CallFailed {
        reason: atom("noconnection"),
    };
    let id = machine.waits_for("{call,ets,select,");
    machine.global.handle_reply(machine.now, id, Err(failed));
    assert!(machine.told().is_empty());
}
