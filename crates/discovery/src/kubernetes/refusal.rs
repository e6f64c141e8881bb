//! What a refusal (403) means for who was let in a moment ago, and for who may list and not watch.

use std::time::Duration;

use enmesh_membership::FailureKind;
use tokio::time::Instant;

use super::lookup::Lookup;
use crate::backoff::Backoff;

/// How many refusals in a row are not believed after a good answer. With the first waits of the back-off that is at most 7.5 s:
/// an API server that has just started refuses everybody until it has read the Roles.
const DOUBTED: u8 = 4;

/// When a watch that was refused is tried again, at first and in the end. Until then changes are found by polling.
const FIRST_WATCH_AGAIN: Duration = Duration::from_secs(60);
const LAST_WATCH_AGAIN: Duration = Duration::from_secs(600);

/// Whether a refusal is to be believed.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// What the last good answer told.
    answered: Option<Lookup>,
    /// How many refusals came since.
    refusals: u8,
}

impl Trust {
    /// We were let in.
    pub(super) fn answered(&mut self, lookup: Lookup) {
        *self = Self {
            answered: Some(lookup),
            refusals: 0,
        };
    }

    /// The look-up failed. Answers whether it is to be asked again before anybody is told, with how many doubts there were
    /// before this one: none but of a refusal by who let us in the last time that it answered, and only so many.
    pub(super) fn doubts(&mut self, lookup: Lookup, kind: FailureKind) -> Option<u8> {
        let is_doubtful = kind == FailureKind::Forbidden
            && self.answered == Some(lookup)
            && self.refusals < DOUBTED;
        is_doubtful.then(|| {
            self.refusals += 1;
            self.refusals - 1
        })
    }
}

/// Whether we may watch, as far as we know.
#[derive(Debug)]
pub(super) struct WatchRight {
    backoff: Backoff,
    /// When it is tried again; none where it was not refused.
    due: Option<Instant>,
}

impl Default for WatchRight {
    fn default() -> Self {
        Self {
            backoff: Backoff::between(FIRST_WATCH_AGAIN, LAST_WATCH_AGAIN),
            due: None,
        }
    }
}

impl WatchRight {
    /// Whether a watch may follow the next list.
    pub(super) fn may_watch(&self) -> bool {
        self.due.is_none_or(|due| Instant::now() >= due)
    }

    /// A watch was refused. Answers whether that is news.
    pub(super) fn refused(&mut self) -> bool {
        let pause = self.backoff.failed();
        self.due.replace(Instant::now() + pause).is_none()
    }

    /// A watch has held. Answers whether it was refused before.
    pub(super) fn held(&mut self) -> bool {
        self.backoff.reset();
        self.due.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_refusals_are_doubted_and_only_of_who_let_us_in() {
        let (slices, refused) = (Lookup::Slices, FailureKind::Forbidden);
        let mut trust = Trust::default();
        assert_eq!(trust.doubts(slices, refused), None, "it never let us in");
        trust.answered(slices);
        assert_eq!(trust.doubts(slices, FailureKind::Unreachable), None);
        assert_eq!(trust.doubts(Lookup::Pods, refused), None);
        for before in 0..DOUBTED {
            assert_eq!(trust.doubts(slices, refused), Some(before));
        }
        for _ in 0..600 {
            assert_eq!(trust.doubts(slices, refused), None);
        }
        trust.answered(slices);
        assert_eq!(trust.doubts(slices, refused), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_watch_is_tried_again_after_minutes() {
        let mut right = WatchRight::default();
        assert!(right.may_watch());
        let (begin, mut tries) = (Instant::now(), Vec::new());
        while begin.elapsed() < Duration::from_secs(3_600) {
            if right.may_watch() {
                assert_eq!(right.refused(), tries.is_empty(), "it is news once");
                tries.push(begin.elapsed());
            }
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        // After 0, 1, 3, 7, 15, 25, 35, 45, 55 minutes, or up to a quarter of each wait sooner.
        assert!((9..=11).contains(&tries.len()), "{tries:?}");
        assert!(tries[1] >= FIRST_WATCH_AGAIN * 3 / 4, "{tries:?}");
        assert!(right.held() && right.may_watch() && !right.held());
        assert!(right.refused());
        tokio::time::advance(FIRST_WATCH_AGAIN).await;
        assert!(right.may_watch(), "the back-off began anew");
    }
}
