//! What a member in a pod logged, with the times that containerd put before each line.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use enmesh_interop::Cluster;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// Nanoseconds since 1970 of a time as RFC 3339 has it.
pub(crate) fn nanoseconds(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// The records of one member.
#[derive(Clone, Debug)]
pub(crate) struct PodLog {
    records: Vec<(i64, Value)>,
}

impl PodLog {
    /// Reads the file that the kubelet keeps of the pod's only container.
    pub(crate) fn read(cluster: &Cluster, namespace: &str, pod: &str, uid: &str) -> Result<Self> {
        let folder = cluster.folder().join("pod-logs");
        let folder = folder.join(format!("{namespace}_{pod}_{uid}"));
        let container = fs::read_dir(&folder)
            .with_context(|| format!("{} cannot be read", folder.display()))?
            .next()
            .context("the pod has no container yet")??;
        Self::of(&container.path().join("0.log"))
    }

    fn of(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let records = text.lines().filter_map(|line| {
            let (time, rest) = line.split_once(' ')?;
            let object = serde_json::from_str(&rest[rest.find('{')?..]).ok()?;
            Some((nanoseconds(time)?, object))
        });
        Ok(Self {
            records: records.collect(),
        })
    }

    /// The member's name, and when it began to listen.
    pub(crate) fn started(&self) -> Option<(&str, i64)> {
        let mut records = self.records.iter();
        let (at, record) = records.find(|(_, record)| record["message"] == "node started")?;
        Some((record["name"].as_str()?, *at))
    }

    /// When it first logged `message` of `node` since `begin`.
    pub(crate) fn time_of(&self, begin: i64, message: &str, node: &str) -> Option<i64> {
        let mut records = self.records.iter();
        let wanted = |(at, record): &&(i64, Value)| {
            *at >= begin && record["message"] == message && record["node"] == node
        };
        records.find(wanted).map(|(at, _)| *at)
    }
}
