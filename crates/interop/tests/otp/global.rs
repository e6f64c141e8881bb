//! `global` with members in the cluster: every BEAM locks and names as if there were none.

use std::time::Duration;

use enmesh::{Node, NodeName};
use enmesh_interop::{Beam, Epmd, NetNs, Otp};

use crate::bench::{Member, SOON, beam, list, says, sees};
use crate::rust_node::{block_on, rust_node};

/// What a call to `global` may take: milliseconds, on a machine that runs ten of these tests at once.
const QUICK: Duration = Duration::from_secs(1);

/// BEAMs of some releases and two members, all connected with each other.
pub(crate) struct Cluster {
    pub(crate) ns: NetNs,
    pub(crate) beams: Vec<Beam>,
    pub(crate) members: Vec<Member>,
    /// A node of this very process, where a test has one.
    pub(crate) embedded: Option<Node>,
    _epmd: Epmd,
}

impl Cluster {
    /// Members whose names sort first and last, so that one of them is `global`'s boss.
    pub(crate) fn start(releases: &[Otp]) -> Self {
        let ns = NetNs::new().unwrap();
        let epmd = Epmd::start(&ns).unwrap();
        let mut beams: Vec<Beam> = releases
            .iter()
            .enumerate()
            .map(|(number, otp)| beam(*otp, &ns, &format!("m{number}@127.0.0.1"), &[]))
            .collect();
        let first = beams[0].name().to_owned();
        for peer in &mut beams[1..] {
            says(peer, &format!("net_adm:ping('{first}')"), "pong");
        }
        let members = ["a@127.0.0.1", "z@127.0.0.1"]
            .map(|name| member(&ns, name, &first))
            .into();
        let mut cluster = Self {
            ns,
            beams,
            members,
            embedded: None,
            _epmd: epmd,
        };
        cluster.is_whole();
        cluster
    }

    /// Adds a node of this process, which knows one BEAM.
    pub(crate) fn embed(&mut self, name: &str) -> Node {
        let node = rust_node(&self.ns, name);
        let first: NodeName = self.beams[0].name().parse().unwrap();
        block_on(node.connect(first)).unwrap();
        self.embedded = Some(node.clone());
        self.is_whole();
        node
    }

    /// Every name, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let beams = self.beams.iter().map(|beam| beam.name().to_owned());
        let members = self.members.iter().map(|member| member.name().to_owned());
        let embedded = self.embedded.iter().map(|node| node.name().to_string());
        let mut names: Vec<String> = beams.chain(members).chain(embedded).collect();
        names.sort();
        names
    }

    /// What everybody has printed.
    fn story(&self) -> String {
        let members = self
            .members
            .iter()
            .map(|member| (member.name(), member.enmesh.stderr().all()));
        let beams = self
            .beams
            .iter()
            .map(|beam| (beam.name(), beam.output().all()));
        members
            .chain(beams)
            .map(|(name, lines)| format!("--- {name}\n{}\n", lines.join("\n")))
            .collect()
    }

    /// Waits until everybody is connected with everybody, though the members were told of one BEAM only.
    pub(crate) fn is_whole(&mut self) {
        let names = self.names();
        let others = |own: &str| -> Vec<&str> {
            let others = names.iter().map(String::as_str);
            others.filter(|name| *name != own).collect()
        };
        for member in &self.members {
            let cluster = others(member.name());
            let seen = member.enmesh.wait_cluster(SOON, &cluster);
            seen.unwrap_or_else(|error| panic!("{error:#}\n{}", self.story()));
        }
        for beam in &mut self.beams {
            let name = beam.name().to_owned();
            sees(beam, &others(&name));
        }
    }
}

/// A visible member that knows one BEAM.
pub(crate) fn member(ns: &NetNs, name: &str, beam: &str) -> Member {
    let topology = list(&[beam]);
    Member::start(ns, name, &["--visible", "--echo", "--topology", &topology])
}

