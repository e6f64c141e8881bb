//! All objects of a set of manifests, in the order in which they are applied, each with what there is to know of it.

use serde_json::Value;

use super::settings::{Certificates, Epmd, Kind, Mode, Settings, word};
use super::{access, network, workload};

/// One object, and what a reader should know of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    /// Whole sentences, one a line.
    pub(crate) comment: Vec<String>,
    /// The object.
    pub(crate) object: Value,
}

/// Everything that a cluster of these settings needs.
pub(crate) fn documents(settings: &Settings) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut add = |comment: Vec<String>, object| documents.push(Document { comment, object });
    let name = &settings.name;
    if let Some(cookie) = &settings.cookie {
        add(
            vec![
                "The cookie, made at random. Keep this file as a secret, or delete this document once it is applied;".into(),
                "it is immutable, so that nobody splits the cluster by applying another one.".into(),
            ],
            access::secret(settings, cookie),
        );
    }
    add(
        vec![
            "Who the pods are. The token is mounted by the pods that ask the API, by no other."
                .into(),
        ],
        access::account(settings),
    );
    if let Some((role, binding)) = access::role(settings) {
        add(
            vec![format!(
                "The least that lookup {} needs: no other object, no other verb.",
                word(&settings.lookup)
            )],
            role,
        );
        add(vec![], binding);
    }
    add(
        vec![
            "Headless: it names the pods, and carries no traffic. Pods that are not ready are in it, since nodes become".into(),
            format!("ready by finding each other. The label is on the Service itself, for that is what slices carry: app={name}."),
        ],
        network::service(settings),
    );
    if settings.has_policy() {
        add(policy_comment(settings), network::policy(settings));
    }
    if settings.around_only {
        return documents;
    }
    add(
        vec!["One pod at a time may be sent away. Pods that are not ready hold nobody up.".into()],
        network::disruption_budget(settings),
    );
    add(workload_comment(settings), workload::workload(settings));
    documents
}

fn policy_comment(settings: &Settings) -> Vec<String> {
    let mut comment = vec![
        "In: the cluster's own ports from its own pods, and the probes' port, which tells no secret.".to_owned(),
    ];
    comment.push(match settings.kind {
        Kind::Member => "Out: peers, and what the lookup asks. It does nothing where the network plugin knows no policies.",
        Kind::Agent => "Out: not limited, since whom your program talks to is its own business.",
    }.to_owned());
    comment
}

fn workload_comment(settings: &Settings) -> Vec<String> {
    let mut comment = Vec::new();
    let mut say = |text: &str| comment.push(text.to_owned());
    match settings.mode {
        Mode::Ip => say("Nodes are called by their addresses, which need no DNS."),
        Mode::Dns => say(
            "Erlang nodes resolve these names by CoreDNS's `pods insecure` or `pods verified`; members need neither.",
        ),
        Mode::Srv => say(
            "These are the targets of the Service's SRV records where CoreDNS has no `endpoint_pod_names`.",
        ),
        Mode::Hostname => say(
            "Names stay the same when a pod is made anew; all pods start together, for nobody comes first.",
        ),
        Mode::Pod => say(
            "Erlang nodes resolve these names by CoreDNS's `endpoint_pod_names`; members need it not.",
        ),
    }
    if settings.kind == Kind::Agent {
        say(
            "The agent is a native sidecar: it starts before the node, ends after it, and its end touches no link.",
        );
        if settings.left_to_env().is_some() {
            say(
                "The node's name and flags come from `enmesh env`: put eval \"$(/opt/enmesh/enmesh env)\" into rel/env.sh.eex.",
            );
        }
    }
    if settings.epmd == Epmd::Sidecar {
        say("epmd is a container of its own, so nodes may start anew without it.");
    }
    match settings.tls {
        Some(Certificates::Secret) => say(
            "Certificates come from a Secret with tls.crt, tls.key and ca.crt, for the host parts of all names.",
        ),
        Some(Certificates::CertManager) => {
            say(
                "Each pod has a certificate of its own from cert-manager's CSI driver. This was not tried with a real cert-manager.",
            );
        }
        None => {}
    }
    comment
}
