//! One session after the other, for ever.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use enmesh_membership::Update;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::PostgresConfig;
use super::heard::Heard;
use super::session::{News, SessionError, Speaker, run};
use crate::backoff::Backoff;
use crate::failure::failed;
use crate::secret::Secret;
use crate::source::{Source, SourceContext};

/// How many heartbeats may wait for us.
const MAX_WAITING: usize = 1_024;

/// Hears names while a session lives, and begins another when it has ended.
pub(super) struct PostgresSource {
    speaker: Speaker,
    heard: Heard,
    session: Option<Session>,
    /// Whether silence means anything: we are connected and listen.
    is_listening: bool,
    backoff: Backoff,
    due: Option<Instant>,
}

struct Session {
    life: Pin<Box<dyn Future<Output = SessionError> + Send>>,
    news: mpsc::Receiver<News>,
}

/// What happens next.
enum Turn {
    News(News),
    Ended(SessionError),
    Silence,
}

impl PostgresSource {
    pub(super) fn new(config: &PostgresConfig, context: &SourceContext) -> Self {
        let own = context.own().clone();
        let fallback = context.environment().get("PGPASSWORD");
        Self {
            speaker: Speaker {
                config: config.clone(),
                name: context.creation().map(|_| own.clone()),
                fallback: fallback.map(Secret::new),
            },
            heard: Heard::new(own, config.heartbeat_interval),
            session: None,
            is_listening: false,
            backoff: Backoff::default(),
            due: None,
        }
    }

    /// Cancel safe: the session stays with us.
    async fn follow(&mut self) -> Update {
        loop {
            let turn = self.turn().await;
            let now = Instant::now();
            let update = match turn {
                Turn::News(News::Listening) => {
                    self.backoff.reset();
                    self.is_listening = true;
                    self.heard.forgive(now);
                    let (present, gone) = Default::default();
                    Some(Update::Changed { present, gone })
                }
                Turn::News(News::Heartbeat(payload)) => self.heard.hear(now, &payload),
                Turn::Silence => self.heard.fall_silent(now),
                Turn::Ended(error) => {
                    self.session = None;
                    self.is_listening = false;
                    self.due = Some(now + self.backoff.failed());
                    let config = &self.speaker.config;
                    let text = format!("{}:{}: {error}", config.hostname, config.port);
                    Some(failed(error.kind(), text))
                }
            };
            if let Some(update) = update {
                return update;
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        if self.session.is_none() {
            if let Some(due) = self.due {
                tokio::time::sleep_until(due).await;
            }
            let (told, news) = mpsc::channel(MAX_WAITING);
            let life = Box::pin(run(self.speaker.clone(), told));
            self.session = Some(Session { life, news });
        }
        let session = self.session.as_mut().expect("it was made above");
        let silence = self.heard.deadline().filter(|_| self.is_listening);
        tokio::select! {
            biased;
            Some(news) = session.news.recv() => Turn::News(news),
            error = &mut session.life => Turn::Ended(error),
            () = until(silence) => Turn::Silence,
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for PostgresSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSource")
            .field("speaker", &self.speaker)
            .field("is_connected", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl Source for PostgresSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.follow())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::TopologyConfig;

    #[tokio::test]
    async fn a_server_that_announces_a_message_of_four_gigabytes_is_left_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(b"R\xff\xff\xff\xff").await.unwrap();
            socket
        };
        let text = format!(
            "strategy=postgres hostname=127.0.0.1 port={port} username=u database=d channel_name=c"
        );
        let topology: TopologyConfig = text.parse().unwrap();
        let context = SourceContext::new("own@h".parse().unwrap());
        let mut source = topology.source(&context).unwrap();
        let (update, _socket) = tokio::join!(source.next(), server);
        match update {
            Update::Failed(failure) => {
                let text = failure.to_string();
                assert!(text.contains("a message of 4294967295 bytes"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}
