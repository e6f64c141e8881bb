//! What `run` and `agent` have in common: a log, a runtime, signals and configurations that are read
//! again, around something that follows topologies.

use std::io::Read;

use enmesh::{Node, Steering, Term, TopologyChanges, TopologyError};
use enmesh_admin::{Health, Subject};
use enmesh_discovery::TopologyConfig;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigErrors, RunConfig};
use crate::ending;
use crate::exit::Failure;
use crate::http::Http;
use crate::leave;
use crate::log;
use crate::on_event::on_event;
use crate::parting;
use crate::reload::{self, Reloads};
use crate::runtime;
use crate::signals::{Impatience, Signals};

/// The cause of an end that a visitor has asked for.
const LEAVE: &str = "leave";

/// What lives until somebody ends it.
pub(crate) trait Service: Subject {
    /// Waits until it has ended, whoever asked for it.
    async fn ended(&self);
    /// Follows these topologies and no others.
    async fn set_topologies(
        &self,
        topologies: Vec<TopologyConfig>,
    ) -> Result<TopologyChanges, TopologyError>;
    /// Who tells it to leave, from now on.
    fn told_to_leave(&self) -> mpsc::Receiver<Term>;
    /// Ends it.
    async fn shutdown(&self);
}

impl Service for Node {
    async fn ended(&self) {
        Self::ended(self).await;
    }

    async fn set_topologies(
        &self,
        topologies: Vec<TopologyConfig>,
    ) -> Result<TopologyChanges, TopologyError> {
        Self::set_topologies(self, topologies).await
    }

    fn told_to_leave(&self) -> mpsc::Receiver<Term> {
        leave::serve(self)
    }

    async fn shutdown(&self) {
        Self::shutdown(self).await;
    }
}

impl Service for Steering {
    async fn ended(&self) {
        Self::ended(self).await;
    }

    async fn set_topologies(
        &self,
        topologies: Vec<TopologyConfig>,
    ) -> Result<TopologyChanges, TopologyError> {
        Self::set_topologies(self, topologies).await
    }

    /// An agent is told by way of its node, and goes on.
    fn told_to_leave(&self) -> mpsc::Receiver<Term> {
        mpsc::channel(1).1
    }

    async fn shutdown(&self) {
        Self::shutdown(self).await;
    }
}

/// Runs `live` with the log that `config` asks for, and the event command beside it. `say` puts a
/// failure into a log that only programs read.
pub(crate) fn serve<F>(
    config: RunConfig,
    say: impl FnOnce(&Failure),
    live: impl FnOnce(RunConfig) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<Impatience, Failure>>,
{
    let format = config.log_format;
    let (queue, on_event) = config.on_event.clone().map(on_event).unzip();
    let runtime = runtime::start()?;
    let log = log::start(format, config.log_level, queue);
    let ended = CancellationToken::new();
    let both = async {
        let service = async {
            let _end = ended.clone().drop_guard();
            live(config).await
        };
        let events = async {
            if let Some(on_event) = on_event {
                on_event.run(ended.clone()).await;
            }
        };
        tokio::pin!(service, events);
        let outcome = tokio::select! {
            biased;
            outcome = &mut service => outcome,
            () = &mut events => return service.await,
        };
        // Who is impatient waits for no command either.
        match outcome {
            Ok(mut impatience) => tokio::select! {
                biased;
                () = events => Ok(impatience),
                () = impatience.shown() => Err(Failure::Impatient),
            },
            Err(Failure::Impatient) => Err(Failure::Impatient),
            Err(failure) => {
                events.await;
                Err(failure)
            }
        }
    };
    runtime.block_on(async {
        let outcome = both.await;
        ending::see_out(log, format, outcome, say).await
    })
}

/// Starts a service, lets it follow what the configuration says from time to time, and ends it when
/// a signal comes. From before its start until after its end `http` tells how it fares.
pub(crate) async fn attend<S: Service, R>(
    starting: impl Future<Output = Result<S, Failure>>,
    reloads: Reloads<R>,
    http: Http,
    exit_with_stdin: bool,
) -> Result<Impatience, Failure>
where
    R: FnMut() -> Result<RunConfig, ConfigErrors>,
{
    let serving = http.start::<S>()?;
    let outcome = see_through(starting, reloads, serving.health(), exit_with_stdin).await;
    serving.end().await;
    outcome
}

/// From the start of a service to its end.
async fn see_through<S: Service, R>(
    starting: impl Future<Output = Result<S, Failure>>,
    mut reloads: Reloads<R>,
    health: &Health<S>,
    exit_with_stdin: bool,
) -> Result<Impatience, Failure>
where
    R: FnMut() -> Result<RunConfig, ConfigErrors>,
{
    let mut signals = Signals::listen()?;
    let stdin_closed = stdin_closed(exit_with_stdin);
    tokio::pin!(stdin_closed);
    let service = tokio::select! {
        biased;
        _ = signals.next() => return Ok(Impatience::new(signals, 0)),
        () = &mut stdin_closed => return Ok(Impatience::new(signals, 0)),
        started = starting => started?,
    };
    health.running(service.clone());
    let mut leave = service.told_to_leave();
    let (cause, signals_to_bear) = loop {
        tokio::select! {
            biased;
            signal = signals.next() => break (signal, 0),
            Some(caller) = leave.recv() => {
                tracing::info!(%caller, "told to leave");
                break (LEAVE, 1);
            }
            () = &mut stdin_closed => break ("end of stdin", 1),
            () = service.ended() => return Err(Failure::Died),
            reload = reloads.next() => {
                let changed = service.set_topologies(reload.topologies).await;
                reload::say(reload.cause, changed);
            }
        }
    };
    health.stopping();
    tracing::info!(cause, "stopping");
    let shutdown = async {
        service.shutdown().await;
        if cause == LEAVE {
            parting::wait_for_others().await;
        }
    };
    let mut impatience = Impatience::new(signals, signals_to_bear);
    tokio::select! {
        biased;
        () = shutdown => Ok(impatience),
        () = impatience.shown() => Err(Failure::Impatient),
    }
}

/// Waits for the end of stdin, for ever if nobody `asked`. A thread reads it, because the
/// runtime's own way of reading would hold up the end of the program until stdin has ended.
async fn stdin_closed(asked: bool) {
    if !asked {
        return std::future::pending().await;
    }
    let (end, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut byte = [0];
        while matches!(stdin.read(&mut byte), Ok(1)) {}
        drop(end);
    });
    // The sender says nothing: its end is the message.
    let _ = ended.await;
}
