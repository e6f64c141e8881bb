//! What discovery costs and how fast it is, on a real Kubernetes: from an address added to a peer joined, and what an idle
//! node asks of the API.
//!
//! `cargo xtask bench --discovery`; needs root, for a cluster. `--rounds` says how often an address is added, `--idle` for
//! how many seconds idle nodes are watched.

#[path = "discovery/arguments.rs"]
mod arguments;
#[path = "discovery/client.rs"]
mod client;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use enmesh::{Cookie, EpmdMode, Event, Node, NodeName};
use enmesh_interop::{Access, Cluster};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use serde_json::json;
use tokio::sync::mpsc;

use crate::client::client;

/// Set in the process that runs inside the cluster's network: the administrator's kubeconfig, and that of the nodes.
const INSIDE: &str = "ENMESH_BENCH_DISCOVERY";
const NAMESPACE: &str = "bench";
const SERVICE: &str = "peers";
/// No epmd: every node has an address of its own and this port on it.
const PORT: u16 = 4370;
/// How many idle nodes are watched.
const IDLE_NODES: usize = 10;
/// More than anything here takes.
const SOON: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
struct Settings {
    rounds: usize,
    idle: Duration,
}

fn main() -> Result<()> {
    let settings = Settings::parse()?;
    match std::env::var(INSIDE) {
        Ok(files) => {
            let (admin, nodes) = files.split_once(':').context("two kubeconfigs")?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(measure(settings, Path::new(admin), Path::new(nodes)))
        }
        Err(_) => outside(settings),
    }
}

