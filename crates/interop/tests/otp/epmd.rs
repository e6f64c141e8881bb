//! With OTP's epmd, with ours, and with none.

use std::time::Duration;

use enmesh_interop::{Enmesh, Epmd, NetNs, Otp, poll_until};

use crate::bench::{Member, SOON, beam, list, says, sees};
use crate::cases::{epmdless_beam, epmdless_member};

const BEAM: &str = "b@127.0.0.1";
const US: &str = "r@127.0.0.1";

fn registered(ns: &NetNs, names: &[&str]) {
    poll_until("epmd knows the names", SOON, || {
        let known = Epmd::names(ns)?;
        anyhow::ensure!(known == names, "it knows {known:?}, wanted {names:?}");
        Ok(())
    })
    .unwrap();
}

/// OTP's epmd dies and comes back: the links do not notice, and we can be found again.
pub(crate) fn epmd_restarts_under_us(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let mut epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let args = ["--epmd", "system", "--topology", &list(&[BEAM])];
    let r = Member::start(&ns, US, &args);
    r.connected(0, BEAM);
    registered(&ns, &["b", "r"]);
    epmd.kill9().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    registered(&ns, &["b", "r"]);
    assert_eq!(
        r.count(|record| record["message"] == "node disconnected"),
        0
    );
    // Somebody new finds us by the epmd that was restarted.
    let mut c = beam(otp, &ns, "c@127.0.0.1", &[]);
    says(&mut c, "net_adm:ping('r@127.0.0.1')", "pong");
    // `global` makes the two of them one cluster with us.
    sees(&mut b, &["c@127.0.0.1", US]);
}

pub(crate) fn ours_serves_beam_nodes(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let mut epmd = Enmesh::start(&ns, ["epmd"]).unwrap();
    poll_until("our epmd answers", SOON, || ns.run("epmd", ["-names"])).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let mut c = beam(otp, &ns, "c@127.0.0.1", &[]);
    registered(&ns, &["b", "c"]);
    says(&mut b, "net_adm:ping('c@127.0.0.1')", "pong");
    sees(&mut c, &[BEAM]);
    // Killed and started again: BEAM nodes register anew by themselves.
    epmd.process().kill9().unwrap();
    let _epmd = Enmesh::start(&ns, ["epmd"]).unwrap();
    poll_until("our epmd answers", SOON, || ns.run("epmd", ["-names"])).unwrap();
    registered(&ns, &["b", "c"]);
    c.kill9().unwrap();
    registered(&ns, &["b"]);
}

pub(crate) fn no_epmd_at_all(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let mut b = epmdless_beam(otp, &ns, "b@127.0.0.2", "{127,0,0,2}");
    let topology = list(&["b@127.0.0.2"]);
    let r = epmdless_member(&ns, "r@127.0.0.3", "127.0.0.3", &["--topology", &topology]);
    r.connected(0, "b@127.0.0.2");
    let s = epmdless_member(&ns, "s@127.0.0.4", "127.0.0.4", &[]);
    assert_eq!(b.eval("net_adm:ping('s@127.0.0.4')").unwrap(), "pong");
    s.connected(0, "b@127.0.0.2");
    sees(&mut b, &["r@127.0.0.3", "s@127.0.0.4"]);
    assert!(
        ns.run("epmd", ["-names"]).is_err(),
        "nobody serves epmd's port"
    );
}

/// The holder of epmd's port dies; a member takes over within 2 s, and a BEAM that registers anew
/// with it is found through it.
pub(crate) fn the_embedded_one_takes_over(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let mut epmd = Epmd::start(&ns).unwrap();
    let r = Member::start(&ns, US, &[]);
    let mut b = beam(otp, &ns, BEAM, &[]);
    registered(&ns, &["b", "r"]);
    epmd.kill9().unwrap();
    poll_until(
        "somebody serves epmd's port again",
        Duration::from_secs(2),
        || ns.run("epmd", ["-names"]),
    )
    .unwrap();
    registered(&ns, &["b", "r"]);
    let mut c = beam(otp, &ns, "c@127.0.0.1", &[]);
    says(&mut c, "net_adm:ping('b@127.0.0.1')", "pong");
    says(&mut b, "net_adm:ping('r@127.0.0.1')", "pong");
    r.connected(0, BEAM);
}
