//! SIGTERM and SIGINT, and SIGHUP, as streams.

use crate::exit::Failure;

/// The signals that ask the program to end, from the moment this was made.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes over SIGTERM and SIGINT. Needs a tokio runtime.
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};

        let listen = |kind| {
            signal(kind).map_err(|error| Failure::System {
                doing: "cannot await signals",
                error,
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Takes over Ctrl-C.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Waits for the next signal and names it. Cancel safe.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for Ctrl-C. Cancel safe.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) -> &'static str {
        // Without a way to hear of it, the program ends only as the system ends it.
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}

/// Whether somebody wants a program that is ending already to end at once: another signal is that, unless it is one that was
/// to come anyway.
#[derive(Debug)]
pub(crate) struct Impatience {
    signals: Signals,
    to_bear: u32,
}

impl Impatience {
    /// Each signal shows it but the first `to_bear`.
    pub(crate) fn new(signals: Signals, to_bear: u32) -> Self {
        Self { signals, to_bear }
    }

    /// Waits until it is shown. Cancel safe.
    pub(crate) async fn shown(&mut self) {
        loop {
            self.signals.next().await;
            match self.to_bear {
                0 => return,
                _ => self.to_bear -= 1,
            }
        }
    }
}

/// SIGHUP, which asks the program to read its configuration again, from the moment this was made.
#[derive(Debug)]
pub(crate) struct Hangups {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Hangups {
    /// Takes over SIGHUP. Needs a tokio runtime.
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};

        let hangup = signal(SignalKind::hangup()).map_err(|error| Failure::System {
            doing: "cannot await signals",
            error,
        })?;
        Ok(Self { hangup })
    }

    /// There is no such signal here.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Waits for the next one. Cancel safe.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        if self.hangup.recv().await.is_none() {
            std::future::pending().await
        }
    }

    /// None ever comes.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
