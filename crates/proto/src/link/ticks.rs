//! When to tick, and when a silent peer is dead.

use std::time::{Duration, Instant};

/// What a check of the ticks asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing.
    Fine,
    /// A tick is to be sent: nothing was written since the check before.
    Tick,
    /// The peer is dead.
    Dead,
}

/// The ticks of one link (`dist_util:con_loop`).
///
/// Every interval there is a check. The peer is dead at the `intensity`-th check after the one that
/// last noticed traffic.
#[derive(Debug)]
pub(crate) struct Ticks {
    interval: Duration,
    intensity: u32,
    next_check: Instant,
    /// Checks in a row that noticed nothing.
    silent_checks: u32,
    read_since_check: bool,
    written_since_check: bool,
    /// What is written next is the tick that a check asked for. It does not count as written at the
    /// next check, or an idle link would tick only every other time (`dist_util:send_tick`).
    check_ticks: bool,
    /// Whether something was written since the peer's last tick.
    written_since_tick: bool,
}

impl Ticks {
    pub(crate) fn new(now: Instant, interval: Duration, intensity: u32) -> Self {
        Self {
            interval,
            intensity,
            next_check: now + interval,
            silent_checks: 0,
            read_since_check: false,
            written_since_check: false,
            check_ticks: false,
            written_since_tick: false,
        }
    }

    pub(crate) fn next_check(&self) -> Instant {
        self.next_check
    }

    pub(crate) fn read(&mut self) {
        self.read_since_check = true;
    }

    pub(crate) fn written(&mut self) {
        if !std::mem::take(&mut self.check_ticks) {
            self.written_since_check = true;
        }
        self.written_since_tick = true;
    }

    /// The peer's tick came; says whether to answer it with one: if nothing was written since the
    /// tick before. A peer with a shorter `net_ticktime` than ours lives by that. Two of ours do
    /// not echo for ever, because an answer counts as written when the next tick comes.
    pub(crate) fn tick_came(&mut self, output_pending: bool) -> bool {
        if self.written_since_tick || output_pending {
            self.written_since_tick = false;
            return false;
        }
        true
    }

    /// Makes the check if it is due. A late one, after the host stood still, counts once only, so
    /// that the peer has its whole time again to be heard.
    pub(crate) fn check(&mut self, now: Instant, output_pending: bool) -> Check {
        if now < self.next_check {
            return Check::Fine;
        }
        self.next_check = now + self.interval;
        if std::mem::take(&mut self.read_since_check) {
            self.silent_checks = 0;
        } else {
            self.silent_checks += 1;
            if self.silent_checks >= self.intensity {
                return Check::Dead;
            }
        }
        if std::mem::take(&mut self.written_since_check) || output_pending {
            Check::Fine
        } else {
            self.check_ticks = true;
            Check::Tick
        }
    }
}

#[cfg(test)]
mod tests {
    // A test may look at the clock for a moment to begin from.
    #![allow(clippy::disallowed_methods)]
    use super::*;

    /// `dist_util:send_tick`: the tick of one check is no reason to leave out the next.
    #[test]
    fn an_idle_link_ticks_at_every_check() {
        let (mut now, interval) = (Instant::now(), Duration::from_secs(15));
        let mut ticks = Ticks::new(now, interval, 4);
        for _ in 0..10 {
            now += interval;
            ticks.read();
            assert_eq!(ticks.check(now, false), Check::Tick);
            ticks.written();
        }
        ticks.written();
        ticks.read();
        assert_eq!(ticks.check(now + interval, false), Check::Fine);
    }
}
