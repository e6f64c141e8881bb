//! Whole epmds as sources: `epmd_all` and `erlang_hosts`, beside OTP's own reading of its file.

use std::fs;

use enmesh_interop::{Enmesh, Epmd, NetNs, Otp};

use crate::bench::{Member, SOON, beam, says};

/// Several nodes of one host with names of their own, a remote shell among them, and a host that is
/// dead: whoever is a node is joined, whatever it is called.
pub(crate) fn every_name_of_an_epmd_is_joined(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let _api = beam(otp, &ns, "api@127.0.0.1", &[]);
    let _queue = beam(otp, &ns, "queue@127.0.0.1", &[]);
    let _shell = beam(otp, &ns, "rem-2f1c@127.0.0.1", &["-hidden"]);
    let topology = "strategy=epmd_all hosts=127.0.0.1,no-such-host.invalid polling_interval=500";
    let args = ["--epmd", "system", "--hidden", "--topology", topology];
    let r = Member::start(&ns, "r@127.0.0.1", &args);
    r.connected(0, "api@127.0.0.1");
    r.connected(0, "queue@127.0.0.1");
    r.said(
        0,
        "topology cannot be read; its last good answer stays in force",
    );
    // Somebody new is found by the next round, and at another port after it was started anew.
    let mut worker = beam(otp, &ns, "worker@127.0.0.1", &[]);
    r.connected(0, "worker@127.0.0.1");
    worker.kill9().unwrap();
    r.disconnected(0, "worker@127.0.0.1");
    let mark = r.mark();
    let _worker = beam(otp, &ns, "worker@127.0.0.1", &[]);
    r.connected(mark, "worker@127.0.0.1");
    let shell = "rem-2f1c@127.0.0.1";
    assert_eq!(r.count(|record| record["node"] == shell), 0);
}

/// What OTP reads of a `.hosts.erlang`, we read.
pub(crate) fn a_hosts_file_is_read_as_otp_reads_it(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, "b@127.0.0.1", &[]);
    let _c = beam(otp, &ns, "c@127.0.0.1", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".hosts.erlang");
    // A chroot has another /tmp, so that the text goes there by the control channel.
    let scratch = format!("hosts-{}", folder.path().file_name().unwrap().display());
    for text in [
        "'127.0.0.1'.\n",
        "% ours\n  \"127.0.0.1\" .%x\n'a\\'b'.",
        "db_1 .\n'127.0.0.1'.\r\n",
        "",
    ] {
        let hosts = our_hosts(&ns, &file, text);
        let consult = format!(
            "ok = file:write_file(\"/tmp/{scratch}\", {text:?}), \
             {{ok, Hosts}} = file:consult(\"/tmp/{scratch}\"), Hosts"
        );
        let theirs = b.eval(&consult).unwrap();
        assert_eq!(hosts, theirs.contains("127.0.0.1"), "{text:?}: {theirs}");
    }
    for bad in ["127.0.0.1.\n", "'127.0.0.1'", "'127.0.0.1", "a.b.c.\n"] {
        assert!(!our_hosts(&ns, &file, bad), "{bad:?}");
        let consult = format!(
            "ok = file:write_file(\"/tmp/{scratch}\", {bad:?}), \
             element(1, file:consult(\"/tmp/{scratch}\"))"
        );
        says(&mut b, &consult, "error");
    }
    says(&mut b, &format!("file:delete(\"/tmp/{scratch}\")"), "ok");
}

/// Whether `enmesh discover` finds both nodes by this file in HOME.
fn our_hosts(ns: &NetNs, file: &std::path::Path, text: &str) -> bool {
    fs::write(file, text).unwrap();
    let mut command = ns.command(Enmesh::program().unwrap());
    command
        .args(["discover", "--watch", "strategy=erlang_hosts timeout=500"])
        .env("HOME", file.parent().unwrap())
        .current_dir("/");
    let mut enmesh = Enmesh::start_command(command).unwrap();
    let found = enmesh.stdout().wait_for(SOON, |line| {
        let is_node = line.contains("\"added\"") && line.contains("c@127.0.0.1");
        let is_over = line.contains("\"failed\"") && !line.contains("hosts gave no list");
        is_node.then_some(true).or(is_over.then_some(false))
    });
    enmesh.process().kill9().unwrap();
    found.unwrap()
}
