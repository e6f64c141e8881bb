//! What goes wrong between pods and an API server that is there, one fault a namespace: nobody is lost for it, each log tells it once with
//! the words that mend it, and when it is mended (by `kubectl` alone) the pods find each other, or go on, by themselves.

#[path = "kube_api_faults/names.rs"]
mod names;
#[path = "kube_api_faults/roles.rs"]
mod roles;
#[path = "kube_api_faults/tokens.rs"]
mod tokens;

use std::time::Duration;

use anyhow::Result;
use enmesh_interop::{Cluster, Kind, Otp, Scenario, scenarios};

/// How long a pod may need for what is waited for here, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(150);

/// By when a fault is over after what caused it is: the longest back-off of 20 s, 10 s for which the API server may go on
/// refusing a token or a Role, and 5 s for a busy machine.
const HEALED: Duration = Duration::from_secs(35);

type Story = fn(&Cluster, &str, Kind) -> Result<()>;

/// Each is told with both. What names the nodes have plays no part in what the API says.
const KINDS: [(&str, Kind); 2] = [
    ("members", Kind::Member),
    ("steered", Kind::Steered(Otp::R27)),
];

const STORIES: [(&str, Story); 8] = [
    // Those that wait longest are the first.
    ("token_expired", tokens::a_token_whose_anchor_was_deleted),
    ("token_rotated", tokens::a_token_that_was_replaced_in_time),
    ("no_role", roles::no_role),
    (
        "role_for_pods",
        roles::a_role_for_pods_while_endpoints_are_read,
    ),
    ("wrong_selector", names::a_selector_that_no_service_has),
    ("wrong_labels", names::a_selector_that_no_pod_has),
    ("wrong_namespace", names::a_namespace_that_is_not_ours),
    ("wrong_service", names::a_service_that_does_not_exist),
];

#[test]
fn nobody_is_lost_for_a_fault_of_the_api_and_each_is_told_once_with_its_cure() {
    let cluster = Cluster::start().unwrap();
    let told = STORIES.iter().flat_map(|(name, story)| {
        KINDS.map(|(word, kind)| (format!("{name}_{word}"), kind, *story))
    });
    let told: Vec<(String, Kind, Story)> = told.collect();
    let tellers: Vec<_> = told
        .iter()
        .map(|&(_, kind, story)| {
            move |cluster: &Cluster, namespace: &str| story(cluster, namespace, kind)
        })
        .collect();
    // None of the others asks DNS for anything.
    let mut all: Vec<Scenario<'_>> = vec![("dns_stopped", &names::dns_is_stopped)];
    let others = told.iter().zip(&tellers);
    all.extend(others.map(|((name, ..), teller)| (name.as_str(), teller as _)));
    scenarios(&cluster, &all);
}
