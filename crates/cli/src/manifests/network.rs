//! How the pods are found and reached, and who may reach them.

use serde_json::{Value, json};

use super::access::metadata;
use super::settings::{DIST_PORT, EPMD_PORT, HTTP_PORT, Kind, LAST_DIST_PORT, Mode, Settings};

/// The port of the Service `kubernetes`.
const API_SERVICE_PORT: u16 = 443;

/// The headless Service, which names the pods to each other.
pub(super) fn service(settings: &Settings) -> Value {
    let mut ports = vec![json!({"name": "dist", "port": DIST_PORT})];
    if settings.epmd.listens() {
        ports.insert(0, json!({"name": "epmd", "port": EPMD_PORT}));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(settings),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": settings.selector,
            "ports": ports,
        },
    })
}

/// What may come in and go out.
pub(super) fn policy(settings: &Settings) -> Value {
    let peers = json!([{"podSelector": {"matchLabels": settings.selector}}]);
    let cluster = cluster_ports(settings);
    let mut ingress = vec![
        json!({"from": peers, "ports": cluster}),
        json!({"ports": [tcp(HTTP_PORT)]}),
    ];
    if !settings.app.ports.is_empty() {
        let ports: Vec<Value> = settings.app.ports.iter().map(|&port| tcp(port)).collect();
        ingress.push(json!({"ports": ports}));
    }
    let mut spec = json!({
        "podSelector": {"matchLabels": settings.selector},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    });
    if settings.kind == Kind::Member {
        spec["policyTypes"] = json!(["Ingress", "Egress"]);
        spec["egress"] = egress(settings, &peers, &cluster).into();
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(settings),
        "spec": spec,
    })
}

/// Where a member goes: whom else the user's own program talks to, nobody knows here.
fn egress(settings: &Settings, peers: &Value, cluster: &[Value]) -> Vec<Value> {
    let mut egress = vec![json!({"to": peers, "ports": cluster})];
    if settings.mode != Mode::Ip || !settings.lookup.asks_api() {
        egress.push(json!({"ports": [{"protocol": "UDP", "port": 53}, tcp(53)]}));
    }
    if settings.lookup.asks_api() {
        // The port of the Service, and that behind it: which of them a policy sees, its plugin decides.
        let mut ports = vec![tcp(API_SERVICE_PORT)];
        if settings.api_port != API_SERVICE_PORT {
            ports.push(tcp(settings.api_port));
        }
        egress.push(json!({"ports": ports}));
    }
    egress
}

/// The ports of the cluster: epmd's and the distribution's.
fn cluster_ports(settings: &Settings) -> Vec<Value> {
    let mut ports = Vec::new();
    if settings.epmd.listens() {
        ports.push(tcp(EPMD_PORT));
    }
    let mut dist = tcp(DIST_PORT);
    if settings.kind == Kind::Agent && settings.epmd.listens() {
        dist["endPort"] = LAST_DIST_PORT.into();
    }
    ports.push(dist);
    ports
}

fn tcp(port: u16) -> Value {
    json!({"protocol": "TCP", "port": port})
}

/// How many pods at once may be sent away, as when a machine is emptied.
pub(super) fn disruption_budget(settings: &Settings) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(settings),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": settings.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    })
}
