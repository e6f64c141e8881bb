//! How long to wait before a peer is dialled again.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::PlanConfig;

/// Draws the waiting times.
#[derive(Debug)]
pub(super) struct Backoff {
    rng: SmallRng,
    min: Duration,
    max: Duration,
    jitter: f64,
}

impl Backoff {
    pub(super) fn new(config: &PlanConfig) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(config.seed),
            min: config.backoff_min,
            max: config.backoff_max.max(config.backoff_min),
            jitter: if config.jitter.is_finite() {
                config.jitter.clamp(0.0, 1.0)
            } else {
                0.0
            },
        }
    }

    /// After `failures` failed dials in a row; 0 is a link that fell after it was stable.
    pub(super) fn after(&mut self, failures: u32) -> Duration {
        if failures == 0 {
            // Everybody loses a crashed peer at the same time and must not come back as one.
            return self.min.mul_f64(self.rng.random_range(0.0..=1.0));
        }
        let doublings = (failures - 1).min(31);
        let step = self.min.saturating_mul(1 << doublings).min(self.max);
        self.around(step)
    }

    /// When dialling soon cannot help.
    pub(super) fn longest(&mut self) -> Duration {
        self.around(self.max)
    }

    fn around(&mut self, step: Duration) -> Duration {
        let factor = self.rng.random_range(1.0 - self.jitter..=1.0 + self.jitter);
        step.mul_f64(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_the_longest_and_strays_by_a_quarter() {
        let config = PlanConfig::new("a@h".parse().unwrap(), 7);
        let mut backoff = Backoff::new(&config);
        for (failures, millis) in [
            (1, 250),
            (2, 500),
            (3, 1000),
            (6, 8000),
            (7, 10_000),
            (u32::MAX, 10_000),
        ] {
            let mut drawn: Vec<_> = (0..500)
                .map(|_| backoff.after(failures).as_millis())
                .collect();
            drawn.sort_unstable();
            assert!(
                drawn[0] >= millis * 3 / 4 && drawn[0] < millis * 8 / 10,
                "{drawn:?}"
            );
            assert!(
                drawn[499] <= millis * 5 / 4 && drawn[499] > millis * 12 / 10,
                "{drawn:?}"
            );
        }
        assert!((0..100).all(|_| backoff.after(0) <= Duration::from_millis(250)));
    }
}
