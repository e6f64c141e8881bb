//! `global` without a pause, on every node of a cluster, while members come and go.
//!
//! Names are changed under one lock of the whole cluster. Whoever finds it taken backs off at random,
//! longer each time, and is overtaken meanwhile by who has not: of OTP's `global` that is a property, up
//! to 8 s at a time, and BEAMs alone show it as well (docs/global.md).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use enmesh::{Atom, GlobalError, Node, Term};
use enmesh_interop::{Beam, Otp, poll_until};

use crate::bench::{SOON, says};
use crate::global::{Cluster, member, quick};
use crate::rust_node::block_on;

/// How often a member goes and comes back.
const ROUNDS: usize = 8;

/// How often each node does everything, at least: of fewer calls chance may delay the half.
const LEAST: usize = 40;

/// How long a member stays: a cluster in which somebody joins all the time is never in step.
const STAY: Duration = Duration::from_millis(500);

/// What half of the calls may take at most. It is a few milliseconds where nothing else runs, as on BEAMs alone.
const USUAL: Duration = Duration::from_millis(100);

/// What any call may take, but for a change of names on a BEAM. A Rust node asks for the lock each second at least, and so it
/// would tell of one that is left behind.
const LONGEST: Duration = Duration::from_secs(10);

/// For what a BEAM takes that lock. How long it then waits is OTP's business: refused eight times in a row, as chance has it with one
/// of some thousand calls, it waits for 12 s, and for up to 24 s.
const BACKS_OFF: [&str; 2] = ["register_name", "unregister_name"];

/// What took how long: the operations of one node.
type Samples = BTreeMap<String, Vec<Duration>>;

/// Takes a name, waits until it is told to go on, does everything by turns until it is told to stop, but `LEAST` times at least, and
/// then says what each took, in microseconds.
///
/// One process is given a name and loses it again and again: it would get no other one if the last were to come back.
const LOCKER: &str = "
    Me = self(),
    spawn(fun() ->
        register(locker, self()),
        global:sync(),
        yes = global:register_name({kept, node()}, self()),
        Me ! ready,
        Idle = fun() -> receive stop -> ok end end,
        Timed = fun(Operation, Work, Wanted, Samples) ->
            {Micros, Wanted} = timer:tc(Work),
            maps:update_with(Operation, fun(Old) -> [Micros | Old] end, [Micros], Samples)
        end,
        Named = spawn(Idle),
        Loop = fun Loop(Round, Before) ->
            Lock = {{node(), Round}, self()},
            Name = {node(), Round},
            Self = self(),
            After = lists:foldl(
                fun({Operation, Work, Wanted}, Samples) -> Timed(Operation, Work, Wanted, Samples) end,
                Before,
                [{sync, fun() -> global:sync() end, ok},
                 {set_lock, fun() -> global:set_lock(Lock) end, true},
                 {del_lock, fun() -> global:del_lock(Lock) end, true},
                 {trans, fun() -> global:trans(Lock, fun() -> done end) end, done},
                 {register_name, fun() -> global:register_name(Name, Named) end, yes},
                 {whereis_name, fun() -> global:whereis_name(Name) end, Named},
                 {whereis_name, fun() -> global:whereis_name({kept, node()}) end, Self},
                 {unregister_name, fun() -> global:unregister_name(Name) end, ok}]),
            receive stop when Round >= Least -> receive {From, samples} -> From ! {samples, After} end
            after 50 -> Loop(Round + 1, After)
            end
        end,
        receive go -> Loop(1, #{}) end
    end),
    receive ready -> ok end";

pub(crate) fn locks_are_quick_while_members_come_and_go(otp: Otp) {
    come_and_go(&[otp, otp]);
}

/// The same with all releases at once.
#[test]
fn three_releases_lock_in_milliseconds_while_members_come_and_go() {
    come_and_go(&Otp::ALL);
}

fn come_and_go(releases: &[Otp]) {
    let mut cluster = Cluster::start(releases);
    let resident = cluster.embed("r@127.0.0.1");
    for beam in &mut cluster.beams {
        let locker = format!("Least = {LEAST}, {LOCKER}");
        beam.eval_within(SOON, &locker).unwrap();
    }
    names_are_shared(&mut cluster.beams, &resident);
    for beam in &mut cluster.beams {
        beam.eval("locker ! go").unwrap();
    }
    let stop = AtomicBool::new(false);
    let ours = std::thread::scope(|scope| {
        let ours = scope.spawn(|| names_of_ours(&resident, &stop));
        let _stop = StopsAtLast(&stop);
        for round in 0..ROUNDS {
            replace_a_member(&mut cluster, round);
            std::thread::sleep(STAY);
        }
        stop.store(true, Ordering::Relaxed);
        ours.join().unwrap()
    });
    is_quick("a Rust node", &ours, &[]);
    for beam in &mut cluster.beams {
        beam.eval("locker ! stop").unwrap();
    }
    for beam in &mut cluster.beams {
        let samples = samples_of(beam);
        is_quick(beam.name(), &samples, &BACKS_OFF);
    }
    no_beam_is_cut_off(&cluster);
    poll_until("names agree", SOON, || {
        let lists: Vec<String> = cluster
            .beams
            .iter_mut()
            .map(|beam| beam.eval("lists:sort(global:registered_names())"))
            .collect::<Result<_, _>>()?;
        anyhow::ensure!(lists.windows(2).all(|pair| pair[0] == pair[1]), "{lists:?}");
        Ok(())
    })
    .unwrap();
}

/// Names of a Rust program on every BEAM, and theirs in the program; who has a name keeps it, until its process ends.
fn names_are_shared(beams: &mut [Beam], resident: &Node) {
    let mailbox = resident.anonymous_mailbox().unwrap();
    let name = Term::atom("of_rust");
    block_on(resident.register_global(&name, mailbox.pid(), SOON)).unwrap();
    for beam in &mut *beams {
        let owner = format!("'{}'", resident.name());
        let whose = "node(global:whereis_name(of_rust))";
        assert_eq!(quick(beam, whose), owner, "{}", beam.name());
        assert_eq!(quick(beam, "global:register_name(of_rust, self())"), "no");
        let kept = Term::tuple([Term::atom("kept"), atom(beam.name())]);
        let theirs = resident.whereis_global(&kept).expect("it is registered");
        assert_eq!(theirs.node(), beam.name());
        let taken = block_on(resident.register_global(&kept, mailbox.pid(), SOON));
        assert_eq!(taken, Err(GlobalError::Taken));
    }
    drop(mailbox);
    for beam in beams {
        says(beam, "global:whereis_name(of_rust)", "undefined");
    }
}

fn atom(name: &str) -> Term {
    Atom::new(name).unwrap().into()
}

/// Stops the others of a scope when this thread panics, too.
struct StopsAtLast<'a>(&'a AtomicBool);

