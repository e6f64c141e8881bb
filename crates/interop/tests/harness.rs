//! The test bench itself: real nodes in private networks, seen to live, to be cut off and to end.

use std::time::Duration;

use enmesh_interop::{Beam, Epmd, NetNs, Otp};

const SOON: Duration = Duration::from_secs(20);
const CONNECTED: &str = "lists:sort(nodes(connected))";

#[test]
fn three_releases_form_a_cluster_in_one_namespace() {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let names = ["a@127.0.0.1", "b@127.0.0.1", "c@127.0.0.1"];
    let mut beams: Vec<Beam> = Otp::ALL
        .into_iter()
        .zip(names)
        .map(|(otp, name)| Beam::start(otp, &ns, name, "secret", &[]).unwrap())
        .collect();
    assert_eq!(Epmd::names(&ns).unwrap(), ["a", "b", "c"]);
    for (beam, otp) in beams.iter_mut().zip(Otp::ALL) {
        let release = beam.eval("erlang:system_info(otp_release)").unwrap();
        assert_eq!(release, format!("{:?}", otp.release()));
    }
    for peer in &names[1..] {
        let pong = beams[0].eval(&format!("net_adm:ping('{peer}')")).unwrap();
        assert_eq!(pong, "pong");
    }
    beams[1]
        .wait_eval(SOON, CONNECTED, "['a@127.0.0.1','c@127.0.0.1']")
        .unwrap();
    assert_eq!(
        beams[2].connected().unwrap(),
        ["a@127.0.0.1", "b@127.0.0.1"]
    );

    beams[2].kill9().unwrap();
    beams[0]
        .wait_eval(SOON, CONNECTED, "['b@127.0.0.1']")
        .unwrap();
}

#[test]
fn an_expression_that_fails_or_hangs_leaves_the_node_usable() {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut beam = Beam::start(Otp::R25, &ns, "a@localhost", "secret", &[]).unwrap();
    let error = beam.eval("error(planted)").unwrap_err();
    assert!(format!("{error:#}").contains("planted"), "{error:#}");
    let short = Duration::from_millis(200);
    assert!(beam.eval_within(short, "receive never -> ok end").is_err());
    assert!(beam.eval("1 +").is_err());
    assert_eq!(
        beam.eval("X = \"ä\", {X, node()}").unwrap(),
        "{\"ä\",a@localhost}"
    );
    let names = beam.eval("net_kernel:longnames()").unwrap();
    assert_eq!(names, "false");
}

#[test]
fn a_frozen_node_answers_again_when_thawed() {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut beam = Beam::start(Otp::R27, &ns, "a@127.0.0.1", "secret", &[]).unwrap();
    beam.stop().unwrap();
    assert!(
        beam.eval_within(Duration::from_millis(300), "node()")
            .is_err()
    );
    beam.cont().unwrap();
    assert_eq!(beam.eval("node()").unwrap(), "'a@127.0.0.1'");
}

#[test]
fn a_cut_separates_two_addresses_until_it_is_healed() {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut beam = Beam::start(Otp::R25, &ns, "a@127.0.0.1", "secret", &[]).unwrap();
    // The kernel accepts connections for the listener while the process that opened it waits.
    beam.eval(
        "Self = self(), spawn(fun() -> {ok, L} = gen_tcp:listen(0, [{ip, {127,0,0,3}}]), \
         {ok, P} = inet:port(L), persistent_term:put(port, P), Self ! up, timer:sleep(infinity) end), \
         receive up -> ok end",
    )
    .unwrap();
    let dial = "case gen_tcp:connect({127,0,0,3}, persistent_term:get(port), [{ip, {127,0,0,2}}], 500) of \
                {ok, S} -> gen_tcp:close(S); Error -> Error end";
    let [one, two] = ["127.0.0.2", "127.0.0.3"].map(|address| address.parse().unwrap());
    assert_eq!(beam.eval(dial).unwrap(), "ok");
    ns.cut(one, two).unwrap();
    assert_eq!(beam.eval(dial).unwrap(), "{error,timeout}");
    ns.heal().unwrap();
    assert_eq!(beam.eval(dial).unwrap(), "ok");
}

#[test]
fn a_wire_joins_two_namespaces() {
    let near = NetNs::new().unwrap();
    let far = NetNs::new().unwrap();
    near.wire("10.1.0.1/24", &far, "10.1.0.2/24").unwrap();
    let _epmd = Epmd::start(&far).unwrap();
    let _near_epmd = Epmd::start(&near).unwrap();
    let mut here = Beam::start(Otp::R25, &near, "a@10.1.0.1", "secret", &[]).unwrap();
    let _there = Beam::start(Otp::R29, &far, "b@10.1.0.2", "secret", &[]).unwrap();
    assert_eq!(here.eval("net_adm:ping('b@10.1.0.2')").unwrap(), "pong");
}
