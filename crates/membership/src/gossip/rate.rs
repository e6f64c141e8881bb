//! How many packets are looked into: so many of each address, and so many in all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How many packets of one address are looked into, a second, and how many at once after a pause.
/// A node sends one in 2.5 s, so this is enough for a machine with some hundred of them.
const PER_SOURCE: Rate = Rate::new(100, 200);

/// How many packets are looked into in all: what ten thousand nodes send.
const IN_ALL: Rate = Rate::new(4_000, 4_000);

/// The share of [`IN_ALL`] that addresses may use of which nothing right has come yet. What is over
/// is kept for those of members, so that a flood with invented addresses does not silence them.
const IN_ALL_OF_STRANGERS: Rate = Rate::new(4_000, 2_000);

/// How many addresses are told apart. Further ones share one account.
const MAX_SOURCES: usize = 1024;

/// How often the table is searched for addresses that can be forgotten.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// For how long an address counts as a member's after something right came from it.
const TRUST: Duration = Duration::from_secs(60);

/// Who may have packets looked into. Nobody is shut out: an account fills up by itself.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    in_all: Account,
    sources: BTreeMap<IpAddr, Source>,
    /// What the addresses share that are not in the table.
    others: Account,
    searched: Option<Instant>,
}

#[derive(Debug, Default)]
struct Source {
    account: Account,
    trusted_until: Option<Instant>,
}

impl RateLimits {
    /// Whether one more packet of this address is looked into.
    pub(super) fn admit(&mut self, now: Instant, from: IpAddr) -> bool {
        if !self.sources.contains_key(&from) {
            self.forget_idle(now);
            if self.sources.len() < MAX_SOURCES {
                self.sources.insert(from, Source::default());
            }
        }
        let (account, trusted) = match self.sources.get_mut(&from) {
            Some(source) => {
                let trusted = source.trusted_until.is_some_and(|until| now < until);
                (&mut source.account, trusted)
            }
            None => (&mut self.others, false),
        };
        let in_all = if trusted { IN_ALL } else { IN_ALL_OF_STRANGERS };
        // Both are asked before either is charged: what is refused costs nothing.
        if !account.has_room(now, PER_SOURCE) || !self.in_all.has_room(now, in_all) {
            return false;
        }
        account.charge(now, PER_SOURCE);
        self.in_all.charge(now, in_all);
        true
    }

    /// Something right came from this address.
    pub(super) fn trust(&mut self, now: Instant, from: IpAddr) {
        if let Some(source) = self.sources.get_mut(&from) {
            source.trusted_until = now.checked_add(TRUST);
        }
    }

    /// Makes room in a full table: an address whose account is full again is as good as new.
    fn forget_idle(&mut self, now: Instant) {
        let searched = |at: Instant| now.saturating_duration_since(at) < SEARCH_INTERVAL;
        if self.sources.len() < MAX_SOURCES || self.searched.is_some_and(searched) {
            return;
        }
        self.searched = Some(now);
        self.sources.retain(|_, source| {
            let trusted = source.trusted_until.is_some_and(|until| now < until);
            trusted || source.account.paid_until.is_some_and(|until| now < until)
        });
    }
}

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug)]
struct Rate {
    each: Duration,
    burst: Duration,
}

impl Rate {
    const fn new(per_second: u32, at_once: u32) -> Self {
        let each = Duration::from_nanos(1_000_000_000 / per_second as u64);
        Self {
            each,
            burst: each.saturating_mul(at_once),
        }
    }
}

/// An account by the time until which it is paid: each packet moves it on, and time catches up.
#[derive(Debug, Default)]
struct Account {
    paid_until: Option<Instant>,
}

impl Account {
    fn has_room(&self, now: Instant, rate: Rate) -> bool {
        let ahead = self
            .paid_until
            .map(|until| until.saturating_duration_since(now));
        ahead.unwrap_or_default() + rate.each <= rate.burst
    }

    fn charge(&mut self, now: Instant, rate: Rate) {
        let from = self.paid_until.map_or(now, |until| until.max(now));
        self.paid_until = from.checked_add(rate.each);
    }
}

#[cfg(test)]
mod tests;
