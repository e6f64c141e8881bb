//! Clusters under faults: after the network has healed, all are one partition with one table of
//! names, no lock is left, and nobody waits.

use std::time::{Duration, Instant};

use enmesh_term::{Atom, Pid, Term};
use rand::RngExt;

use super::world::World;

/// How long a healed network may take to be one partition again.
pub(super) const HEALING: Duration = Duration::from_secs(150);

pub(super) fn check(world: &mut World, seed: u64, full: bool) {
    let fail = |world: &World, what: String| -> ! {
        let log: Vec<&str> = world.log.iter().map(String::as_str).collect();
        let from = log.len().saturating_sub(400);
        panic!("seed {seed}: {what}\n{}", log[from..].join("\n"));
    };
    let alive: Vec<usize> = (0..world.nodes.len())
        .filter(|&at| world.nodes[at].is_alive)
        .collect();
    let names: Vec<Atom> = alive
        .iter()
        .map(|&at| world.nodes[at].name.clone())
        .collect();
    let first: Vec<(Term, String)> = table(world, alive[0]);
    for &at in &alive {
        let node = &world.nodes[at];
        let known: Vec<&Atom> = node.global.known().collect();
        let expected: Vec<&Atom> = names.iter().filter(|name| **name != node.name).collect();
        if full && known != expected {
            fail(
                world,
                format!("{} knows {known:?}, not {expected:?}", node.name),
            );
        }
        if let Some(missing) = expected.iter().find(|peer| !node.global.is_synced(peer)) {
            fail(
                world,
                format!("{} is not in sync with {missing}", node.name),
            );
        }
        if !node.global.sessions.is_empty() {
            let open: Vec<_> = node.global.sessions.keys().collect();
            fail(world, format!("{} still merges with {open:?}", node.name));
        }
        if node.global.locks.len() > 0 {
            fail(
                world,
                format!("{} holds {:?}", node.name, node.global.locks),
            );
        }
        if !node.global.is_locker_idle() || !node.global.is_registrar_idle() {
            fail(
                world,
                format!(
                    "{} waits: {:?} {:?}",
                    node.name, node.global.locker, node.global.registrar
                ),
            );
        }
        let own = table(world, at);
        if own != first {
            fail(
                world,
                format!("{} has {own:?}, {} has {first:?}", node.name, names[0]),
            );
        }
        for (name, _) in &own {
            let pid = node.global.whereis(name).unwrap();
            let has = world.nodes.iter().any(|node| node.processes.contains(pid));
            if !has {
                fail(world, format!("{name} belongs to the dead {pid}"));
            }
        }
    }
}

fn table(world: &World, at: usize) -> Vec<(Term, String)> {
    let global = &world.nodes[at].global;
    let pid = |name| format!("{:?}", global.whereis(name));
    global
        .names()
        .map(|name| (name.clone(), pid(name)))
        .collect()
}

pub(super) fn heal(world: &mut World) {
    world.cut.clear();
    for at in 0..world.nodes.len() {
        if !world.nodes[at].is_alive {
            world.start_node(at);
        }
    }
}

#[test]
fn a_calm_cluster_is_one_within_seconds() {
    for seed in 0..20 {
        let mut world = World::new(seed, 2 + (seed as usize % 6));
        world.run(Duration::from_secs(15));
        check(&mut world, seed, true);
    }
}

#[test]
fn a_name_is_everywhere_as_soon_as_its_registration_is_told() {
    let mut world = World::new(7, 5);
    world.run(Duration::from_secs(15));
    for at in 0..5 {
        let pid = world.spawn(at);
        let name = Term::Int(at as i64);
        let token = at as u64;
        world.with(at, |global, now| {
            global.register(now, name.clone(), pid.clone(), token)
        });
        world.run(Duration::from_millis(400));
        assert_eq!(world.nodes[at].outcomes.get(&token), Some(&true));
        for node in &world.nodes {
            assert_eq!(node.global.whereis(&name), Some(&pid), "on {}", node.name);
        }
    }
    // The name is taken, and so is the process.
    let (other, taken) = (world.spawn(0), Term::Int(3));
    world.with(0, |global, now| {
        global.register(now, taken.clone(), other.clone(), 90)
    });
    let owner = world.nodes[2]
        .global
        .whereis(&Term::Int(2))
        .unwrap()
        .clone();
    world.with(2, |global, now| {
        global.register(now, Term::atom("second"), owner, 91)
    });
    world.run(Duration::from_secs(20));
    assert_eq!(world.nodes[0].outcomes.get(&90), Some(&false));
    assert_eq!(world.nodes[2].outcomes.get(&91), Some(&false));
    world.with(4, |global, now| global.unregister(now, &taken, 92));
    world.run(Duration::from_secs(2));
    assert_eq!(world.nodes[4].outcomes.get(&92), Some(&true));
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.global.whereis(&taken).is_none())
    );
    check(&mut world, 7, true);
}

