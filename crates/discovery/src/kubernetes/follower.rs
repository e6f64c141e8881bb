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
    /// Whether somebody was told that we poll for want of the verb watch.
    told_of_polling: bool,
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
            told_of_polling: false,
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
                        Ok(Said::Nothing(failure)) => match self.order.empty(failure) {
                            // The session goes on: should an object come, it is told.
                            Next::Failed(failure) => return Heard::Failed(failure),
                            Next::Try(_) => {
                                self.state = State::Waiting(None);
                                continue;
                            }
                        },
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
            self.settle();
        }
        if self.census.take(&event) {
            tracing::info!("somebody is selected again");
        }
        Heard::Event(event)
    }

    /// Closes the session and says when to open the next one.
    fn end(&mut self, end: End) -> Option<SourceFailure> {
        if let State::Open(session) = &self.state {
            let stable = |since: Instant| since.elapsed() >= STABLE_AFTER;
            if session.listed_at().is_some_and(stable) {
                self.backoff.reset();
                self.was_cut = false;
            }
        }
        let (pause, failure) = match end {
            End::Stale => {
                self.order.restart();
                (self.backoff.failed(), None)
            }
            End::CannotWatch => {
                self.tell_of_polling();
                self.backoff.reset();
                (
                    self.plan.jitter.spread(self.plan.config.polling_interval),
                    None,
                )
            }
            End::Cut(failure) if !std::mem::replace(&mut self.was_cut, true) => {
                tracing::debug!(reason = %failure, "a watch broke off, so everything is listed anew");
                self.order.restart();
                (self.backoff.failed(), None)
            }
            End::Cut(failure) => {
                self.order.restart();
                (self.backoff.failed(), Some(failure))
            }
            End::Failed(failure, advice) => match self.order.failed(failure) {
                Next::Try(_) => {
                    self.state = State::Waiting(None);
                    return None;
                }
                Next::Failed(failure) => {
                    let advice = advice.unwrap_or_default().min(LONGEST_ADVICE);
                    (self.backoff.failed().max(advice), Some(failure))
                }
            },
        };
        self.state = State::Waiting(Some(Instant::now() + pause));
        failure
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
        let State::Open(session) = &self.state else {
            return;
        };
        if std::mem::replace(&mut self.told_of_polling, true) {
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
