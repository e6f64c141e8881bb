//! The demo's members: this program as child processes, and what they log.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::DemoError;
use super::pods::{APP, NAMESPACE};

/// Records that wait for the story; when full, the members wait for it.
const RECORD_QUEUE: usize = 1024;
/// How often another port is tried.
const PORT_ATTEMPTS: usize = 20;
/// How long a connection to ourselves may take.
const REACH_TIME: Duration = Duration::from_secs(1);
/// How long a member has to end by itself, at the end of everything.
const END_TIME: Duration = Duration::from_secs(1);

/// The message of a member's last record, which is not its own: its process is gone.
pub(crate) const ENDED: &str = "process ended";

/// One line of a member's log, as far as the story reads it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Which member logged it.
    pub(crate) member: usize,
    /// When it did, by its own timestamp.
    pub(crate) time: SystemTime,
    /// The fixed message.
    pub(crate) message: String,
    /// The peer that it is about.
    pub(crate) node: String,
    /// Why a peer is gone.
    pub(crate) reason: String,
    /// Who is connected now.
    pub(crate) cluster: Option<BTreeSet<String>>,
    /// The line itself.
    pub(crate) line: String,
}

/// All members there have been.
pub(crate) struct Members {
    port: u16,
    cookie: PathBuf,
    kubeconfig: PathBuf,
    children: Vec<Member>,
    readers: JoinSet<()>,
    sender: mpsc::Sender<Record>,
    records: mpsc::Receiver<Record>,
}

struct Member {
    child: Child,
    /// Held apart from the child, because waiting for a child closes its stdin, which would end a
    /// member before its signal does. `None` once it is to end.
    stdin: Option<ChildStdin>,
    started: SystemTime,
}

impl Members {
    /// Room for `count` members, none of them started.
    pub(crate) fn new(
        count: usize,
        cookie: PathBuf,
        kubeconfig: PathBuf,
    ) -> Result<Self, DemoError> {
        let (sender, records) = mpsc::channel(RECORD_QUEUE);
        Ok(Self {
            port: free_port(count)?,
            cookie,
            kubeconfig,
            children: Vec::new(),
            readers: JoinSet::new(),
            sender,
            records,
        })
    }

    /// The one port of the cluster.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of a member, by its number from 0.
    pub(crate) fn address(&self, member: usize) -> Ipv4Addr {
        address(member)
    }

    /// The node name of a member.
    pub(crate) fn name(&self, member: usize) -> String {
        format!("{APP}@{}", address(member))
    }

    /// When the member's process was started.
    pub(crate) fn started(&self, member: usize) -> SystemTime {
        self.children[member].started
    }

