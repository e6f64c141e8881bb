//! Distribution over IPv6 (`-proto_dist inet6_tcp`).

use enmesh_interop::{Epmd, NetNs, Otp};

use crate::bench::{Member, beam, list, sees};

const INET6: [&str; 2] = ["-proto_dist", "inet6_tcp"];

/// Hosts that have an IPv6 address alone.
pub(crate) fn each_side_dials_over_ipv6(otp: Otp) {
    let hosts = ["beam.six.example", "rust.six.example", "idle.six.example"];
    let ns = NetNs::with_hosts(&hosts.map(|host| ("::1".parse().unwrap(), host))).unwrap();
    let names = [
        "b@beam.six.example",
        "r@rust.six.example",
        "s@idle.six.example",
    ];
    both_ways(otp, &ns, names, &["--listen", "::"]);
}

/// The family of the address is known from the name alone.
pub(crate) fn names_that_are_addresses_of_ipv6(otp: Otp) {
    let ns = NetNs::new().unwrap();
    both_ways(otp, &ns, ["b@::1", "r@::1", "s@::1"], &[]);
}

fn both_ways(otp: Otp, ns: &NetNs, [theirs, ours, idle]: [&str; 3], args: &[&str]) {
    let _epmd = Epmd::start(ns).unwrap();
    let mut b = beam(otp, ns, theirs, &INET6);
    let topology = list(&[theirs]);
    let dialling = [args, &["--topology", &topology]].concat();
    let r = Member::start(ns, ours, &dialling);
    r.connected(0, theirs);
    let s = Member::start(ns, idle, args);
    assert_eq!(b.eval(&format!("net_adm:ping('{idle}')")).unwrap(), "pong");
    s.connected(0, theirs);
    sees(&mut b, &[ours, idle]);
    let sockets = ns
        .run("ss", ["-tnH", "-6", "state", "established"])
        .unwrap();
    assert!(sockets.contains("[::1]:"), "{sockets}");
}
