//! An Elixir release without a line about clustering, and its replicas, each in a pod of its own
//! with a sidecar.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use enmesh_interop::{Enmesh, Epmd, NetNs, Process, poll_until};
use tempfile::TempDir;

use crate::sidecar::SOON;

const MIX: &str = r#"
defmodule Shop.MixProject do
  use Mix.Project
  def project, do: [app: :shop, version: "0.1.0", elixir: "~> 1.14", deps: []]
  def application, do: [mod: {Shop, []}]
end
"#;

/// It knows nothing of other nodes, and writes down whom it sees.
const SHOP: &str = r#"
defmodule Shop do
  use Application
  def start(_type, _args) do
    Task.start_link(fn -> look(System.fetch_env!("SHOP_SEES")) end)
  end
  defp look(path) do
    File.write!(path <> ".new", Enum.join(Enum.sort(Node.list()), " "))
    File.rename!(path <> ".new", path)
    Process.sleep(50)
    look(path)
  end
end
"#;

/// Builds the release and gives its start script.
fn build(directory: &Path) -> PathBuf {
    fs::create_dir_all(directory.join("lib")).unwrap();
    fs::write(directory.join("mix.exs"), MIX).unwrap();
    fs::write(directory.join("lib/shop.ex"), SHOP).unwrap();
    let built = Command::new("mix")
        .args(["release", "--quiet"])
        .current_dir(directory)
        .env("MIX_ENV", "prod")
        .env("HOME", directory)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("mix is installed, with Debian's elixir");
    assert!(built.status.success(), "mix release: {built:?}");
    directory.join("_build/prod/rel/shop/bin/shop")
}

/// A pod: the release and, if it has one, the agent.
struct Pod {
    address: String,
    ns: NetNs,
    sees: PathBuf,
    _epmd: Epmd,
    release: Option<Process>,
    agent: Option<Enmesh>,
}

impl Pod {
    /// A pod with a way to all others, through `hub`.
    fn new(hub: &NetNs, number: usize, directory: &Path) -> Self {
        let ns = NetNs::new().unwrap();
        let address = format!("10.9.{number}.1");
        let gateway = format!("10.9.{number}.254");
        let (near, far) = (format!("{gateway}/24"), format!("{address}/24"));
        hub.wire(&near, &ns, &far).unwrap();
        ns.run("ip", ["route", "add", "default", "via", &gateway])
            .unwrap();
        Self {
            _epmd: Epmd::start(&ns).unwrap(),
            sees: directory.join(format!("sees-{number}")),
            address,
            ns,
            release: None,
            agent: None,
        }
    }

    fn node(&self) -> String {
        format!("shop@{}", self.address)
    }

    /// The variables that the Deployment gives to both containers.
    fn environment(&self, command: &mut Command) {
        command
            .env("RELEASE_DISTRIBUTION", "name")
            .env("RELEASE_NODE", self.node())
            .env("RELEASE_COOKIE", "of-the-release")
            .env("POD_IP", &self.address);
    }

    fn start_release(&mut self, script: &Path) {
        let mut command = self.ns.command(script);
        command
            .arg("start")
            .env("SHOP_SEES", &self.sees)
            .env("LC_ALL", "C.UTF-8");
        self.environment(&mut command);
        let process = Process::start("the release", command).unwrap();
        self.release = Some(process);
    }

    fn start_agent(&mut self, config: &Path) {
        let mut command = self.ns.command(Enmesh::program().unwrap());
        command
            .args(["agent", "--log-format", "json", "--config"])
            .arg(config);
        self.environment(&mut command);
        self.agent = Some(Enmesh::start_command(command).unwrap());
    }

    fn waits_to_see(&self, nodes: &[String]) {
        let wanted = nodes.join(" ");
        poll_until(&format!("{} sees its replicas", self.node()), SOON, || {
            let seen = fs::read_to_string(&self.sees).context("it has not looked yet")?;
            ensure!(seen == wanted, "it sees {seen:?}, wanted {wanted:?}");
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn an_elixir_release_without_a_clustering_library_forms_a_cluster_by_sidecars_alone() {
    let directory = TempDir::new().unwrap();
    let script = build(directory.path());
    let hub = NetNs::new().unwrap();
    let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    hub.run("sh", ["-c", forward]).unwrap();
    let mut pods: Vec<_> = (1..=3)
        .map(|number| Pod::new(&hub, number, directory.path()))
        .collect();
    let nodes: Vec<_> = pods.iter().map(Pod::node).collect();
    let config = directory.path().join("enmesh.toml");
    let hosts = nodes.join(",");
    let text = format!("[[topology]]\nname = \"shop\"\nstrategy = \"epmd\"\nhosts = \"{hosts}\"\n");
    fs::write(&config, text).unwrap();
    let others = |at: usize| -> Vec<String> {
        let others = nodes.iter().enumerate().filter(|(it, _)| *it != at);
        others.map(|(_, node)| node.clone()).collect()
    };

    // By themselves, the replicas see nobody.
    for pod in &mut pods {
        pod.start_release(&script);
    }
    for pod in &pods {
        pod.waits_to_see(&[]);
    }
    // Their sidecars read the release's own variables, and form the cluster.
    for pod in &mut pods {
        pod.start_agent(&config);
    }
    for (at, pod) in pods.iter().enumerate() {
        pod.waits_to_see(&others(at));
        let agent = pod.agent.as_ref().unwrap();
        for other in others(at) {
            agent.wait_connected(0, SOON, &other).unwrap();
        }
    }
    // One replica is started again, and its agent with it.
    pods[1].release.take().unwrap().kill9().unwrap();
    pods[1].agent.take().unwrap().process().kill9().unwrap();
    pods[0].waits_to_see(&nodes[2..]);
    pods[1].start_agent(&config);
    pods[1].start_release(&script);
    for (at, pod) in pods.iter().enumerate() {
        pod.waits_to_see(&others(at));
    }
}
