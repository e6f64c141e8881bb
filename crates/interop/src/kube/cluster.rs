//! The cluster: its start, its end, and what a test does to it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::binaries::{build_kube, ensure_debian_packages};
use super::daemon::Daemon;
use super::image::{Image, Layer};
use super::node::Node;
use super::run::{Run, RunLock};
use super::{certificates, settings};
use crate::process::{bound_command, poll_until, run, stdout_of};

const ETCD: &str = "etcd";
const API: &str = "kube-apiserver";
const CONTROLLERS: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";
const CONTAINERD: &str = "containerd";
const KUBELET: &str = "kubelet";
const PROXY: &str = "kube-proxy";
const DNS: &str = "coredns";

/// Time for one program to answer on a machine that does other things too.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// How long a cluster goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until its value is dropped, or this process dies, however it dies.
    Attached,
    /// Until [`down`].
    Detached,
}

impl Lifetime {
    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Attached => bound_command(program),
            Self::Detached => {
                let mut command = Command::new(program);
                // A group of its own, so that Ctrl-C at the terminal does not end it.
                command.process_group(0);
                command
            }
        }
    }
}

/// A running one-node Kubernetes.
#[derive(Debug)]
pub struct Cluster {
    run: Run,
    node: Node,
    programs: PathBuf,
    lifetime: Lifetime,
    _lock: Option<RunLock>,
}