impl Drop for StopsAtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// By turns the one and the other, killed and ended in good order.
fn replace_a_member(cluster: &mut Cluster, round: usize) {
    let first = cluster.beams[0].name().to_owned();
    let mut old = cluster.members.remove(0);
    let name = old.name().to_owned();
    if round.is_multiple_of(2) {
        old.enmesh.process().kill9().unwrap();
    } else {
        old.enmesh.process().terminate().unwrap();
        old.enmesh.process().wait_exit(SOON).unwrap();
    }
    drop(old);
    let new = member(&cluster.ns, &name, &first);
    cluster.members.push(new);
    cluster.is_whole();
}

/// What a Rust program does with `global`, until it is told to stop.
fn names_of_ours(node: &Node, stop: &AtomicBool) -> Samples {
    let mut samples = Samples::new();
    let mut took = |operation: &str, begin: Instant| {
        let of_it = samples.entry(operation.to_owned()).or_default();
        of_it.push(begin.elapsed());
    };
    let mut round = 0;
    while round < LEAST || !stop.load(Ordering::Relaxed) {
        let mailbox = node.anonymous_mailbox().unwrap();
        let name = Term::tuple([Term::atom("ours"), mailbox.pid().clone().into()]);
        let begin = Instant::now();
        block_on(node.register_global(&name, mailbox.pid(), SOON)).unwrap();
        took("register_global", begin);
        let begin = Instant::now();
        assert_eq!(node.whereis_global(&name).as_ref(), Some(mailbox.pid()));
        took("whereis_global", begin);
        let begin = Instant::now();
        assert_eq!(block_on(node.unregister_global(&name, SOON)), Ok(()));
        took("unregister_global", begin);
        round += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    samples
}

/// The samples of a BEAM's locker, which was told to stop.
fn samples_of(beam: &mut Beam) -> Samples {
    let ask = "locker ! {self(), samples}, Samples = receive {samples, S} -> S end, \
               Line = fun({Operation, Micros}) -> \
                   [atom_to_list(Operation), [[\" \", integer_to_list(M)] || M <- Micros], \";\"] \
               end, \
               lists:flatten([Line(Each) || Each <- maps:to_list(Samples)])";
    let answer = beam.eval_within(2 * SOON, ask);
    let answer =
        answer.unwrap_or_else(|error| panic!("{error:#}\n{}", beam.output().all().join("\n")));
    let micros = |word: &str| Duration::from_micros(word.parse().unwrap());
    answer
        .trim_matches('"')
        .split_terminator(';')
        .map(|line| {
            let mut words = line.split(' ');
            let operation = words.next().unwrap().to_owned();
            (operation, words.map(micros).collect())
        })
        .collect()
}

fn is_quick(who: &str, samples: &Samples, unbounded: &[&str]) {
    for (operation, taken) in samples {
        let mut sorted = taken.clone();
        sorted.sort_unstable();
        let (usual, longest) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
        let count = sorted.len();
        println!("{who}: {count} times {operation}, usually {usual:?}, at most {longest:?}");
        assert!(count >= LEAST, "{who}: {operation} only {count} times");
        assert!(usual < USUAL, "{who}: {operation} usually took {usual:?}");
        let is_bounded = !unbounded.contains(&operation.as_str());
        assert!(
            !is_bounded || longest < LONGEST,
            "{who}: {operation} took {longest:?}"
        );
    }
}

/// A death that one BEAM sees a moment before the other is answered so, and only the dead one is cut off.
fn no_beam_is_cut_off(cluster: &Cluster) {
    for beam in &cluster.beams {
        let output = beam.output().all();
        let cuts: Vec<&String> = output
            .iter()
            .filter(|line| line.contains("overlapping partitions"))
            .filter(|line| !line.contains("node 'a@") && !line.contains("node 'z@"))
            .collect();
        assert!(cuts.is_empty(), "{cuts:#?}");
    }
}
