//! `global` of BEAM nodes with members among them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use enmesh_interop::{Beam, Epmd, NetNs, Otp, poll_until};

use crate::bench::{Member, SOON, beam, list, says, sees};
use crate::cases::stays_so;

/// How long one call of `global` may take in a cluster that is whole; it takes milliseconds on a
/// machine that has nothing else to do.
const PROMPT: Duration = Duration::from_secs(3);

/// A cluster in a network of its own. The second member knows only the first one.
struct Cluster {
    beams: Vec<Beam>,
    members: Vec<Member>,
    ns: NetNs,
    _epmd: Epmd,
}

impl Cluster {
    fn start(otps: &[Otp], members: &[&str]) -> Self {
        let ns = NetNs::new().unwrap();
        let epmd = Epmd::start(&ns).unwrap();
        let names: Vec<String> = (0..otps.len())
            .map(|at| format!("b{at}@127.0.0.1"))
            .collect();
        let beams: Vec<Beam> = otps
            .iter()
            .zip(&names)
            .map(|(otp, name)| beam(*otp, &ns, name, &[]))
            .collect();
        let mut cluster = Self {
            beams,
            members: Vec::new(),
            ns,
            _epmd: epmd,
        };
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        for (at, member) in members.iter().enumerate() {
            let topology = if at == 0 {
                list(&all)
            } else {
                list(&members[..1])
            };
            cluster.start_member(member, &topology);
        }
        cluster
    }

    fn start_member(&mut self, name: &str, topology: &str) {
        let args = ["--visible", "--echo", "--topology", topology];
        self.members.push(Member::start(&self.ns, name, &args));
    }

    fn names(&self) -> Vec<String> {
        let beams = self.beams.iter().map(|beam| beam.name().to_owned());
        let members = self.members.iter().map(|member| member.name().to_owned());
        let mut names: Vec<String> = beams.chain(members).collect();
        names.sort();
        names
    }

    /// Waits until all see all.
    fn is_whole(&mut self) {
        let names = self.names();
        for beam in &mut self.beams {
            let others: Vec<&str> = names.iter().map(String::as_str).collect();
            let others: Vec<&str> = others
                .into_iter()
                .filter(|name| *name != beam.name())
                .collect();
            sees(beam, &others);
        }
        let known = |own: &str| {
            let others = names.iter().filter(|name| *name != own);
            let quoted: Vec<String> = others.map(|name| format!("'{name}'")).collect();
            format!("[{}]", quoted.join(","))
        };
        for name in &names {
            let ask =
                format!("lists:sort(gen_server:call({{global_name_server,'{name}'}}, get_known))");
            says(&mut self.beams[0], &ask, &known(name));
        }
    }

    /// What every BEAM says, and promptly.
    fn all_say(&mut self, expression: &str, wanted: &str) {
        for beam in &mut self.beams {
            let begin = Instant::now();
            let said = beam.eval(expression).unwrap();
            let took = begin.elapsed();
            assert_eq!(said, wanted, "{} to {expression}", beam.name());
            assert!(
                took < PROMPT,
                "{} took {took:?} for {expression}",
                beam.name()
            );
        }
    }

    /// What every BEAM says in the end.
    fn all_come_to_say(&mut self, expression: &str, wanted: &str) {
        for beam in &mut self.beams {
            says(beam, expression, wanted);
        }
    }

