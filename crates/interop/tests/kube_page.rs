//! docs/kubernetes.md, followed from its first line to its last on a fresh cluster; and every manifest of every page.

#[path = "kube_page/examples.rs"]
mod examples;
#[path = "kube_page/manifests.rs"]
mod manifests;
#[path = "kube_page/page.rs"]
mod page;
#[path = "kube_page/release.rs"]
mod release;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use enmesh_interop::{Cluster, Enmesh, Image, build_kube, poll_until};

use page::{Step, missing, steps};

const PAGE: &str = include_str!("../../../docs/kubernetes.md");
/// The names that the page gives to the two images.
const IMAGE: &str = "registry.example.org/enmesh:0.1.0";
const RELEASE: &str = "registry.example.org/shop:1.0.0";
/// A command that only looks is typed again until it shows what the page says, as a reader would.
const PATIENCE: Duration = Duration::from_secs(90);
/// No command of the page takes as long.
const LIMIT: Duration = Duration::from_secs(240);

#[test]
fn the_page_leads_to_a_formed_cluster() {
    let cluster = Cluster::start().unwrap();
    cluster.name_pods_by_address().unwrap();
    let mut reader = Reader::sit_down(&cluster).unwrap();
    manifests::all_are_valid(&cluster).unwrap();
    let steps = steps(PAGE);
    assert!(steps.len() >= 20, "only {} steps", steps.len());
    for step in steps {
        if let Err(error) = reader.follow(&step) {
            let left = cluster.kubectl(["get", "pods,events", "-A", "-o", "wide"]);
            panic!("{step:#?}: {error:#}\n{}", left.unwrap_or_default());
        }
    }
    reader.type_in(examples::cookie_command(), &[]).unwrap();
    examples::form_clusters(&cluster, IMAGE);
}

/// Somebody in a folder of their own with `kubectl` at hand, and with the program where `cargo xtask image` leaves it.
struct Reader<'c> {
    cluster: &'c Cluster,
    folder: tempfile::TempDir,
    path: String,
    /// What was exported so far; each command has a shell of its own.
    exports: String,
}

impl<'c> Reader<'c> {
    fn sit_down(cluster: &'c Cluster) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let programs = folder.path().join(".bin");
        fs::create_dir(&programs)?;
        symlink(build_kube()?.join("kubectl"), programs.join("kubectl"))?;
        let made = folder.path().join("target/image/x86_64");
        fs::create_dir_all(&made)?;
        symlink(Enmesh::program()?, made.join("enmesh"))?;
        let path = std::env::var("PATH").unwrap_or_default();
        cluster.import(&Image::enmesh()?.named(IMAGE))?;
        cluster.import(&release::image(&folder.path().join(".release"))?.named(RELEASE))?;
        Ok(Self {
            cluster,
            path: format!("{}:{path}", programs.display()),
            folder,
            exports: String::new(),
        })
    }

    fn follow(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::File { name, text } => {
                println!("--- {name}");
                Ok(fs::write(self.folder.path().join(name), text)?)
            }
            Step::Command { text, shown } => {
                println!("$ {text}");
                if text.starts_with("export ") {
                    self.exports += &format!("{text}\n");
                }
                let looks = ["get ", "logs ", "exec ", "describe "]
                    .iter()
                    .any(|word| text.starts_with("kubectl") && text.contains(word));
                if !looks {
                    return self.type_in(text, shown);
                }
                poll_until("it shows what the page says", PATIENCE, || {
                    self.type_in(text, shown)
                })
            }
        }
    }

    fn type_in(&self, text: &str, shown: &[String]) -> Result<()> {
        let limit = LIMIT.as_secs().to_string();
        let mut shell = self.cluster.command("timeout");
        shell
            .args([&limit, "bash", "-o", "pipefail", "-c"])
            .arg(format!("{}{text}", self.exports))
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .env("KUBECONFIG", self.cluster.kubeconfig());
        let output = shell.output().context("bash could not be started")?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        ensure!(output.status.success(), "{}: {printed}", output.status);
        if let Some(line) = missing(shown, &printed) {
            bail!("it does not print {line:?}, but\n{printed}");
        }
        Ok(())
    }
}
