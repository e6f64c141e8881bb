//! The commands that a person would type: the program, and a shell with `kubectl`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Authority, Cluster, Enmesh, build_helm, build_kube};

/// Runs the program with these words and this input, and gives what it prints.
pub(crate) fn enmesh(words: &str, input: &str) -> Result<String> {
    let mut command = Command::new(Enmesh::program()?);
    command.args(words.split_whitespace());
    with_input(command, input)
}

/// The same, and gives what it says besides, on its standard error.
pub(crate) fn notes(words: &str, input: &str) -> Result<String> {
    let mut command = Command::new(Enmesh::program()?);
    command.args(words.split_whitespace());
    Ok(String::from_utf8(fed(&mut command, input)?.stderr)?)
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
    /// Whether certificates name the pods.
    names_pods: bool,
}

impl<'c> Shell<'c> {
    /// For a namespace that enforces Pod Security "restricted".
    pub(crate) fn new(cluster: &'c Cluster, namespace: &str) -> Result<Self> {
        let label = "pod-security.kubernetes.io/enforce=restricted";
        cluster.kubectl(["label", "namespace", namespace, label])?;
        let shell = Self {
            cluster,
            folder: tempfile::tempdir()?,
            namespace: namespace.to_owned(),
            names_pods: false,
        };
        std::fs::copy(cluster.kubeconfig(), shell.folder().join("kubeconfig"))?;
        let own = format!("kubectl config set-context --current --namespace {namespace}");
        shell.run(&own, "")?;
        Ok(shell)
    }

    /// The same where Erlang nodes look at each other's certificates.
    pub(crate) fn of_beams(cluster: &'c Cluster, namespace: &str) -> Result<Self> {
        let shell = Self::new(cluster, namespace)?;
        Ok(Self {
            names_pods: true,
            ..shell
        })
    }

    /// The folder in which the commands run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the commands that the text tells to run for its Secrets, in its comments or else.
    pub(crate) fn make_secrets(&self, text: &str) -> Result<()> {
        let lines = text.lines().map(|line| line.trim_start_matches(['#', ' ']));
        let mut count = 0;
        for command in
            lines.filter(|line| line.contains("kubectl") && line.contains(" create secret "))
        {
            if command.contains("tls.crt") {
                self.make_certificates()?;
            }
            self.run(command, "")?;
            count += 1;
        }
        ensure!(count > 0, "it tells of no Secret: {text}");
        Ok(())
    }

    /// `kubectl apply` with strict validation.
    pub(crate) fn apply(&self, text: &str) -> Result<()> {
        let said = self.run("kubectl apply --validate=strict -f -", text)?;
        ensure!(!said.contains("Warning"), "{said}");
        Ok(())
    }

    /// Runs one line, with `kubectl` and `helm` at hand. What is named without a namespace is in that of the test.
    pub(crate) fn run(&self, line: &str, input: &str) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let helm = build_helm()?;
        let helm = helm.parent().context("a program is in a folder")?;
        let path = format!("{}:{}:{path}", build_kube()?.display(), helm.display());
        let mut command = self.cluster.command("sh");
        command
            .args(["-c", &format!("{line} 2>&1")])
            .env("PATH", path)
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        with_input(command, input)
    }

    /// One certificate for all pods of the StatefulSet: by a wildcard, which is enough for members, or by the names of two,
    /// as BEAMs want it.
    fn make_certificates(&self) -> Result<()> {
        let pods: &[&str] = if self.names_pods {
            &["web-0", "web-1"]
        } else {
            &["*"]
        };
        let domain = format!("web.{}.svc.cluster.local", self.namespace);
        let hosts: Vec<String> = pods.iter().map(|pod| format!("{pod}.{domain}")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let authority = Authority::new(&[])?;
        let node = "web@nodes";
        authority.sign_for(node, &hosts)?;
        for (from, to) in [("crt", "tls.crt"), ("key", "tls.key"), ("ca", "ca.crt")] {
            std::fs::copy(authority.file(node, from), self.folder.path().join(to))?;
        }
        Ok(())
    }
}

fn with_input(mut command: Command, input: &str) -> Result<String> {
    let output = fed(&mut command, input)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command that must succeed.
fn fed(command: &mut Command, input: &str) -> Result<Output> {
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
    Ok(output)
}
