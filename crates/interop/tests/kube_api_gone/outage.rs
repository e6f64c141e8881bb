//! The minute that all stories share.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use enmesh_interop::Cluster;

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(60);

/// By when every story has what it needs, and the API server has ended or answers again.
const PATIENCE: Duration = Duration::from_secs(300);

/// An API server that ends when all stories are ready for it, and is back after a minute.
pub(crate) struct Outage {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// How many stories are not ready yet.
    awaited: usize,
    gone: bool,
    back: Option<Instant>,
}

impl Outage {
    /// For so many stories.
    pub(crate) fn of(stories: usize) -> Self {
        Self {
            state: Mutex::new(State {
                awaited: stories,
                ..State::default()
            }),
            changed: Condvar::new(),
        }
    }

    /// Ends the API server and starts it again.
    pub(crate) fn pass(&self, cluster: &Cluster) -> Result<()> {
        self.wait("all stories are ready", |state| state.awaited == 0)?;
        cluster.end_api()?;
        let begin = Instant::now();
        self.change(|state| state.gone = true);
        thread::sleep(AWAY.saturating_sub(begin.elapsed()));
        cluster.start_api()?;
        cluster.restart_kubelet()?;
        self.change(|state| state.back = Some(Instant::now()));
        Ok(())
    }

    /// A story is ready; waits until the API server is gone.
    pub(crate) fn begin(&self) -> Result<()> {
        self.change(|state| state.awaited -= 1);
        self.wait("the API server is gone", |state| state.gone)
            .map(drop)
    }

    /// Waits until it is back, and says since when.
    pub(crate) fn end(&self) -> Result<Instant> {
        let state = self.wait("the API server is back", |state| state.back.is_some())?;
        Ok(state.back.expect("that is what was waited for"))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn wait(&self, what: &str, is_so: impl Fn(&State) -> bool) -> Result<State> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !is_so(state))
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(is_so(&state), "{what}: not within {PATIENCE:?}");
        Ok(*state)
    }
}
