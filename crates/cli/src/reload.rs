//! The configuration, read again while the program runs: at SIGHUP, and when the file has changed.
//!
//! Topologies are what can change under a running node. What else is different in the file is
//! said, and counts after a restart.

mod watched;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use enmesh::{TopologyChanges, TopologyError, TopologyName};
use enmesh_discovery::TopologyConfig;
use tokio::time::Instant;
use toml::Table;

use self::watched::{News, Watched};
use crate::config::{ConfigErrors, MAX_FILE_BYTES, RunConfig, print};
use crate::exit::Failure;
use crate::signals::Hangups;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What is in force now, and what may take its place. `R` reads the whole configuration again.
#[derive(Debug)]
pub(crate) struct Reloads<R> {
    path: Option<PathBuf>,
    watched: Option<Watched>,
    hangups: Hangups,
    next_look: Instant,
    /// The settings that we were started with.
    settings: Table,
    read: R,
}

/// What stands in the file, seen before the configuration was first read: so no change, however
/// early it comes, goes unnoticed.
#[derive(Debug)]
pub(crate) struct Seen(Option<(PathBuf, Option<Vec<u8>>)>);

impl Seen {
    /// Looks at the file at `path`, if the configuration is in one.
    pub(crate) fn look(path: Option<&Path>) -> Self {
        Self(path.map(|path| (path.to_owned(), content(path))))
    }
}

/// A configuration that is right, read again.
#[derive(Debug)]
pub(crate) struct Reload {
    /// What made us read it: `SIGHUP` or `file`.
    pub(crate) cause: &'static str,
    /// The topologies that are to be followed from now on.
    pub(crate) topologies: Vec<TopologyConfig>,
}

impl<R: FnMut() -> Result<RunConfig, ConfigErrors>> Reloads<R> {
    /// Takes over SIGHUP; `config` is what was read after the file was `seen`. Needs a tokio
    /// runtime.
    pub(crate) fn listen(seen: Seen, config: &RunConfig, read: R) -> Result<Self, Failure> {
        let (path, content) = seen.0.unzip();
        Ok(Self {
            path,
            watched: content.flatten().map(Watched::new),
            hangups: Hangups::listen()?,
            next_look: Instant::now() + EVERY,
            settings: settings(config),
            read,
        })
    }

    /// Waits for the next configuration that is right. One that is wrong is an error in the log and
    /// changes nothing. Cancel safe.
    pub(crate) async fn next(&mut self) -> Reload {
        loop {
            let cause = self.cause().await;
            match (self.read)() {
                Ok(config) => {
                    let keys = different(&self.settings, &settings(&config));
                    if !keys.is_empty() {
                        tracing::warn!(
                            keys = keys.join(" "),
                            "these settings are others now and count after a restart"
                        );
                    }
                    let topologies = config.topologies;
                    return Reload { cause, topologies };
                }
                Err(errors) => tracing::error!(
                    cause,
                    error = %errors,
                    "configuration cannot be read again; the last good one stays in force"
                ),
            }
        }
    }

    /// Waits for a reason to read the configuration again.
    async fn cause(&mut self) -> &'static str {
        loop {
            let is_watching = self.watched.is_some();
            tokio::select! {
                biased;
                () = self.hangups.next() => {
                    if let (Some(watched), Some(path)) = (&mut self.watched, &self.path)
                        && let Some(content) = content(path)
                    {
                        watched.take_for_known(content);
                    }
                    return "SIGHUP";
                }
                () = tokio::time::sleep_until(self.next_look), if is_watching => {}
            }
            self.next_look = Instant::now() + EVERY;
            if let (Some(watched), Some(path)) = (&mut self.watched, &self.path) {
                match watched.look(content(path)) {
                    None => {}
                    Some(News::Changed) => return "file",
                    Some(News::Gone) => tracing::warn!(
                        file = %path.display(),
                        "configuration file is gone or empty; what it said stays in force"
                    ),
                }
            }
        }
    }
}

/// Says what became of the topologies of a [`Reload`].
pub(crate) fn say(cause: &str, changed: Result<TopologyChanges, TopologyError>) {
    match changed {
        Ok(changes) => tracing::info!(
            cause,
            added = joined(&changes.added),
            changed = joined(&changes.changed),
            removed = joined(&changes.removed),
            kept = joined(&changes.kept),
            "configuration was read again"
        ),
        Err(error) => tracing::error!(
            cause,
            error = &error as &dyn std::error::Error,
            "configuration cannot be read again; the last good one stays in force"
        ),
    }
}

/// The names as the log records lists.
fn joined(names: &[TopologyName]) -> String {
    let names: Vec<_> = names.iter().map(TopologyName::as_str).collect();
    names.join(" ")
}

/// What stands in the file; `None` if it is not there, or is no file that can be read twice, as a
/// pipe is.
fn content(path: &Path) -> Option<Vec<u8>> {
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Every setting but the topologies, each with its whole key.
fn settings(config: &RunConfig) -> Table {
    let table: Table = print(config).parse().expect("what is printed is TOML");
    let mut settings = Table::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = inner.into_iter();
                settings.extend(inner.map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            // The topologies are the one list of tables.
            toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {}
            value => drop(settings.insert(key, value)),
        }
    }
    settings
}

/// The keys whose values differ.
fn different(old: &Table, new: &Table) -> Vec<String> {
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| old.get(*key) != new.get(*key));
    keys.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests;
