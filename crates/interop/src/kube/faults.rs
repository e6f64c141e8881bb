//! What a test does to a cluster, and looks into it for.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::boot::{API, CONTROLLERS, DNS, KUBELET, PROXY, SCHEDULER};
use super::cluster::Cluster;
use super::pod::{Pod, pod_processes};
use super::settings::CLUSTER_DOMAIN;
use super::workload::Names;
use crate::member_log::MemberLog;
use crate::process::poll_until;

/// How long an API server may take to end when it is asked to.
const LAST_WORDS: Duration = Duration::from_secs(60);

impl Cluster {
    /// SIGSTOP for the API server: connections stay open and nothing answers.
    pub fn freeze_api(&self) -> Result<()> {
        self.daemon(API)?.signal(Signal::STOP)
    }

    /// SIGCONT, the end of [`Cluster::freeze_api`].
    pub fn thaw_api(&self) -> Result<()> {
        self.daemon(API)?.signal(Signal::CONT)
    }

    /// SIGKILL for the API server: every watch ends. Its data stays.
    pub fn kill_api(&self) -> Result<()> {
        self.daemon(API)?.kill_tree()
    }

    /// SIGTERM for the API server, as before its update: it ends each watch as if its time were over, and then itself.
    pub fn end_api(&self) -> Result<()> {
        let api = self.daemon(API)?;
        api.signal(Signal::TERM)?;
        poll_until("the API server has ended", LAST_WORDS, || {
            ensure!(!api.is_alive(), "it runs");
            Ok(())
        })
    }

    /// Starts the API server after [`Cluster::kill_api`] or [`Cluster::end_api`], with the same data, and waits until it answers.
    ///
    /// The controllers, the scheduler and kube-proxy start anew too: their own back-off, most of a minute and more on a busy
    /// machine, would stand between a change and the pods.
    pub fn start_api(&self) -> Result<()> {
        self.start_api_with(&[])
    }

    /// The same with more flags, which count until it is killed again.
    pub fn start_api_with(&self, flags: &[String]) -> Result<()> {
        self.launch_api(flags)?;
        self.wait_api()?;
        for name in [CONTROLLERS, SCHEDULER, PROXY] {
            self.daemon(name)?.kill_tree()?;
        }
        self.launch_controllers()?;
        self.launch_proxy()
    }

    /// The kubelet starts anew, and all containers run on: after a minute without the API server it waits for another one before
    /// it looks for new pods.
    pub fn restart_kubelet(&self) -> Result<()> {
        self.daemon(KUBELET)?.kill_tree()?;
        self.launch_kubelet()
    }

    /// SIGKILL for CoreDNS; [`Cluster::restart_dns`] starts it again.
    pub fn stop_dns(&self) -> Result<()> {
        self.daemon(DNS)?.kill_tree()
    }

    /// Starts CoreDNS anew, whether it runs or not, with another Corefile; [`Cluster::corefile`] is the one it has.
    pub fn restart_dns(&self, corefile: &str) -> Result<()> {
        if let Ok(running) = self.daemon(DNS) {
            running.kill_tree()?;
        }
        fs::write(self.file("Corefile"), corefile)?;
        self.start_dns()
    }

    /// SRV records name pods by their addresses from now on, as most clusters' do; with CoreDNS's `endpoint_pod_names`, which
    /// a cluster has at first, they name them as `--mode pod` does.
    pub fn name_pods_by_address(&self) -> Result<()> {
        let corefile = self.corefile()?;
        ensure!(corefile.contains("endpoint_pod_names"), "{corefile}");
        self.restart_dns(&corefile.replace("endpoint_pod_names", ""))
    }

    /// The same for these namespaces alone, which CoreDNS answers for out of blocks of their own.
    pub fn name_pods_by_address_in(&self, namespaces: &[&str]) -> Result<()> {
        let corefile = self.corefile()?;
        let (_, block) = corefile
            .split_once('{')
            .context("the Corefile has a block")?;
        ensure!(block.contains("endpoint_pod_names"), "{corefile}");
        let block = block.replace("endpoint_pod_names", "");
        let zones = namespaces
            .iter()
            .map(|namespace| format!("{namespace}.svc.{CLUSTER_DOMAIN}:53 {{{block}"));
        self.restart_dns(&(corefile.clone() + &zones.collect::<String>()))
    }

    /// CoreDNS's configuration as it is now.
    pub fn corefile(&self) -> Result<String> {
        Ok(fs::read_to_string(self.file("Corefile"))?)
    }

    /// The log of the first container of a pod; it is followed past deaths of the API server.
    pub fn member_log(&self, namespace: &str, pod: &str) -> Result<MemberLog> {
        let args = ["get", "pod", pod, "--namespace", namespace, "--output=json"];
        let object: Value = serde_json::from_str(&self.kubectl(args)?)?;
        let container = object["spec"]["containers"][0]["name"].as_str();
        let container = container.context("a container has a name")?.to_owned();
        Pod::read(self, Names::Ip, "", &container, &object)?.log()
    }

    /// What Kubernetes says of the pods of a namespace: a line for each event, with its reason, its pod, which part of the pod and
    /// the message.
    pub fn events(&self, namespace: &str) -> Result<Vec<String>> {
        let columns = [
            "R:.reason",
            "P:.involvedObject.name",
            "F:.involvedObject.fieldPath",
            "M:.message",
        ];
        let columns = format!("--output=custom-columns={}", columns.join(","));
        let args = ["get", "events", "--no-headers", &columns, "-n", namespace];
        let lines = self.kubectl(args)?;
        Ok(lines.lines().map(str::to_owned).collect())
    }

    /// The folder of this run: what is put there is taken away with the cluster.
    pub fn folder(&self) -> &Path {
        self.run.folder()
    }

    /// A command of containerd's `ctr`, to be run by the caller: its `events` tell when each container started, to the
    /// nanosecond.
    pub fn ctr_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.node.command_inside("ctr");
        command
            .arg("--address")
            .arg(self.file("containerd.sock"))
            .args(["--namespace", "k8s.io"])
            .args(args);
        command
    }

    /// Process ids, by this machine's count, of the container's first process and its children.
    ///
    /// To freeze or kill a program in a pod without Kubernetes knowing.
    pub fn pod_pids(&self, namespace: &str, pod: &str) -> Result<Vec<u32>> {
        let path = "jsonpath={.metadata.uid}";
        let uid = self.kubectl([
            "get",
            "pod",
            pod,
            "--namespace",
            namespace,
            "--output",
            path,
        ])?;
        pod_processes(uid.trim())
    }
}
