//! Our output, written by a thread of its own: a reader that does not read must not keep a signal
//! from ending us, and one that has gone away ends us quietly, as it does every program in a pipe.

use std::io::{self, Write as _};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::exit::Failure;

/// How many texts may wait for the reader. Then the sources wait.
const MAX_WAITING: usize = 64;

/// The writing end.
#[derive(Debug)]
pub(super) struct Stdout {
    texts: mpsc::Sender<String>,
    ended: oneshot::Receiver<io::Result<()>>,
    gone: mpsc::Receiver<()>,
}

impl Stdout {
    pub(super) fn start() -> Self {
        let (texts, mut waiting) = mpsc::channel::<String>(MAX_WAITING);
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            let mut stdout = io::stdout().lock();
            let mut written = Ok(());
            while let (Ok(()), Some(text)) = (&written, waiting.blocking_recv()) {
                written = stdout
                    .write_all(text.as_bytes())
                    .and_then(|()| stdout.flush());
            }
            // Nobody may wait for it any more.
            let _ = end.send(written);
        });
        Self {
            texts,
            ended,
            gone: reader_watch(),
        }
    }

    /// Waits until nobody reads us any more; for ever where that cannot be known. Cancel safe.
    pub(super) async fn reader_gone(&mut self) {
        if self.gone.recv().await.is_none() {
            std::future::pending().await
        }
    }

    /// Writes `text`; `false` when nobody reads us any more.
    pub(super) async fn write(&mut self, text: String) -> Result<bool, Failure> {
        if self.texts.send(text).await.is_ok() {
            return Ok(true);
        }
        self.outcome().await.map(|()| false)
    }

    /// Writes `text` as the last and waits until it is written.
    pub(super) async fn finish(&mut self, text: String) -> Result<(), Failure> {
        if self.write(text).await? {
            // The thread ends when there is nobody left to send.
            self.texts = mpsc::channel(1).0;
            self.outcome().await?;
        }
        Ok(())
    }

    async fn outcome(&mut self) -> Result<(), Failure> {
        match (&mut self.ended).await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::System {
                doing: "cannot print",
                error,
            }),
            _ => Ok(()),
        }
    }
}

/// Hears of the reader's end though there is nothing to write.
#[cfg(unix)]
fn reader_watch() -> mpsc::Receiver<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    let (tell, gone) = mpsc::channel(1);
    thread::spawn(move || {
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        while poll(&mut watched, None).is_err_and(|error| error == rustix::io::Errno::INTR) {}
        let lost = PollFlags::ERR | PollFlags::HUP;
        if watched[0].revents().intersects(lost) {
            // Whoever waited has ended otherwise.
            let _ = tell.blocking_send(());
        }
    });
    gone
}

#[cfg(not(unix))]
fn reader_watch() -> mpsc::Receiver<()> {
    mpsc::channel(1).1
}
