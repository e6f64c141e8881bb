//! Peers out of pods and endpoints.

use std::net::IpAddr;

use enmesh_membership::Sighting;
use k8s_openapi::api::core::v1::{EndpointAddress, Endpoints, Pod};

use super::naming::{Naming, Seen};

/// An object of the API that tells peers.
pub(super) trait Holder {
    /// The resource's name in a path and in a Role.
    const RESOURCE: &'static str;

    /// The peers that the object tells now.
    fn peers(&self, naming: &Naming) -> Vec<Sighting>;
}

impl Holder for Pod {
    const RESOURCE: &'static str = "pods";

    fn peers(&self, naming: &Naming) -> Vec<Sighting> {
        let Some(status) = &self.status else {
            return Vec::new();
        };
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        if ended || self.metadata.deletion_timestamp.is_some() {
            return Vec::new();
        }
        let further = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
        let texts = status.pod_ip.as_deref().into_iter().chain(further);
        let hostname = self.spec.as_ref().and_then(|spec| spec.hostname.as_deref());
        let seen = Seen {
            addresses: texts.filter_map(|text| text.parse().ok()).collect(),
            namespace: self.metadata.namespace.as_deref().unwrap_or_default(),
            hostname: hostname.or(self.metadata.name.as_deref()),
        };
        naming.peer(&seen).into_iter().map(Into::into).collect()
    }
}

impl Holder for Endpoints {
    const RESOURCE: &'static str = "endpoints";

    fn peers(&self, naming: &Naming) -> Vec<Sighting> {
        let own_namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        let mut peers = Vec::new();
        for subset in self.subsets.iter().flatten() {
            // A pod may wait for the cluster before it says that it is ready, so both count.
            let ready = subset.addresses.iter().flatten();
            let not_ready = subset.not_ready_addresses.iter().flatten();
            for address in ready.chain(not_ready) {
                peers.extend(
                    naming
                        .peer(&seen(address, own_namespace))
                        .map(Sighting::from),
                );
            }
        }
        peers
    }
}

fn seen<'o>(address: &'o EndpointAddress, own_namespace: &'o str) -> Seen<'o> {
    // Endpoints that somebody keeps by hand have no target; they live where the object lives.
    let target = address.target_ref.as_ref();
    let namespace = target.and_then(|target| target.namespace.as_deref());
    let pod = target.and_then(|target| target.name.as_deref());
    Seen {
        addresses: address.ip.parse::<IpAddr>().into_iter().collect(),
        namespace: namespace.unwrap_or(own_namespace),
        hostname: address.hostname.as_deref().or(pod),
    }
}

#[cfg(test)]
mod tests;
