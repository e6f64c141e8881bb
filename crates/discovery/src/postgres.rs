//! Nodes that tell each other of themselves through a channel of PostgreSQL, as those with
//! libcluster_postgres do.

#[cfg(feature = "postgres")]
mod frames;
#[cfg(feature = "postgres")]
mod heard;
#[cfg(feature = "postgres")]
mod session;
#[cfg(feature = "postgres")]
mod source;
#[cfg(feature = "postgres")]
mod stream;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ConfigError, Field, Fields, StrategyConfig, duration_text};
use crate::secret::Secret;
use crate::source::{Source, SourceContext, SourceError};

const HOSTNAME_ALLOWED: &str =
    "a name or address of the server, or the directory of its socket, which begins with /";
const USERNAME_ALLOWED: &str = "the name of a role that may connect to the database";
const DATABASE_ALLOWED: &str = "the name of the database, the same for all nodes";
const PASSWORD_FILE_ALLOWED: &str =
    "the path of a file that holds the password alone, without key password beside it";
const PORT_ALLOWED: &str = "a port from 1 to 65535";
const SSL_ALLOWED: &str = "true or false";
const SSL_CA_FILE_ALLOWED: &str = "the path of a file of certificates in PEM, with ssl=true";
const CHANNEL_ALLOWED: &str = "1 to 63 of a-z, 0-9 and _, not beginning with a digit; the \
                               channel_name of libcluster_postgres (its default is the cookie, \
                               which does not belong there)";
const HEARTBEAT_ALLOWED: &str = "a duration from 100ms to 1h, as in 5s";

const DEFAULT_PORT: u16 = 5432;

/// How often libcluster_postgres speaks.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(5);
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);
const MAX_HEARTBEAT: Duration = Duration::from_secs(3600);

/// The longest identifier of PostgreSQL, in bytes.
const MAX_CHANNEL_BYTES: usize = 63;

/// Strategy `postgres`: whoever notifies a channel of its name, as libcluster_postgres does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Key `hostname`: the server, or the directory of its socket.
    pub hostname: String,
    /// Key `port`: the server's port, by default 5432.
    pub port: u16,
    /// Key `username`: the role.
    pub username: String,
    /// Key `password`: its password. It is never printed.
    pub password: Option<Secret>,
    /// Key `password_file`: a file that holds it, read anew for each connection. With neither, the
    /// environment's PGPASSWORD counts.
    pub password_file: Option<PathBuf>,
    /// Key `database`: the database, the same for all nodes.
    pub database: String,
    /// Key `ssl`: whether to connect over TLS, by default not. The server's certificate is always
    /// verified then, against the system's authorities or those of `ssl_ca_file`.
    pub ssl: bool,
    /// Key `ssl_ca_file`: the authorities that sign the server's certificate.
    pub ssl_ca_file: Option<PathBuf>,
    /// Key `channel_name`: the channel, the same for all nodes.
    pub channel_name: String,
    /// Key `heartbeat_interval`: how often we tell of ourselves, 100 ms to 1 h, by default 5 s.
    pub heartbeat_interval: Duration,
}

impl PostgresConfig {
    /// The channel of a database on this server, with every default.
    pub fn new(
        hostname: impl Into<String>,
        username: impl Into<String>,
        database: impl Into<String>,
        channel_name: impl Into<String>,
    ) -> Self {
        Self {
            hostname: hostname.into(),
            port: DEFAULT_PORT,
            username: username.into(),
            password: None,
            password_file: None,
            database: database.into(),
            ssl: false,
            ssl_ca_file: None,
            channel_name: channel_name.into(),
            heartbeat_interval: DEFAULT_HEARTBEAT,
        }
    }

    fn is_channel(text: &str) -> bool {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins_well = text
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
        begins_well && text.len() <= MAX_CHANNEL_BYTES && text.bytes().all(is_part)
    }
}

