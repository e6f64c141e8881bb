//! Names while nodes die in the midst of a merge.

use std::time::Duration;

use enmesh_term::Term;
use rand::RngExt;

use super::simulation::{HEALING, check, heal, seeds};
use super::world::{Node, World};

/// Kills, most of them while somebody merges or changes a name; no link is cut. Half of the dead
/// are back within milliseconds, as the program of a member is.
fn deaths(world: &mut World) {
    let count = world.nodes.len();
    if world.rng.random_range(0..3) == 0 {
        let wait = world.rng.random_range(0..800);
        return world.run(Duration::from_millis(wait));
    }
    for _ in 0..3000 {
        world.run(Duration::from_millis(1));
        let is_busy = |at: usize| {
            let Node { global, .. } = &world.nodes[at];
            global.is_merging() || !global.is_registrar_idle()
        };
        let mut alive = (0..count).filter(|&at| world.nodes[at].is_alive);
        if alive.clone().any(is_busy) && world.rng.random_range(0..3) == 0 {
            let at = world.rng.random_range(0..alive.clone().count());
            let victim = alive.nth(at).expect("counted");
            // Some stay, so that there is a cluster to come back to.
            if world.nodes.iter().filter(|node| node.is_alive).count() > count / 2 {
                world.kill_node(victim);
                if world.rng.random() {
                    let wait = world.rng.random_range(0..10);
                    world.run(Duration::from_millis(wait));
                    world.start_node(victim);
                }
            }
            return;
        }
    }
}

#[test]
fn a_name_that_was_given_up_stays_free_while_members_die() {
    let mut given_up = 0;
    for seed in 0..seeds() {
        let mut world = World::new(seed, 3 + (seed as usize % 4));
        world.run(Duration::from_secs(8));
        let (mut next, mut held, mut gone) = (0, Vec::new(), Vec::new());
        for _ in 0..40 {
            deaths(&mut world);
            let count = world.nodes.len();
            for at in 0..count {
                if !world.nodes[at].is_alive && world.rng.random_range(0..3) == 0 {
                    world.start_node(at);
                }
            }
            let at = world.rng.random_range(0..count);
            if world.nodes[at].is_alive {
                let (pid, name, token) = (world.spawn(at), Term::Int(next), next as u64);
                next += 1;
                world.with(at, |global, now| {
                    global.register(now, name.clone(), pid.clone(), token)
                });
                held.push((at, name, pid, token));
            }
            // The node of the process gives the name up, once it has it.
            let mut left = Vec::new();
            for (at, name, pid, token) in std::mem::take(&mut held) {
                if !world.nodes[at].processes.contains(&pid) {
                    continue;
                }
                let outcome = world.nodes[at].outcomes.get(&token).copied();
                if outcome == Some(true) && world.rng.random_range(0..4) == 0 {
                    let token = token + 1_000_000;
                    world.with(at, |global, now| global.unregister(now, &name, token));
                    gone.push((at, name, pid, token));
                } else if outcome != Some(false) {
                    left.push((at, name, pid, token));
                }
            }
            held = left;
        }
        heal(&mut world);
        world.run(HEALING);
        check(&mut world, seed, true);
        for (at, name, pid, token) in gone {
            if world.nodes[at].outcomes.get(&token) != Some(&true) {
                continue;
            }
            given_up += 1;
            for node in &world.nodes {
                if node.global.whereis(&name) == Some(&pid) {
                    let log: Vec<&str> = world.log.iter().map(String::as_str).collect();
                    panic!(
                        "seed {seed}: {name} is back on {}\n{}",
                        node.name,
                        log.join("\n")
                    );
                }
            }
        }
    }
    assert!(given_up > 0, "no name was given up");
}

/// The one by whom two partitions merge dies when the newcomer takes them for one already, and
/// its own partition has not heard of it.
#[test]
fn a_merge_whose_go_between_died_brings_back_no_name() {
    let mut caught = 0;
    for seed in 0..200 {
        let mut world = World::new(seed, 4);
        let newcomer = seed as usize % 4;
        for at in 0..4 {
            if at != newcomer {
                world.cut.insert((at.min(newcomer), at.max(newcomer)));
            }
        }
        world.run(Duration::from_secs(15));
        let owner = (newcomer + 1) % 4;
        let (pid, name) = (world.spawn(owner), Term::atom("brief"));
        world.with(owner, |global, now| {
            global.register(now, name.clone(), pid.clone(), 1)
        });
        world.run(Duration::from_secs(2));
        world.cut.clear();
        let between = (0..20_000).find_map(|_| {
            world.run(Duration::from_micros(200));
            let [new, rest @ ..] = [
                newcomer,
                (newcomer + 1) % 4,
                (newcomer + 2) % 4,
                (newcomer + 3) % 4,
            ];
            let is_told = |at: usize| {
                let mut known = world.nodes[at].global.known();
                known.any(|node| *node == world.nodes[new].name)
            };
            let is_in = world.nodes[new].global.known().next().is_some();
            let nobody_is_told = rest.iter().all(|&at| !is_told(at));
            if !is_in {
                return rest.iter().any(|&at| is_told(at)).then_some(None);
            }
            let merging = rest.iter().find(|&&at| world.nodes[at].global.is_merging());
            Some(merging.copied().filter(|&at| nobody_is_told && at != owner))
        });
        let Some(between) = between.flatten() else {
            continue;
        };
        caught += 1;
        world.kill_node(between);
        world.run(Duration::from_millis(300));
        world.with(owner, |global, now| global.unregister(now, &name, 2));
        world.run(Duration::from_secs(2));
        assert_eq!(world.nodes[owner].outcomes.get(&2), Some(&true));
        world.start_node(between);
        world.run(HEALING);
        check(&mut world, seed, true);
        for node in &world.nodes {
            let log: Vec<&str> = world.log.iter().map(String::as_str).collect();
            assert_eq!(
                node.global.whereis(&name),
                None,
                "seed {seed}: it is back on {}\n{}",
                node.name,
                log.join("\n")
            );
        }
    }
    assert!(caught > 0, "nobody died in time");
}
