//! One namespace: sessions one after the other, with a back-off between them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use enmesh_membership::{FailureKind, SourceFailure};
use tokio::time::Instant;

use super::census::Census;
use super::config::KubernetesConfig;
use super::lookup::{Lookup, Next, Order};
use super::refusal::{Trust, WatchRight};
use super::session::{End, Question, Said, Session};
use super::tracker::Event;
use crate::backoff::Backoff;
use crate::jitter::Jitter;
use crate::source::Environment;

/// A session that held this long after its list makes failures before it forgotten.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// The longest wait that a server's Retry-After can make of a shorter one.
const LONGEST_ADVICE: Duration = Duration::from_secs(30);

/// How long a session may take to be opened before somebody is told; only a kubeconfig's command for
/// a token takes any time. It is waited for all the same: a second one would hang likewise.
const OPENING_PATIENCE: Duration = Duration::from_secs(30);

/// What all namespaces of a topology have in common.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) config: KubernetesConfig,
    pub(super) environment: Environment,
    pub(super) domain: String,
    pub(super) watch_seconds: u32,
    pub(super) jitter: Jitter,
}

/// What a follower has to say.
#[derive(Debug)]
pub(super) enum Heard {
    /// Something that the API told.
    Event(Event),
    /// Why nothing is known. The next attempt comes after the back-off.
    Failed(SourceFailure),
}

/// Follows one namespace for ever.
pub(super) struct Follower {
    plan: Arc<Plan>,
    /// None is the one that the account or the kubeconfig's context names.
    namespace: Option<String>,
    order: Order,
    backoff: Backoff,
    state: State,
    trust: Trust,
    watch: WatchRight,
    /// Whether somebody was told that another lookup stands in.
    told_of_lookup: Option<Lookup>,
    census: Census,
    /// Whether a connection has broken off, and none has held since.
    was_cut: bool,
}

type Opening = Pin<Box<dyn Future<Output = Result<Session, SourceFailure>> + Send>>;

enum State {
    Waiting(Option<Instant>),
    /// And when somebody is told that it takes so long.
    Opening(Opening, Instant),
    Open(Box<Session>),
}

/// What the user of a command that hangs is told.
fn stuck() -> SourceFailure {
    let text = format!(
        "the command by which the kubeconfig's user gets a token has not ended within \
         {OPENING_PATIENCE:?}; try it by hand: it may wait for somebody to type"
    );
    SourceFailure::new(FailureKind::TimedOut, text)
}

impl Follower {
    pub(super) fn new(plan: &Arc<Plan>, namespace: Option<String>) -> Self {
        let config = &plan.config;
        Self {
            plan: Arc::clone(plan),
            namespace,
            order: Order::new(config.lookup_mode, config.selector.is_some()),
            backoff: Backoff::default(),
            state: State::Waiting(None),
            trust: Trust::default(),
            watch: WatchRight::default(),
            told_of_lookup: None,
            census: Census::default(),
            was_cut: false,
        }
    }

