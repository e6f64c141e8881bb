//! One task per topology: what its source says goes to the manager.

use std::time::Duration;

use enmesh_discovery::{SourceContext, TopologyConfig};
use enmesh_membership::{TopologyName, Update};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info_span};

/// The pause before a source whose task died is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// Starts the source of `topology` in a task of its own. A source that panics is an error in the
/// log and is started again; what it said before stays in force.
pub(crate) fn spawn(
    tasks: &TaskTracker,
    topology: TopologyConfig,
    context: SourceContext,
    updates: mpsc::Sender<(TopologyName, Update)>,
    stop: CancellationToken,
) {
    let span = info_span!("source", topology = %topology.name);
    let supervised = tasks.clone();
    let supervisor = async move {
        loop {
            let run = follow(
                topology.clone(),
                context.clone(),
                updates.clone(),
                stop.clone(),
            );
            let task = supervised.spawn(run.in_current_span());
            let outcome = task.await;
            match outcome {
                Ok(()) => return,
                Err(panic) => error!(error = %panic, "source died; starting it again"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RESTART_PAUSE) => {}
            }
        }
    };
    tasks.spawn(supervisor.instrument(span));
}

/// Ends when nobody takes the updates any more, or at once if there is no such source; the
/// builder has made each source once before, so that this is said at start-up.
async fn follow(
    topology: TopologyConfig,
    context: SourceContext,
    updates: mpsc::Sender<(TopologyName, Update)>,
    stop: CancellationToken,
) {
    let mut source = match topology.source(&context) {
        Ok(source) => source,
        Err(error) => {
            error!(%error, "source cannot be made");
            return;
        }
    };
    loop {
        // Cancel safe: what a source says goes nowhere once we stop.
        let update = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            update = source.next() => update,
        };
        if updates.send((topology.name.clone(), update)).await.is_err() {
            break;
        }
    }
    source.farewell().await;
}
