//! The cluster: its start, its end, and how to talk to it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::binaries::{build_kube, ensure_debian_packages};
use super::daemon::Daemon;
use super::image::Image;
use super::node::Node;
use super::run::{Run, RunLock};
use super::settings::Families;
use crate::process::{bound_command, run, stdout_of};

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
    pub(super) run: Run,
    pub(super) node: Node,
    pub(super) programs: PathBuf,
    pub(super) lifetime: Lifetime,
    pub(super) families: Families,
    /// The names of the images that [`Cluster::ensure_image`] has imported.
    pub(super) images: Mutex<BTreeSet<String>>,
    pub(super) _lock: Option<RunLock>,
}

impl Cluster {
    /// A cluster of the caller's own, for a test; it ends when this is dropped.
    pub fn start() -> Result<Self> {
        Self::start_with(Families::Four)
    }

    /// The same with an IPv4 and an IPv6 address for each pod, and for each Service that wants both.
    pub fn start_dual_stack() -> Result<Self> {
        Self::start_with(Families::Both)
    }

    fn start_with(families: Families) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::up_with(
            &format!("t{}-{number}", std::process::id()),
            Lifetime::Attached,
            families,
        )
    }

    /// Starts the cluster `name` and waits until its node is ready. First it builds and installs what is missing, and takes
    /// away what crashed runs have left.
    pub fn up(name: &str, lifetime: Lifetime) -> Result<Self> {
        Self::up_with(name, lifetime, Families::Four)
    }

    fn up_with(name: &str, lifetime: Lifetime, families: Families) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "a cluster needs root: namespaces, mounts and containers do"
        );
        ensure_debian_packages()?;
        let programs = build_kube()?;
        let run = Run::named(name)?;
        let registry = Run::registry()?;
        sweep()?;
        let lock = run.lock()?;
        drop(registry);
        ensure!(
            lock.is_some() && !run.is_detached(),
            "a cluster {name} is up already"
        );
        Self::boot(&run, programs, lifetime, families, lock).or_else(|error| {
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
            families: Families::Four,
            images: Mutex::default(),
            _lock: None,
        })
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

    /// `kubectl apply` of one object or a List; an unknown field is an error.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let mut command = self.kubectl_command(["apply", "--validate=strict", "-f", "-"]);
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
        self.wait_account(name)
    }

    /// The same, unless it is there already.
    pub fn ensure_namespace(&self, name: &str) -> Result<()> {
        match self.kubectl(["create", "namespace", name]) {
            Err(error) if !format!("{error:#}").contains("AlreadyExists") => Err(error),
            _ => self.wait_account(name),
        }
    }

    /// [`Cluster::import`] where that was not done before; who comes second waits for the first.
    pub fn ensure_image(&self, image: &Image) -> Result<()> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if !images.contains(image.name()) {
            self.import(image)?;
            images.insert(image.name().to_owned());
        }
        Ok(())
    }

    /// The same for one image under several names: a whole system is imported once, whatever runs from it.
    pub fn ensure_image_as(&self, image: &Image, names: &[&str]) -> Result<()> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if names.iter().all(|name| images.contains(*name)) {
            return Ok(());
        }
        let image = image.clone().named(names.first().context("it has a name")?);
        self.import(&image)?;
        for name in names {
            let other = image.clone().named(name);
            if other.whole_name() != image.whole_name() {
                let tag = ["images", "tag", &image.whole_name(), &other.whole_name()];
                run(self.ctr_command(tag))?;
            }
            images.insert((*name).to_owned());
        }
        Ok(())
    }

    /// Makes an image known to the node. Pods need `imagePullPolicy: Never`.
    pub fn import(&self, image: &Image) -> Result<()> {
        let folder = tempfile::tempdir_in(self.run.folder())?;
        let archive = folder.path().join("image.tar");
        image.write(&archive)?;
        let mut command = self.ctr_command(["images", "import"]);
        command.arg(archive);
        run(command).map(drop)
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
        if run.is_detached() && Node::attach(&run, Lifetime::Detached).is_ok() {
            continue;
        }
        if let Some(_lock) = run.lock()? {
            eprintln!("taking away what is left of cluster {}", run.name());
            run.clean()?;
        }
    }
    Ok(())
}
