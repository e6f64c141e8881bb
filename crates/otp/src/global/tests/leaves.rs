//! Nodes that were told to go, and come back at about the same time.

use std::time::Duration;

use rand::RngExt;

use super::simulation::{check, seeds};
use super::world::World;

/// How long it may take, once the last one is back, until all are one: a disagreement that a
/// rejoin leaves behind is looked for every 5 s, and must have lasted from one look to the next.
const WHOLE_AGAIN: Duration = Duration::from_secs(20);

#[test]
fn two_that_leave_at_overlapping_times_are_soon_back_with_each_other() {
    for seed in 0..seeds() {
        let count = 3 + (seed as usize % 3);
        let mut world = World::new(seed, count);
        world.is_guided = seed % 2 == 0;
        world.run(Duration::from_secs(20));
        check(&mut world, seed, true);
        for _ in 0..world.rng.random_range(1..=2) {
            let one = world.rng.random_range(0..count);
            let other = (one + world.rng.random_range(1..count)) % count;
            for at in [one, other] {
                // By whoever it has a link with; the other one may be away by then, and back.
                let by = world.nodes[at].up.keys().next_back().copied();
                if let Some(by) = by {
                    world.send_away(at, by);
                }
                let wait = world.rng.random_range(0..9000);
                world.run(Duration::from_millis(wait));
                if world.rng.random_range(0..3) == 0 {
                    // The link between the two is up at one end only, for a while.
                    let slowest = world.rng.random_range(0..3000);
                    world.cut_link(one, other, slowest);
                    world.cut.clear();
                }
            }
        }
        let back = world.nodes.iter().filter_map(|node| node.away_until).max();
        let left = back.map(|back| back.saturating_duration_since(world.now));
        world.run(left.unwrap_or_default() + WHOLE_AGAIN);
        check(&mut world, seed, true);
    }
}
