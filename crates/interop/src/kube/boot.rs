//! The order in which a cluster's programs start, and what each is waited for.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::cluster::{Cluster, Lifetime};
use super::daemon::Daemon;
use super::image::{Image, Layer};
use super::node::Node;
use super::run::{Run, RunLock};
use super::settings::Families;
use super::{certificates, neighbours, settings};
use crate::process::{poll_until, run};

const ETCD: &str = "etcd";
/// The API server among the run's daemons.
pub(super) const API: &str = "kube-apiserver";
/// The controller manager among the run's daemons.
pub(super) const CONTROLLERS: &str = "kube-controller-manager";
/// The scheduler among the run's daemons.
pub(super) const SCHEDULER: &str = "kube-scheduler";
const CONTAINERD: &str = "containerd";
/// The kubelet among the run's daemons.
pub(super) const KUBELET: &str = "kubelet";
/// kube-proxy among the run's daemons.
pub(super) const PROXY: &str = "kube-proxy";
/// CoreDNS among the run's daemons.
pub(super) const DNS: &str = "coredns";

/// Time for one program to answer on a machine that does other things too.
const START_TIMEOUT: Duration = Duration::from_secs(90);

impl Cluster {
    /// Starts everything in a new run's folder. The lock goes into the value, and is given back with it.
    pub(super) fn boot(
        run: &Run,
        programs: PathBuf,
        lifetime: Lifetime,
        families: Families,
        lock: Option<RunLock>,
    ) -> Result<Self> {
        neighbours::make_room()?;
        certificates::write_all(&run.keys())?;
        let node = Node::start(run, lifetime, families)?;
        let cluster = Self {
            run: run.clone(),
            node,
            programs,
            lifetime,
            families,
            images: Mutex::default(),
            _lock: lock,
        };
        cluster.write_settings()?;
        cluster.start_etcd()?;
        cluster.launch_api(&[])?;
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

    fn write_settings(&self) -> Result<()> {
        let (folder, keys) = (self.run.folder(), self.keys());
        fs::create_dir_all(self.file("network"))?;
        fs::write(
            self.file("network/10-enmesh.conflist"),
            settings::network(folder, self.families).to_string(),
        )?;
        fs::write(self.file("containerd.toml"), settings::containerd(folder))?;
        let kubelet = settings::kubelet(folder, &keys, &self.run.cgroup());
        fs::write(self.file("kubelet.json"), kubelet.to_string())?;
        fs::write(
            self.file("kube-proxy.json"),
            settings::kube_proxy(&keys, self.families).to_string(),
        )?;
        fs::write(self.file("Corefile"), settings::corefile(&keys))?;
        Ok(())
    }

    fn start_etcd(&self) -> Result<()> {
        self.launch(ETCD, &settings::etcd(&self.file("etcd")))
    }

    pub(super) fn launch_api(&self, more: &[String]) -> Result<()> {
        let mut flags = settings::api_server(&self.keys(), self.families);
        flags.extend_from_slice(more);
        self.launch(API, &flags)
    }

    pub(super) fn wait_api(&self) -> Result<()> {
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

    pub(super) fn launch_controllers(&self) -> Result<()> {
        let keys = self.keys();
        self.launch(CONTROLLERS, &settings::controller_manager(&keys))?;
        self.launch(SCHEDULER, &settings::scheduler(&keys))
    }

    fn start_rest(&self) -> Result<()> {
        self.launch_controllers()?;
        self.launch_kubelet()?;
        self.launch_proxy()?;
        self.start_dns()?;
        self.apply(&settings::dns_service())
    }

    pub(super) fn launch_kubelet(&self) -> Result<()> {
        let keys = self.keys();
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
                &self.families.node_addresses(),
            ]);
        Daemon::start(self.run.folder(), KUBELET, kubelet).map(drop)
    }

    pub(super) fn launch_proxy(&self) -> Result<()> {
        let mut proxy = self.node.command_inside(self.programs.join("kube-proxy"));
        proxy.arg("--config").arg(self.file("kube-proxy.json"));
        Daemon::start(self.run.folder(), PROXY, proxy).map(drop)
    }

    pub(super) fn start_dns(&self) -> Result<()> {
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
            Ok(())
        })?;
        self.wait_account("default")
    }

    /// Waits for a namespace's account: the controllers make it a little later, and no pod is accepted before.
    pub(super) fn wait_account(&self, namespace: &str) -> Result<()> {
        self.wait_for("the namespace has its account", &[CONTROLLERS], || {
            self.kubectl(["get", "serviceaccount", "default", "--namespace", namespace])
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
    pub(super) fn daemon(&self, name: &str) -> Result<Daemon> {
        let daemons = Daemon::recorded(self.run.folder())?;
        let found = daemons
            .into_iter()
            .find(|daemon| daemon.name() == name && daemon.is_alive());
        found.with_context(|| format!("{name} is not running"))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.run.folder().join(name)
    }
}
