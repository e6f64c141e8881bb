//! From the metadata of a service to peers.
#![cfg_attr(
    not(feature = "rancher"),
    allow(dead_code, reason = "nobody asks without the feature")
)]

use std::net::IpAddr;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{FailureKind, Sighting, Update};
use serde::Deserialize;

use crate::failure::failed;
use crate::source::MAX_PEERS_PER_UPDATE;

/// What is read of `/latest/self/service`; all else in it is passed over.
#[derive(Deserialize)]
struct Service {
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    /// Empty or absent while the container is being made.
    #[serde(default)]
    ips: Option<Vec<String>>,
}

/// The peers that `body` tells of, as nodes called `basename`.
pub(super) fn read(body: &[u8], basename: &str, own: &NodeName) -> Update {
    let service: Service = match serde_json::from_slice(body) {
        Ok(service) => service,
        Err(error) => {
            let text = format!("the metadata of the service is not what Rancher 1 gives: {error}");
            return failed(FailureKind::Malformed, text);
        }
    };
    if service.containers.is_empty() {
        // We run in one of them.
        let text =
            "the service has no containers, though we should be one; does this run in Rancher 1?";
        return failed(FailureKind::Empty, text);
    }
    let all = service.containers.len();
    let peers: Vec<_> = service
        .containers
        .into_iter()
        .filter_map(|container| peer(basename, &container))
        .collect();
    let whole = peers.len() == all;
    let present: Vec<_> = peers
        .into_iter()
        .filter(|seen| seen.name() != own)
        .take(MAX_PEERS_PER_UPDATE)
        .collect();
    if whole {
        Update::Snapshot(present)
    } else {
        // A container that has lost its address for a moment may be one that we know.
        let gone = Vec::new();
        Update::Changed { present, gone }
    }
}

fn peer(basename: &str, container: &Container) -> Option<Sighting> {
    let ip: IpAddr = container.ips.as_ref()?.first()?.parse().ok()?;
    let name = NodeName::new(basename, &ip.to_string()).ok()?;
    Some(PeerAddr::new(name).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shortened from the documentation of Rancher 1.6, "Metadata Service".
    const RECORDED: &str = r#"{
        "containers": [
            {"create_index": 1, "health_state": null, "hostname": "a", "ips": ["10.42.85.155"],
             "labels": {"io.rancher.stack.name": "app"}, "name": "app-web-1", "ports": [],
             "primary_ip": "10.42.85.155", "state": "running", "uuid": "7c5b"},
            {"create_index": 2, "ips": ["10.42.13.7", "10.42.13.8"], "name": "app-web-2"}
        ],
        "create_index": 2, "kind": "service", "name": "web", "scale": 2, "stack_name": "app"
    }"#;

    fn told(body: &str) -> Update {
        read(body.as_bytes(), "web", &"web@10.42.85.155".parse().unwrap())
    }

    fn names(peers: &[Sighting]) -> Vec<&str> {
        peers.iter().map(|seen| seen.name().as_str()).collect()
    }

    #[test]
    fn the_first_address_of_each_container_is_a_peer_and_we_are_none() {
        match told(RECORDED) {
            Update::Snapshot(peers) => assert_eq!(names(&peers), ["web@10.42.13.7"]),
            other => panic!("{other:?}"),
        }
    }

    /// libcluster crashes there.
    #[test]
    fn a_container_without_an_address_makes_the_answer_a_part() {
        for part in [
            "{\"ips\":[]}",
            "{\"ips\":null}",
            "{}",
            "{\"ips\":[\"soon\"]}",
        ] {
            let body = format!("{{\"containers\":[{{\"ips\":[\"10.0.0.2\"]}},{part}]}}");
            match told(&body) {
                Update::Changed { present, gone } => {
                    assert_eq!(names(&present), ["web@10.0.0.2"]);
                    assert!(gone.is_empty());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_empty_or_wrong_answer_removes_nobody() {
        for (body, kind) in [
            ("{\"containers\":[]}", FailureKind::Empty),
            ("{\"containers\":[\"app-web-1\"]}", FailureKind::Malformed),
            ("{\"containers\":[{\"ips\":[\"10.0", FailureKind::Malformed),
            ("Not found", FailureKind::Malformed),
            ("{}", FailureKind::Malformed),
        ] {
            match told(body) {
                Update::Failed(failure) => assert_eq!(failure.kind(), kind, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn half_of_an_answer_is_never_the_whole(end in 0..RECORDED.len() - 1) {
            let told = told(&RECORDED[..end]);
            prop_assert!(matches!(told, Update::Failed(_)));
        }

        #[test]
        fn any_text_gives_peers_or_a_failure(text in "[\\[{]?([a-z\":,\\[\\]{}0-9. ]|containers|ips){0,40}") {
            told(&text);
        }
    }
}