/// Has every node register and unregister a name by turns, with a pause after each; how long the
/// slowest of these changes took.
fn contend(world: &mut World, time: Duration, pause: Duration) -> Duration {
    const TICK: Duration = Duration::from_millis(5);
    let end = world.now + time;
    let owners: Vec<Pid> = (0..world.nodes.len()).map(|at| world.spawn(at)).collect();
    let mut begins: Vec<(u64, Instant)> = owners.iter().map(|_| (1, world.now)).collect();
    let mut longest = Duration::ZERO;
    while world.now < end {
        for (at, owner) in owners.iter().enumerate() {
            let (token, begin) = begins[at];
            if world.now < begin {
                continue;
            }
            if world.now == begin {
                let (name, owner) = (Term::Int(at as i64), owner.clone());
                world.with(at, |global, now| match token % 2 {
                    1 => global.register(now, name, owner, token),
                    _ => global.unregister(now, &name, token),
                });
            }
            longest = longest.max(world.now - begin);
            if let Some(is_changed) = world.nodes[at].outcomes.get(&token) {
                assert!(is_changed);
                begins[at] = (token + 1, world.now + pause);
            }
        }
        world.run(TICK);
    }
    longest
}

#[test]
fn nobody_waits_long_for_a_lock_that_is_wanted_half_of_the_time_and_never_kept() {
    for seed in 0..10 {
        let mut world = World::new(seed, 6);
        world.run(Duration::from_secs(15));
        let (time, pause) = (Duration::from_secs(60), Duration::from_millis(300));
        let longest = contend(&mut world, time, pause);
        assert!(longest < Duration::from_secs(5), "seed {seed}: {longest:?}");
    }
}

#[test]
fn of_two_processes_with_one_name_the_one_on_the_greater_node_is_killed() {
    for seed in 0..10 {
        let mut world = World::new(seed, 4);
        // Two partitions, each with a process of the same name.
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            world.cut.insert((a, b));
        }
        world.run(Duration::from_secs(10));
        let (less, greater) = (world.spawn(1), world.spawn(2));
        let name = Term::atom("same");
        world.with(1, |global, now| {
            global.register(now, name.clone(), less.clone(), 1)
        });
        world.with(2, |global, now| {
            global.register(now, name.clone(), greater.clone(), 1)
        });
        world.run(Duration::from_secs(5));
        assert_eq!(world.nodes[3].global.whereis(&name), Some(&greater));
        heal(&mut world);
        world.run(HEALING);
        check(&mut world, seed, true);
        assert_eq!(
            world.nodes[3].global.whereis(&name),
            Some(&less),
            "seed {seed}"
        );
        assert!(!world.nodes[2].processes.contains(&greater));
        assert!(world.nodes[1].processes.contains(&less));
    }
}

/// Cuts, deaths, restarts, registrations and their undoing, all by chance.
fn trouble(world: &mut World) {
    let count = world.nodes.len();
    let at = world.rng.random_range(0..count);
    let other = (at + world.rng.random_range(1..count)) % count;
    match world.rng.random_range(0..11) {
        0 => {
            let slowest = world.rng.random_range(0..2000);
            world.cut_link(at, other, slowest);
        }
        1 | 2 => world.cut.clear(),
        3 => {
            let parting = world.rng.random_range(1..count);
            for a in 0..parting {
                for b in parting..count {
                    world.cut_link(a, b, 500);
                }
            }
        }
        4 if world.nodes[at].is_alive => world.kill_node(at),
        4 | 5 if !world.nodes[at].is_alive => world.start_node(at),
        6 => {
            let pid = world.nodes[at].processes.first().cloned();
            pid.iter().for_each(|pid| world.kill(pid));
        }
        7 if world.nodes[at].is_alive => {
            let name = Term::Int(world.rng.random_range(0..6));
            world.with(at, |global, now| global.unregister(now, &name, 0));
        }
        8 if world.nodes[at].is_alive && world.nodes[at].up.contains_key(&other) => {
            world.send_away(at, other);
        }
        _ if world.nodes[at].is_alive => {
            let pid = world.spawn(at);
            let name = Term::Int(world.rng.random_range(0..6));
            let token = world.rng.random();
            world.with(at, |global, now| global.register(now, name, pid, token));
        }
        _ => {}
    }
}

#[test]
fn whatever_befell_it_a_healed_cluster_is_one() {
    for seed in 0..seeds() {
        let mut world = World::new(seed, 2 + (seed as usize % 5));
        world.is_guided = seed % 2 == 1;
        for _ in 0..60 {
            trouble(&mut world);
            let wait = world.rng.random_range(0..1500);
            world.run(Duration::from_millis(wait));
        }
        heal(&mut world);
        world.run(HEALING);
        check(&mut world, seed, true);
    }
}

/// More on demand: `ENMESH_GLOBAL_SEEDS`.
pub(super) fn seeds() -> u64 {
    let set = std::env::var("ENMESH_GLOBAL_SEEDS").ok();
    set.and_then(|seeds| seeds.parse().ok()).unwrap_or(60)
}
