//! Many runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::{FaultKind, SimConfig, Stats, Violation, run};

/// From how many runs on every kind of fault must have happened in a tenth of them.
const MIN_RUNS_FOR_COVERAGE: u64 = 20;

/// Why a series of runs is not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedsError {
    /// A promise was broken; of several seeds the least.
    #[error(transparent)]
    Broken(Box<Violation>),
    /// A kind of fault hardly ever happened, so that the runs prove too little.
    #[error("{kind:?} had an effect in {fired} of {runs} runs only")]
    Rare {
        /// Which kind.
        kind: FaultKind,
        /// In how many runs it happened.
        fired: u64,
        /// How many runs there were.
        runs: u64,
    },
}

/// Runs `count` seeds from `config.seed` on, on `threads` threads.
///
/// # Errors
/// A run broke a promise, or a kind of fault happened in less than a tenth of the runs.
pub fn run_seeds(config: &SimConfig, count: u64, threads: usize) -> Result<Stats, SeedsError> {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut sum = Stats::default();
        loop {
            let offset = next.fetch_add(1, Ordering::Relaxed);
            if offset >= count {
                return Ok(sum);
            }
            let seed = config.seed.wrapping_add(offset);
            match run(&SimConfig {
                seed,
                ..config.clone()
            }) {
                Ok(stats) => sum.add(&stats),
                Err(violation) => {
                    // Earlier seeds are being run already; later ones need not be.
                    next.store(count, Ordering::Relaxed);
                    return Err(violation);
                }
            }
        }
    };
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
        let joined = workers
            .into_iter()
            .map(|worker| worker.join().expect("a run does not panic"));
        joined.collect()
    });
    let mut sum = Stats::default();
    let mut broken: Option<Box<Violation>> = None;
    for result in results {
        match result {
            Ok(stats) => sum.add(&stats),
            Err(violation) => {
                if broken
                    .as_ref()
                    .is_none_or(|first| violation.run.seed < first.run.seed)
                {
                    broken = Some(violation);
                }
            }
        }
    }
    match broken {
        Some(violation) => Err(SeedsError::Broken(violation)),
        None => covered(&sum).map(|()| sum),
    }
}

fn covered(sum: &Stats) -> Result<(), SeedsError> {
    if sum.runs < MIN_RUNS_FOR_COVERAGE {
        return Ok(());
    }
    for (kind, fired) in FaultKind::ALL.into_iter().zip(sum.fired) {
        if fired * 10 < sum.runs {
            return Err(SeedsError::Rare {
                kind,
                fired,
                runs: sum.runs,
            });
        }
    }
    Ok(())
}
