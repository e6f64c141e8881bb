//! Node names out of what Kubernetes knows of a pod, byte for byte as libcluster makes them.

use std::net::IpAddr;

use enmesh_identity::{NodeName, PeerAddr};

use super::config::{KubernetesConfig, NameMode};
use super::seen::Seen;

/// How a pod becomes a peer.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    basename: String,
    mode: NameMode,
    service: String,
    domain: String,
    own: NodeName,
}

impl Naming {
    pub(super) fn new(
        config: &KubernetesConfig,
        own: &NodeName,
        cluster_domain: Option<&str>,
    ) -> Self {
        let domain = match cluster_domain.map(|domain| domain.trim_matches('.')) {
            Some(domain) if !domain.is_empty() => domain.to_owned(),
            _ => format!("{}.local", config.cluster_name),
        };
        Self {
            basename: config
                .node_basename
                .clone()
                .unwrap_or_else(|| own.alive().to_owned()),
            mode: config.mode,
            service: config.service_name.clone().unwrap_or_default(),
            domain,
            own: own.clone(),
        }
    }

    /// The domain of the cluster.
    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    /// The one peer that the pod is, or `None` where it has no address or makes no node name.
    pub(super) fn peer(&self, seen: &Seen) -> Option<PeerAddr> {
        let address = self.address(&seen.addresses)?;
        let Self {
            basename,
            service,
            domain,
            ..
        } = self;
        let namespace = &*seen.namespace;
        let host = match self.mode {
            NameMode::Ip => address.to_string(),
            NameMode::Dns => {
                // The cluster's DNS spells an IPv6 address with dashes as well.
                let dashed = address.to_string().replace(['.', ':'], "-");
                format!("{dashed}.{namespace}.pod.{domain}")
            }
            NameMode::Hostname => {
                let hostname = seen.hostname.as_deref().or(seen.pod.as_deref())?;
                format!("{hostname}.{service}.{namespace}.svc.{domain}")
            }
        };
        let name = NodeName::new(basename, &host).ok()?;
        Some(PeerAddr::new(name).with_address(address))
    }

    /// A dual-stack pod is one peer: at its address of the family that our own name has, else at
    /// its primary one.
    fn address(&self, addresses: &[IpAddr]) -> Option<IpAddr> {
        let own = self.own.host().as_ip();
        let like_ours = |ip: &&IpAddr| own.is_some_and(|own| own.is_ipv4() == ip.is_ipv4());
        addresses
            .iter()
            .find(like_ours)
            .or_else(|| addresses.first())
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(mode: NameMode, cluster_name: &str, domain: Option<&str>) -> Naming {
        let config = KubernetesConfig {
            node_basename: Some("test_basename".to_owned()),
            mode,
            service_name: Some("my_service".to_owned()),
            cluster_name: cluster_name.to_owned(),
            ..KubernetesConfig::default()
        };
        Naming::new(&config, &"own@10.0.0.9".parse().unwrap(), domain)
    }

    fn seen(addresses: &[&str]) -> Seen {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        Seen {
            hostname: Some("my-hostname-0".to_owned()),
            ..Seen::at(addresses.collect(), "airatel-service-localization")
        }
    }

    #[track_caller]
    fn check(naming: &Naming, addresses: &[&str], name: &str, address: &str) {
        let peer = naming.peer(&seen(addresses)).unwrap();
        assert_eq!(peer.name().as_str(), name);
        assert_eq!(peer.address(), Some(address.parse().unwrap()));
    }

    /// libcluster, kubernetes_test.exs: "works with pods".
    #[test]
    fn ip_mode_names_a_node_by_its_address() {
        let ip = "10.48.33.136";
        check(
            &naming(NameMode::Ip, "cluster", None),
            &[ip],
            "test_basename@10.48.33.136",
            ip,
        );
        let v6 = "fd00::1";
        check(
            &naming(NameMode::Ip, "cluster", None),
            &[v6],
            "test_basename@fd00::1",
            v6,
        );
    }

    /// libcluster, kubernetes_test.exs: "works with dns and cluster_name".
    #[test]
    fn dns_mode_names_a_node_by_its_dashed_address() {
        let tail = "airatel-service-localization.pod.my_cluster.local";
        let naming = naming(NameMode::Dns, "my_cluster", None);
        let name = format!("test_basename@10-48-33-136.{tail}");
        check(&naming, &["10.48.33.136"], &name, "10.48.33.136");
        check(
            &naming,
            &["fd00::1"],
            &format!("test_basename@fd00--1.{tail}"),
            "fd00::1",
        );
    }

    /// libcluster, kubernetes_test.exs: "works with hostname and cluster_name".
    #[test]
    fn hostname_mode_names_a_node_by_host_and_service() {
        let name = "test_basename@my-hostname-0.my_service.airatel-service-localization.svc\
                    .my_cluster.local";
        let naming = naming(NameMode::Hostname, "my_cluster", None);
        check(&naming, &["10.48.33.136"], name, "10.48.33.136");
        let nameless = Seen {
            hostname: None,
            ..seen(&["10.48.33.136"])
        };
        assert_eq!(naming.peer(&nameless), None);
    }

    /// libcluster reads the variable for the API server's host alone.
    #[test]
    fn the_environment_s_cluster_domain_stands_in_names_too() {
        let naming = naming(NameMode::Dns, "my_cluster", Some("k8s.example.org."));
        let name = "test_basename@10-48-33-136.airatel-service-localization.pod.k8s.example.org";
        check(&naming, &["10.48.33.136"], name, "10.48.33.136");
    }

    #[test]
    fn a_dual_stack_pod_is_one_peer_of_our_own_family() {
        let both = ["fd00::1", "10.48.33.136"];
        let naming = naming(NameMode::Ip, "cluster", None);
        check(&naming, &both, "test_basename@10.48.33.136", "10.48.33.136");
        assert_eq!(naming.peer(&seen(&[])), None);
    }

    #[test]
    fn the_basename_is_our_own_unless_given() {
        let config = KubernetesConfig::default();
        let naming = Naming::new(&config, &"web@10.0.0.9".parse().unwrap(), None);
        check(&naming, &["10.0.0.1"], "web@10.0.0.1", "10.0.0.1");
    }

    #[test]
    fn a_name_that_is_no_node_name_is_left_out() {
        let naming = naming(NameMode::Hostname, "cluster", None);
        let long = "h".repeat(255);
        let seen = Seen {
            hostname: Some(long),
            ..seen(&["10.0.0.1"])
        };
        assert_eq!(naming.peer(&seen), None);
    }
}
