//! A file that lists the peers, watched.

use std::future::Future;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use enmesh_membership::{FailureKind, Update};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::config::{
    ConfigError, Field, Fields, POLLING_INTERVAL_ALLOWED, StrategyConfig, check_polling_interval,
    duration_text,
};
use crate::failure::failed;
use crate::peer_list::{End, LeftOut, MAX_TEXT_BYTES, PeerList, PeerListError, parse};
use crate::source::{Source, SourceContext, SourceError};

const PATH_ALLOWED: &str = "the path of a file that lists the peers";

/// How often the file is looked at where nothing is said.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// What was read must still stand there after this time: whoever is writing has gone on by then.
const SETTLING: Duration = Duration::from_millis(50);

/// Strategy `file`: the peers that a file lists, one a line or as JSON. Its content is compared,
/// so that it does not matter how it is changed: written over, renamed, or a symbolic link turned
/// elsewhere, as with a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Key `path`: where the file is.
    pub path: PathBuf,
    /// Key `polling_interval`: the time between two looks at it, 100 ms to 1 h, by default 1 s.
    pub polling_interval: Duration,
}

impl FileConfig {
    /// The file at `path`, looked at every second.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            polling_interval: DEFAULT_INTERVAL,
        }
    }
}

impl StrategyConfig for FileConfig {
    const NAME: &'static str = "file";
    const ALIASES: &'static [&'static str] = &[];
    const KEYS: &'static [&'static str] = &["path", "polling_interval"];

    fn take(fields: &mut Fields) -> Result<Self, ConfigError> {
        let interval = fields.duration("polling_interval", POLLING_INTERVAL_ALLOWED)?;
        Ok(Self {
            path: fields.required("path", PATH_ALLOWED)?.into(),
            polling_interval: interval.unwrap_or(DEFAULT_INTERVAL),
        })
    }

    fn pairs(&self) -> Vec<(&'static str, Field)> {
        let path = self.path.display().to_string();
        let interval = duration_text(self.polling_interval);
        vec![
            ("path", Field::Text(path)),
            ("polling_interval", Field::Text(interval)),
        ]
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.path.as_os_str().is_empty() {
            return Err(ConfigError::BadValue {
                key: "path",
                value: String::new(),
                allowed: PATH_ALLOWED,
            });
        }
        check_polling_interval(self.polling_interval)
    }

    fn source(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(FileSource::new(self)))
    }
}

/// Why the file gives no peers.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// What is no file could keep a reader waiting for ever.
    #[error("it is no file")]
    NoFile,
    #[error("it is being written")]
    Unsettled,
    #[error("{0}")]
    List(#[from] PeerListError),
}

impl FileError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Unreadable(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => FailureKind::NotFound,
                ErrorKind::PermissionDenied => FailureKind::Forbidden,
                _ => FailureKind::Other,
            },
            Self::NoFile | Self::Unsettled => FailureKind::Other,
            Self::List(error) => error.kind(),
        }
    }
}

/// Compares the content with what was said of it last.
#[derive(Debug)]
struct FileSource {
    path: PathBuf,
    interval: Duration,
    due: Option<Instant>,
    said: Option<Said>,
    left_out: LeftOut,
}

/// What was said last, so that it is not said twice.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Content(Vec<u8>),
    Failure(String),
}

impl FileSource {
    fn new(config: &FileConfig) -> Self {
        Self {
            path: config.path.clone(),
            interval: config.polling_interval,
            due: None,
            said: None,
            left_out: LeftOut::default(),
        }
    }

    async fn watch(&mut self) -> Update {
        loop {
            if let Some(due) = self.due {
                tokio::time::sleep_until(due).await;
            }
            let news = self.look().await;
            self.due = Some(Instant::now() + self.interval);
            if let Some(update) = news {
                return update;
            }
        }
    }

    /// What is new since the last look.
    async fn look(&mut self) -> Option<Update> {
        let (said, update) = match self.read().await {
            Ok(None) => return None,
            Ok(Some((content, list))) => {
                let path = self.path.display().to_string();
                self.left_out.look(&list, &path);
                (Said::Content(content), list.into_update())
            }
            Err(error) => {
                let text = format!("{}: {error}", self.path.display());
                (Said::Failure(text.clone()), failed(error.kind(), text))
            }
        };
        if self.said.as_ref() == Some(&said) {
            return None;
        }
        self.said = Some(said);
        Some(update)
    }

