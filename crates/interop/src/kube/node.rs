//! The box that a cluster runs in: its namespaces, its network device and its view of the file system.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cluster::Lifetime;
use super::daemon::{Daemon, children};
use super::run::Run;
use super::settings::{Families, NODE_ADDRESS};
use crate::process::poll_until;

/// The box's own process among the run's daemons.
pub(super) const NAME: &str = "node";
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// A network, a mount and a process namespace. The first process in them only reaps; all end with it.
#[derive(Debug)]
pub(super) struct Node {
    holder: Daemon,
    /// The first process of the process namespace, by its id outside.
    init: u32,
    lifetime: Lifetime,
}

impl Node {
    /// Makes the box of a run.
    pub(super) fn start(run: &Run, lifetime: Lifetime, families: Families) -> Result<Self> {
        let folder = run.folder();
        for name in ["var-lib", "var-log"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let script = folder.join("node.sh");
        fs::write(&script, init_script(run, families))?;
        let mut command = lifetime.command("unshare");
        command
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "sh",
            ])
            .arg(&script);
        let holder = Daemon::start(folder, NAME, command)?;
        poll_until("the node's namespaces are made", START_TIMEOUT, || {
            let log = || Daemon::log_tail(folder, NAME);
            ensure!(
                holder.is_alive(),
                "unshare has ended (are we root?): {}",
                log()
            );
            ensure!(folder.join("node.ready").exists(), "{}", log());
            Ok(())
        })?;
        Self::of(holder, lifetime)
    }

    /// Finds the box of a run that is up.
    pub(super) fn attach(run: &Run, lifetime: Lifetime) -> Result<Self> {
        let daemons = Daemon::recorded(run.folder())?;
        let holder = daemons
            .into_iter()
            .find(|daemon| daemon.name() == NAME && daemon.is_alive());
        let holder = holder.with_context(|| format!("no cluster {} is up", run.name()))?;
        Self::of(holder, lifetime)
    }

    fn of(holder: Daemon, lifetime: Lifetime) -> Result<Self> {
        let init = *children(holder.pid())?
            .first()
            .context("the node has no first process")?;
        Ok(Self {
            holder,
            init,
            lifetime,
        })
    }

    /// The network namespace's file.
    pub(super) fn netns(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.pid()).into()
    }

    /// A command in the cluster's network, else outside: the process it starts is the program itself.
    pub(super) fn command_in_network(
        &self,
        lifetime: Lifetime,
        program: impl AsRef<OsStr>,
    ) -> Command {
        let mut command = lifetime.command("nsenter");
        command
            .arg(format!("--net={}", self.netns().display()))
            .arg("--")
            .arg(program);
        command
    }

    /// A command in all namespaces of the node. `nsenter` stays and waits for its child, the program.
    pub(super) fn command_inside(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.lifetime.command("nsenter");
        command
            .args([
                "--target",
                &self.init.to_string(),
                "--net",
                "--mount",
                "--pid",
                "--",
            ])
            .arg(program);
        command
    }
}

/// Everything that the kubelet, containerd and its plugins write at fixed places lands in the run's folder or in memory.
///
/// The shell reaps what containers leave behind. An empty bridge stands for the network card: kubelet refuses a loopback
/// address and a kernel need not have dummy devices. The kubelet wants its control group to exist, in each hierarchy of version 1.
fn init_script(run: &Run, families: Families) -> String {
    let folder = run.folder().display();
    let cgroup = run.cgroup();
    let second = families.network_script();
    format!(
        "set -e
mount --make-rshared /
mount -t tmpfs tmpfs /run
mount --bind {folder}/var-lib /var/lib
mount --bind {folder}/var-log /var/log
ip link set lo up
ip link add node0 type bridge
ip address add {NODE_ADDRESS}/24 dev node0
ip link set node0 up
ip route add default dev node0
{second}
echo 1 > /proc/sys/net/ipv4/ip_forward
if [ -e /sys/fs/cgroup/cgroup.procs ]; then hierarchies=/sys/fs/cgroup; else hierarchies=$(echo /sys/fs/cgroup/*/); fi
for hierarchy in $hierarchies; do mkdir -p $hierarchy/{cgroup}; done
touch {folder}/node.ready
while :; do sleep 3600 & wait; done
"
    )
}
