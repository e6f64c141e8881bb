//! The commands that a person would type: the program, and a shell with `kubectl`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Authority, Cluster, Enmesh, build_kube};

/// Runs the program with these words and this input, and gives what it prints.
pub(crate) fn enmesh(words: &str, input: &str) -> Result<String> {
    let mut command = Command::new(Enmesh::program()?);
    command.args(words.split_whitespace());
    with_input(command, input)
}

/// `enmesh manifests` of the test's image, with pods that the library finds. `script` is what a shell in the user's own
/// container runs.
pub(crate) fn manifests(namespace: &str, flags: &str, script: Option<&str>) -> Result<String> {
    let mut command = Command::new(Enmesh::program()?);
    command
        .args(["manifests", "--name", "web", "--namespace", namespace])
        .args(["--selector", "app=web", "--selector", "workload=web"])
        .args(["--image", "enmesh-test/enmesh", "--json-log"])
        .args(["--image-pull-policy", "Never"])
        .args(flags.split_whitespace());
    if let Some(script) = script {
        for word in ["sh", "-c", script] {
            command.args(["--app-command", word]);
        }
    }
    with_input(command, "")
}

/// A shell in the cluster's network, whose `kubectl` is the administrator's.
pub(crate) struct Shell<'c> {
    cluster: &'c Cluster,
    folder: tempfile::TempDir,
    namespace: String,
}

impl<'c> Shell<'c> {
    /// For a namespace that enforces Pod Security "restricted".
    pub(crate) fn new(cluster: &'c Cluster, namespace: &str) -> Result<Self> {
        let label = "pod-security.kubernetes.io/enforce=restricted";
        cluster.kubectl(["label", "namespace", namespace, label])?;
        Ok(Self {
            cluster,
            folder: tempfile::tempdir()?,
            namespace: namespace.to_owned(),
        })
    }

    /// Runs the commands that the text's header tells to run, but for the one that makes the namespace.
    pub(crate) fn run_comments(&self, text: &str) -> Result<()> {
        let header = text.lines().take_while(|line| line.starts_with('#'));
        let commands = header.filter_map(|line| line.strip_prefix("# "));
        for command in commands.filter(|line| line.contains(" create secret ")) {
            if command.contains("tls.crt") {
                self.make_certificates()?;
            }
            self.run(command, "")?;
        }
        Ok(())
    }

    /// `kubectl apply` with strict validation.
    pub(crate) fn apply(&self, text: &str) -> Result<()> {
        let said = self.run("kubectl apply --validate=strict -f -", text)?;
        ensure!(!said.contains("Warning"), "{said}");
        Ok(())
    }

    /// Runs one line.
    pub(crate) fn run(&self, line: &str, input: &str) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.cluster.command("sh");
        command
            .args(["-c", &format!("{line} 2>&1")])
            .env("PATH", format!("{}:{path}", build_kube()?.display()))
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .current_dir(self.folder.path());
        with_input(command, input)
    }

    /// One certificate for all pods of the StatefulSet.
    fn make_certificates(&self) -> Result<()> {
        let node = format!("web@*.web.{}.svc.cluster.local", self.namespace);
        let authority = Authority::new(&[&node])?;
        for (from, to) in [("crt", "tls.crt"), ("key", "tls.key"), ("ca", "ca.crt")] {
            std::fs::copy(authority.file(&node, from), self.folder.path().join(to))?;
        }
        Ok(())
    }
}

fn with_input(mut command: Command, input: &str) -> Result<String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("a command could not be started")?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    // A command that reads nothing has closed its end, which is no failure.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {out}{error}",
        output.status
    );
    Ok(out.into_owned())
}
