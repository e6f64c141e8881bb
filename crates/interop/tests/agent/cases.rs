//! A cluster of BEAMs that were told nothing, and what may happen to it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use enmesh_interop::{Beam, Enmesh, Otp};
use serde_json::Value;

use crate::sidecar::{
    A, B, C, COOKIE, Place, Sidecar, Z, count_nodedowns, list, nodedowns, says, sees,
};

/// Three nodes, each with an agent.
fn cluster(place: &Place) -> Vec<(Beam, Sidecar)> {
    let topology = list(&[A, B, C]);
    let mut nodes: Vec<_> = [A, B, C]
        .map(|name| {
            let beam = place.beam(name);
            let agent = place.agent(name, &["--topology", &topology]);
            (beam, agent)
        })
        .into();
    for (at, (beam, _)) in nodes.iter_mut().enumerate() {
        let others = others(at);
        sees(beam, &others);
    }
    nodes
}

fn others(at: usize) -> Vec<&'static str> {
    let all = [A, B, C];
    (0..all.len())
        .filter(|it| *it != at)
        .map(|it| all[it])
        .collect()
}

/// The keys of a record.
fn keys(record: &Value) -> BTreeSet<String> {
    record.as_object().unwrap().keys().cloned().collect()
}

pub(crate) fn three_nodes_become_a_cluster(otp: Otp) {
    let place = Place::new(otp);
    let mut nodes = cluster(&place);
    for (at, (beam, agent)) in nodes.iter_mut().enumerate() {
        for other in others(at) {
            let up = agent.connected(0, other);
            assert_eq!(up["topology"], serde_json::json!(["list"]));
        }
        agent
            .enmesh
            .wait_cluster(Duration::from_secs(10), &others(at))
            .unwrap();
        // One hidden neighbour, which is no peer of anybody's and stands in no epmd.
        says(beam, "length(nodes(hidden))", "1");
        let registered = "{ok, Names} = erl_epmd:names(), lists:sort([N || {N, _} <- Names])";
        says(beam, registered, "[\"a\",\"b\",\"c\"]");
    }

    // A member's records of the same are the same.
    let cookie = place.path("cookie").to_str().unwrap().to_owned();
    let args = [
        "run",
        "--hidden",
        "--name",
        "r@127.0.0.9",
        "--cookie-file",
        &cookie,
        "--log-format",
        "json",
        "--topology",
        &list(&[B]),
    ];
    let member = Enmesh::start(&place.ns, args).unwrap();
    let soon = Duration::from_secs(30);
    let theirs = member.wait_connected(0, soon, B).unwrap();
    let ours = nodes[0].1.connected(0, B);
    assert_eq!(keys(&ours), keys(&theirs));
    assert_eq!(ours["level"], theirs["level"]);
    assert_eq!(ours["topology"], theirs["topology"]);

    // A node dies, and is started again by somebody.
    let mark = nodes[0].1.mark();
    let marks: Vec<_> = nodes.iter().map(|(_, agent)| agent.mark()).collect();
    nodes[1].0.kill9().unwrap();
    let down = nodes[0].1.disconnected(mark, B);
    let theirs = member.wait_disconnected(0, soon, B).unwrap();
    assert_eq!(keys(&down), keys(&theirs));
    assert_eq!(down["reason"], theirs["reason"]);
    assert_eq!(down["cluster"], serde_json::json!([C]));
    // Its own agent says that nobody is connected any more.
    nodes[1].1.disconnected(marks[1], A);
    nodes[1].1.disconnected(marks[1], C);
    let marks: Vec<_> = nodes.iter().map(|(_, agent)| agent.mark()).collect();
    nodes[1].0 = place.beam(B);
    for (at, (beam, agent)) in nodes.iter_mut().enumerate() {
        sees(beam, &others(at));
        let who = if at == 1 { A } else { B };
        agent.connected(marks[at], who);
    }
    assert_eq!(nodes[1].1.count("attached to the node"), 2);
}

pub(crate) fn a_killed_agent_drops_no_link(otp: Otp) {
    let place = Place::new(otp);
    let mut nodes = cluster(&place);
    for (beam, _) in &mut nodes {
        count_nodedowns(beam);
    }
    nodes[0].1.enmesh.process().kill9().unwrap();
    says(&mut nodes[0].0, "whereis(enmesh_agent)", "undefined");
    sees(&mut nodes[0].0, &[B, C]);

    // The next one begins with who is there, and nobody goes.
    let mut next = place.agent(A, &["--topology", &list(&[A, B, C])]);
    next.connected(0, B);
    next.connected(0, C);
    assert_eq!(next.count("node disconnected"), 0);
    assert_eq!(next.count("node connected"), 2);

    // One whose process in the node is killed begins anew, and knows what it knew.
    next.enmesh.process().stop().unwrap();
    let gone = "[exit(whereis(enmesh_agent), kill)] =:= [true]";
    says(&mut nodes[0].0, gone, "true");
    next.enmesh.process().cont().unwrap();
    let mark = next.mark();
    next.attached(mark);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(next.count("node disconnected"), 0);
    assert_eq!(next.count("node connected"), 2);
    for (beam, _) in &mut nodes {
        assert_eq!(nodedowns(beam), "[]");
    }
}

