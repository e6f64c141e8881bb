//! Agents beside real OTP 25, 27 and 29: BEAMs that know nothing of each other, each steered from
//! beside it.

#[path = "agent/cases.rs"]
mod cases;
#[path = "agent/leaving.rs"]
mod leaving;
#[path = "agent/names.rs"]
mod names;
#[path = "agent/release.rs"]
mod release;
#[path = "agent/sidecar.rs"]
mod sidecar;

enmesh_interop::for_each_release! {
    crate::cases::three_nodes_become_a_cluster as three_nodes_become_a_cluster,
    crate::cases::a_killed_agent_drops_no_link as a_killed_agent_drops_no_link,
    crate::cases::sigterm_touches_no_link as sigterm_touches_no_link,
    crate::cases::a_wrong_cookie_is_said_once as a_wrong_cookie_is_said_once,
    crate::cases::a_new_cookie_is_taken as a_new_cookie_is_taken,
    crate::cases::a_second_agent_waits as a_second_agent_waits,
    crate::cases::an_address_without_an_answer_holds_nobody_up as an_address_without_an_answer,
    crate::names::names_that_dns_does_not_know as names_that_dns_does_not_know,
    crate::names::what_a_killed_agent_wrote_is_taken_back as what_a_killed_agent_wrote,
    crate::names::nodes_that_speak_tls as nodes_that_speak_tls,
    crate::leaving::single_nodes_are_not_cut_where_that_cuts_more as single_nodes_are_not_cut,
    crate::leaving::a_node_that_is_told_to_leave as a_node_that_is_told_to_leave,
}
