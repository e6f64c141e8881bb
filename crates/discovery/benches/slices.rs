//! 10,000 endpoints in 100 slices: the time and the allocations until all of them are peers, and
//! until one that has changed is told: `cargo bench -p enmesh-discovery --bench slices`.
// A driver has a clock.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use divan::Bencher;
use divan::counter::ItemsCount;
use enmesh_discovery::{Environment, Source, SourceContext, TopologyConfig};
use enmesh_membership::Update;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

const SLICES: usize = 100;
const ENDPOINTS_PER_SLICE: usize = 100;

/// What a v1.36 API server tells of an endpoint of a Deployment.
fn endpoint(slice: usize, number: usize, ready: bool) -> Value {
    let index = slice * ENDPOINTS_PER_SLICE + number;
    json!({
        "addresses": [format!("10.{}.{}.{}", index >> 16, (index >> 8) & 255, index & 255)],
        "conditions": {"ready": ready, "serving": ready, "terminating": false},
        "nodeName": format!("node-{}", index % 50),
        "zone": "eu-west-1a",
        "targetRef": {
            "kind": "Pod",
            "namespace": "prod",
            "name": format!("web-6d4cf56db6-{index:05}"),
            "uid": format!("7c5f9a5e-8a3b-4c52-9d6f-{index:012}"),
        },
    })
}

fn slice(number: usize, version: u64, first_is_ready: bool) -> Value {
    let endpoints = (0..ENDPOINTS_PER_SLICE).map(|n| endpoint(number, n, n > 0 || first_is_ready));
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": format!("web-{number:05}"),
            "namespace": "prod",
            "uid": format!("0b1cf1f2-0000-4000-8000-{number:012}"),
            "resourceVersion": version.to_string(),
            "labels": {
                "app": "web",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": "web",
            },
            "ownerReferences": [{
                "apiVersion": "v1", "blockOwnerDeletion": true, "controller": true,
                "kind": "Service", "name": "web", "uid": "0b1cf1f2-0000-4000-8000-999999999999",
            }],
            "managedFields": [{
                "apiVersion": "discovery.k8s.io/v1", "fieldsType": "FieldsV1",
                "manager": "kube-controller-manager", "operation": "Update",
                "fieldsV1": {"f:addressType": {}, "f:endpoints": {}, "f:ports": {}},
            }],
        },
        "endpoints": endpoints.collect::<Vec<_>>(),
        "ports": [{"name": "epmd", "port": 4369, "protocol": "TCP"}],
    })
}

/// The pages of a list, as `limit` asks for them.
fn pages(limit: usize) -> Vec<String> {
    let slices: Vec<_> = (0..SLICES).map(|number| slice(number, 9, true)).collect();
    let chunks = slices.chunks(limit);
    let count = chunks.len();
    let page = |(place, items): (usize, &[Value])| {
        let mut metadata = json!({"resourceVersion": "10"});
        if place + 1 < count {
            metadata["continue"] = json!((place + 1).to_string());
        }
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList",
            "metadata": metadata, "items": items,
        })
        .to_string()
    };
    chunks.enumerate().map(page).collect()
}

/// Answers lists page by page, and gives what comes through the channel to a watch.
fn serve(listener: &TcpListener, lines: Receiver<String>) {
    let lines = Arc::new(Mutex::new(lines));
    let pages = Arc::new(pages(25));
    for socket in listener.incoming() {
        let (pages, lines) = (Arc::clone(&pages), Arc::clone(&lines));
        let Ok(socket) = socket else { return };
        std::thread::spawn(move || {
            // Whoever has enough closes the connection.
            let _ = answer(&socket, &pages, &lines);
        });
    }
}

fn answer(
    socket: &TcpStream,
    pages: &[String],
    lines: &Mutex<Receiver<String>>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut requests = BufReader::new(socket.try_clone()?);
    let mut socket = socket.try_clone()?;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if requests.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        if head.contains("watch=true") {
            socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let lines = lines.lock().expect("no other watch has died");
            while let Ok(line) = lines.recv() {
                write!(socket, "{:x}\r\n{line}\n\r\n", line.len() + 1)?;
            }
            return Ok(());
        }
        let place = head.split_once("continue=").map_or(0, |(_, rest)| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
        });
        let page: &String = &pages[place];
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", page.len());
        socket.write_all(head.as_bytes())?;
        socket.write_all(page.as_bytes())?;
    }
}

fn start() -> (SocketAddr, Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (sender, lines) = channel();
    std::thread::spawn(move || serve(&listener, lines));
    (address, sender)
}

fn source(folder: &Path, server: SocketAddr) -> Box<dyn Source> {
    let path = folder.join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u, namespace: prod}}}}]\n"
    );
    std::fs::write(&path, text).expect("the folder is ours");
    let config = format!(
        "strategy=kubernetes kubernetes_selector=app=web kubeconfig={}",
        path.display()
    );
    let config: TopologyConfig = config.parse().expect("a good configuration");
    let context = SourceContext::new("web@192.0.2.1".parse().expect("a name"));
    let context = context.with_environment(Environment::default());
    config.source(&context).expect("kubernetes is built in")
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn whole(runtime: &Runtime, source: &mut dyn Source) {
    match runtime.block_on(source.next()) {
        Update::Snapshot(peers) => assert_eq!(peers.len(), SLICES * ENDPOINTS_PER_SLICE),
        other => panic!("{other:?}"),
    }
}

/// From nothing to all peers: connect, read, parse, merge and name.
#[divan::bench(sample_size = 1)]
fn all(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, _lines) = start();
    let runtime = runtime();
    bencher
        .counter(ItemsCount::new(SLICES * ENDPOINTS_PER_SLICE))
        .with_inputs(|| source(folder.path(), server))
        .bench_local_values(|mut source| {
            whole(&runtime, &mut *source);
            source
        });
}

/// From the line of a watch to the one peer that is not what it was.
#[divan::bench(sample_size = 1)]
fn one_changed(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, lines) = start();
    let runtime = runtime();
    let mut source = source(folder.path(), server);
    whole(&runtime, &mut *source);
    let mut version = 10;
    bencher
        .with_inputs(|| {
            version += 1;
            let changed = slice(50, version, version % 2 == 0);
            json!({"type": "MODIFIED", "object": changed}).to_string()
        })
        .bench_local_values(|line| {
            lines.send(line).expect("the server lives");
            match runtime.block_on(source.next()) {
                Update::Changed { present, gone } => {
                    assert_eq!((present.len(), gone.len()), (1, 0));
                }
                other => panic!("{other:?}"),
            }
        });
}