impl Cluster {
    /// A cluster of the caller's own, for a test; it ends when this is dropped.
    pub fn start() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::up(
            &format!("t{}-{number}", std::process::id()),
            Lifetime::Attached,
        )
    }

    /// Starts the cluster `name` and waits until its node is ready. First it builds and installs what is missing, and takes
    /// away what crashed runs have left.
    pub fn up(name: &str, lifetime: Lifetime) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "a cluster needs root: namespaces, mounts and containers do"
        );
        ensure_debian_packages()?;
        let programs = build_kube()?;
        sweep()?;
        let run = Run::named(name)?;
        let lock = run.lock()?;
        ensure!(
            lock.is_some() && !run.is_detached(),
            "a cluster {name} is up already"
        );
        Self::boot(&run, programs, lifetime, lock).or_else(|error| {
            // What has failed is told by the error with its logs; the rest would only be in the way.
            run.clean().context(error.to_string())?;
            Err(error)
        })
    }

    /// The cluster `name` that an earlier process has started with [`Lifetime::Detached`].
    pub fn attach(name: &str) -> Result<Self> {
        let run = Run::named(name)?;
        ensure!(
            run.is_detached(),
            "no cluster {name} is up: start it with `cargo xtask kube up`"
        );
        let lifetime = Lifetime::Detached;
        Ok(Self {
            node: Node::attach(&run, lifetime)?,
            programs: build_kube()?,
            run,
            lifetime,
            _lock: None,
        })
    }

    fn boot(
        run: &Run,
        programs: PathBuf,
        lifetime: Lifetime,
        lock: Option<RunLock>,
    ) -> Result<Self> {
        certificates::write_all(&run.keys())?;
        let node = Node::start(run, lifetime)?;
        let cluster = Self {
            run: run.clone(),
            node,
            programs,
            lifetime,
            _lock: lock,
        };
        cluster.write_settings()?;
        cluster.start_etcd()?;
        cluster.launch_api()?;
        cluster.start_containerd()?;
        let pause = Layer::File {
            from: cluster.programs.join("pause"),
            to: "/pause".into(),
        };
        cluster.import(&Image::new(settings::PAUSE_IMAGE, vec![pause]).with_command("/pause"))?;
        cluster.wait_api()?;
        cluster.start_rest()?;
        cluster.wait_ready()?;
        if lifetime == Lifetime::Detached {
            run.set_detached()?;
        }
        Ok(cluster)
    }

    /// The kubeconfig of the administrator; it works inside of the cluster's network only.
    pub fn kubeconfig(&self) -> PathBuf {
        self.keys().join("admin.kubeconfig")
    }

    /// The network namespace's file, as `nsenter --net=` takes it.
    pub fn netns(&self) -> PathBuf {
        self.node.netns()
    }

    /// A command in the cluster's network (a "member outside"); the kernel ends it with this process.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.node.command_in_network(Lifetime::Attached, program)
    }

    /// A command of the administrator's `kubectl`, to be run by the caller.
    pub fn kubectl_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(self.programs.join("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(args);
        command
    }

    /// Runs the administrator's `kubectl` and gives its standard output.
    pub fn kubectl<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        run(self.kubectl_command(args))
    }

    /// `kubectl apply` of one object or a List.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let mut command = self.kubectl_command(["apply", "-f", "-"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("kubectl could not be started")?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        stdin.write_all(object.to_string().as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        stdout_of(&command, output).map(drop)
    }

    /// Makes a namespace that pods can be put into at once.
    pub fn create_namespace(&self, name: &str) -> Result<()> {
        self.kubectl(["create", "namespace", name])?;
        // The controllers make it a little later, and no pod is accepted before.
        self.wait_for("the namespace has its account", &[CONTROLLERS], || {
            self.kubectl(["get", "serviceaccount", "default", "--namespace", name])
        })
    }

    /// Makes an image known to the node. Pods need `imagePullPolicy: Never`.
    pub fn import(&self, image: &Image) -> Result<()> {
        let folder = tempfile::tempdir_in(self.run.folder())?;
        let archive = image.write_archive(folder.path())?;
        let mut command = self.node.command_inside("ctr");
        command
            .arg("--address")
            .arg(self.run.folder().join("containerd.sock"))
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(archive);
        run(command).map(drop)
    }

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

    /// Starts the API server after [`Cluster::kill_api`], with the same data, and waits until it answers.
    pub fn start_api(&self) -> Result<()> {
        self.launch_api()?;
        self.wait_api()
    }

    /// Starts CoreDNS anew with another Corefile; [`Cluster::corefile`] is the one it has.
    pub fn restart_dns(&self, corefile: &str) -> Result<()> {
        self.daemon(DNS)?.kill_tree()?;
        fs::write(self.file("Corefile"), corefile)?;
        self.start_dns()
    }

    /// CoreDNS's configuration as it is now.
    pub fn corefile(&self) -> Result<String> {
        Ok(fs::read_to_string(self.file("Corefile"))?)
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
        let group = format!("/pod{}/", uid.trim());
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

    /// One line for each process of the cluster, and the nodes and pods.
    pub fn status(&self) -> Result<String> {
        let mut daemons = Daemon::recorded(self.run.folder())?;
        daemons.sort_by_key(|daemon| daemon.name().to_owned());
        let mut text = String::new();
        for daemon in daemons {
            let state = if daemon.is_alive() {
                "running"
            } else {
                "ended"
            };
            text += &format!("{:<24} {:>7} {state}\n", daemon.name(), daemon.pid());
        }
        Ok(text + &self.kubectl(["get", "nodes,pods", "--all-namespaces"])?)
    }

    pub(super) fn keys(&self) -> PathBuf {
        self.run.keys()
    }

    fn write_settings(&self) -> Result<()> {
        let (folder, keys) = (self.run.folder(), self.keys());
        fs::create_dir_all(self.file("network"))?;
        fs::write(
            self.file("network/10-enmesh.conflist"),
            settings::network(folder).to_string(),
        )?;
        fs::write(self.file("containerd.toml"), settings::containerd(folder))?;
        let kubelet = settings::kubelet(folder, &keys, &self.run.cgroup());
        fs::write(self.file("kubelet.json"), kubelet.to_string())?;
        fs::write(
            self.file("kube-proxy.json"),
            settings::kube_proxy(&keys).to_string(),
        )?;
        fs::write(self.file("Corefile"), settings::corefile(&keys))?;
        Ok(())
    }

    fn start_etcd(&self) -> Result<()> {
        self.launch(ETCD, &settings::etcd(&self.file("etcd")))
    }

    fn launch_api(&self) -> Result<()> {
        self.launch(API, &settings::api_server(&self.keys()))
    }

    fn wait_api(&self) -> Result<()> {
        self.wait_for("the API server is ready", &[ETCD, API], || {
            self.kubectl(["get", "--raw", "/readyz"])
        })
    }

    fn start_containerd(&self) -> Result<()> {
        let mut command = self.node.command_inside("containerd");
        command.arg("--config").arg(self.file("containerd.toml"));
        Daemon::start(self.run.folder(), CONTAINERD, command)?;
        self.wait_for("containerd answers", &[CONTAINERD], || {
            let mut command = self.node.command_inside("ctr");
            command
                .arg("--address")
                .arg(self.file("containerd.sock"))
                .arg("version");
            run(command)
        })
    }

    fn start_rest(&self) -> Result<()> {
        let keys = self.keys();
        self.launch(CONTROLLERS, &settings::controller_manager(&keys))?;
        self.launch(SCHEDULER, &settings::scheduler(&keys))?;
        let folder = self.run.folder().to_owned();
        let mut kubelet = self.node.command_inside(self.programs.join("kubelet"));
        kubelet
            .arg("--config")
            .arg(self.file("kubelet.json"))
            .arg("--kubeconfig")
            .arg(keys.join("kubelet.kubeconfig"))
            .arg("--root-dir")
            .arg(self.file("kubelet"))
            .args([
                "--hostname-override",
                settings::NODE_NAME,
                "--node-ip",
                settings::NODE_ADDRESS,
            ]);
        Daemon::start(&folder, KUBELET, kubelet)?;
        let mut proxy = self.node.command_inside(self.programs.join("kube-proxy"));
        proxy.arg("--config").arg(self.file("kube-proxy.json"));
        Daemon::start(&folder, PROXY, proxy)?;
        self.start_dns()?;
        self.apply(&settings::dns_service())
    }

    fn start_dns(&self) -> Result<()> {
        self.launch(
            DNS,
            &["-conf".into(), self.file("Corefile").display().to_string()],
        )
    }

    fn wait_ready(&self) -> Result<()> {
        let path = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        self.wait_for("the node is ready", &[KUBELET, CONTAINERD], || {
            let ready = self.kubectl(["get", "nodes", "--output", path])?;
            ensure!(ready == "True", "it says {ready:?}");
            // Without it no pod of this namespace is accepted.
            self.kubectl(["get", "serviceaccount", "default"])
        })
    }

    /// Starts a program in the cluster's network.
    fn launch(&self, name: &str, args: &[String]) -> Result<()> {
        let mut command = self
            .node
            .command_in_network(self.lifetime, self.programs.join(name));
        command.args(args);
        Daemon::start(self.run.folder(), name, command).map(drop)
    }

    /// Polls; an error shows the logs of the programs that matter, at once when one of them has ended.
    fn wait_for<T>(
        &self,
        what: &str,
        programs: &[&str],
        mut probe: impl FnMut() -> Result<T>,
    ) -> Result<()> {
        let logs = |programs: &[&str]| -> String {
            let folder = self.run.folder();
            programs
                .iter()
                .map(|name| format!("\n{name}:\n{}", Daemon::log_tail(folder, name)))
                .collect()
        };
        let outcome = poll_until(what, START_TIMEOUT, || {
            let ended = programs.iter().find(|name| self.daemon(name).is_err());
            match ended {
                Some(name) => Ok(Err(format!("{name} has ended"))),
                None => probe().map(|_| Ok(())),
            }
        });
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ended)) => bail!("{what}: {ended}{}", logs(programs)),
            Err(error) => Err(error.context(logs(programs))),
        }
    }

    /// A living process of this cluster.
    fn daemon(&self, name: &str) -> Result<Daemon> {
        let daemons = Daemon::recorded(self.run.folder())?;
        let found = daemons
            .into_iter()
            .find(|daemon| daemon.name() == name && daemon.is_alive());
        found.with_context(|| format!("{name} is not running"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.run.folder().join(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Attached
            && let Err(error) = self.run.clean()
        {
            eprintln!("the cluster could not be taken away: {error:#}");
        }
    }
}

/// Takes a cluster away with all that belongs to it; nothing happens when there is none.
pub fn down(name: &str) -> Result<()> {
    let run = Run::named(name)?;
    if !run.folder().exists() {
        return Ok(());
    }
    let lock = run.lock()?;
    ensure!(
        lock.is_some(),
        "cluster {name} belongs to a process that is running"
    );
    run.clean()
}

/// Takes away what processes that are gone have left.
fn sweep() -> Result<()> {
    for run in Run::all()? {
        if run.is_detached() {
            continue;
        }
        if let Some(_lock) = run.lock()? {
            eprintln!("taking away what is left of cluster {}", run.name());
            run.clean()?;
        }
    }
    Ok(())
}
