//! One run of a command.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};

/// How much of what the command says on stderr is kept for the log, in bytes.
const MAX_STDERR_BYTES: usize = 1_024;
/// How long its last words may take to come once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// It could not be started.
    #[error("cannot be started: {0}")]
    Start(std::io::Error),
    /// Nothing is known of its end.
    #[error("cannot be waited for: {0}")]
    Wait(std::io::Error),
    /// It ended otherwise than with code 0.
    #[error("{status}")]
    Status {
        /// How it ended.
        status: ExitStatus,
        /// The beginning of what it said on stderr.
        stderr: String,
    },
    /// It was killed, with all that it had started in its process group.
    #[error("killed, for it took longer than {} s", .0.as_secs_f64())]
    TookTooLong(Duration),
}

impl RunError {
    /// Its exit code, if it has one.
    pub(super) fn code(&self) -> Option<i32> {
        match self {
            Self::Status { status, .. } => status.code(),
            Self::Start(_) | Self::Wait(_) | Self::TookTooLong(_) => None,
        }
    }

    /// What it said on stderr, if it ended by itself.
    pub(super) fn stderr(&self) -> Option<&str> {
        match self {
            Self::Status { stderr, .. } => Some(stderr),
            Self::Start(_) | Self::Wait(_) | Self::TookTooLong(_) => None,
        }
    }
}

/// Runs `command` in a process group of its own with `input` on its stdin, for `longest` at most.
/// Who drops this kills the whole group.
pub(super) async fn run(
    command: &[String],
    input: &[u8],
    longest: Duration,
) -> Result<(), RunError> {
    let mut group = Group::start(command).map_err(RunError::Start)?;
    let (stdin, mut stderr) = (group.child.stdin.take(), group.child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // It need not read what it is told.
            let _ = stdin.write_all(input).await;
        }
    };
    let mut said = Vec::new();
    let ended = {
        let talk = async {
            tokio::join!(feed, hear(&mut stderr, &mut said));
            std::future::pending().await
        };
        let child = &mut group.child;
        let lives = async {
            tokio::select! {
                biased;
                status = child.wait() => status,
                status = talk => status,
            }
        };
        tokio::time::timeout(longest, lives).await
    };
    let Ok(status) = ended else {
        return Err(RunError::TookTooLong(longest));
    };
    let status = status.map_err(RunError::Wait)?;
    group.has_ended = true;
    if status.success() {
        return Ok(());
    }
    // What it has started may hold stderr open, so that its end is not waited for.
    let _ = tokio::time::timeout(LAST_WORDS, hear(&mut stderr, &mut said)).await;
    let stderr = String::from_utf8_lossy(&said).trim().to_owned();
    Err(RunError::Status { status, stderr })
}

/// Keeps the beginning of what comes, until its end. Cancel safe.
async fn hear(stderr: &mut Option<ChildStderr>, said: &mut Vec<u8>) {
    let Some(stderr) = stderr else { return };
    let mut bytes = [0; 512];
    while let Ok(read @ 1..) = stderr.read(&mut bytes).await {
        let room = MAX_STDERR_BYTES - said.len();
        said.extend_from_slice(&bytes[..read.min(room)]);
    }
}

/// A child that leads a process group, which is killed when this is dropped unless it has ended.
#[derive(Debug)]
struct Group {
    child: Child,
    has_ended: bool,
}

impl Group {
    fn start(words: &[String]) -> std::io::Result<Self> {
        let (program, arguments) = words
            .split_first()
            .expect("a command has one word at least");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        Ok(Self {
            child: command.spawn()?,
            has_ended: false,
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if !self.has_ended
            && let Some(id) = self.child.id()
            && let Ok(id) = i32::try_from(id)
            && let Some(id) = rustix::process::Pid::from_raw(id)
        {
            // The child is not waited for yet, so that no other can have its number.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}
