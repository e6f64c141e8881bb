//! Everything that is outside of a node: time, chance, network, and who watches.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use enmesh_identity::NodeName;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::check::Watch;
use crate::event::{Event, Micros, Queue, Segment, Side};
use crate::network::Network;
use crate::plant::Plant;
use crate::stats::Stats;
use crate::violation::Seconds;

/// The most lines of a story; earlier ones are dropped.
const MAX_STORY: usize = 200;

/// What a node may touch besides itself.
#[derive(Debug)]
pub(crate) struct Outside {
    base: Instant,
    pub(crate) now: Micros,
    pub(crate) rng: SmallRng,
    pub(crate) queue: Queue,
    pub(crate) net: Network,
    pub(crate) watch: Watch,
    pub(crate) stats: Stats,
    pub(crate) plant: Option<Plant>,
    /// When a bug that happens once may happen.
    pub(crate) plant_from: Micros,
    /// The nodes that have another cookie by a fault, impostors excluded.
    pub(crate) strayed: BTreeSet<NodeName>,
    /// Under whose names somebody without the cookie dials.
    pub(crate) impostors: BTreeSet<NodeName>,
    pub(crate) last_nodeup: Micros,
    story: Option<Story>,
}

#[derive(Debug)]
struct Story {
    of: Vec<usize>,
    lines: VecDeque<String>,
}

impl Story {
    fn add(&mut self, now: Micros, line: String) {
        if self.lines.len() >= MAX_STORY {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{} {line}", Seconds(now)));
    }
}

impl Outside {
    pub(crate) fn new(seed: u64, net: Network, watch: Watch) -> Self {
        Self {
            base: Instant::now(),
            now: 0,
            rng: SmallRng::seed_from_u64(seed),
            queue: Queue::default(),
            net,
            watch,
            stats: Stats::default(),
            plant: None,
            plant_from: 0,
            strayed: BTreeSet::new(),
            impostors: BTreeSet::new(),
            last_nodeup: 0,
            story: None,
        }
    }

    /// Writes down what happens to these nodes.
    pub(crate) fn tell_story_of(&mut self, of: Vec<usize>) {
        self.story = Some(Story {
            of,
            lines: VecDeque::new(),
        });
    }

    pub(crate) fn tells_story(&self) -> bool {
        self.story.is_some()
    }

    pub(crate) fn take_story(&mut self) -> Vec<String> {
        self.story
            .take()
            .map(|story| story.lines.into())
            .unwrap_or_default()
    }

    /// What the machines take for the time.
    pub(crate) fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }

    /// When that is in virtual time, rounded up so that nothing is done too early.
    pub(crate) fn micros(&self, at: Instant) -> Micros {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        Micros::try_from(nanos.div_ceil(1000)).expect("a run is shorter than 500,000 years")
    }

    pub(crate) fn push_after(&mut self, wait: Micros, event: Event) {
        self.queue.push(self.now + wait, event);
    }

    pub(crate) fn send(&mut self, conn: usize, from: Side, segment: Segment) {
        self.net.send(
            &mut self.queue,
            &mut self.rng,
            self.now,
            (conn, from),
            segment,
        );
    }

    /// Adds a line to the story if one of these nodes is in it.
    pub(crate) fn note(&mut self, nodes: &[usize], line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story
            && nodes.iter().any(|node| story.of.contains(node))
        {
            story.add(self.now, line());
        }
    }

    /// Adds a line to the story if it is about what is between these nodes: in a story of two
    /// nodes, what one of them has with others is left out.
    pub(crate) fn note_between(&mut self, nodes: &[usize], line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let told = nodes.iter().filter(|node| story.of.contains(node)).count();
            if told >= nodes.len().min(story.of.len()) {
                story.add(self.now, line());
            }
        }
    }

    /// Whether the bug is planted and has not happened yet; it happens now.
    pub(crate) fn plants_once(&mut self, plant: Plant) -> bool {
        let plants = self.plant == Some(plant) && self.now >= self.plant_from;
        if plants {
            self.plant = None;
        }
        plants
    }

    /// Whether the bug is planted and always happens.
    pub(crate) fn plants(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }
}
