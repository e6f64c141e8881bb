//! What stands after the `@` of a pod's node name: one way to make it, for ourselves and for peers.

use std::net::IpAddr;

use enmesh_identity::{NameForm, NodeName};

use super::seen::Seen;

/// What stands after the `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostForm {
    /// `10.1.2.3`.
    Ip,
    /// `10-1-2-3.NAMESPACE.pod.DOMAIN`.
    Dns,
    /// `10-1-2-3.SERVICE.NAMESPACE.svc.DOMAIN`, or the host name in its place.
    Srv,
    /// `HOSTNAME.SERVICE.NAMESPACE.svc.DOMAIN`.
    Hostname,
    /// The same with the pod's name where it has no host name, as a pod's own `hostname` says it.
    Named,
    /// `POD`.
    ShortPod,
    /// `POD.SERVICE.NAMESPACE.svc.DOMAIN`.
    LongPod,
}

/// What a host part needs and nobody tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostLack {
    /// The pod has neither `spec.hostname` nor `spec.subdomain`.
    Hostname,
    /// The object that tells of it does not know the pod's name.
    Pod,
    /// Nobody says which Service it belongs to.
    Service,
}

impl HostForm {
    /// The form of our own host part, which those of our peers are most likely to have.
    pub(super) fn like(own: &NodeName) -> Self {
        let host = own.host();
        if host.as_ip().is_some() {
            return Self::Ip;
        }
        if own.form() == NameForm::Short {
            return Self::ShortPod;
        }
        let labels: Vec<&str> = host.as_str().split('.').collect();
        match labels[..] {
            [_, _, "pod", ..] => Self::Dns,
            [address, _, _, "svc", ..] if undashed(address).is_some() => Self::Srv,
            [_, _, _, "svc", ..] => Self::Named,
            _ => Self::Ip,
        }
    }

    /// Whether names of this form have the pod's address in them.
    pub(super) fn needs_address(self) -> bool {
        matches!(self, Self::Ip | Self::Dns | Self::Srv)
    }

    /// Whether names of this form stand in the cluster's domain.
    pub(super) fn needs_domain(self) -> bool {
        !matches!(self, Self::Ip | Self::ShortPod)
    }

    /// The host part of the pod `seen`, which is at `address` and belongs to `service`.
    pub(super) fn host(
        self,
        seen: &Seen,
        address: IpAddr,
        service: Option<&str>,
        domain: &str,
    ) -> Result<String, HostLack> {
        let namespace = &seen.namespace;
        let pod = || seen.pod.as_deref().ok_or(HostLack::Pod);
        let in_service = |label: &str| {
            let service = service.ok_or(HostLack::Service)?;
            Ok(format!("{label}.{service}.{namespace}.svc.{domain}"))
        };
        match self {
            Self::Ip => Ok(address.to_string()),
            Self::Dns => Ok(format!("{}.{namespace}.pod.{domain}", dashed(address))),
            // A pod's host name is known to DNS within its subdomain alone; slices and Endpoints
            // have none but such.
            Self::Srv => match &seen.hostname {
                Some(hostname) if seen.service.is_some() || seen.subdomain.is_some() => {
                    in_service(hostname)
                }
                _ => in_service(&dashed(address)),
            },
            Self::Hostname => in_service(hostname(seen).ok_or(HostLack::Hostname)?),
            Self::Named => match &seen.hostname {
                Some(hostname) => in_service(hostname),
                None => in_service(pod()?),
            },
            Self::ShortPod => pod().map(str::to_owned),
            Self::LongPod => in_service(pod()?),
        }
    }
}

/// The host name by which the cluster's DNS knows the pod.
pub(super) fn hostname(seen: &Seen) -> Option<&str> {
    let in_subdomain = || seen.subdomain.as_ref().and(seen.pod.as_deref());
    seen.hostname.as_deref().or_else(in_subdomain)
}

/// The cluster's DNS spells an IPv6 address with dashes as well.
pub(super) fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

/// The address that the first label of a host part spells.
pub(super) fn undashed(host: &str) -> Option<IpAddr> {
    let label = host.split('.').next()?;
    let v4 = || label.replace('-', ".").parse().ok().map(IpAddr::V4);
    let v6 = || label.replace('-', ":").parse().ok().map(IpAddr::V6);
    v4().or_else(v6)
}
