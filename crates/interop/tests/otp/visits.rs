//! What a command asks of a node that runs already: `enmesh wait` and `enmesh leave`.

use std::io::Write;
use std::process::Output;
use std::time::Duration;

use enmesh_interop::{Enmesh, Epmd, NetNs, Otp};
use tempfile::NamedTempFile;

use crate::bench::{COOKIE, Member, SOON, beam, list, sees};

const BEAM: &str = "b@127.0.0.1";
const US: &str = "r@127.0.0.1";

/// Runs a sub-command to its end, with the cluster's cookie.
fn enmesh(ns: &NetNs, args: &[&str]) -> (Option<i32>, String) {
    enmesh_with(ns, args, &[])
}

/// The same with these variables.
fn enmesh_with(ns: &NetNs, args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{COOKIE}").unwrap();
    let mut command = ns.command(Enmesh::program().unwrap());
    command.args(args).arg("--cookie-file").arg(file.path());
    command.envs(variables.iter().copied());
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// Members and BEAMs are asked in the same way, and a visit is nobody's peer.
pub(crate) fn wait_for_peers(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let alone = ["wait", "--name", US, "--min-peers", "1", "--timeout", "1s"];
    let (code, said) = enmesh(&ns, &alone);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot reach r@127.0.0.1"), "{said}");

    let r = Member::start(&ns, US, &["--topology", &list(&[BEAM])]);
    let (code, said) = enmesh(&ns, &alone);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("0 of 1 peers"), "{said}");

    let mut b = beam(otp, &ns, BEAM, &[]);
    r.connected(0, BEAM);
    for (name, peer) in [(US, BEAM), (BEAM, US)] {
        let wait = ["wait", "--name", name, "--min-peers", "1"];
        let (code, said) = enmesh(&ns, &wait);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("1 of 1 peers: {peer}")), "{said}");
    }
    sees(&mut b, &[US]);
}

/// Who waits before its own node runs joins for a moment, under another name than that node's.
pub(crate) fn wait_by_joining(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let r = Member::start(&ns, US, &["--topology", &list(&[BEAM])]);
    r.connected(0, BEAM);
    let hosts = list(&[BEAM, US]);
    let join = [
        "wait",
        "--join",
        "--name",
        "q@127.0.0.1",
        "--topology",
        &hosts,
    ];
    let (code, said) = enmesh(&ns, &[&join[..], &["--min-peers", "2"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let more = ["--min-peers", "3", "--timeout", "1s"];
    let (code, said) = enmesh(&ns, &[&join[..], &more].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("2 of 3 peers: b@127.0.0.1, r@127.0.0.1"),
        "{said}"
    );
    sees(&mut b, &[US]);
}

/// A member that is told to leave closes its links and ends well; a BEAM alone cannot be told.
pub(crate) fn leave(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let mut r = Member::start(&ns, US, &["--topology", &list(&[BEAM])]);
    r.connected(0, BEAM);
    let (code, said) = enmesh(&ns, &["leave", "--name", BEAM]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no agent steers it"), "{said}");

    let (code, said) = enmesh(&ns, &["leave", "--name", US]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(r.disconnected(0, BEAM)["reason"], "shutdown");
    let status = r
        .enmesh
        .process()
        .wait_exit(Duration::from_secs(10))
        .unwrap();
    assert_eq!(status.code(), Some(0));
    sees(&mut b, &[]);
    let gone = r
        .enmesh
        .wait_for(SOON, |record| record["message"] == "node stopped");
    gone.unwrap();

    // Only in the node's own pod it is certain that it has ended when nobody listens for it.
    let again = ["leave", "--name", US];
    let (code, said) = enmesh(&ns, &again);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot reach r@127.0.0.1"), "{said}");
    let pod = [("POD_IP", "127.0.0.1")];
    let (code, said) = enmesh_with(&ns, &again, &pod);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("does not run here, so it has left"), "{said}");
    let none = [
        "leave",
        "--name",
        US,
        "--epmd",
        "none",
        "--dist-port",
        "9001",
    ];
    let (code, said) = enmesh_with(&ns, &none, &pod);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = enmesh_with(&ns, &["leave", "--name", BEAM], &pod);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no agent steers it"), "{said}");
}
