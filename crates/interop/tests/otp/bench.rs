//! The set-up that all cases share.

use std::io::Write;
use std::time::Duration;

use enmesh_interop::{Beam, Enmesh, NetNs, Otp, poll_until};
use serde_json::Value;
use tempfile::NamedTempFile;

/// More than anything here takes, also with both cores busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The cookie of everybody who is not a stranger.
pub(crate) const COOKIE: &str = "secret";

/// A member of ours, with what must live as long as it does.
pub(crate) struct Member {
    pub(crate) enmesh: Enmesh,
    name: String,
    _cookie: NamedTempFile,
}

impl Member {
    /// `enmesh run` in `ns`, logging JSON, with further arguments.
    pub(crate) fn start(ns: &NetNs, name: &str, args: &[&str]) -> Self {
        Self::start_with(ns, name, COOKIE, args)
    }

    pub(crate) fn start_with(ns: &NetNs, name: &str, cookie: &str, args: &[&str]) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        writeln!(file, "{cookie}").unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let common = [
            "run",
            "--name",
            name,
            "--cookie-file",
            &path,
            "--log-format",
            "json",
        ];
        let enmesh = Enmesh::start(ns, common.iter().chain(args)).unwrap();
        let member = Self {
            enmesh,
            name: name.to_owned(),
            _cookie: file,
        };
        member.said(0, "node started");
        member
    }

    /// Waits for a record with this message after `mark`.
    pub(crate) fn said(&self, mark: usize, message: &str) -> Value {
        self.enmesh
            .wait_from(mark, SOON, |record| record["message"] == message)
            .unwrap()
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
    pub(crate) fn count(&self, wanted: impl Fn(&Value) -> bool) -> usize {
        self.enmesh
            .log()
            .iter()
            .filter(|record| wanted(record))
            .count()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// `strategy=epmd` with these hosts.
pub(crate) fn list(hosts: &[&str]) -> String {
    format!("strategy=epmd name=list hosts={}", hosts.join(","))
}

/// A BEAM of the cluster.
pub(crate) fn beam(otp: Otp, ns: &NetNs, name: &str, extra: &[&str]) -> Beam {
    Beam::start(otp, ns, name, COOKIE, extra).unwrap()
}

/// What the BEAM says to this, in the end.
pub(crate) fn says(beam: &mut Beam, expression: &str, wanted: &str) {
    beam.wait_eval(SOON, expression, wanted).unwrap();
}

/// Waits until the BEAM is connected with exactly these.
pub(crate) fn sees(beam: &mut Beam, nodes: &[&str]) {
    let mut wanted = nodes.to_vec();
    wanted.sort_unstable();
    poll_until("the BEAM sees its peers", SOON, || {
        let seen = beam.connected()?;
        anyhow::ensure!(
            seen == wanted,
            "{} sees {seen:?}, wanted {wanted:?}",
            beam.name()
        );
        Ok(())
    })
    .unwrap();
}
