//! The tasks of all links and the handle of each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use enmesh_identity::PeerAddr;
use enmesh_membership::LinkId;
use enmesh_proto::{PeerInfo, Verdict};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::records::LinkPeer;
use super::task_end::TaskEnd;
use crate::kernel_driver::KernelDriver;
use crate::link_driver::{Report, Wires};
use crate::link_queue::LinkQueue;

/// How many reports of links wait until the manager takes them.
const REPORT_QUEUE: usize = 256;

/// The tasks of all links and what reaches them.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) tasks: JoinSet<TaskEnd>,
    pub(super) ids: HashMap<Id, LinkId>,
    pub(super) handles: HashMap<LinkId, LinkHandle>,
    pub(super) report: mpsc::Sender<Report>,
    pub(super) reports: mpsc::Receiver<Report>,
}

#[derive(Debug)]
pub(super) struct LinkHandle {
    pub(super) verdict: mpsc::Sender<Verdict>,
    pub(super) stop: CancellationToken,
    pub(super) queue: Arc<LinkQueue>,
    /// The peer, once it is authenticated.
    pub(super) info: Option<PeerInfo>,
    /// For the log.
    pub(super) peer: LinkPeer,
    /// Whom this dial is for, and where it has reached somebody.
    pub(super) dialled: Option<(PeerAddr, Option<SocketAddr>)>,
}

impl Links {
    pub(super) fn new() -> Self {
        let (report, reports) = mpsc::channel(REPORT_QUEUE);
        Self {
            tasks: JoinSet::new(),
            ids: HashMap::new(),
            handles: HashMap::new(),
            report,
            reports,
        }
    }

    pub(super) fn wires(
        &mut self,
        id: LinkId,
        peer: LinkPeer,
        kernel: &Arc<KernelDriver>,
    ) -> Wires {
        // A link has one question open at a time, so one place is enough.
        let (verdict, verdicts) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let queue = Arc::new(LinkQueue::default());
        self.handles.insert(
            id,
            LinkHandle {
                verdict,
                stop: stop.clone(),
                queue: Arc::clone(&queue),
                info: None,
                peer,
                dialled: None,
            },
        );
        Wires {
            id,
            reports: self.report.clone(),
            verdicts,
            stop,
            kernel: Arc::clone(kernel),
            queue,
        }
    }

    pub(super) fn spawn(
        &mut self,
        id: LinkId,
        task: impl Future<Output = TaskEnd> + Send + 'static,
    ) {
        let task = self.tasks.spawn(task);
        self.ids.insert(task.id(), id);
    }

    pub(super) fn answer(&self, id: LinkId, verdict: Verdict) {
        if let Some(handle) = self.handles.get(&id) {
            // Full or closed means that the link's task has ended, which is reported by itself.
            let _ = handle.verdict.try_send(verdict);
        }
    }

    pub(super) fn close(&self, id: LinkId) {
        if let Some(handle) = self.handles.get(&id) {
            handle.stop.cancel();
        }
    }
}
