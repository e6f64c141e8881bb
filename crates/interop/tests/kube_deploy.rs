//! What `enmesh manifests` and `enmesh inject` print, the overlays of kustomize and the Helm chart, applied to a real Kubernetes that
//! enforces Pod Security "restricted", form clusters there.

#[path = "kube_deploy/beams.rs"]
mod beams;
#[path = "kube_deploy/commands.rs"]
mod commands;
#[path = "kube_deploy/helm.rs"]
mod helm;
#[path = "kube_deploy/injected.rs"]
mod injected;
#[path = "kube_deploy/kustomize.rs"]
mod kustomize;
#[path = "kube_deploy/members.rs"]
mod members;

use std::time::Duration;

use enmesh_interop::{Cluster, Image, Names, Otp, Scenario, scenarios};

/// How long a cluster may take to form after its pods are ready; ready pods have formed it already.
const WHOLE: Duration = Duration::from_secs(20);
/// How long a pod may take to end; its grace is 30 s, and the kubelet of a busy machine is late.
const GONE: Duration = Duration::from_secs(180);

/// The folder of this repository.
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
/// What somebody's registry calls the image of enmesh.
const IMAGE: &str = "registry.example.org/enmesh:0.1.0";

/// The flags of `enmesh manifests` for each scenario with members.
const MEMBERS: [(&str, Names, &str); 12] = [
    ("ip", Names::Ip, ""),
    ("dns", Names::Dns, ""),
    ("srv", Names::Srv, ""),
    ("pod", Names::Pod, ""),
    ("hostname", Names::Hostname, ""),
    ("ip-dns", Names::Ip, "--lookup dns --with-secret"),
    ("ip-pods", Names::Ip, "--lookup pods --epmd none"),
    ("ip-auto", Names::Ip, "--lookup auto --epmd-sidecar"),
    ("srv-pods", Names::Srv, "--lookup pods"),
    ("hostname-srv", Names::Hostname, "--lookup srv --epmd none"),
    ("dns-endpoints", Names::Dns, "--lookup endpoints"),
    ("hostname-tls", Names::Hostname, "--tls"),
];

/// A cluster with the images that pods of these tests run.
fn cluster() -> Cluster {
    let cluster = Cluster::start().unwrap();
    let names = ["enmesh-test/enmesh:latest", IMAGE];
    cluster
        .ensure_image_as(&Image::enmesh().unwrap(), &names)
        .unwrap();
    cluster.name_pods_by_address().unwrap();
    cluster
}

#[test]
fn members_of_all_manifests_overlays_and_the_chart_form_clusters() {
    let cluster = cluster();
    let printed: Vec<_> = MEMBERS
        .iter()
        .map(|&(_, names, flags)| {
            move |cluster: &Cluster, ns: &str| members::printed(cluster, ns, names, flags)
        })
        .collect();
    let overlays: Vec<_> = kustomize::OVERLAYS
        .iter()
        .map(|&(overlay, names)| {
            let story =
                move |cluster: &Cluster, ns: &str| kustomize::members(cluster, ns, overlay, names);
            (format!("overlay-{overlay}"), story)
        })
        .collect();
    let mut all: Vec<Scenario<'_>> = vec![
        ("chart", &helm::members),
        ("cert-manager", &kustomize::cert_manager),
    ];
    let named = MEMBERS.iter().zip(&printed);
    all.extend(named.map(|((name, ..), story)| (*name, story as _)));
    all.extend(
        overlays
            .iter()
            .map(|(name, story)| (name.as_str(), story as _)),
    );
    scenarios(&cluster, &all);
}

#[test]
fn a_beam_of_the_users_is_clustered_by_the_sidecar() {
    let cluster = cluster();
    cluster
        .ensure_image(&Image::beam(Otp::R25).unwrap())
        .unwrap();
    let printed = |names, flags, script| {
        move |cluster: &Cluster, ns: &str| beams::printed(cluster, ns, names, flags, script)
    };
    scenarios(
        &cluster,
        &[
            ("agent-ip", &printed(Names::Ip, "", beams::TOLD)),
            ("agent-dns", &printed(Names::Dns, "", beams::ASKING)),
            (
                "agent-srv",
                &printed(Names::Srv, "--epmd none", beams::ASKING),
            ),
            ("agent-pod", &printed(Names::Pod, "", beams::TOLD)),
            (
                "agent-hostname",
                &printed(Names::Hostname, "--epmd-sidecar", beams::TOLD),
            ),
            (
                "agent-tls",
                &printed(Names::Hostname, "--tls", beams::ENCRYPTED),
            ),
            ("injected-deployment", &injected::deployment),
            ("injected-stateful-set", &injected::stateful_set),
            ("injected-daemon-set-and-pod", &injected::daemon_set_and_pod),
            ("overlay-agent-sidecar", &kustomize::agent_sidecar),
            ("chart-agent", &helm::beams),
        ],
    );
}
