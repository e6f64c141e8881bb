//! `global` of BEAM nodes with members among them.

use std::time::{Duration, Instant};

use enmesh_interop::{Beam, Epmd, NetNs, Otp, poll_until};

use crate::bench::{Member, SOON, beam, list, says, sees};

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