    /// Starts the next member.
    pub(crate) fn start(&mut self) -> Result<(), DemoError> {
        let member = self.children.len();
        let failed = |error| DemoError::Process { error };
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        // Nothing of our own environment may steer the members: no proxy, no other cluster.
        command
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .args([
                "run",
                "--exit-with-stdin",
                "--log-format",
                "json",
                "--epmd",
                "none",
            ])
            .args(["--name", &self.name(member)])
            .args(["--listen", &address(member).to_string()])
            .args(["--dist-port", &self.port.to_string()])
            .arg("--cookie-file")
            .arg::<&Path>(&self.cookie)
            .args(["--topology", &topology()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let started = SystemTime::now();
        let mut child = command.spawn().map_err(failed)?;
        let stderr = child.stderr.take().expect("stderr is piped");
        self.readers
            .spawn(read_log(member, stderr, self.sender.clone()));
        let stdin = child.stdin.take();
        self.children.push(Member {
            child,
            stdin,
            started,
        });
        Ok(())
    }

    /// The next line that a member logs.
    pub(crate) async fn next_record(&mut self) -> Record {
        self.records
            .recv()
            .await
            .expect("we hold a sender ourselves")
    }

    /// Ends a member as `kill -9` does.
    pub(crate) fn kill(&mut self, member: usize) -> Result<(), DemoError> {
        self.children[member]
            .child
            .start_kill()
            .map_err(|error| DemoError::Process { error })
    }

    /// Asks a member to end, with SIGTERM.
    pub(crate) fn terminate(&mut self, member: usize) -> Result<(), DemoError> {
        terminate(&mut self.children[member]).map_err(|error| DemoError::Process { error })
    }

    /// Waits until a member's process is gone.
    pub(crate) async fn ended(&mut self, member: usize) -> Result<ExitStatus, DemoError> {
        self.children[member]
            .child
            .wait()
            .await
            .map_err(|error| DemoError::Process { error })
    }

    /// Ends every member that is left, by force if need be.
    pub(crate) async fn end(&mut self) {
        for member in &mut self.children {
            // Closes its stdin, which it takes for the order to end.
            member.stdin = None;
        }
        let deadline = tokio::time::Instant::now() + END_TIME;
        for member in &mut self.children {
            if tokio::time::timeout_at(deadline, member.child.wait())
                .await
                .is_err()
            {
                // Fails only if it has ended this moment.
                let _ = member.child.kill().await;
            }
        }
        self.records.close();
        self.readers.shutdown().await;
    }
}

fn topology() -> String {
    format!(
        "strategy=kubernetes name={APP} mode=ip kubernetes_ip_lookup_mode=pods \
         kubernetes_namespace={NAMESPACE} kubernetes_node_basename={APP} \
         kubernetes_selector=app={APP}"
    )
}

fn address(member: usize) -> Ipv4Addr {
    let last = u8::try_from(member + 2).expect("the number of members is bounded by the options");
    Ipv4Addr::new(127, 0, 0, last)
}

/// A port that is free on the addresses of all members now.
fn free_port(count: usize) -> Result<u16, DemoError> {
    'attempt: for _ in 0..PORT_ATTEMPTS {
        let mut held = Vec::new();
        let mut port = 0;
        for member in 0..count {
            let address = address(member);
            match listen(address, port) {
                Ok((bound, listener)) => {
                    port = bound.port();
                    held.push(listener);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => continue 'attempt,
                Err(error) => return Err(DemoError::NoAddress { address, error }),
            }
        }
        return Ok(port);
    }
    Err(DemoError::NoPort)
}

/// Listens, and shows that it can be reached: an interface that is down takes a listener too.
fn listen(address: Ipv4Addr, port: u16) -> std::io::Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind((address, port))?;
    let bound = listener.local_addr()?;
    TcpStream::connect_timeout(&bound, REACH_TIME)?;
    Ok((bound, listener))
}

/// Hands on what a member logs, and at last that it has ended: its stderr ends with it.
async fn read_log(member: usize, stderr: ChildStderr, records: mpsc::Sender<Record>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if records.send(Record::of(member, line)).await.is_err() {
            return;
        }
    }
    let end = json!({ "message": ENDED, "member": address(member).to_string() });
    // The story may be over, and then nobody wants to know.
    let _ = records.send(Record::of(member, end.to_string())).await;
}

impl Record {
    fn of(member: usize, line: String) -> Self {
        let object: Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let time = humantime::parse_rfc3339(&text("timestamp"));
        let cluster = object["cluster"].as_array().map(|names| {
            names
                .iter()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect()
        });
        Self {
            member,
            time: time.unwrap_or_else(|_| SystemTime::now()),
            message: text("message"),
            node: text("node"),
            reason: text("reason"),
            cluster,
            line,
        }
    }
}

#[cfg(unix)]
fn terminate(member: &mut Member) -> std::io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};

    // A child that was waited for has no id any more, so that no stranger is hit.
    let id = member
        .child
        .id()
        .and_then(|id| Pid::from_raw(id.cast_signed()));
    match id {
        Some(pid) => Ok(kill_process(pid, Signal::TERM)?),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn terminate(member: &mut Member) -> std::io::Result<()> {
    member.stdin = None;
    Ok(())
}