    /// The content and what it means; nothing if it is what was said last.
    async fn read(&self) -> Result<Option<(Vec<u8>, PeerList)>, FileError> {
        let content = self.content().await?;
        if matches!(&self.said, Some(Said::Content(said)) if *said == content) {
            return Ok(None);
        }
        tokio::time::sleep(SETTLING).await;
        if self.content().await? != content {
            return Err(FileError::Unsettled);
        }
        let list = parse(&content, End::Untold)?;
        Ok(Some((content, list)))
    }

    async fn content(&self) -> Result<Vec<u8>, FileError> {
        if !tokio::fs::metadata(&self.path).await?.is_file() {
            return Err(FileError::NoFile);
        }
        let file = tokio::fs::File::open(&self.path).await?;
        let mut content = Vec::new();
        let most = MAX_TEXT_BYTES as u64 + 1;
        file.take(most).read_to_end(&mut content).await?;
        Ok(content)
    }
}

impl Source for FileSource {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Update> + Send + '_>> {
        Box::pin(self.watch())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: PathBuf) -> FileSource {
        let polling_interval = Duration::from_millis(100);
        FileSource::new(&FileConfig {
            path,
            polling_interval,
        })
    }

    /// The names of a whole list, or the kind of a failure.
    async fn next(source: &mut FileSource) -> Result<Vec<String>, FailureKind> {
        let update = tokio::time::timeout(Duration::from_secs(10), source.next());
        match update.await.expect("something new") {
            Update::Snapshot(peers) => {
                Ok(peers.iter().map(|seen| seen.name().to_string()).collect())
            }
            Update::Failed(failure) => Err(failure.kind()),
            other => panic!("{other:?}"),
        }
    }

    async fn is_quiet(source: &mut FileSource) -> bool {
        tokio::time::timeout(Duration::from_millis(350), source.next())
            .await
            .is_err()
    }

    #[tokio::test]
    async fn each_change_is_said_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peers");
        let mut source = source(path.clone());
        assert_eq!(next(&mut source).await, Err(FailureKind::NotFound));
        assert!(is_quiet(&mut source).await);
        std::fs::write(&path, "a@h\n").unwrap();
        assert_eq!(next(&mut source).await.unwrap(), ["a@h"]);
        std::fs::write(&path, "a@h\n").unwrap();
        assert!(is_quiet(&mut source).await);
        std::fs::write(&path, "[\"a@h\", \"b@h\"]").unwrap();
        assert_eq!(next(&mut source).await.unwrap(), ["a@h", "b@h"]);
        std::fs::write(&path, "a@h\nb@").unwrap();
        assert_eq!(next(&mut source).await, Err(FailureKind::Malformed));
        std::fs::write(&path, "").unwrap();
        assert_eq!(next(&mut source).await, Err(FailureKind::Empty));
        std::fs::write(&path, "[]").unwrap();
        assert_eq!(next(&mut source).await.unwrap(), [""; 0]);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(next(&mut source).await, Err(FailureKind::Other));
    }

    /// How the kubelet changes a ConfigMap: the file's link leads through one that is renamed.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_symbolic_link_that_is_turned_elsewhere_is_a_change() {
        use std::os::unix::fs::symlink;

        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (version, text) in [("v1", "a@h\n"), ("v2", "b@h\n")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("peers"), text).unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/peers", at("peers")).unwrap();
        let mut source = source(at("peers"));
        assert_eq!(next(&mut source).await.unwrap(), ["a@h"]);
        symlink("v2", at("..new")).unwrap();
        std::fs::rename(at("..new"), at("..data")).unwrap();
        assert_eq!(next(&mut source).await.unwrap(), ["b@h"]);
    }

    /// A pipe that nobody writes to would keep us waiting.
    #[cfg(unix)]
    #[tokio::test]
    async fn a_pipe_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert_eq!(next(&mut source(path)).await, Err(FailureKind::Other));
    }
}