    /// Everything that a user does with `global`.
    fn works(&mut self) {
        self.all_say("global:sync()", "ok");
        self.all_say("global:set_lock({there, self()})", "true");
        self.all_say("global:trans({there, self()}, fun() -> done end)", "done");
        for at in 0..self.beams.len() {
            let owner = "spawn(fun() -> receive stop -> ok end end)";
            let register = format!("global:register_name({{name, {at}}}, {owner})");
            assert_eq!(self.beams[at].eval(&register).unwrap(), "yes");
            let node = self.beams[at].name().to_owned();
            let find = format!("node(global:whereis_name({{name, {at}}}))");
            self.all_say(&find, &format!("'{node}'"));
            for name in self.names() {
                // All tables, the members' too.
                let ask = format!(
                    "begin R = make_ref(), {{global_name_server,'{name}'}} ! \
                     {{whereis, {{name, {at}}}, {{self(), R}}}}, receive {{R, P}} -> node(P) end end"
                );
                says(&mut self.beams[0], &ask, &format!("'{node}'"));
            }
        }
        for member in self
            .members
            .iter()
            .map(|it| it.name().to_owned())
            .collect::<Vec<_>>()
        {
            let find = format!("node(global:whereis_name({{echo, '{member}'}}))");
            self.all_come_to_say(&find, &format!("'{member}'"));
            let echo =
                format!("global:send({{echo, '{member}'}}, {{self(), hi}}), receive M -> M end");
            self.all_say(&echo, "{echo,hi}");
        }
        // A process ends, and everybody forgets its name; another gives its name up.
        for at in 0..self.beams.len() {
            let end = format!("exit(global:whereis_name({{name, {at}}}), kill)");
            let unregister = format!("global:unregister_name({{name, {at}}})");
            let how = if at == 0 { &end } else { &unregister };
            self.beams[at].eval(how).unwrap();
            let find = format!("global:whereis_name({{name, {at}}})");
            self.all_come_to_say(&find, "undefined");
        }
        self.all_say("global:sync()", "ok");
    }

    /// No BEAM was cut off to keep partitions from overlapping. A member that was killed may be,
    /// where its end is heard of before it is noticed.
    fn no_beam_was_cut_off(&self) {
        for beam in &self.beams {
            for line in beam.output().all() {
                let is_cut = line.contains("overlapping partitions");
                let of_beam =
                    line.contains("from node 'b") || line.contains("disconnected node 'b");
                assert!(!(is_cut && of_beam), "{}: {line}", beam.name());
            }
        }
    }
}

/// A member beside two BEAM nodes of one release, then a second one, then the first restarts.
pub(crate) fn global_works_while_members_come_and_go(otp: Otp) {
    let mut cluster = Cluster::start(&[otp, otp], &["a1@127.0.0.1"]);
    cluster.is_whole();
    cluster.works();
    cluster.start_member("z2@127.0.0.1", &list(&["a1@127.0.0.1"]));
    cluster.is_whole();
    // The new one has the greatest name: from now on it is asked for each lock first.
    cluster.works();
    let mut first = cluster.members.remove(0);
    first.enmesh.process().kill9().unwrap();
    drop(first);
    cluster.is_whole();
    cluster.all_come_to_say("global:whereis_name({echo, 'a1@127.0.0.1'})", "undefined");
    cluster.works();
    cluster.start_member("a1@127.0.0.1", &list(&["b0@127.0.0.1"]));
    cluster.is_whole();
    cluster.works();
    cluster.no_beam_was_cut_off();
}

/// Both sides have the name when they meet: the process on the greater node is killed.
pub(crate) fn a_clash_is_settled_on_both_sides(otp: Otp) {
    for (member, survivor) in [
        ("a1@127.0.0.1", "a1@127.0.0.1"),
        ("z1@127.0.0.1", "b0@127.0.0.1"),
    ] {
        let mut cluster = Cluster::start(&[otp], &[]);
        let owner = "spawn(fun() -> receive stop -> ok end end)";
        let register = format!("global:register_name({{echo, '{member}'}}, {owner})");
        assert_eq!(cluster.beams[0].eval(&register).unwrap(), "yes");
        cluster.start_member(member, &list(&["b0@127.0.0.1"]));
        cluster.is_whole();
        let find = format!("node(global:whereis_name({{echo, '{member}'}}))");
        cluster.all_come_to_say(&find, &format!("'{survivor}'"));
        cluster.all_say("global:sync()", "ok");
    }
}

