//! What goes wrong between pods and an API server that is there, one fault a namespace: nobody is lost for it, each log tells it once with
//! the words that mend it, and when it is mended (by `kubectl` alone) the pods find each other, or go on, by themselves.

#[path = "kube_api_faults/names.rs"]
mod names;
#[path = "kube_api_faults/roles.rs"]
mod roles;
#[path = "kube_api_faults/tokens.rs"]
mod tokens;

use std::time::Duration;

use enmesh_interop::{Cluster, scenarios};

/// How long a pod may need for what is waited for here, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(150);

/// By when a fault is over after what caused it is: the longest back-off of 20 s, 10 s for which the API server may go on
/// refusing a token or a Role, and 5 s for a busy machine.
const HEALED: Duration = Duration::from_secs(35);

#[test]
fn nobody_is_lost_for_a_fault_of_the_api_and_each_is_told_once_with_its_cure() {
    let cluster = Cluster::start().unwrap();
    scenarios(
        &cluster,
        &[
            // Those that wait longest are the first. None of the others asks DNS for anything.
            ("dns_stopped", &names::dns_is_stopped),
            ("token_expired", &tokens::a_token_whose_anchor_was_deleted),
            ("token_rotated", &tokens::a_token_that_was_replaced_in_time),
            ("no_role", &roles::no_role),
            (
                "role_for_pods",
                &roles::a_role_for_pods_while_endpoints_are_read,
            ),
            ("wrong_selector", &names::a_selector_that_no_service_has),
            ("wrong_labels", &names::a_selector_that_no_pod_has),
            ("wrong_namespace", &names::a_namespace_that_is_not_ours),
            ("wrong_service", &names::a_service_that_does_not_exist),
        ],
    );
}
