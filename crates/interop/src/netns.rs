//! Private network namespaces, wires between them, and cuts.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::NamedTempFile;

use crate::output::Output;
use crate::peers::Otp;
use crate::process::{Process, bound_command, run, stdout_of};

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A network namespace of its own, with loopback up; every address of 127/8 works in it.
///
/// It is held by a sleeping process and has no name in the file system, so nothing is left of it after a crash.
pub struct NetNs {
    holder: Process,
    /// The hosts file of the programs inside, if they have one of their own.
    hosts: Option<NamedTempFile>,
}

impl NetNs {
    /// Makes an empty namespace.
    pub fn new() -> Result<Self> {
        Self::hold(&["--net"], "", None)
    }

    /// Makes an empty namespace in which these names have these addresses, for the chroots of [`Otp`] too.
    ///
    /// The chroots share `/tmp` with the machine then, so that files have the same path for everybody.
    pub fn with_hosts(hosts: &[(IpAddr, &str)]) -> Result<Self> {
        let mut file = NamedTempFile::new()?;
        writeln!(file, "127.0.0.1 localhost\n::1 localhost")?;
        for (address, name) in hosts {
            writeln!(file, "{address} {name}")?;
        }
        let path = file.path().display().to_string();
        let mut mounts = format!("mount --bind {path} /etc/hosts && ");
        for root in Otp::ALL.into_iter().filter_map(Otp::root) {
            let root = root.display();
            mounts += &format!(
                "mount --bind {path} {root}/etc/hosts && mount --bind /tmp {root}/tmp && "
            );
        }
        Self::hold(&["--net", "--mount"], &mounts, Some(file))
    }

    fn hold(namespaces: &[&str], mounts: &str, hosts: Option<NamedTempFile>) -> Result<Self> {
        let mut command = bound_command("unshare");
        command
            .args(namespaces)
            .args(["--", "sh", "-c"])
            .arg(format!(
                "{mounts}ip link set lo up && echo ready && exec sleep infinity"
            ))
            .stdout(Stdio::piped());
        let mut holder = Process::start("a network namespace", command)?;
        let stdout = holder
            .child_mut()
            .stdout
            .take()
            .context("stdout is piped")?;
        Output::collect(stdout)
            .wait_for(START_TIMEOUT, |line| (line == "ready").then_some(()))
            .context("a network namespace could not be made (are we root?)")?;
        Ok(Self { holder, hosts })
    }

    /// A command that runs inside, bound to this process's life.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = bound_command("nsenter");
        command.arg(format!("--net={}", self.path().display()));
        if self.hosts.is_some() {
            command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.pid()));
        }
        command.arg("--").arg(program);
        command
    }

    /// Runs a command inside to its end and gives its standard output.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<String> {
        let mut command = self.command(program);
        command.args(args);
        run(command)
    }

    /// Does `work` in a new thread whose sockets, and those of every thread that it starts, are inside.
    ///
    /// # Errors
    /// The thread could not enter the namespace. A panic of `work` goes on here.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let file = File::open(self.path())?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The namespace's file, as `nsenter --net=` takes it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.pid()).into()
    }

    /// Joins two namespaces by a wire with an address in CIDR form at each end, such as `10.0.0.1/24`.
    pub fn wire(&self, address: &str, other: &NetNs, other_address: &str) -> Result<()> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (near, far) = (format!("wire{number}a"), format!("wire{number}b"));
        let other_pid = other.holder.pid().to_string();
        // The wire is made inside of this namespace, so its names collide with nobody's.
        self.run(
            "ip",
            [
                "link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &other_pid,
            ],
        )?;
        for (end, name, address) in [(self, &near, address), (other, &far, other_address)] {
            end.run("ip", ["address", "add", address, "dev", name])?;
            end.run("ip", ["link", "set", name, "up"])?;
        }
        Ok(())
    }

    /// Drops every packet from one address to the other, without a word to either; call it twice to cut both ways.
    ///
    /// Works between addresses of 127/8 too, where a dialler comes from 127.0.0.1 unless it has bound another address.
    pub fn cut(&self, from: IpAddr, to: IpAddr) -> Result<()> {
        let family = if from.is_ipv4() { "ip" } else { "ip6" };
        self.nft(&format!(
            "add table inet cuts\n\
             add chain inet cuts input {{ type filter hook input priority 0; }}\n\
             add rule inet cuts input {family} saddr {from} {family} daddr {to} drop\n"
        ))
    }

    /// Drops every packet between this namespace and `peer`, both ways, without a word to either.
    ///
    /// Meant for a namespace with an address of its own on a [wire](Self::wire): the other end needs no rule.
    pub fn sever(&self, peer: IpAddr) -> Result<()> {
        let family = if peer.is_ipv4() { "ip" } else { "ip6" };
        self.nft(&format!(
            "add table inet cuts\n\
             add chain inet cuts input {{ type filter hook input priority 0; }}\n\
             add chain inet cuts output {{ type filter hook output priority 0; }}\n\
             add rule inet cuts input {family} saddr {peer} drop\n\
             add rule inet cuts output {family} daddr {peer} drop\n"
        ))
    }

    /// Ends all cuts.
    pub fn heal(&self) -> Result<()> {
        self.nft("add table inet cuts\ndelete table inet cuts\n")
    }

    fn nft(&self, script: &str) -> Result<()> {
        let mut command = self.command("nft");
        command
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("nft could not be started")?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        stdin.write_all(script.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        stdout_of(&command, output).map(drop)
    }
}