/// Evaluates, and fails when the BEAM itself measured more than `QUICK`.
pub(crate) fn quick(beam: &mut Beam, expression: &str) -> String {
    let timed = format!(
        "{{Micros, Value}} = timer:tc(fun() -> {expression} end), \
         Micros < {} orelse error({{slow, Micros}}), Value",
        QUICK.as_micros()
    );
    beam.eval_within(SOON, &timed).unwrap()
}

pub(crate) fn every_node_locks_and_names_in_milliseconds(otp: Otp) {
    locks_and_names(&mut Cluster::start(&[otp, otp]));
}

/// The same with all releases at once.
#[test]
fn three_releases_lock_and_name_in_milliseconds() {
    locks_and_names(&mut Cluster::start(&Otp::ALL));
}

fn locks_and_names(cluster: &mut Cluster) {
    let names = cluster.names();
    for beam in &mut cluster.beams {
        let own = beam.name().to_owned();
        beam.eval_within(SOON, "global:sync()").unwrap();
        assert_eq!(quick(beam, "global:sync()"), "ok", "{own}");
        for expression in [
            "global:set_lock({here, self()})",
            "global:del_lock({here, self()})",
            "global:set_lock({somewhere, self()}, [node() | nodes()], 0)",
            "global:del_lock({somewhere, self()}, [node() | nodes()])",
            "global:trans({there, self()}, fun() -> true end)",
        ] {
            assert_eq!(quick(beam, expression), "true", "{own}: {expression}");
        }
        let register = format!(
            "P = spawn(fun() -> receive after infinity -> ok end end), \
             yes = global:register_name({{name, '{own}'}}, P), yes = global:register_name(brief, spawn(fun() -> \
             receive after 300 -> ok end end)), node(P)"
        );
        assert_eq!(quick(beam, &register), format!("'{own}'"));
        says(beam, "global:whereis_name(brief)", "undefined");
        let find = format!("node(global:whereis_name({{name, '{own}'}}))");
        assert_eq!(quick(beam, &find), format!("'{own}'"));
        // A holder that dies gives its lock back, also to a member.
        let orphan = "spawn(fun() -> global:set_lock({orphan, self()}) end), timer:sleep(100), \
                      global:set_lock({orphan, self()}, [node() | nodes()], 5) andalso global:del_lock({orphan, self()})";
        assert_eq!(beam.eval_within(SOON, orphan).unwrap(), "true", "{own}");
    }
    let wanted_names: Vec<String> = names
        .iter()
        .map(|name| {
            let what = if name.starts_with('m') {
                "name"
            } else {
                "echo"
            };
            format!("{{{what},'{name}'}}")
        })
        .collect();
    for beam in &mut cluster.beams {
        for (wanted, node) in wanted_names.iter().zip(&names) {
            says(
                beam,
                &format!("node(global:whereis_name({wanted}))"),
                &format!("'{node}'"),
            );
        }
        let call = "[gen_server:call({global, {echo, N}}, hello, 5000) || N <- ['a@127.0.0.1', 'z@127.0.0.1']]";
        assert_eq!(quick(beam, call), "[hello,hello]");
    }
    // A clash: the same name from two nodes at once has one owner in the end, everywhere.
    let claim =
        "global:register_name(clash, spawn(fun() -> receive after infinity -> ok end end)), ok";
    let last = cluster.beams.len() - 1;
    cluster.beams[0].eval(claim).unwrap();
    cluster.beams[last].eval(claim).unwrap();
    let owner = cluster.beams[0]
        .eval("node(global:whereis_name(clash))")
        .unwrap();
    for beam in &mut cluster.beams {
        says(beam, "node(global:whereis_name(clash))", &owner);
    }
    // A member that dies takes its names with it.
    let mut dead = cluster.members.pop().unwrap();
    dead.enmesh.process().kill9().unwrap();
    for beam in &mut cluster.beams {
        let expression = format!("global:whereis_name({{echo, '{}'}})", dead.name());
        says(beam, &expression, "undefined");
        assert_eq!(quick(beam, "global:sync()"), "ok");
    }
}
