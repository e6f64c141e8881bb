//! A peer that has our cookie and sends what kills a connection, while a real BEAM watches.

use std::fmt::Write as _;
use std::time::Duration;

use enmesh_interop::{Epmd, NetNs, Otp};

use crate::bench::{COOKIE, Member, SOON, beam, list, sees};

const BEAM: &str = "b@127.0.0.1";
const US: &str = "r@127.0.0.1";
const PORT: &str = "9100";

/// What the peer does, as Erlang expressions.
const HOSTILE: &str = include_str!("hostile.erl");

/// Frames that end no link: what they say is dropped, or known from old nodes as the old unlink is.
const KEPT: [&str; 9] = [
    "old_unlink",
    "answers_to_nothing",
    "good_fragments",
    "broken_payload_to_nobody",
    "broken_payload_to_somebody",
    "deep_payload",
    "bomb",
    "stale_pid",
    "many_atoms",
];

/// Each frame ends its own link or only itself; the BEAM beside it notices nothing of all this.
pub(crate) fn hostile_frames_harm_nobody_else(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let args = [
        "--visible",
        "--echo",
        "--dist-port",
        PORT,
        "--topology",
        &list(&[BEAM]),
    ];
    let mut r = Member::start(&ns, US, &args);
    r.connected(0, BEAM);
    sees(&mut b, &[US]);
    let script: String = HOSTILE
        .lines()
        .filter(|line| !line.trim_start().starts_with("%%"))
        .fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        });
    let script = script
        .trim_end()
        .trim_end_matches('.')
        .replace("PORT", PORT)
        .replace("COOKIE", COOKIE)
        .replace("\"US\"", &format!("\"{US}\""));
    let answers = b.eval_within(Duration::from_secs(120), &script).unwrap();
    let mut wrong = Vec::new();
    for answer in answers.trim_matches(['[', ']']).split("},{{") {
        let answer = answer.trim_matches(['{', '}']);
        let (what, end) = answer.rsplit_once("},").unwrap_or((answer, "unread"));
        let (_, name) = what.split_once(',').unwrap_or(("", what));
        let wanted = if KEPT.contains(&name) {
            "kept"
        } else {
            "closed"
        };
        if end != wanted {
            wrong.push(format!("{what}: {end}, wanted {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\nall: {answers}");
    let full = |record: &serde_json::Value| record["reason"] == "output_full";
    assert_eq!(r.count(full), 2, "who does not read is cut off");
    // Nobody else has come to harm.
    assert_eq!(b.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pong");
    sees(&mut b, &[US]);
    assert_eq!(
        r.count(|record| record["message"] == "node disconnected" && record["node"] == BEAM),
        0
    );
    assert!(r.enmesh.process().try_exit().unwrap().is_none());
    let resident = r.enmesh.process().resident_kib().unwrap();
    assert!(resident < 200 * 1024, "{resident} KiB are resident");
    r.enmesh.process().terminate().unwrap();
    assert!(r.enmesh.process().wait_exit(SOON).unwrap().success());
}
