//! Members beside real OTP 25, 27 and 29: every case for every release, then all releases at once.

#[path = "otp/bench.rs"]
mod bench;
#[path = "otp/cases.rs"]
mod cases;
#[path = "otp/connecting.rs"]
mod connecting;
#[path = "otp/documents.rs"]
mod documents;
#[path = "otp/epmd.rs"]
mod epmd;
#[path = "otp/epmds.rs"]
mod epmds;
#[path = "otp/functions.rs"]
mod functions;
#[path = "otp/global.rs"]
mod global;
#[path = "otp/gossip.rs"]
mod gossip;
#[path = "otp/groups.rs"]
mod groups;
#[path = "otp/hostile.rs"]
mod hostile;
#[path = "otp/ipv6.rs"]
mod ipv6;
#[path = "otp/leaving.rs"]
mod leaving;
#[path = "otp/lockers.rs"]
mod lockers;
#[path = "otp/mixed.rs"]
mod mixed;
#[path = "otp/names.rs"]
mod names;
#[path = "otp/naming.rs"]
mod naming;
#[path = "otp/neighbours.rs"]
mod neighbours;
#[path = "otp/probing.rs"]
mod probing;
#[path = "otp/pubsub.rs"]
mod pubsub;
#[path = "otp/reloading.rs"]
mod reloading;
#[path = "otp/rust_node.rs"]
mod rust_node;
#[path = "otp/settings.rs"]
mod settings;
#[path = "otp/signals.rs"]
mod signals;
#[path = "otp/tls.rs"]
mod tls;
#[path = "otp/users.rs"]
mod users;
#[path = "otp/visits.rs"]
mod visits;

