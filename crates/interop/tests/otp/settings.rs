//! Who is let in: cookies of single peers, the allow-list, and nodes without a name.

use std::io::Write;

use enmesh_interop::{Beam, Epmd, NetNs, Otp};
use tempfile::NamedTempFile;

use crate::bench::{Member, SOON, beam, list, sees};

const BEAM: &str = "b@127.0.0.1";
const LEGACY: &str = "legacy@127.0.0.1";
const US: &str = "r@127.0.0.1";
const IDLE: &str = "s@127.0.0.1";

/// One peer has another cookie than the cluster, in both directions.
pub(crate) fn a_peer_with_a_cookie_of_its_own(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "another").unwrap();
    let cookie = format!("{LEGACY}={}", file.path().display());
    let mut b = beam(otp, &ns, BEAM, &[]);
    let mut legacy = Beam::start(otp, &ns, LEGACY, "another", &[]).unwrap();
    let hosts = list(&[BEAM, LEGACY]);
    let args = ["--cookie-for", &cookie, "--topology", &hosts];
    let r = Member::start(&ns, US, &args);
    r.enmesh.wait_cluster(SOON, &[BEAM, LEGACY]).unwrap();
    let s = Member::start(&ns, IDLE, &args[..2]);
    for beam in [&mut b, &mut legacy] {
        let ping = format!("net_adm:ping('{IDLE}')");
        assert_eq!(beam.eval(&ping).unwrap(), "pong");
    }
    s.enmesh.wait_cluster(SOON, &[BEAM, LEGACY]).unwrap();
    // The cookie of the cluster does not open the door for it.
    let mut impostor = Beam::start(otp, &ns, "none@127.0.0.1", "another", &[]).unwrap();
    assert_eq!(
        impostor.eval(&format!("net_adm:ping('{IDLE}')")).unwrap(),
        "pang"
    );
}

/// Whoever is not on the list is neither let in nor dialled.
pub(crate) fn only_who_is_allowed(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let mut other = beam(otp, &ns, LEGACY, &[]);
    let hosts = list(&[BEAM, LEGACY]);
    let r = Member::start(&ns, US, &["--allow", "b@", "--topology", &hosts]);
    r.connected(0, BEAM);
    let refused = r.enmesh.wait_for(SOON, |record| {
        record["node"] == LEGACY && record["reason"] == "not_allowed"
    });
    refused.unwrap();
    assert_eq!(
        other.eval(&format!("net_adm:ping('{US}')")).unwrap(),
        "pang"
    );
    assert_eq!(b.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pong");
    sees(&mut b, &[US]);
    sees(&mut other, &[]);
}

/// `erl -sname undefined` has no name until it connects and takes the one that it is given.
pub(crate) fn a_node_without_a_name(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let r = Member::start(&ns, "r@localhost", &[]);
    let mut nameless = beam(otp, &ns, "undefined", &[]);
    assert_eq!(nameless.eval("node()").unwrap(), "nonode@nohost");
    let connect = "net_kernel:connect_node('r@localhost')";
    assert_eq!(nameless.eval(connect).unwrap(), "true");
    let up = r
        .enmesh
        .wait_for(SOON, |record| record["message"] == "node connected");
    let given = nameless.eval("atom_to_list(node())").unwrap();
    assert_eq!(up.unwrap()["node"], given.trim_matches('"'));
    sees(&mut nameless, &["r@localhost"]);
}
