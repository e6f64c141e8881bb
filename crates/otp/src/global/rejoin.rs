//! How long we stay away after the cluster has cut us off.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::SmallRng;

/// The first time.
const SHORTEST: Duration = Duration::from_secs(5);

/// The longest time; each one is twice the one before.
const LONGEST: Duration = Duration::from_secs(300);

/// Which part of it is added or taken away by chance.
const JITTER: f64 = 0.2;

/// How long we must have been let be for the next time to be the shortest again.
const QUIET: Duration = Duration::from_secs(300);

/// How often we were cut off lately.
#[derive(Debug, Default)]
pub(super) struct Rejoin {
    times: u32,
    back_at: Option<Instant>,
}

impl Rejoin {
    /// Whether we are away.
    pub(super) fn is_away(&self, now: Instant) -> bool {
        self.back_at.is_some_and(|at| now < at)
    }

    /// We leave now; returns for how long.
    pub(super) fn leave(&mut self, now: Instant, chance: &mut SmallRng) -> Duration {
        if self.back_at.is_some_and(|at| now >= at + QUIET) {
            self.times = 0;
        }
        let step = SHORTEST
            .saturating_mul(1 << self.times.min(16))
            .min(LONGEST);
        self.times = self.times.saturating_add(1);
        let wait = step.mul_f64(chance.random_range(1.0 - JITTER..=1.0 + JITTER));
        self.back_at = Some(now + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_time_away_doubles_to_five_minutes_and_is_short_again_after_a_quiet_time() {
        let mut chance = SmallRng::seed_from_u64(3);
        let mut rejoin = Rejoin::default();
        let mut now = Instant::now();
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            let wait = rejoin.leave(now, &mut chance);
            let step = Duration::from_secs(seconds);
            assert!(
                wait >= step.mul_f64(0.8) && wait <= step.mul_f64(1.2),
                "{wait:?}"
            );
            assert!(rejoin.is_away(now) && !rejoin.is_away(now + wait));
            now += wait + Duration::from_secs(1);
        }
        let wait = rejoin.leave(now + QUIET, &mut chance);
        assert!(wait <= Duration::from_secs(6), "{wait:?}");
    }
}
