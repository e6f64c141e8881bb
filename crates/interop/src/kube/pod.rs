//! One pod, and what a story does to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::cluster::Cluster;
use super::workload::Names;
use crate::member_log::{MemberLog, is_disconnect, newest_cluster};
use crate::process::{poll_every, run, signal_pid, stdout_of};

/// How often what `kubectl` says is looked at.
pub(super) const ASK_INTERVAL: Duration = Duration::from_millis(250);
/// The nft table that cuts a pod off.
const TABLE: &str = "enmesh_cut";

/// A pod as it was when it was asked for; its name, address and uid never change.
#[derive(Clone, Debug)]
pub struct Pod<'c> {
    cluster: &'c Cluster,
    namespace: String,
    name: String,
    ip: String,
    uid: String,
    node: String,
    /// The container whose log tells who came and went.
    teller: String,
}

impl<'c> Pod<'c> {
    /// Out of the API's object.
    pub(super) fn read(
        cluster: &'c Cluster,
        names: Names,
        group: &str,
        teller: &str,
        object: &Value,
    ) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = text(&object["metadata"]["name"]).context("a pod has a name")?;
        let namespace = text(&object["metadata"]["namespace"]).context("a pod has a namespace")?;
        let uid = text(&object["metadata"]["uid"]).context("a pod has a uid")?;
        // One that no node has taken yet has no address.
        let ip = text(&object["status"]["podIP"]).unwrap_or_default();
        let dashed = ip.replace(['.', ':'], "-");
        Ok(Self {
            node: names.node_name(group, &namespace, &ip, &dashed, &name),
            teller: teller.to_owned(),
            cluster,
            namespace,
            name,
            ip,
            uid,
        })
    }

    /// The pod's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address; of two, the first.
    pub fn ip(&self) -> &str {
        &self.ip
    }

    /// What tells it from another pod of the same name.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The name of the node in it.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Follows the log that tells who came and went: of the container `enmesh`, else of `beam`; after a restart in place
    /// the newest. It is followed for as long as the pod exists, past deaths of the API server.
    pub fn log(&self) -> Result<MemberLog> {
        MemberLog::follow(&self.newest_log(&self.teller)?)
    }

    /// The same of another container.
    pub fn log_of(&self, container: &str) -> Result<MemberLog> {
        MemberLog::follow(&self.newest_log(container)?)
    }

    /// What a container has said since its last start, with the kubelet's words before each line.
    pub fn logs(&self, container: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.newest_log(container)?)?).into_owned())
    }

    /// With whom the newest record of [`Pod::log`] says that the node is connected, sorted; empty before the first.
    pub fn connected(&self) -> Result<Vec<String>> {
        self.connected_by(&self.teller)
    }

    /// The same of the node in another container.
    pub fn connected_by(&self, container: &str) -> Result<Vec<String>> {
        Ok(newest_cluster(self.logs(container)?.lines()))
    }

    /// How often a container has said since its last start that this node went.
    pub fn disconnects(&self, container: &str, node: &str) -> Result<usize> {
        let log = self.logs(container)?;
        let of_node = log.lines().filter(|line| is_disconnect(line, node));
        Ok(of_node.count())
    }

    fn newest_log(&self, container: &str) -> Result<PathBuf> {
        let pod = format!("{}_{}_{}", self.namespace, self.name, self.uid);
        let folder = self.cluster.file("pod-logs").join(pod).join(container);
        let files = fs::read_dir(&folder)
            .with_context(|| format!("{container} of {} has not run yet", self.name))?;
        let number = |path: PathBuf| {
            let number: u32 = path
                .file_name()?
                .to_str()?
                .strip_suffix(".log")?
                .parse()
                .ok()?;
            Some((number, path))
        };
        let newest = files.filter_map(|entry| number(entry.ok()?.path())).max();
        Ok(newest
            .with_context(|| format!("{} is empty", folder.display()))?
            .1)
    }

    /// `kubectl exec`: runs a program in a container and gives its standard output.
    pub fn exec(&self, container: &str, args: &[&str]) -> Result<String> {
        let before = [
            "exec",
            &self.name,
            "-n",
            &self.namespace,
            "-c",
            container,
            "--",
        ];
        self.cluster.kubectl(before.iter().chain(args))
    }

    /// Evaluates Erlang expressions in the Erlang node, as a hidden neighbour on loopback, and gives the value as text.
    pub fn eval(&self, expressions: &str) -> Result<String> {
        // erl_call reads the expressions up to the end of its input, and says `{ok, VALUE}`.
        let script = format!(
            r#"printf '%s.\n' "$1" | erl_call -R -timeout 20 -c "$(cat /etc/enmesh/cookie)" -name '{}' -e"#,
            self.node
        );
        let said = self.exec("beam", &["sh", "-c", &script, "sh", expressions])?;
        let value = said
            .trim()
            .strip_prefix("{ok, ")
            .and_then(|rest| rest.strip_suffix('}'));
        Ok(value
            .with_context(|| format!("{} says {said}", self.node))?
            .to_owned())
    }

    /// SIGKILL for the container's first process, from outside: the kubelet starts the container again, in place.
    pub fn kill(&self, container: &str) -> Result<()> {
        self.signal_first(container, Signal::KILL)
    }

    /// Any signal for the container's first process, from outside.
    pub fn signal_first(&self, container: &str, signal: Signal) -> Result<()> {
        let pids = self.pids(container)?;
        let first = pids.into_iter().find(|pid| is_first(*pid));
        let first = first.with_context(|| format!("{container} of {} does not run", self.name))?;
        signal_pid(first, signal)
    }

    /// SIGSTOP for every process of the container: connections stay open and nobody answers.
    pub fn freeze(&self, container: &str) -> Result<()> {
        self.signal_all(container, Signal::STOP)
    }

    /// SIGCONT, the end of [`Pod::freeze`].
    pub fn thaw(&self, container: &str) -> Result<()> {
        self.signal_all(container, Signal::CONT)
    }

    fn signal_all(&self, container: &str, signal: Signal) -> Result<()> {
        let pids = self.pids(container)?;
        ensure!(
            !pids.is_empty(),
            "{container} of {} does not run",
            self.name
        );
        for pid in pids {
            let sent = signal_pid(pid, signal);
            // One that has just ended by itself needs no signal.
            if Path::new(&format!("/proc/{pid}")).exists() {
                sent?;
            }
        }
        Ok(())
    }

    /// The container's processes, by this machine's count; asks nobody but the kernel.
    pub fn pids(&self, container: &str) -> Result<Vec<u32>> {
        let mut pids = pod_processes(&self.uid)?;
        // The kubelet mounts a file of each container's own into it, from a path that names the container.
        let mark = format!("/{}/containers/{container}/", self.uid);
        pids.retain(|pid| {
            let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            mounts.contains(&mark)
        });
        Ok(pids)
    }

    /// Drops every packet in and out of the pod but on loopback, those of the kubelet's probes too.
    pub fn cut_off(&self) -> Result<()> {
        let rules = format!(
            "table inet {TABLE} {{\n\
             chain in {{ type filter hook input priority 0; policy drop; iif lo accept; }}\n\
             chain out {{ type filter hook output priority 0; policy drop; oif lo accept; }}\n}}"
        );
        self.nft(&rules)
    }

    /// The end of [`Pod::cut_off`].
    pub fn heal(&self) -> Result<()> {
        self.nft(&format!("delete table inet {TABLE}"))
    }

    /// Runs `nft` with these rules in the pod's own network.
    pub fn nft(&self, rules: &str) -> Result<()> {
        let mut command = self.command("nft");
        command.arg(rules);
        run(command).map(drop)
    }

    /// A command in the pod's network that the kernel ends with this process; a panic where the pod has none of its own.
    pub fn command(&self, program: &str) -> Command {
        let pid = self.any_pid().expect("a running pod has processes");
        let mut command = crate::process::bound_command("nsenter");
        command
            .arg(format!("--net=/proc/{pid}/ns/net"))
            .args(["--", program]);
        command
    }

    /// A process of the pod in a network that is not the node's: with `hostNetwork` all would be cut off.
    fn any_pid(&self) -> Result<u32> {
        let node = fs::metadata(self.cluster.netns())?;
        for pid in pod_processes(&self.uid)? {
            use std::os::unix::fs::MetadataExt as _;
            if let Ok(own) = fs::metadata(format!("/proc/{pid}/ns/net")) {
                ensure!(
                    own.ino() != node.ino(),
                    "{} is in the node's network",
                    self.name
                );
                return Ok(pid);
            }
        }
        bail!("{} does not run", self.name)
    }

    /// `kubectl delete` without waiting; the pod has its grace.
    pub fn delete(&self) -> Result<()> {
        self.delete_with(&[])
    }

    /// Deletes it without any grace.
    pub fn delete_now(&self) -> Result<()> {
        self.delete_with(&["--grace-period=0", "--force"])
    }

    fn delete_with(&self, flags: &[&str]) -> Result<()> {
        let args = [
            "delete",
            "pod",
            &self.name,
            "-n",
            &self.namespace,
            "--wait=false",
        ];
        self.cluster.kubectl(args.iter().chain(flags)).map(drop)
    }

    /// How often the kubelet has started this container again.
    pub fn restarts(&self, container: &str) -> Result<u64> {
        let object = self.object()?;
        let lists = ["containerStatuses", "initContainerStatuses"];
        let mut statuses = lists
            .iter()
            .filter_map(|list| object["status"][list].as_array())
            .flatten();
        let status = statuses.find(|status| status["name"] == container);
        let count = status.and_then(|status| status["restartCount"].as_u64());
        count.with_context(|| format!("{} has no status of {container}", self.name))
    }

    /// What the API says of it now; an error when it is gone, or another of its name.
    pub fn object(&self) -> Result<Value> {
        let object = self
            .ask()?
            .with_context(|| format!("{} is gone", self.name))?;
        Ok(object)
    }

    fn ask(&self) -> Result<Option<Value>> {
        let name = &self.name;
        let args = [
            "get",
            "pod",
            name,
            "-n",
            &self.namespace,
            "--ignore-not-found",
            "--output=json",
        ];
        let mut command = self.cluster.kubectl_command(args);
        command.stdin(Stdio::null());
        let output = command.output()?;
        let said = stdout_of(&command, output)?;
        if said.trim().is_empty() {
            return Ok(None);
        }
        let object: Value = serde_json::from_str(&said)?;
        Ok((object["metadata"]["uid"] == self.uid.as_str()).then_some(object))
    }

    /// Waits until the API knows it no more.
    pub fn wait_gone(&self, timeout: Duration) -> Result<()> {
        poll_every(ASK_INTERVAL, "the pod is gone", timeout, || {
            match self.ask()? {
                Some(_) => bail!("{} is still there", self.name),
                None => Ok(()),
            }
        })
    }
}

/// Processes of the pod with this uid, by this machine's count.
pub(super) fn pod_processes(uid: &str) -> Result<Vec<u32>> {
    let group = format!("/pod{uid}/");
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        // The sandbox's own process holds the pod's address and is no program of the pod.
        if groups.contains(&group) && !line.starts_with("/pause") {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// Whether it is the first process of its innermost process namespace (proc(5), /proc/pid/status: NSpid).
fn is_first(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.is_some_and(|ids| ids.split_whitespace().last() == Some("1"))
}
