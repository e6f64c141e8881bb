//! One run of the command, from its start to the end of its whole process group.

use std::io::ErrorKind;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use enmesh_membership::FailureKind;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::Instant;

use crate::peer_list::MAX_TEXT_BYTES;

/// How much of the end of what the command says on stderr is told, in bytes.
const MAX_COMPLAINT_BYTES: usize = 600;

/// Bytes that are read at once.
const CHUNK: usize = 4096;

/// Why a run gave no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("it cannot be started: {0}")]
    Start(std::io::Error),
    #[error("its output cannot be read: {0}")]
    Broken(std::io::Error),
    #[error(
        "it did not end, or its output did not, within {after:?} (key timeout); it was killed{complaint}"
    )]
    TimedOut { after: Duration, complaint: String },
    #[error("it printed more than {MAX_TEXT_BYTES} bytes and was killed")]
    TooLong,
    #[error("it ended with {status}{complaint}")]
    Failed {
        status: ExitStatus,
        complaint: String,
    },
}

impl RunError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Start(error) => match error.kind() {
                ErrorKind::NotFound => FailureKind::NotFound,
                ErrorKind::PermissionDenied => FailureKind::Forbidden,
                _ => FailureKind::Other,
            },
            Self::TimedOut { .. } => FailureKind::TimedOut,
            Self::TooLong => FailureKind::Malformed,
            Self::Broken(_) | Self::Failed { .. } => FailureKind::Other,
        }
    }
}

/// A process and what it has said so far. Its group is killed at its end, and when this is dropped.
#[derive(Debug)]
pub(super) struct Run {
    child: Child,
    /// The group, until it was killed: its number may belong to others some time later.
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    printed: Vec<u8>,
    complaint: Vec<u8>,
    status: Option<ExitStatus>,
    timeout: Duration,
    deadline: Instant,
}

impl Run {
    /// Starts `words` as a process group of its own, without a shell and without stdin.
    pub(super) fn start(words: &[String], timeout: Duration) -> Result<Self, RunError> {
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(RunError::Start)?;
        Ok(Self {
            #[cfg(unix)]
            group: group_of(&child),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            printed: Vec::new(),
            complaint: Vec::new(),
            status: None,
            timeout,
            deadline: Instant::now() + timeout,
        })
    }

    /// What the command printed, once it has ended well and its output has. Cancel safe: call it
    /// again to go on waiting.
    pub(super) async fn output(&mut self) -> Result<Vec<u8>, RunError> {
        let result = self.follow().await;
        // Whatever the command has left behind in its group ends with it.
        self.kill_group();
        result
    }

    /// Waits until the process itself is no more. Cancel safe.
    pub(super) async fn ended(&mut self) {
        if self.status.is_none() {
            // An error says that there is nothing to wait for.
            self.status = self.child.wait().await.ok();
        }
    }

    async fn follow(&mut self) -> Result<Vec<u8>, RunError> {
        let (mut printed, mut complained) = ([0; CHUNK], [0; CHUNK]);
        while self.status.is_none() || self.stdout.is_some() || self.stderr.is_some() {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.deadline) => {
                    let complaint = self.complaint();
                    return Err(RunError::TimedOut { after: self.timeout, complaint });
                }
                read = chunk(&mut self.stdout, &mut printed) => {
                    self.printed.extend_from_slice(read.map_err(RunError::Broken)?);
                    if self.printed.len() > MAX_TEXT_BYTES {
                        return Err(RunError::TooLong);
                    }
                }
                read = chunk(&mut self.stderr, &mut complained) => {
                    self.complaint.extend_from_slice(read.map_err(RunError::Broken)?);
                    let over = self.complaint.len().saturating_sub(MAX_COMPLAINT_BYTES);
                    self.complaint.drain(..over);
                }
                status = self.child.wait(), if self.status.is_none() => {
                    self.status = Some(status.map_err(RunError::Broken)?);
                    self.kill_group();
                }
            }
        }
        match self.status {
            Some(status) if !status.success() => Err(RunError::Failed {
                status,
                complaint: self.complaint(),
            }),
            _ => Ok(std::mem::take(&mut self.printed)),
        }
    }

    /// The end of what it said on stderr, in one line.
    fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.complaint);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            String::new()
        } else {
            format!(": {}", words.join(" "))
        }
    }

    /// A group keeps its number from being given away for as long as anybody is in it, and numbers
    /// are given away in turn, so that this meets nobody else even right after the end.
    fn kill_group(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.group.take() {
            // An error says that nobody is left.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        #[cfg(not(unix))]
        let _ = self.child.start_kill();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// The group that the child leads.
#[cfg(unix)]
fn group_of(child: &Child) -> Option<rustix::process::Pid> {
    let id = i32::try_from(child.id()?).ok()?;
    rustix::process::Pid::from_raw(id)
}

/// Reads on; at the end the stream is taken away, and without one nothing ever comes.
async fn chunk<'b, R: AsyncRead + Unpin>(
    stream: &mut Option<R>,
    buffer: &'b mut [u8],
) -> std::io::Result<&'b [u8]> {
    let Some(reader) = stream else {
        return std::future::pending().await;
    };
    let count = reader.read(buffer).await?;
    if count == 0 {
        *stream = None;
    }
    Ok(&buffer[..count])
}
