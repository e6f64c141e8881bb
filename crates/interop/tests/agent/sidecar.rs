//! The set-up that all cases share: BEAMs, and an agent beside each.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use enmesh_interop::{Beam, Enmesh, Epmd, NetNs, Otp};
use serde_json::Value;
use tempfile::TempDir;

/// More than anything here takes, also with both cores busy.
pub(crate) const SOON: Duration = Duration::from_secs(40);

pub(crate) const COOKIE: &str = "secret";
pub(crate) const A: &str = "a@127.0.0.1";
pub(crate) const B: &str = "b@127.0.0.2";
pub(crate) const C: &str = "c@127.0.0.3";
/// Whose name is the greatest: of two nodes that dial each other at once it is the one whose dial goes on.
pub(crate) const Z: &str = "z@127.0.0.9";

/// A namespace with an epmd, and a directory for the files of agents.
pub(crate) struct Place {
    pub(crate) otp: Otp,
    pub(crate) ns: NetNs,
    pub(crate) files: TempDir,
    _epmd: Epmd,
}

impl Place {
    pub(crate) fn new(otp: Otp) -> Self {
        Self::within(otp, NetNs::new().unwrap())
    }

    pub(crate) fn within(otp: Otp, ns: NetNs) -> Self {
        Self {
            _epmd: Epmd::start(&ns).unwrap(),
            otp,
            ns,
            files: TempDir::new().unwrap(),
        }
    }

    /// A BEAM that knows nobody.
    pub(crate) fn beam(&self, name: &str) -> Beam {
        self.beam_with(name, COOKIE, &[])
    }

    pub(crate) fn beam_with(&self, name: &str, cookie: &str, extra: &[&str]) -> Beam {
        Beam::start(self.otp, &self.ns, name, cookie, extra).unwrap()
    }

    /// Writes a file that agents read.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// `enmesh agent` beside `node`, whose cookie is in the file `cookie`.
    pub(crate) fn agent(&self, node: &str, args: &[&str]) -> Sidecar {
        if !self.path("cookie").exists() {
            self.write("cookie", COOKIE);
        }
        let cookie = self.path("cookie").to_str().unwrap().to_owned();
        let common = [
            "agent",
            "--node",
            node,
            "--cookie-file",
            &cookie,
            "--log-format",
            "json",
        ];
        let enmesh = Enmesh::start(&self.ns, common.iter().chain(args)).unwrap();
        let sidecar = Sidecar { enmesh };
        sidecar.said(0, "agent started");
        sidecar
    }
}

/// A running agent.
pub(crate) struct Sidecar {
    pub(crate) enmesh: Enmesh,
}

impl Sidecar {
    /// Waits for a record with this message after `mark`.
    pub(crate) fn said(&self, mark: usize, message: &str) -> Value {
        let found = self
            .enmesh
            .wait_from(mark, SOON, |record| record["message"] == message);
        found.unwrap_or_else(|error| panic!("{message}: {error:#}"))
    }

    pub(crate) fn attached(&self, mark: usize) -> Value {
        self.said(mark, "attached to the node")
    }

    pub(crate) fn connected(&self, mark: usize, node: &str) -> Value {
        self.enmesh.wait_connected(mark, SOON, node).unwrap()
    }

    pub(crate) fn disconnected(&self, mark: usize, node: &str) -> Value {
        self.enmesh.wait_disconnected(mark, SOON, node).unwrap()
    }

    pub(crate) fn mark(&self) -> usize {
        self.enmesh.mark()
    }

    /// How many records so far have this message.
    pub(crate) fn count(&self, message: &str) -> usize {
        let log = self.enmesh.log();
        log.iter().filter(|it| it["message"] == message).count()
    }
}

/// `strategy=epmd` with these hosts.
pub(crate) fn list(hosts: &[&str]) -> String {
    format!("strategy=epmd name=list hosts={}", hosts.join(","))
}

/// What the BEAM says to this, in the end.
pub(crate) fn says(beam: &mut Beam, expression: &str, wanted: &str) {
    beam.wait_eval(SOON, expression, wanted).unwrap();
}

/// Waits until the visible neighbours of the BEAM are exactly these.
pub(crate) fn sees(beam: &mut Beam, nodes: &[&str]) {
    let wanted = format!("[{}]", quoted(nodes).join(","));
    says(beam, "lists:sort(nodes())", &wanted);
}

fn quoted(nodes: &[&str]) -> Vec<String> {
    let mut nodes = nodes.to_vec();
    nodes.sort_unstable();
    nodes.iter().map(|node| format!("'{node}'")).collect()
}

/// Has the BEAM count how often a visible node goes, from now on.
pub(crate) fn count_nodedowns(beam: &mut Beam) {
    let counter = "register(downs, spawn(fun() -> \
        ok = net_kernel:monitor_nodes(true, [{node_type, visible}]), \
        (fun Loop(Downs) -> receive \
            {nodedown, N, _} -> Loop([N | Downs]); \
            {downs, From} -> From ! {downs, Downs}, Loop(Downs); \
            _ -> Loop(Downs) end end)([]) end))";
    assert_eq!(beam.eval(counter).unwrap(), "true");
}

pub(crate) fn nodedowns(beam: &mut Beam) -> String {
    let asked = "downs ! {downs, self()}, receive {downs, Downs} -> Downs after 5000 -> none end";
    beam.eval(asked).unwrap()
}
