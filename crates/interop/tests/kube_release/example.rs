//! examples/elixir-and-rust: the commands of its page, as they stand there, and what the page says comes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use enmesh_interop::{Cluster, Image, Otp, Releases, example_program, poll_until};

use crate::SOON;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/elixir-and-rust")
}

/// What runs in it: the release, and the Rust program.
pub(crate) struct Parts {
    front: Releases,
    prices: PathBuf,
}

impl Parts {
    pub(crate) fn build() -> Result<Self> {
        let front = Releases::new(Otp::R25)?;
        front.add_mix(&folder().join("elixir"), "app")?;
        Ok(Self {
            front,
            prices: example_program("prices")?,
        })
    }

    /// The images that its kustomization names; both programs lie beside each other in one.
    fn import(&self, cluster: &Cluster) -> Result<()> {
        let image = Image::beam(Otp::R25)?
            .with_root(self.front.root())
            .with_file(&self.prices, "/prices");
        let names = [
            "registry.example.org/front:1",
            "registry.example.org/prices:1",
        ];
        cluster.ensure_image_as(&image, &names)?;
        cluster.ensure_image(&Image::enmesh()?.named("registry.example.org/enmesh:0.1.0"))
    }
}

pub(crate) fn its_page_is_true(cluster: &Cluster, parts: &Parts) -> Result<()> {
    parts.import(cluster)?;
    let page = fs::read_to_string(folder().join("README.md"))?;
    let blocks = blocks(&page);
    let [deploy, look] = &blocks[..] else {
        anyhow::bail!("the page has two blocks of commands, not {blocks:?}");
    };
    let place = tempfile::tempdir()?;
    let mut copy = Command::new("cp");
    copy.arg("-r")
        .arg(folder().join("kubernetes"))
        .arg(place.path());
    ensure!(copy.status()?.success(), "the manifests cannot be copied");
    shell(cluster, place.path(), deploy)?;
    poll_until("each calls the other", SOON, || {
        let said = shell(cluster, place.path(), look)?;
        for words in [
            "an apple costs 100 cents, says prices@10.",
            "hello prices@10.",
            ", this is front@10.",
            // Nodes are listed in no order.
            ":\"front@10.",
            ":\"prices@10.",
        ] {
            ensure!(said.contains(words), "{words} is not in {said}");
        }
        Ok(())
    })?;
    shell(
        cluster,
        place.path(),
        "kubectl delete namespace shop --wait=false",
    )
    .map(drop)
}

/// The blocks marked `sh`.
fn blocks(page: &str) -> Vec<&str> {
    let after = page.split("```sh\n").skip(1);
    after.filter_map(|rest| rest.split("```").next()).collect()
}

/// Runs the commands in a shell that ends at the first that fails.
fn shell(cluster: &Cluster, place: &Path, commands: &str) -> Result<String> {
    let kubectl = cluster.kubectl_command::<&str>([]);
    let words: Vec<_> = std::iter::once(kubectl.get_program())
        .chain(kubectl.get_args())
        .collect();
    // A function, so that the page's word needs no program of this name.
    let mut script = String::from("set -e\nkubectl() { ");
    for word in words {
        let word = word.to_str().context("a path in UTF-8")?;
        script.push_str(&format!("'{word}' "));
    }
    script.push_str("\"$@\"; }\n");
    script.push_str(commands);
    let output = Command::new("sh")
        .arg("-c")
        .arg(&script)
        .current_dir(place)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{commands} ended with {}: {said} {complained}",
        output.status
    );
    Ok(said)
}
