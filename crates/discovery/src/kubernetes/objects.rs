//! What pods, endpoints and slices tell of pods.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, Endpoints, Pod, PodSpec, PodStatus};
use k8s_openapi::api::core::v1::{EndpointPort as AddressPort, ObjectReference};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

use super::seen::{MAX_ADDRESSES, NamedPort, Seen, Target};

/// The label by which a slice names its Service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// An object of the API that tells pods.
pub(super) trait Holder {
    /// The pods that the object tells now, those that are being ended as well.
    fn seen(&self) -> Vec<Seen>;
}

impl Holder for Pod {
    fn seen(&self) -> Vec<Seen> {
        let (Some(status), metadata) = (&self.status, &self.metadata) else {
            return Vec::new();
        };
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return Vec::new();
        }
        let addresses = pod_addresses(status);
        if addresses.is_empty() {
            return Vec::new();
        }
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let spec = self.spec.as_ref();
        vec![Seen {
            pod: metadata.name.clone(),
            hostname: spec.and_then(|spec| filled(spec.hostname.as_ref())),
            subdomain: spec.and_then(|spec| filled(spec.subdomain.as_ref())),
            labels: metadata.labels.clone().unwrap_or_default(),
            annotations: metadata.annotations.clone().unwrap_or_default(),
            containers: spec.map(container_names).unwrap_or_default(),
            ports: spec.map(container_ports).unwrap_or_default().into(),
            uid: metadata.uid.as_deref().map(Arc::from),
            restarts: restarts(status),
            ready: is_ready(status),
            terminating: metadata.deletion_timestamp.is_some(),
            target: Target::Pod,
            ..Seen::at(addresses, namespace)
        }]
    }
}

fn filled(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn pod_addresses(status: &PodStatus) -> Vec<IpAddr> {
    let further = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut addresses = Vec::new();
    for text in status.pod_ip.as_deref().into_iter().chain(further) {
        if let Ok(address) = text.parse()
            && !addresses.contains(&address)
            && addresses.len() < MAX_ADDRESSES
        {
            addresses.push(address);
        }
    }
    addresses
}

/// Sidecars that start before the others stand among the init containers.
fn container_names(spec: &PodSpec) -> Vec<String> {
    let containers = spec.containers.iter();
    containers.map(|container| container.name.clone()).collect()
}

fn container_ports(spec: &PodSpec) -> Vec<NamedPort> {
    let sidecars = spec.init_containers.iter().flatten();
    let mut ports = Vec::new();
    for container in spec.containers.iter().chain(sidecars) {
        for port in container.ports.iter().flatten() {
            let name = filled(port.name.as_ref());
            let number = u16::try_from(port.container_port).ok();
            if let (Some(name), Some(port)) = (name, number) {
                let container = Some(container.name.clone());
                ports.push(NamedPort {
                    name,
                    port,
                    container,
                });
            }
        }
    }
    ports
}

fn restarts(status: &PodStatus) -> u64 {
    let containers = status.container_statuses.iter().flatten();
    let counts = containers.map(|container| u64::try_from(container.restart_count).unwrap_or(0));
    counts.sum()
}

fn is_ready(status: &PodStatus) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

impl Holder for Endpoints {
    fn seen(&self) -> Vec<Seen> {
        let own_namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let service: Option<Arc<str>> = self.metadata.name.as_deref().map(Arc::from);
        let mut seen = Vec::new();
        for subset in self.subsets.iter().flatten() {
            let ports = subset.ports.iter().flatten();
            let ports: Arc<[_]> = ports.filter_map(address_port).collect();
            // A pod may wait for the cluster before it says that it is ready, so both count.
            let ready = subset
                .addresses
                .iter()
                .flatten()
                .map(|address| (address, true));
            let not_ready = subset.not_ready_addresses.iter().flatten();
            let not_ready = not_ready.map(|address| (address, false));
            for (address, ready) in ready.chain(not_ready) {
                let Some(told) = address_seen(address, own_namespace) else {
                    continue;
                };
                seen.push(Seen {
                    service: service.clone(),
                    ports: ports.clone(),
                    ready,
                    ..told
                });
            }
        }
        seen
    }
}

fn address_port(port: &AddressPort) -> Option<NamedPort> {
    named_port(port.name.as_ref(), Some(port.port))
}

fn named_port(name: Option<&String>, number: Option<i32>) -> Option<NamedPort> {
    Some(NamedPort {
        name: filled(name)?,
        port: u16::try_from(number?).ok()?,
        container: None,
    })
}

fn address_seen(address: &EndpointAddress, own_namespace: &str) -> Option<Seen> {
    let addresses = vec![address.ip.parse::<IpAddr>().ok()?];
    let hostname = filled(address.hostname.as_ref());
    Some(Seen {
        hostname,
        ..aimed(addresses, address.target_ref.as_ref(), own_namespace)
    })
}

/// Endpoints that somebody keeps by hand have no target; they live where the object lives.
fn aimed(addresses: Vec<IpAddr>, target: Option<&ObjectReference>, own_namespace: &str) -> Seen {
    let Some(target) = target else {
        return Seen::at(addresses, own_namespace);
    };
    let is_pod = target.kind.as_deref() == Some("Pod");
    Seen {
        pod: if is_pod { target.name.clone() } else { None },
        uid: target.uid.as_deref().map(Arc::from),
        target: if is_pod { Target::Pod } else { Target::Other },
        ..Seen::at(
            addresses,
            target.namespace.as_deref().unwrap_or(own_namespace),
        )
    }
}

impl Holder for EndpointSlice {
    fn seen(&self) -> Vec<Seen> {
        let own_namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let labels = self.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_LABEL));
        let service: Option<Arc<str>> = service.map(|name| name.as_str().into());
        let ports = self.ports.iter().flatten();
        let ports: Arc<[_]> = ports.filter_map(slice_port).collect();
        let told = |endpoint| endpoint_seen(endpoint, own_namespace);
        let endpoints = self.endpoints.iter().flatten().filter_map(told);
        let whole = |seen| Seen {
            service: service.clone(),
            ports: ports.clone(),
            ..seen
        };
        endpoints.map(whole).collect()
    }
}

fn slice_port(port: &EndpointPort) -> Option<NamedPort> {
    named_port(port.name.as_ref(), port.port)
}

/// All addresses of an endpoint are the same pod's; of those that cannot be an address, which the
/// type `FQDN` allows, nobody is made.
fn endpoint_seen(endpoint: &Endpoint, own_namespace: &str) -> Option<Seen> {
    let addresses = endpoint
        .addresses
        .iter()
        .filter_map(|text| text.parse().ok());
    let addresses: Vec<IpAddr> = addresses.take(MAX_ADDRESSES).collect();
    if addresses.is_empty() {
        return None;
    }
    let conditions = endpoint.conditions.as_ref();
    Some(Seen {
        hostname: filled(endpoint.hostname.as_ref()),
        // The API's own words: what is not said of readiness is to be taken as ready.
        ready: conditions.and_then(|known| known.ready).unwrap_or(true),
        terminating: conditions
            .and_then(|known| known.terminating)
            .unwrap_or(false),
        ..aimed(addresses, endpoint.target_ref.as_ref(), own_namespace)
    })
}

#[cfg(test)]
mod tests;