pub(crate) fn sigterm_touches_no_link(otp: Otp) {
    let place = Place::new(otp);
    let mut nodes = cluster(&place);
    count_nodedowns(&mut nodes[0].0);
    let process = nodes[0].1.enmesh.process();
    process.terminate().unwrap();
    let asked = Instant::now();
    assert!(
        process
            .wait_exit(Duration::from_secs(10))
            .unwrap()
            .success()
    );
    assert!(asked.elapsed() < Duration::from_secs(5));
    says(&mut nodes[0].0, "nodes(hidden)", "[]");
    sees(&mut nodes[0].0, &[B, C]);
    assert_eq!(nodedowns(&mut nodes[0].0), "[]");
    assert_eq!(nodes[0].1.count("node disconnected"), 0);
}

pub(crate) fn a_wrong_cookie_is_said_once(otp: Otp) {
    let place = Place::new(otp);
    place.write("cookie", "another");
    let mut a = place.beam(A);
    let mut b = place.beam(B);
    let agent = place.agent(A, &["--topology", &list(&[B])]);
    let waiting = "cannot attach to the node; waiting for it quietly";
    let said = agent.said(0, waiting);
    assert_eq!(said["reason"], "wrong_cookie");
    assert_eq!(said["node"], A);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(agent.count(waiting), 1);
    place.write("cookie", COOKIE);
    agent.attached(0);
    agent.connected(0, B);
    sees(&mut a, &[B]);
    sees(&mut b, &[A]);
}

pub(crate) fn a_new_cookie_is_taken(otp: Otp) {
    let place = Place::new(otp);
    let mut a = place.beam(A);
    let mut b = place.beam(B);
    let topology = list(&[A, B, C]);
    let beside_a = place.agent(A, &["--topology", &topology]);
    let beside_b = place.agent(B, &["--topology", &topology]);
    sees(&mut a, &[B]);
    count_nodedowns(&mut a);
    // Everybody's file is another one now.
    place.write("cookie", "changed");
    for beam in [&mut a, &mut b] {
        says(beam, "erlang:get_cookie()", "changed");
    }
    assert_eq!(nodedowns(&mut a), "[]");
    // Who comes now has the new one.
    let mut c = place.beam_with(C, "changed", &[]);
    sees(&mut c, &[A, B]);

    // A node that was restarted, and has the cookie of before, is let in by it and given the new
    // one.
    let mark = beside_b.mark();
    b.kill9().unwrap();
    let mut b = place.beam(B);
    beside_b.attached(mark);
    says(&mut b, "erlang:get_cookie()", "changed");
    sees(&mut b, &[A, C]);
    sees(&mut a, &[B, C]);
    drop(beside_a);
}

pub(crate) fn a_second_agent_waits(otp: Otp) {
    let place = Place::new(otp);
    let mut a = place.beam(A);
    let b = place.beam(B);
    let mut first = place.agent(A, &["--topology", &list(&[B])]);
    let attached = first.attached(0);
    let second = place.agent(A, &["--topology", &list(&[B])]);
    let said = second.said(0, "cannot attach to the node; waiting for it quietly");
    let name = attached["agent"].as_str().unwrap();
    let reason = said["reason"].as_str().unwrap();
    assert!(
        reason.contains("another agent") && reason.contains(name),
        "{reason}"
    );
    // It takes over when the first one ends.
    first.connected(0, B);
    first.enmesh.process().kill9().unwrap();
    second.attached(0);
    second.connected(0, B);
    sees(&mut a, &[B]);
    drop(b);
}

/// The node's next life, at another address, dials us while the agent still has the old one connected. A BEAM that is busy
/// with a dial of its own refuses it, and `global` cuts others for that.
pub(crate) fn an_address_without_an_answer_holds_nobody_up(otp: Otp) {
    let place = Place::new(otp);
    let mut ours = place.beam(Z);
    let mut peer = place.beam(B);
    // Whoever has bound no address comes from there.
    let nobody = "127.0.0.1".parse().unwrap();
    place.ns.cut(nobody, "127.0.0.2".parse().unwrap()).unwrap();
    let agent = place.agent(Z, &["--topology", &list(&[B]), "--log-level", "debug"]);
    agent.said(0, "connecting to node");
    // Long enough to be in the midst of it, and shorter than it takes.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(agent.count("node connected"), 0);
    let dialled = peer.eval(&format!("net_kernel:connect_node('{Z}')"));
    assert_eq!(dialled.unwrap(), "true");
    agent.connected(0, B);
    sees(&mut ours, &[B]);
    // What was under way then is of no account any more.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(agent.count("node disconnected"), 0);
    place.ns.heal().unwrap();
    peer.kill9().unwrap();
    agent.disconnected(0, B);
}
