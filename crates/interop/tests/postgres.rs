//! Nodes that find each other through a channel of a real PostgreSQL.

#[path = "otp/bench.rs"]
#[allow(dead_code, reason = "the bench serves other programs, too")]
mod bench;

use enmesh_interop::{Authority, Enmesh, Epmd, NetNs, Otp, Postgres, poll_until};
use serde_json::Value;

use bench::{Member, SOON, beam, sees};

const BEAM: &str = "b@127.0.0.1";
const HOST: &str = "postgres@127.0.0.1";

fn notified(ns: &NetNs, server: &Postgres, payload: &str) {
    let notify = format!("NOTIFY cluster, '{payload}'");
    server.psql(ns, &[&notify]).unwrap();
}

/// Whose name stands in a heartbeat within the time.
fn speaks(ns: &NetNs, server: &Postgres, name: &str) {
    let listen = ["LISTEN cluster", "SELECT pg_sleep(1)"];
    poll_until("a heartbeat comes", SOON, || {
        let printed = server.psql(ns, &listen)?;
        let wanted = format!("notification \"cluster\" with payload \"{name}\"");
        anyhow::ensure!(printed.contains(&wanted), "{printed}");
        Ok(())
    })
    .unwrap();
}

/// A node with libcluster_postgres sends `NOTIFY channel, 'name'` and listens for the same: what
/// psql does here for a BEAM.
#[test]
fn a_beam_and_members_meet_in_a_postgres_channel() {
    let ns = NetNs::new().unwrap();
    let mut server = Postgres::start(&ns).unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(Otp::R25, &ns, BEAM, &[]);
    let topology = server.topology().unwrap();
    let args = ["--epmd", "system", "--topology", &topology];
    let r = Member::start(&ns, "r@127.0.0.1", &args);
    // What is no name, and what would be SQL if anybody pasted it, harms nobody.
    for payload in ["", "nobody", "a@b@c", "x; DROP TABLE y", BEAM] {
        notified(&ns, &server, payload);
    }
    r.connected(0, BEAM);
    speaks(&ns, &server, "r@127.0.0.1");
    let s = Member::start(&ns, "s@127.0.0.1", &args);
    s.connected(0, "r@127.0.0.1");
    sees(&mut b, &["r@127.0.0.1", "s@127.0.0.1"]);
    // The database dies: links stay, and whoever comes later is found when it is back.
    let mark = r.mark();
    server.kill9().unwrap();
    r.said(
        mark,
        "topology cannot be read; its last good answer stays in force",
    );
    let t = Member::start(&ns, "t@127.0.0.1", &args);
    server.restart(&ns).unwrap();
    r.said(mark, "topology can be read again");
    r.connected(mark, "t@127.0.0.1");
    t.connected(0, "s@127.0.0.1");
    let is_down = |record: &Value| record["message"] == "node disconnected";
    assert_eq!((r.count(is_down), s.count(is_down)), (0, 0));
}

/// Exit code, stdout, stderr.
fn discovered(ns: &NetNs, topology: &str) -> (i32, String, String) {
    let mut command = ns.command(Enmesh::program().unwrap());
    command.args(["discover", "--timeout", "2s", "--output", "names", topology]);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn what_keeps_a_postgres_channel_shut_is_told_without_the_password() {
    let ns = NetNs::new().unwrap();
    let server = Postgres::start(&ns).unwrap();
    let good = server.topology().unwrap();
    let (without, _) = good.split_once(" password_file=").unwrap();
    let rest = "channel_name=cluster";
    for (topology, said) in [
        (
            format!("{without} {rest} password=guessed"),
            "password authentication failed",
        ),
        (format!("{without} {rest}"), "password"),
        (
            good.replace("database=postgres", "database=none"),
            "database \"none\" does not exist",
        ),
        (
            good.replace("heartbeat", "port=5433 heartbeat"),
            "no connection",
        ),
        (
            good.replace("password_file=", "password_file=/no"),
            "key `password_file`, /no",
        ),
        (
            good.replace("heartbeat", "ssl=true heartbeat"),
            "server does not support TLS",
        ),
    ] {
        let (code, stdout, stderr) = discovered(&ns, &topology);
        assert_eq!((code, stdout.as_str()), (1, ""), "{topology}: {stderr}");
        assert!(stderr.contains(said), "{topology}: {stderr}");
        assert!(!stderr.contains("guessed"), "{stderr}");
    }
    // Whoever only looks says nothing, and hears nothing where nobody speaks.
    let (code, stdout, stderr) = discovered(&ns, &good);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.contains("the list may not be complete"), "{stderr}");
}

#[test]
fn a_postgres_channel_under_tls_needs_the_right_authority() {
    let ns = NetNs::new().unwrap();
    let authority = Authority::new(&[HOST]).unwrap();
    let server = Postgres::start_tls(&ns, &authority).unwrap();
    let base = server.topology().unwrap();
    let with = |authority: &Authority| {
        format!("{base} ssl=true ssl_ca_file={}", authority.file(HOST, "ca"))
    };
    let r = Member::start(&ns, "r@127.0.0.1", &["--topology", &with(&authority)]);
    let s = Member::start(&ns, "s@127.0.0.1", &["--topology", &with(&authority)]);
    r.connected(0, "s@127.0.0.1");
    s.connected(0, "r@127.0.0.1");
    let (code, names, stderr) = discovered(&ns, &with(&authority));
    assert_eq!(
        (code, names.as_str()),
        (0, "r@127.0.0.1\ns@127.0.0.1"),
        "{stderr}"
    );
    let stranger = Authority::new(&[HOST]).unwrap();
    for (topology, said) in [
        (with(&stranger), "certificate"),
        (base.clone(), "no encryption"),
    ] {
        let (code, _, stderr) = discovered(&ns, &topology);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}

/// A server that is lost without a word is noticed by the heartbeat that it does not answer.
#[test]
fn a_postgres_channel_that_is_cut_is_noticed_and_removes_nobody() {
    let ns = NetNs::new().unwrap();
    let server = Postgres::start(&ns).unwrap();
    let near = server.topology().unwrap();
    let far = near.replace("127.0.0.1", "127.0.0.9");
    let r = Member::start(&ns, "r@127.0.0.1", &["--topology", &far]);
    let s = Member::start(&ns, "s@127.0.0.1", &["--topology", &near]);
    r.connected(0, s.name());
    let mark = r.mark();
    let address = |text: &str| text.parse().unwrap();
    ns.cut(address("127.0.0.9"), address("127.0.0.1")).unwrap();
    let record = r.said(
        mark,
        "topology cannot be read; its last good answer stays in force",
    );
    assert_eq!(record["kind"], "timed_out");
    ns.heal().unwrap();
    r.said(mark, "topology can be read again");
    let is_down = |record: &Value| record["message"] == "node disconnected";
    assert_eq!((r.count(is_down), s.count(is_down)), (0, 0));
}