    /// What comes next. Cancel safe: a wait goes on counting, and a session keeps its place.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            let end = match &mut self.state {
                State::Waiting(due) => {
                    if let Some(due) = *due {
                        tokio::time::sleep_until(due).await;
                    }
                    let question = Question {
                        lookup: self.order.current(),
                        namespace: self.namespace.clone(),
                        empty_is_an_answer: self.order.trusts_empty(),
                        may_watch: self.watch.may_watch(),
                    };
                    let opening = Box::pin(Session::open(Arc::clone(&self.plan), question));
                    self.state = State::Opening(opening, Instant::now() + OPENING_PATIENCE);
                    continue;
                }
                State::Opening(opening, deadline) => {
                    match tokio::time::timeout_at(*deadline, opening).await {
                        Ok(Ok(session)) => {
                            self.state = State::Open(Box::new(session));
                            continue;
                        }
                        Ok(Err(failure)) => End::Failed(failure, None),
                        Err(_) => {
                            *deadline = Instant::now() + OPENING_PATIENCE;
                            return Heard::Failed(stuck());
                        }
                    }
                }
                State::Open(session) => {
                    let said = tokio::select! {
                        biased;
                        said = session.next() => said,
                        () = self.census.due() => {
                            self.tell_of_nobody();
                            continue;
                        }
                    };
                    match said {
                        Ok(Said::Event(event)) => return self.heard(event),
                        Ok(Said::Nothing(failure)) => {
                            self.trust.answered(self.order.current());
                            match self.order.empty(failure) {
                                // The session goes on: should an object come, it is told.
                                Next::Failed(failure) => return Heard::Failed(failure),
                                Next::Try(_) => {
                                    self.state = State::Waiting(None);
                                    continue;
                                }
                            }
                        }
                        Err(end) => end,
                    }
                }
            };
            if let Some(failure) = self.end(end) {
                return Heard::Failed(failure);
            }
        }
    }

    /// What a session has told, after a look at it.
    fn heard(&mut self, event: Event) -> Heard {
        if event == Event::ListEnds {
            self.trust.answered(self.order.current());
            self.settle();
        }
        if self.census.take(&event) {
            tracing::info!("somebody is selected again");
        }
        Heard::Event(event)
    }

    /// Closes the session and says when to open the next one.
    fn end(&mut self, end: End) -> Option<SourceFailure> {
        let held = self.has_held();
        if held {
            self.backoff.reset();
            self.was_cut = false;
        }
        let (pause, failure) = match end {
            // That the whole Role is gone shows only when it is listed anew.
            End::CannotWatch if held => self.start_again(),
            End::Stale => self.start_again(),
            End::CannotWatch => {
                self.tell_of_polling();
                (self.poll(), None)
            }
            End::Listed => (self.poll(), None),
            End::Cut(failure) if !std::mem::replace(&mut self.was_cut, true) => {
                tracing::debug!(reason = %failure, "a watch broke off, so everything is listed anew");
                self.start_again()
            }
            End::Cut(failure) => (self.start_again().0, Some(failure)),
            End::Failed(failure, advice) => self.failed(failure, advice),
        };
        self.state = State::Waiting(Some(Instant::now() + pause));
        failure
    }

    /// Whether the session's watch has gone on for long enough to take it for a good one.
    fn has_held(&mut self) -> bool {
        let State::Open(session) = &self.state else {
            return false;
        };
        let stable = |since: Instant| since.elapsed() >= STABLE_AFTER;
        let held = session.may_watch() && session.listed_at().is_some_and(stable);
        if held {
            self.watch.held();
        }
        held
    }

    fn start_again(&mut self) -> (Duration, Option<SourceFailure>) {
        self.order.restart();
        (self.backoff.failed(), None)
    }

    /// When to list anew where no watch tells what changes.
    fn poll(&mut self) -> Duration {
        self.backoff.reset();
        self.plan.jitter.spread(self.plan.config.polling_interval)
    }

    /// When to ask again after a failure, and what somebody is told of it.
    fn failed(
        &mut self,
        failure: SourceFailure,
        advice: Option<Duration>,
    ) -> (Duration, Option<SourceFailure>) {
        if let Some(before) = self.trust.doubts(self.order.current(), failure.kind()) {
            if before == 0 {
                // Whatever was wrong before is over: the server answers.
                self.backoff.reset();
            }
            tracing::debug!(
                reason = %failure,
                "refused by an API that has let us in before, so it is asked again before anybody is told"
            );
            return (self.backoff.failed(), None);
        }
        match self.order.failed(failure) {
            Next::Try(_) => (Duration::ZERO, None),
            Next::Failed(failure) => {
                let advice = advice.unwrap_or_default().min(LONGEST_ADVICE);
                (self.backoff.failed().max(advice), Some(failure))
            }
        }
    }

    /// Says which lookup is read where it is not the only one that could be.
    fn settle(&mut self) {
        let State::Open(session) = &self.state else {
            return;
        };
        let lookup = self.order.current();
        if !self.order.settle() || self.told_of_lookup == Some(lookup) {
            return;
        }
        let (resource, namespace) = (lookup.resource(), &session.asked().namespace);
        match (self.order.picks(), self.order.first_failure()) {
            (true, None) => tracing::info!(
                namespace,
                resource,
                "lookup picked: it is the first that is tried, and we may read it",
            ),
            (true, Some(failure)) => tracing::info!(
                namespace,
                resource,
                reason = %failure,
                "lookup picked: those before it do not do",
            ),
            (false, None) => return,
            (false, Some(failure)) => tracing::warn!(
                namespace,
                resource,
                reason = %failure,
                "endpointslices cannot be read, so endpoints stand in for them; they cannot tell \
                 that a pod is terminating",
            ),
        }
        self.told_of_lookup = Some(lookup);
    }

    fn tell_of_nobody(&mut self) {
        self.census.told();
        let State::Open(session) = &self.state else {
            return;
        };
        let asked = session.asked();
        tracing::warn!(
            namespace = asked.namespace,
            resource = asked.lookup.resource(),
            selector = %asked.selection,
            hint = asked.nobody(),
            "nobody is selected: there are no pods to connect with",
        );
    }

    fn tell_of_polling(&mut self) {
        let is_news = self.watch.refused();
        let State::Open(session) = &self.state else {
            return;
        };
        if !is_news {
            return;
        }
        let asked = session.asked();
        tracing::warn!(
            resource = asked.lookup.rule(),
            namespace = asked.namespace,
            "our account may list and not watch, so Kubernetes is polled; add the verb watch to its Role",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::LookupMode;

    fn follower() -> Follower {
        let config = KubernetesConfig {
            lookup_mode: Some(LookupMode::EndpointSlices),
            polling_interval: Duration::from_secs(5),
            ..KubernetesConfig::default()
        };
        let plan = Plan {
            config,
            environment: Environment::default(),
            domain: String::new(),
            watch_seconds: 290,
            jitter: Jitter::NONE,
        };
        Follower::new(&Arc::new(plan), None)
    }

    fn failed(kind: FailureKind) -> End {
        End::Failed(SourceFailure::new(kind, "no"), None)
    }

    /// Takes in the end and waits until the next session is due.
    async fn after(follower: &mut Follower, end: End) -> (Duration, Option<FailureKind>) {
        let told = follower.end(end).map(|failure| failure.kind());
        let State::Waiting(Some(due)) = follower.state else {
            panic!("an end leads to a wait");
        };
        let pause = due - Instant::now();
        tokio::time::sleep_until(due).await;
        (pause, told)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_after_a_good_answer_is_told_when_it_lasts() {
        let mut follower = follower();
        let refused = || failed(FailureKind::Forbidden);
        let (_, told) = after(&mut follower, refused()).await;
        assert_eq!(told, Some(FailureKind::Forbidden), "nothing good before it");
        follower.heard(Event::ListEnds);
        // The server is away for a while, and is told to be.
        for _ in 0..9 {
            let (_, told) = after(&mut follower, failed(FailureKind::Unreachable)).await;
            assert_eq!(told, Some(FailureKind::Unreachable));
        }
        let begin = Instant::now();
        for longest in [500, 1_000, 2_000, 4_000] {
            let (pause, told) = after(&mut follower, refused()).await;
            assert_eq!(told, None);
            assert!(pause <= Duration::from_millis(longest), "{pause:?}");
        }
        for _ in 0..3 {
            assert!(begin.elapsed() >= Duration::from_secs(5));
            let (_, told) = after(&mut follower, refused()).await;
            assert_eq!(told, Some(FailureKind::Forbidden));
        }
        follower.heard(Event::ListEnds);
        let (_, told) = after(&mut follower, refused()).await;
        assert_eq!(told, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_not_watch_polls_at_the_interval_and_tries_the_watch_seldom() {
        let mut follower = follower();
        let (begin, mut polls, mut watches) = (Instant::now(), 0, 0);
        while begin.elapsed() < Duration::from_secs(600) {
            let end = match follower.watch.may_watch() {
                true => End::CannotWatch,
                false => End::Listed,
            };
            watches += u32::from(matches!(end, End::CannotWatch));
            polls += 1;
            let (pause, told) = after(&mut follower, end).await;
            assert_eq!((pause, told), (Duration::from_secs(5), None));
        }
        assert_eq!(polls, 120);
        assert_eq!(watches, 4);
    }
}
