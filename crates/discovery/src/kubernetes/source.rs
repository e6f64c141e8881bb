//! The loop: sessions one after the other, with a back-off between them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use enmesh_membership::Update;
use tokio::time::Instant;

use super::config::KubernetesConfig;
use super::naming::Naming;
use super::session::{End, Session, WATCH_SECONDS};
use crate::backoff::{Backoff, LONGEST};
use crate::source::{Environment, Source, SourceContext};

/// A session that held this long after its list makes failures before it forgotten.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// Follows one set of pods or endpoints for ever.
pub(crate) struct KubernetesSource {
    config: KubernetesConfig,
    naming: Arc<Naming>,
    environment: Environment,
    backoff: Backoff,
    state: State,
    /// Whether somebody was told that we poll for want of the verb watch.
    told: bool,
    watch_seconds: u32,
}

enum State {
    Waiting(Option<Instant>),
    Open(Box<Session>),
}

impl KubernetesSource {
    pub(crate) fn new(config: &KubernetesConfig, context: &SourceContext) -> Self {
        let environment = context.environment().clone();
        let domain = environment.get("CLUSTER_DOMAIN");
        let naming = Arc::new(Naming::new(config, context.own(), domain));
        Self {
            config: config.clone(),
            naming,
            environment,
            backoff: Backoff::default(),
            state: State::Waiting(None),
            told: false,
            watch_seconds: WATCH_SECONDS,
        }
    }

    async fn follow(&mut self) -> Update {
        loop {
            let end = match &mut self.state {
                State::Waiting(due) => {
                    if let Some(due) = *due {
                        tokio::time::sleep_until(due).await;
                    }
                    let (config, environment) = (&self.config, &self.environment);
                    let opened =
                        Session::open(config, &self.naming, environment, self.watch_seconds);
                    match opened.await {
                        Ok(session) => {
                            self.state = State::Open(Box::new(session));
                            continue;
                        }
                        Err(failure) => End::Failed(failure, None),
                    }
                }
                State::Open(session) => match session.next().await {
                    Ok(update) => return update,
                    Err(end) => end,
                },
            };
            if let Some(update) = self.end(end) {
                return update;
            }
        }
    }

    /// Closes the session and says when to open the next one.
    fn end(&mut self, end: End) -> Option<Update> {
        if let State::Open(session) = &self.state {
            let stable = |since: Instant| since.elapsed() >= STABLE_AFTER;
            if session.listed_at().is_some_and(stable) {
                self.backoff.reset();
            }
        }
        let (pause, update) = match end {
            End::Stale => (self.backoff.failed(), None),
            End::CannotWatch => {
                self.tell_of_polling();
                self.backoff.reset();
                (self.config.polling_interval, None)
            }
            End::Failed(failure, advice) => {
                let advice = advice.unwrap_or_default().min(LONGEST);
                (
                    self.backoff.failed().max(advice),
                    Some(Update::Failed(failure)),
                )
            }
        };
        self.state = State::Waiting(Some(Instant::now() + pause));
        update
    }

    fn tell_of_polling(&mut self) {
        let State::Open(session) = &self.state else {
            return;
        };
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        tracing::warn!(
            resource = session.asked().resource,
            namespace = session.asked().namespace,
            "our account may list and not watch, so Kubernetes is polled; add the verb watch to its Role",
        );
    }
}

impl Source for KubernetesSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.follow())
    }
}

#[cfg(test)]
mod tests;
