//! A command that prints the peers.

mod run;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use enmesh_membership::Update;

use crate::config::{
    ConfigError, DEFAULT_POLLING_INTERVAL, Field, Fields, POLLING_INTERVAL_ALLOWED, StrategyConfig,
    check_polling_interval, duration_text, words_text,
};
use crate::failure::failed;
use crate::pace::Pace;
use crate::peer_list::{End, LeftOut, parse, shown};
use crate::source::{Source, SourceContext, SourceError};
use run::{Run, RunError};

const COMMAND_ALLOWED: &str = "a program and its arguments, at most 256 words, without a shell, as in /usr/local/bin/peers web";
const TIMEOUT_ALLOWED: &str = "a duration from 100ms to 1h, as in 10s";

/// The largest number of words of a command.
const MAX_WORDS: usize = 256;

/// How long the command may run where nothing is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Strategy `exec`: the peers that a command prints, one a line or as JSON, while it ends with
/// exit code 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecConfig {
    /// Key `command`: the program and its arguments, 1 to 256 words. No shell reads them.
    pub command: Vec<String>,
    /// Key `polling_interval`: the time between the end of one run and the next, 100 ms to 1 h, by
    /// default 5 s. There are never two runs at once.
    pub polling_interval: Duration,
    /// Key `timeout`: how long a run may take, 100 ms to 1 h, by default 10 s. Then the command's
    /// whole process group is killed.
    pub timeout: Duration,
}

impl ExecConfig {
    /// What `command` prints, asked every 5 seconds.
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            polling_interval: DEFAULT_POLLING_INTERVAL,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl StrategyConfig for ExecConfig {
    const NAME: &'static str = "exec";
    const ALIASES: &'static [&'static str] = &[];
    const KEYS: &'static [&'static str] = &["command", "polling_interval", "timeout"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let command = fields.words("command", COMMAND_ALLOWED)?;
        let interval = fields.duration("polling_interval", POLLING_INTERVAL_ALLOWED)?;
        let timeout = fields.duration("timeout", TIMEOUT_ALLOWED)?;
        Ok(Self {
            command,
            polling_interval: interval.unwrap_or(DEFAULT_POLLING_INTERVAL),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let interval = duration_text(self.polling_interval);
        vec![
            ("command", Field::Text(words_text(&self.command))),
            ("polling_interval", Field::Text(interval)),
            ("timeout", Field::Text(duration_text(self.timeout))),
        ]
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let refused = |key, value, allowed| ConfigError::BadValue {
            key,
            value,
            allowed,
        };
        let has_nul = self.command.iter().any(|word| word.contains('\0'));
        let program = self.command.first().filter(|program| !program.is_empty());
        if program.is_none() || self.command.len() > MAX_WORDS || has_nul {
            let value = words_text(&self.command);
            return Err(refused("command", value, COMMAND_ALLOWED));
        }
        if check_polling_interval(self.timeout).is_err() {
            let value = duration_text(self.timeout);
            return Err(refused("timeout", value, TIMEOUT_ALLOWED));
        }
        check_polling_interval(self.polling_interval)
    }

    fn source(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(ExecSource::new(self.clone(), context)))
    }
}

/// Runs the command, waits, runs it again.
#[derive(Debug)]
struct ExecSource {
    config: ExecConfig,
    pace: Pace,
    running: Option<Run>,
    /// A run of which enough is known and whose process may not have ended yet.
    ending: Option<Run>,
    left_out: LeftOut,
}

impl ExecSource {
    fn new(config: ExecConfig, context: &SourceContext) -> Self {
        Self {
            pace: Pace::new(config.polling_interval, context),
            config,
            running: None,
            ending: None,
            left_out: LeftOut::default(),
        }
    }

    /// Cancel safe: a run stays with us until it has ended.
    async fn poll(&mut self) -> Update {
        if let Some(run) = &mut self.ending {
            run.ended().await;
            self.ending = None;
        }
        let printed = match &mut self.running {
            Some(run) => run.output().await,
            None => {
                self.pace.wait().await;
                match Run::start(&self.config.command, self.config.timeout) {
                    Ok(run) => self.running.insert(run).output().await,
                    Err(error) => Err(error),
                }
            }
        };
        self.ending = self.running.take();
        let update = self.read(printed);
        self.pace.went(!matches!(update, Update::Failed(_)));
        update
    }

    fn read(&mut self, printed: Result<Vec<u8>, RunError>) -> Update {
        let program = shown(&self.config.command[0]);
        let printed = match printed {
            Ok(printed) => printed,
            Err(error) => return failed(error.kind(), format!("{program}: {error}")),
        };
        match parse(&printed, End::Told) {
            Ok(list) => {
                self.left_out.look(&list, &program);
                list.into_update()
            }
            Err(error) => failed(error.kind(), format!("what {program} printed: {error}")),
        }
    }
}

impl Source for ExecSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.poll())
    }
}

#[cfg(all(test, unix))]
mod tests;
