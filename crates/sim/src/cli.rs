//! What `cargo xtask sim` does.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::{FaultKind, HEAL_WITHIN, MIN_DURATION, SeedsError, SimConfig, Stats, run_seeds};

/// What `cargo xtask sim` takes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The first seed.
    pub seed: u64,
    /// How many seeds, one after the other.
    pub seeds: u64,
    /// How many nodes each run has: 2 to 200.
    pub nodes: usize,
    /// How many virtual seconds each run has: at least 60.
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            seeds: 300,
            nodes: 50,
            seconds: 120,
        }
    }
}

/// Runs the seeds and prints what happened on stdout, or the story of the first failing seed.
///
/// # Errors
/// A number is out of its range, a run broke a promise, or a kind of fault was too rare.
pub fn cli_run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        (2..=200).contains(&options.nodes),
        "--nodes must be 2 to 200"
    );
    anyhow::ensure!(
        options.seconds >= MIN_DURATION.as_secs(),
        "--seconds must be at least {}",
        MIN_DURATION.as_secs()
    );
    let config = SimConfig {
        seed: options.seed,
        nodes: options.nodes,
        duration: Duration::from_secs(options.seconds),
        is_calm: false,
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let sum = run_seeds(&config, options.seeds, threads).map_err(|error| match error {
        SeedsError::Broken(violation) => anyhow::anyhow!("{violation}"),
        rare => rare.into(),
    })?;
    println!("{}", report(&sum, options, start.elapsed()));
    Ok(())
}

fn report(sum: &Stats, options: &Options, took: Duration) -> String {
    let mut text = format!(
        "{} seeds of {} nodes for {} virtual seconds: every promise kept, in {:.1} s\n\
         {} events, {} dials, {} nodeups ({} superseded, {} put off, {} discarded), {} messages, \
         {} wrong cookies\n\
         everybody was connected at the latest {:.1} s after the last fault; promised: {} s\n\
         faults, in per cent of the seeds:",
        sum.runs,
        options.nodes,
        options.seconds,
        took.as_secs_f64(),
        sum.events,
        sum.dials,
        sum.nodeups,
        sum.superseded,
        sum.noks,
        sum.discarded,
        sum.messages,
        sum.wrong_cookies,
        Duration::from_micros(sum.healed_after).as_secs_f64(),
        HEAL_WITHIN.as_secs(),
    );
    for (kind, fired) in FaultKind::ALL.into_iter().zip(sum.fired) {
        let _ = write!(text, " {kind:?} {}", fired * 100 / sum.runs.max(1));
    }
    text
}
