//! PostgreSQL of Debian, in a folder and a namespace of its own.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::authority::Authority;
use crate::netns::NetNs;
use crate::peers::install;
use crate::process::{Process, poll_until, run};

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Where Debian keeps the versions of the server.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Any user but root will do, whom the server refuses to run as.
const NOBODY: u32 = 65_534;

/// The role, its password and the database of every server.
const ROLE: &str = "enmesh";
const PASSWORD: &str = "a very secret word";

/// A PostgreSQL server on port 5432 of 127.0.0.1 and 127.0.0.9 of one namespace, with one role that
/// needs its password.
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    extra: Vec<String>,
    process: Process,
}

impl Postgres {
    /// Makes a database and serves it on loopback.
    pub fn start(ns: &NetNs) -> Result<Self> {
        Self::start_with(ns, None)
    }

    /// The same over TLS alone, with the certificate that `authority` has signed for 127.0.0.1.
    pub fn start_tls(ns: &NetNs, authority: &Authority) -> Result<Self> {
        Self::start_with(ns, Some(authority))
    }

    fn start_with(ns: &NetNs, authority: Option<&Authority>) -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let secret = own(folder.path().join("secret"), PASSWORD)?;
        let mut init = as_nobody(Command::new("setpriv"));
        init.arg(programs.join("initdb"))
            .args(["--pgdata", &at("data"), "--username", ROLE, "--no-sync"])
            .args([
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
                "--no-locale",
            ])
            .arg(format!("--pwfile={}", secret.display()));
        run(init).context("initdb")?;
        let mut extra = Vec::new();
        if let Some(authority) = authority {
            let host = "postgres@127.0.0.1";
            for (setting, what) in [("ssl_cert_file", "crt"), ("ssl_key_file", "key")] {
                let text = fs::read_to_string(authority.file(host, what))?;
                let path = own(folder.path().join(what), &text)?;
                extra.push(format!("{setting}={}", path.display()));
            }
            extra.push("ssl=on".to_owned());
            let rule = "hostssl all all all scram-sha-256\n";
            own(folder.path().join("data/pg_hba.conf"), rule)?;
        }
        let process = serve(&programs, &folder, &extra, ns)?;
        let server = Self {
            programs,
            folder,
            extra,
            process,
        };
        server.wait(ns)?;
        Ok(server)
    }

    /// SIGKILL. The database stays.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9()
    }

    /// Serves the database again, after the server was killed.
    pub fn restart(&mut self, ns: &NetNs) -> Result<()> {
        poll_until("PostgreSQL answers again", START_TIMEOUT, || {
            // It ends at once for as long as processes of the one that was killed still do.
            if self.process.try_exit()?.is_some() {
                self.process = serve(&self.programs, &self.folder, &self.extra, ns)?;
            }
            self.psql(ns, &["SELECT 1"]).map(drop)
        })
    }

    /// What the client program `psql` prints after these commands, one transaction each.
    pub fn psql(&self, ns: &NetNs, commands: &[&str]) -> Result<String> {
        let mut command = ns.command("psql");
        command
            .env("PGPASSWORD", PASSWORD)
            .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
            .args([
                "--host",
                "127.0.0.1",
                "--username",
                ROLE,
                "--dbname",
                "postgres",
            ]);
        for text in commands {
            command.args(["--command", text]);
        }
        run(command)
    }

    /// A file that holds the role's password and a line break.
    pub fn password_file(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("password");
        fs::write(&path, format!("{PASSWORD}\n"))?;
        Ok(path)
    }

    /// The topology of the channel `cluster`, with a heartbeat each half second.
    pub fn topology(&self) -> Result<String> {
        let password = self.password_file()?;
        Ok(format!(
            "strategy=postgres hostname=127.0.0.1 username={ROLE} database=postgres \
             password_file={} channel_name=cluster heartbeat_interval=500",
            password.display()
        ))
    }

    fn wait(&self, ns: &NetNs) -> Result<()> {
        poll_until("PostgreSQL answers", START_TIMEOUT, || {
            self.psql(ns, &["SELECT 1"]).map(drop)
        })
    }
}

fn serve(programs: &Path, folder: &TempDir, extra: &[String], ns: &NetNs) -> Result<Process> {
    let mut command = as_nobody(ns.command("setpriv"));
    command
        .arg(programs.join("postgres"))
        .arg("-D")
        .arg(folder.path().join("data"))
        .args([
            "-c",
            "listen_addresses=127.0.0.1,127.0.0.9",
            "-c",
            "fsync=off",
            "-c",
            "log_min_messages=fatal",
        ])
        .arg("-c")
        .arg(format!(
            "unix_socket_directories={}",
            folder.path().display()
        ));
    for setting in extra {
        command.args(["-c", setting]);
    }
    Process::start("PostgreSQL", command)
}

/// Installs Debian's PostgreSQL where it is missing, and gives the folder of its programs.
pub fn ensure_postgres() -> Result<PathBuf> {
    if let Ok(found) = programs() {
        return Ok(found);
    }
    // The server alone: what makes a cluster of it at once is in a package that this one asks for.
    install(&["postgresql", "postgresql-client"])?;
    programs()
}

/// The programs of the newest version there is.
fn programs() -> Result<PathBuf> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(VERSIONS).context("PostgreSQL is not installed")? {
        let programs = entry?.path().join("bin");
        if programs.join("initdb").is_file() && programs.join("postgres").is_file() {
            versions.push(programs);
        }
    }
    versions.sort();
    versions
        .pop()
        .with_context(|| format!("no PostgreSQL server in {VERSIONS}: install postgresql"))
}

/// Writes a file that the server alone may read.
fn own(path: PathBuf, text: &str) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;

    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    chown(&path, Some(NOBODY), Some(NOBODY))?;
    ensure!(path.is_file(), "{} was not written", path.display());
    Ok(path)
}

/// Goes on with the command's next word as a user without rights.
fn as_nobody(mut setpriv: Command) -> Command {
    let id = NOBODY.to_string();
    setpriv
        // Another user loses the bond to this process's life that the command may have had.
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .args(["--pdeathsig", "KILL", "--"])
        .current_dir("/");
    setpriv
}