/// Told to go by a BEAM, a member leaves all nodes at once and is back, whole, within seconds.
pub(crate) fn who_is_told_to_go_leaves_and_comes_back(otp: Otp) {
    let mut cluster = Cluster::start(&[otp, otp], &["a1@127.0.0.1"]);
    cluster.is_whole();
    let mark = cluster.members[0].mark();
    // What global of a BEAM does when it hears that another one has lost the member.
    let remove = "{global_name_server,'a1@127.0.0.1'} ! {remove_connection, node()}";
    cluster.beams[0].eval(remove).unwrap();
    for node in ["b0@127.0.0.1", "b1@127.0.0.1"] {
        let down = cluster.members[0].disconnected(mark, node);
        assert_eq!(down["reason"], "away", "{down}");
    }
    poll_until("the BEAM has lost the member", SOON, || {
        let seen = cluster.beams[1].connected()?;
        anyhow::ensure!(seen == ["b0@127.0.0.1"], "it sees {seen:?}");
        Ok(())
    })
    .unwrap();
    // Who wants it meanwhile is not held up: after `nok` a BEAM waits for seconds.
    let dial = "element(1, timer:tc(net_kernel, connect_node, ['a1@127.0.0.1']))";
    let micros: u64 = cluster.beams[1].eval(dial).unwrap().parse().unwrap();
    assert!(micros < 2_000_000, "{micros} us");
    cluster.all_say("global:sync()", "ok");
    cluster.is_whole();
    cluster.works();
}

/// All releases and two members.
#[test]
fn global_works_in_a_mixed_cluster() {
    let mut cluster = Cluster::start(&Otp::ALL, &["m1@127.0.0.1", "m2@127.0.0.1"]);
    cluster.is_whole();
    cluster.works();
    cluster.no_beam_was_cut_off();
}

/// One link alone is cut, without a word to either end: the member is cut off by all, and each time it comes back it is again,
/// as long as the cut lasts. It must come back ever more seldom, and cost the BEAM nodes nothing.
#[test]
fn a_half_cut_link_does_not_make_a_member_flap() {
    let (hall, room) = (NetNs::new().unwrap(), NetNs::new().unwrap());
    for address in ["10.1.0.10/32", "10.1.0.11/32"] {
        let add = ["address", "add", address, "dev", "lo"];
        hall.run("ip", add).unwrap();
    }
    room.wire("10.0.7.2/24", &hall, "10.0.7.1/24").unwrap();
    let route = ["route", "add", "default", "via", "10.0.7.1"];
    room.run("ip", route).unwrap();
    let _epmds = [Epmd::start(&hall).unwrap(), Epmd::start(&room).unwrap()];
    let ticks = ["-kernel", "net_ticktime", "4"];
    let (one, two, member) = ("b0@10.1.0.10", "b1@10.1.0.11", "a1@10.0.7.2");
    let mut near = beam(Otp::R25, &hall, one, &ticks);
    let mut far = beam(Otp::R29, &hall, two, &ticks);
    let topology = list(&[one, two]);
    let args = [
        "--visible",
        "--echo",
        "--net-ticktime",
        "4s",
        "--topology",
        &topology,
    ];
    let member = Member::start(&room, member, &args);
    sees(&mut near, &[member.name(), two]);
    sees(&mut far, &[member.name(), one]);
    assert_eq!(near.eval("global:sync()").unwrap(), "ok");

    let mark = member.mark();
    let far_address: IpAddr = "10.1.0.11".parse().unwrap();
    room.sever(far_address).unwrap();
    let down = member.disconnected(mark, one);
    assert_eq!(down["reason"], "away", "the BEAM on the sound link says so");
    stays_so(
        "the BEAM nodes keep each other",
        Duration::from_secs(45),
        || {
            for (beam, other) in [(&mut near, two), (&mut far, one)] {
                let seen = beam.connected()?;
                anyhow::ensure!(seen.iter().any(|name| name == other), "it sees {seen:?}");
                anyhow::ensure!(beam.eval("global:set_lock({x, self()}, [node()])")? == "true");
            }
            Ok(())
        },
    );
    let times =
        member.count(|record| record["message"] == "node connected" && record["node"] == one);
    assert!((2..=5).contains(&times), "it has come back {times} times");

    room.heal().unwrap();
    let healed = Duration::from_secs(120);
    for (beam, other) in [(&mut near, two), (&mut far, one)] {
        let wanted = format!("['{}','{other}']", member.name());
        beam.wait_eval(healed, "lists:sort(nodes())", &wanted)
            .unwrap();
        let find = format!("node(global:whereis_name({{echo, '{}'}}))", member.name());
        beam.wait_eval(healed, &find, &format!("'{}'", member.name()))
            .unwrap();
    }
    assert_eq!(near.eval("global:sync()").unwrap(), "ok");
}
