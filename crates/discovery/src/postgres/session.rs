//! One connection to the server: listens, and says who we are at each interval.

use std::error::Error as _;
use std::time::Duration;

use enmesh_identity::NodeName;
use enmesh_membership::FailureKind;
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};

use super::PostgresConfig;
use super::stream::{self, Encrypt, Plain, StreamError};
use crate::secret::Secret;
use crate::source::SourceError;

/// The longest that connecting or a question may take. A server that was lost without a word is
/// noticed by the next heartbeat.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a session hears.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// From now on every heartbeat is heard.
    Listening,
    /// Somebody spoke.
    Heartbeat(String),
}

/// Who speaks, and who listens.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    pub(super) config: PostgresConfig,
    /// What we say; nothing where somebody only looks.
    pub(super) name: Option<NodeName>,
    /// The password that the environment has.
    pub(super) fallback: Option<Secret>,
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("{}", told(.0))]
    Server(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Password(SourceError),
    #[error("no answer within {TIMEOUT:?}")]
    TimedOut,
    #[error("the server closed the connection")]
    Closed,
}

impl SessionError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Server(error) => match error.code() {
                Some(code)
                    if *code == SqlState::INVALID_PASSWORD
                        || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
                {
                    FailureKind::Unauthorized
                }
                Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => FailureKind::Forbidden,
                Some(code) if *code == SqlState::INVALID_CATALOG_NAME => FailureKind::NotFound,
                Some(_) => FailureKind::Other,
                None => FailureKind::Unreachable,
            },
            Self::Stream(StreamError::Connect(_)) | Self::Closed => FailureKind::Unreachable,
            Self::Stream(_) | Self::Password(_) => FailureKind::Other,
            Self::TimedOut => FailureKind::TimedOut,
        }
    }
}

/// The error with its sources, of which the first alone says little.
fn told(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

/// Connects, listens and speaks until something goes wrong. Heartbeats that nobody takes out of
/// `news` are dropped: the next one says the same.
pub(super) async fn run(speaker: Speaker, news: mpsc::Sender<News>) -> SessionError {
    let ended = match speaker.config.ssl {
        false => connected(&speaker, NoTls, &news).await,
        true => match Encrypt::new(&speaker.config) {
            Ok(encrypt) => connected(&speaker, encrypt, &news).await,
            Err(error) => Err(error.into()),
        },
    };
    ended.err().unwrap_or(SessionError::Closed)
}

async fn connected<T>(
    speaker: &Speaker,
    tls: T,
    news: &mpsc::Sender<News>,
) -> Result<(), SessionError>
where
    T: tokio_postgres::tls::TlsConnect<Plain>,
{
    let connecting = async {
        let config = speaker.settings()?;
        let stream = stream::connect(&speaker.config).await?;
        Ok::<_, SessionError>(config.connect_raw(stream, tls).await?)
    };
    let (client, mut connection) = within(connecting).await?;
    tokio::select! {
        biased;
        ended = hear(&mut connection, news) => ended,
        ended = speaker.speak(&client, news) => ended,
    }
}

async fn within<T>(work: impl Future<Output = Result<T, SessionError>>) -> Result<T, SessionError> {
    let outcome = tokio::time::timeout(TIMEOUT, work).await;
    outcome.unwrap_or(Err(SessionError::TimedOut))
}

/// Drives the connection, and passes on what comes through the channel.
async fn hear<T: TlsStream + Unpin>(
    connection: &mut Connection<Plain, T>,
    news: &mpsc::Sender<News>,
) -> Result<(), SessionError> {
    loop {
        let message = std::future::poll_fn(|context| connection.poll_message(context)).await;
        match message {
            Some(Ok(AsyncMessage::Notification(told))) => {
                // Full means that the same names will come again.
                let _ = news.try_send(News::Heartbeat(told.payload().to_owned()));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Ok(()),
        }
    }
}

impl Speaker {
    fn settings(&self) -> Result<Config, SessionError> {
        let mut settings = Config::new();
        settings
            .user(&self.config.username)
            .dbname(&self.config.database)
            .application_name("enmesh")
            .ssl_mode(match self.config.ssl {
                true => tokio_postgres::config::SslMode::Require,
                false => tokio_postgres::config::SslMode::Disable,
            });
        if let Some(path) = &self.config.password_file {
            let password = Secret::read(path, "password_file");
            settings.password(password.map_err(SessionError::Password)?.expose());
        } else if let Some(password) = self.config.password.as_ref().or(self.fallback.as_ref()) {
            settings.password(password.expose());
        }
        Ok(settings)
    }

    async fn speak(&self, client: &Client, news: &mpsc::Sender<News>) -> Result<(), SessionError> {
        // The channel is an identifier by its configuration, so that quotes change nothing in it.
        let listen = format!("LISTEN \"{}\"", self.config.channel_name);
        within(async { Ok(client.batch_execute(&listen).await?) }).await?;
        // Whoever is full of news has heard that we listen.
        let _ = news.try_send(News::Listening);
        loop {
            within(self.heartbeat(client)).await?;
            tokio::time::sleep(self.config.heartbeat_interval).await;
        }
    }

    /// Says our name, or only asks whether the server still hears us.
    async fn heartbeat(&self, client: &Client) -> Result<(), SessionError> {
        let Some(name) = &self.name else {
            return Ok(client.batch_execute("").await?);
        };
        let (channel, name) = (self.config.channel_name.as_str(), name.as_str());
        let values: [(&(dyn ToSql + Sync), Type); 2] =
            [(&channel, Type::TEXT), (&name, Type::TEXT)];
        client
            .query_typed("SELECT pg_notify($1, $2)", &values)
            .await?;
        Ok(())
    }
}
