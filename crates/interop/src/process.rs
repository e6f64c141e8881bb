//! Child processes that cannot be leaked: known by id, killed when dropped, and killed by the kernel when we die.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often a condition is looked at while waiting for it.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// One running child process, killed when dropped.
pub struct Process {
    label: String,
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`; `label` names it in errors.
    ///
    /// Take the command from [`NetNs::command`](crate::NetNs::command), so that the kernel kills the child when this process dies.
    pub fn start(label: impl Into<String>, command: Command) -> Result<Self> {
        let label = label.into();
        let child = spawn(command).with_context(|| format!("{label} could not be started"))?;
        Ok(Self {
            label,
            child,
            status: None,
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The memory that is resident now, KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .with_context(|| format!("{self} has no memory, has it ended?"))?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Its standard output, once, where the command pipes it.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The child's handle, to take its pipes.
    pub(crate) fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// SIGKILL, and waits for the end.
    pub fn kill9(&mut self) -> Result<()> {
        if self.try_exit()?.is_none() {
            self.signal(Signal::KILL)?;
            self.status = Some(self.child.wait()?);
        }
        Ok(())
    }

    /// SIGSTOP: the process keeps its sockets and answers nobody.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT, the end of [`Process::stop`].
    pub fn cont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGHUP.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// SIGINT, without waiting.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    /// The exit status, if it has ended.
    pub fn try_exit(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Waits for the end; an error when `timeout` is over first.
    pub fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.try_exit()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{self} did not end within {timeout:?}");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // After its end the id may belong to somebody else.
        if let Some(status) = self.status {
            bail!("{self} has ended already: {status}");
        }
        signal_pid(self.pid(), signal).with_context(|| format!("{self} could not be signalled"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the kernel ends the child with us at the latest.
        let _ = self.kill9();
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.label, self.pid())
    }
}

/// A command that the kernel kills when this process dies, however it dies.
pub(crate) fn bound_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .stdin(Stdio::null());
    command
}

/// Runs `command` to its end and gives its standard output; an error tells its standard error.
pub(crate) fn run(mut command: Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} could not be started"))?;
    stdout_of(&command, output)
}

/// Standard output of a command that has ended well; everything else is an error with its standard error.
pub(crate) fn stdout_of(command: &Command, output: Output) -> Result<String> {
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}{}",
            describe(output.status),
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout),
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sends one signal to the process with this id.
pub(crate) fn signal_pid(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .context("not a process id")?;
    Ok(kill_process(pid, signal)?)
}

/// Waits until `probe` gives a value, and says what `what` was last seen as when `timeout` is over first.
pub fn poll_until<T>(what: &str, timeout: Duration, probe: impl FnMut() -> Result<T>) -> Result<T> {
    poll_every(POLL_INTERVAL, what, timeout, probe)
}

/// The same for a probe that costs more than a look: one that starts `kubectl`, say.
pub(crate) fn poll_every<T>(
    interval: Duration,
    what: &str,
    timeout: Duration,
    mut probe: impl FnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let error = match probe() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if Instant::now() >= deadline {
            return Err(error.context(format!("{what}: not within {timeout:?}")));
        }
        std::thread::sleep(interval);
    }
}

fn describe(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    }
}

type Spawned = std::io::Result<Child>;
/// What is to be started, and who wants to know.
type Birth = (Command, Sender<Spawned>);

/// Starts the child from a thread that lives as long as this process does.
///
/// The kernel's parent-death signal is sent when the *thread* that started the child ends, and a test's thread ends with the
/// test while a shared cluster must live on.
pub(crate) fn spawn(command: Command) -> std::io::Result<Child> {
    static NURSERY: OnceLock<Mutex<Sender<Birth>>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (requests, inbox) = channel();
        std::thread::Builder::new()
            .name("nursery".into())
            .spawn(move || raise(&inbox))
            .expect("a thread can be started");
        Mutex::new(requests)
    });
    let (reply, answer) = channel();
    nursery
        .lock()
        .expect("sending does not panic")
        .send((command, reply))
        .expect("the nursery never ends");
    answer.recv().expect("the nursery answers each request")
}

fn raise(inbox: &Receiver<Birth>) {
    while let Ok((mut command, reply)) = inbox.recv() {
        // Whoever asked waits for the answer, so it cannot be gone.
        let _ = reply.send(command.spawn());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_is_gone() {
        let mut command = bound_command("sleep");
        command.arg("1000");
        let process = Process::start("sleep", command).unwrap();
        let proc_entry = format!("/proc/{}", process.pid());
        assert!(std::path::Path::new(&proc_entry).exists());
        drop(process);
        assert!(!std::path::Path::new(&proc_entry).exists());
    }

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() {
        let mut process = std::thread::spawn(|| {
            let mut command = bound_command("sleep");
            command.arg("1000");
            Process::start("sleep", command).unwrap()
        })
        .join()
        .unwrap();
        // Its asker's thread has been joined, so a signal tied to that thread would have come by now.
        assert!(process.wait_exit(Duration::from_millis(200)).is_err());
    }

    #[test]
    fn an_ended_process_is_not_signalled() {
        let mut process = Process::start("true", bound_command("true")).unwrap();
        process.wait_exit(Duration::from_secs(10)).unwrap();
        assert!(process.terminate().is_err());
    }
}