enmesh_interop::for_each_release! {
    crate::cases::each_side_dials_and_says_who_died as each_side_dials_and_says_who_died,
    crate::visits::wait_for_peers as wait_for_peers,
    crate::visits::wait_by_joining as wait_by_joining,
    crate::visits::leave as leave,
    crate::cases::hidden_and_visible as hidden_and_visible,
    crate::cases::short_names as short_names,
    crate::cases::our_cookie_is_wrong as our_cookie_is_wrong,
    crate::cases::another_name_answers as another_name_answers,
    crate::cases::a_fast_restart_of_ours_is_alive_to_the_beam as a_fast_restart_of_ours,
    crate::cases::a_fast_restart_of_the_beam_is_alive_to_us as a_fast_restart_of_the_beam,
    crate::cases::ten_pairs_dial_each_other_at_once as ten_pairs_dial_each_other_at_once,
    crate::cases::idle_links_live_by_ticks as idle_links_live_by_ticks,
    crate::cases::a_frozen_beam_is_down_by_ticks_and_comes_back as a_frozen_beam,
    crate::cases::a_beam_that_disconnects_us_is_dialled_again as a_beam_that_disconnects_us,
    crate::cases::what_a_beam_asks_is_answered as what_a_beam_asks_is_answered,
    crate::hostile::hostile_frames_harm_nobody_else as hostile_frames_harm_nobody_else,
    crate::global::every_node_locks_and_names_in_milliseconds as every_node_locks_and_names,
    crate::leaving::a_member_leaves_all_together as a_member_leaves_all_together,
    crate::leaving::a_frozen_beam_does_not_keep_us as a_frozen_beam_does_not_keep_us,
    crate::lockers::locks_are_quick_while_members_come_and_go as locks_are_quick_while_members_come_and_go,
    crate::neighbours::a_neighbour_is_whole as a_neighbour_is_whole,
    crate::neighbours::elixir_finds_a_neighbour as elixir_finds_a_neighbour,
    crate::neighbours::erl_call_is_answered as erl_call_is_answered,
    crate::users::rust_calls_elixir as rust_calls_elixir,
    crate::users::a_blocked_runtime_harms_no_link as a_blocked_runtime_harms_no_link,
    crate::connecting::our_signals_connect_as_configured as our_signals_connect_as_configured,
    crate::connecting::a_beam_that_does_not_dial_is_dialled as a_beam_that_does_not_dial,
    crate::connecting::nodeup_and_nodedown_stand_around_the_messages as nodeup_and_nodedown,
    crate::connecting::a_large_message_on_a_slow_network_trips_no_ticktime as a_large_message_on_a_slow_network,
    crate::connecting::nodes_are_told_by_their_type as nodes_are_told_by_their_type,
    crate::connecting::connect_and_disconnect_by_turns as connect_and_disconnect_by_turns,
    crate::epmd::epmd_restarts_under_us as epmd_restarts_under_us,
    crate::epmds::every_name_of_an_epmd_is_joined as every_name_of_an_epmd_is_joined,
    crate::epmds::a_hosts_file_is_read_as_otp_reads_it as a_hosts_file_is_read_as_otp_reads_it,
    crate::epmd::ours_serves_beam_nodes as ours_serves_beam_nodes,
    crate::epmd::no_epmd_at_all as no_epmd_at_all,
    crate::epmd::the_embedded_one_takes_over as the_embedded_one_takes_over,
    crate::functions::rust_functions_are_called as rust_functions_are_called,
    crate::functions::work_that_nobody_waits_for_ends as work_that_nobody_waits_for_ends,
    crate::functions::built_in_functions_answer as built_in_functions_answer,
    crate::functions::our_group_leader_answers as our_group_leader_answers,
    crate::functions::what_others_print_is_logged as what_others_print_is_logged,
    crate::functions::a_remote_shell_gives_up as a_remote_shell_gives_up,
    crate::gossip::plain_gossip_goes_both_ways as plain_gossip_goes_both_ways,
    crate::gossip::sealed_gossip_goes_both_ways as sealed_gossip_goes_both_ways,
    crate::gossip::broadcast_gossip_goes_both_ways as broadcast_gossip_goes_both_ways,
    crate::groups::groups_are_shared as groups_are_shared,
    crate::groups::restless_groups_end_equal as restless_groups_end_equal,
    crate::probing::a_beam_tells_its_name_to_a_stranger as a_beam_tells_its_name_to_a_stranger,
    crate::probing::who_lets_no_strangers_in_says_so as who_lets_no_strangers_in_says_so,
    crate::probing::a_beam_with_tls_is_said_to_have_it as a_beam_with_tls_is_said_to_have_it,
    crate::pubsub::a_pool_of_four_is_shared as a_pool_of_four_is_shared,
    crate::pubsub::pools_of_other_sizes_hear_each_other as pools_of_other_sizes_hear_each_other,
    crate::names::a_rust_program_has_global_names as a_rust_program_has_global_names,
    crate::names::a_clash_of_a_rust_program_is_settled as a_clash_of_a_rust_program_is_settled,
    crate::names::what_a_beam_missed_is_mended as what_a_beam_missed_is_mended,
    crate::naming::global_works_while_members_come_and_go as global_works_while_members_come_and_go,
    crate::naming::a_clash_is_settled_on_both_sides as a_clash_is_settled_on_both_sides,
    crate::naming::who_is_told_to_go_leaves_and_comes_back as who_is_told_to_go,
    crate::ipv6::each_side_dials_over_ipv6 as each_side_dials_over_ipv6,
    crate::ipv6::names_that_are_addresses_of_ipv6 as names_that_are_addresses_of_ipv6,
    crate::reloading::topologies_change_and_links_stay as topologies_change_and_links_stay,
    crate::settings::a_peer_with_a_cookie_of_its_own as a_peer_with_a_cookie_of_its_own,
    crate::settings::only_who_is_allowed as only_who_is_allowed,
    crate::settings::a_node_without_a_name as a_node_without_a_name,
    crate::settings::any_tick_intensity_keeps_the_link as any_tick_intensity_keeps_the_link,
    crate::signals::links_hold_both_ways as links_hold_both_ways,
    crate::signals::exits_arrive_both_ways as exits_arrive_both_ways,
    crate::signals::monitors_fire_both_ways as monitors_fire_both_ways,
    crate::signals::aliases_are_sent_to_both_ways as aliases_are_sent_to_both_ways,
    crate::signals::urgent_signals_arrive_both_ways as urgent_signals_arrive_both_ways,
    crate::signals::a_lost_node_takes_everything_along as a_lost_node_takes_everything_along,
    crate::tls::each_side_dials_over_tls_1_2 as each_side_dials_over_tls_1_2,
    crate::tls::each_side_dials_over_tls_1_3 as each_side_dials_over_tls_1_3,
    crate::tls::each_side_dials_over_tls_and_ipv6 as each_side_dials_over_tls_and_ipv6,
    crate::documents::the_options_of_the_page_make_links_over_tls as the_options_of_the_page_on_tls,
    crate::tls::addresses_in_certificates as addresses_in_certificates,
    crate::tls::another_authority_is_refused_and_said as another_authority_is_refused_and_said,
    crate::tls::certificates_are_replaced_while_we_run as certificates_are_replaced_while_we_run,
    crate::tls::a_beam_that_shows_no_certificate_is_refused as a_beam_that_shows_no_certificate,
    crate::tls::a_beam_without_tls_is_said as a_beam_without_tls_is_said,
}