impl Settings {
    fn parse() -> Result<Self> {
        let mut settings = Self {
            rounds: 30,
            idle: Duration::from_secs(600),
        };
        arguments::each(|flag, value| {
            match flag {
                "--rounds" => settings.rounds = value.parse()?,
                "--idle" => settings.idle = Duration::from_secs(value.parse()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        ensure!((1..=100).contains(&settings.rounds), "1 to 100 rounds");
        Ok(settings)
    }
}

/// Starts the cluster, gives every node an address in its network, and runs the rest there.
fn outside(settings: Settings) -> Result<()> {
    let cluster = Cluster::start()?;
    cluster.create_namespace(NAMESPACE)?;
    let access = Access::grant(&cluster, NAMESPACE, "enmesh")?;
    for number in 0..=settings.rounds + IDLE_NODES {
        let mut ip = cluster.command("ip");
        ip.args([
            "address",
            "add",
            &format!("{}/32", address(number)),
            "dev",
            "lo",
        ]);
        run(ip)?;
    }
    let nodes = access.kubeconfig(&cluster)?;
    let mut inside = cluster.command(std::env::current_exe()?);
    inside.args(["--rounds", &settings.rounds.to_string()]);
    inside.args(["--idle", &settings.idle.as_secs().to_string()]);
    let files = format!("{}:{}", cluster.kubeconfig().display(), nodes.display());
    inside.env(INSIDE, files);
    run(inside)
}

fn run(mut command: Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

fn address(number: usize) -> String {
    format!("10.10.1.{}", number + 1)
}

fn name(number: usize) -> Result<NodeName> {
    Ok(format!("n@{}", address(number)).parse()?)
}

async fn measure(settings: Settings, admin: &Path, nodes: &Path) -> Result<()> {
    let client = client(admin).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": "peers-1", "labels": {"kubernetes.io/service-name": SERVICE}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address(0)]}],
        "ports": [],
    }))?;
    slices.create(&PostParams::default(), &slice).await?;
    joined(settings.rounds, &slices, nodes).await?;
    idle(settings, &client, nodes).await
}

async fn node(number: usize, kubeconfig: Option<&Path>) -> Result<Node> {
    let mut builder = Node::builder(name(number)?, Cookie::new("secret")?)
        .listen(address(number).parse()?)
        .epmd(EpmdMode::None)
        .dist_port(PORT);
    if let Some(file) = kubeconfig {
        let topology = format!(
            "strategy=kubernetes kubernetes_service_name={SERVICE} kubernetes_namespace={NAMESPACE} \
             kubeconfig={}",
            file.display()
        );
        builder = builder.topology(topology.parse()?);
    }
    Ok(builder.start().await?)
}

/// Adds one address after the other to the slice, and waits until the node that watches it is connected to who is there.
async fn joined(rounds: usize, slices: &Api<EndpointSlice>, kubeconfig: &Path) -> Result<()> {
    let watching = node(0, Some(kubeconfig)).await?;
    let mut events = watching.events();
    let (told, mut tells) = mpsc::unbounded_channel();
    let bare = tokio::spawn(bare_watch(slices.clone(), told));
    let mut peers = Vec::new();
    for number in 1..=rounds {
        peers.push(node(number, None).await?);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    while tells.try_recv().is_ok() {}
    let (mut from_request, mut from_event) = (Vec::new(), Vec::new());
    for number in 1..=rounds {
        let endpoints: Vec<_> = (0..=number)
            .map(|number| json!({"addresses": [address(number)]}))
            .collect();
        let begin = Instant::now();
        let patch = Patch::Merge(json!({"endpoints": endpoints}));
        slices
            .patch("peers-1", &PatchParams::default(), &patch)
            .await?;
        let peer = name(number)?;
        let up = async {
            loop {
                match events.next().await.context("the node has ended")? {
                    Event::Nodeup { peer: up } if up.name == peer => {
                        return anyhow::Ok(Instant::now());
                    }
                    _ => {}
                }
            }
        };
        let up = tokio::time::timeout(SOON, up).await??;
        let told = tokio::time::timeout(SOON, tells.recv()).await?;
        from_request.push(up - begin);
        from_event.push(up.saturating_duration_since(told.context("the bare watch has ended")?));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bare.abort();
    println!("address added → joined, {rounds} times, by watching slices:");
    say("from the request to the API", &mut from_request);
    say("from the event in a bare watch beside it", &mut from_event);
    for peer in peers {
        peer.shutdown().await;
    }
    watching.shutdown().await;
    Ok(())
}

/// Says when each change reaches one that only watches.
async fn bare_watch(slices: Api<EndpointSlice>, told: mpsc::UnboundedSender<Instant>) {
    use futures::StreamExt as _;
    let mut events = Box::pin(watcher::watcher(slices, watcher::Config::default()));
    while let Some(event) = events.next().await {
        if let Ok(watcher::Event::Apply(_)) = event
            && told.send(Instant::now()).is_err()
        {
            return;
        }
    }
}

fn say(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let millis = |at: usize| times[at].as_secs_f64() * 1000.0;
    let last = times.len() - 1;
    println!(
        "  {what}: median {:.1} ms, least {:.1} ms, most {:.1} ms",
        millis(times.len() / 2),
        millis(0),
        millis(last)
    );
}

/// Counts what idle nodes ask of the API, by the API server's own figures. Nobody else asks for slices of one namespace.
async fn idle(settings: Settings, client: &Client, kubeconfig: &Path) -> Result<()> {
    let mut nodes = Vec::new();
    for number in 0..IDLE_NODES {
        nodes.push(node(settings.rounds + 1 + number, Some(kubeconfig)).await?);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = requests(client).await?;
    tokio::time::sleep(settings.idle).await;
    let after = requests(client).await?;
    let minutes = settings.idle.as_secs_f64() / 60.0;
    println!("{IDLE_NODES} idle nodes, {minutes:.1} minutes, requests a node and minute:");
    let mut all = 0.0;
    for (verb, count) in &after {
        let count = count - before.get(verb).copied().unwrap_or(0.0);
        let rate = count / minutes / IDLE_NODES as f64;
        all += rate;
        println!("  {verb}: {rate:.3}");
    }
    println!("  together: {all:.3}");
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}

async fn requests(client: &Client) -> Result<BTreeMap<String, f64>> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let text = client.request_text(request).await?;
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let ours = line.starts_with("apiserver_request_total{")
            && line.contains("resource=\"endpointslices\"")
            && line.contains("scope=\"namespace\"");
        let Some(verb) = line.split("verb=\"").nth(1).filter(|_| ours) else {
            continue;
        };
        let verb = verb.split('"').next().unwrap_or_default().to_owned();
        let count: f64 = line.rsplit(' ').next().unwrap_or_default().parse()?;
        *counts.entry(verb).or_default() += count;
    }
    Ok(counts)
}