impl StrategyConfig for PostgresConfig {
    const NAME: &'static str = "postgres";
    const ALIASES: &'static [&'static str] = &["LibclusterPostgres.Strategy"];
    const KEYS: &'static [&'static str] = &[
        "hostname",
        "port",
        "username",
        "password",
        "password_file",
        "database",
        "ssl",
        "ssl_ca_file",
        "channel_name",
        "heartbeat_interval",
    ];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let config = Self::new(
            fields.required("hostname", HOSTNAME_ALLOWED)?,
            fields.required("username", USERNAME_ALLOWED)?,
            fields.required("database", DATABASE_ALLOWED)?,
            fields.required("channel_name", CHANNEL_ALLOWED)?,
        );
        let password = Secret::take(fields, "password")?;
        let password_file = fields.text("password_file", PASSWORD_FILE_ALLOWED)?;
        let ssl_ca_file = fields.text("ssl_ca_file", SSL_CA_FILE_ALLOWED)?;
        let heartbeat = fields.duration("heartbeat_interval", HEARTBEAT_ALLOWED)?;
        Ok(Self {
            port: fields.parsed("port", PORT_ALLOWED, DEFAULT_PORT)?,
            password,
            password_file: password_file.map(PathBuf::from),
            ssl: fields.parsed("ssl", SSL_ALLOWED, false)?,
            ssl_ca_file: ssl_ca_file.map(PathBuf::from),
            heartbeat_interval: heartbeat.unwrap_or(DEFAULT_HEARTBEAT),
            ..config
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let path = |path: &PathBuf| path.display().to_string();
        let hidden = self
            .password
            .as_ref()
            .map(|secret| secret.field().to_string());
        [
            ("hostname", Some(self.hostname.clone())),
            ("port", Some(self.port.to_string())),
            ("username", Some(self.username.clone())),
            ("password", hidden),
            ("password_file", self.password_file.as_ref().map(path)),
            ("database", Some(self.database.clone())),
            ("ssl", Some(self.ssl.to_string())),
            ("ssl_ca_file", self.ssl_ca_file.as_ref().map(path)),
            ("channel_name", Some(self.channel_name.clone())),
            (
                "heartbeat_interval",
                Some(duration_text(self.heartbeat_interval)),
            ),
        ]
        .into_iter()
        .filter_map(|(key, text)| Some((key, Field::Text(text?))))
        .collect()
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let refused = |key, value: &str, allowed| ConfigError::BadValue {
            key,
            value: value.to_owned(),
            allowed,
        };
        let is_bad = |text: &str| text.is_empty() || text.contains('\0');
        for (key, text, allowed) in [
            ("hostname", &self.hostname, HOSTNAME_ALLOWED),
            ("username", &self.username, USERNAME_ALLOWED),
            ("database", &self.database, DATABASE_ALLOWED),
        ] {
            if is_bad(text) {
                return Err(refused(key, text, allowed));
            }
        }
        if !Self::is_channel(&self.channel_name) {
            let value = &self.channel_name;
            return Err(refused("channel_name", value, CHANNEL_ALLOWED));
        }
        if self.port == 0 {
            return Err(refused("port", "0", PORT_ALLOWED));
        }
        if let Some(password) = &self.password {
            password.check("password")?;
        }
        if let (Some(_), Some(path)) = (&self.password, &self.password_file) {
            let value = path.display().to_string();
            return Err(refused("password_file", &value, PASSWORD_FILE_ALLOWED));
        }
        if let (false, Some(path)) = (self.ssl, &self.ssl_ca_file) {
            let value = path.display().to_string();
            return Err(refused("ssl_ca_file", &value, SSL_CA_FILE_ALLOWED));
        }
        if !(MIN_HEARTBEAT..=MAX_HEARTBEAT).contains(&self.heartbeat_interval) {
            let value = duration_text(self.heartbeat_interval);
            return Err(refused("heartbeat_interval", &value, HEARTBEAT_ALLOWED));
        }
        Ok(())
    }

    #[cfg(feature = "postgres")]
    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(source::PostgresSource::new(self, context)))
    }

    #[cfg(not(feature = "postgres"))]
    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        crate::config::left_out::<Self>("postgres")
    }
}

#[cfg(test)]
mod tests {
    use crate::TopologyConfig;

    const BASE: &str = "strategy=postgres hostname=db username=u database=d";

    fn refused(more: &str) -> String {
        let text = format!("{BASE} {more}");
        text.parse::<TopologyConfig>().unwrap_err().to_string()
    }

    #[test]
    fn a_channel_must_be_named_as_both_sides_spell_it() {
        assert!(refused("port=1").contains("needs key `channel_name`"));
        // libcluster_postgres notifies without quotes and listens with them.
        for channel in ["Cluster", "1a", "a-b", "a;drop", &"a".repeat(64)] {
            let message = refused(&format!("channel_name={channel}"));
            assert!(message.contains("for key `channel_name`"), "{message}");
        }
        let longest = format!("{BASE} channel_name={}", "a".repeat(63));
        assert!(longest.parse::<TopologyConfig>().is_ok());
    }

    #[test]
    fn a_password_is_taken_and_never_shown() {
        let text = format!("{BASE} channel_name=c password=hunter2");
        let topology: TopologyConfig = text.parse().unwrap();
        assert!(!format!("{topology:?}{topology}").contains("hunter2"));
        let toml = toml::to_string(&topology).unwrap();
        assert!(
            !toml.contains("hunter2") && toml.contains("channel_name"),
            "{toml}"
        );
        let message = refused("channel_name=c password=hunter2 password_file=/x");
        assert!(
            !message.contains("hunter2") && message.contains("password_file"),
            "{message}"
        );
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (more, key) in [
            ("ssl=maybe", "ssl"),
            ("ssl_ca_file=/ca", "ssl_ca_file"),
            ("port=0", "port"),
            ("heartbeat_interval=1", "heartbeat_interval"),
        ] {
            let message = refused(&format!("channel_name=c {more}"));
            assert!(message.contains(&format!("for key `{key}`")), "{message}");
        }
        let message = refused("channel_name=c parameters=x");
        assert!(
            message.starts_with("key `parameters` is unknown"),
            "{message}"
        );
    }
}
