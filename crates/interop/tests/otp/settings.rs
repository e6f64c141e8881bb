//! Who is let in: cookies of single peers, the allow-list, and nodes without a name. And how often both sides tick.

use std::io::Write;
use std::time::{Duration, Instant};

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
    // The BEAM tells it of the member that was there before.
    s.enmesh.wait_cluster(SOON, &[BEAM, LEGACY, US]).unwrap();
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

/// `net_tickintensity` other than 4 on either side, on both, and another on each: idle links live, each side ticks as often as it
/// is told, and who is frozen is found out within `net_ticktime` all the same.
pub(crate) fn any_tick_intensity_keeps_the_link(otp: Otp) {
    const TICKTIME: &str = "4";
    const HOLD: Duration = Duration::from_secs(13);
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let ticks = ["-kernel", "net_ticktime", TICKTIME];
    let fine = ["net_tickintensity", "8"];
    let mut often = beam(otp, &ns, BEAM, &[&ticks[..], &fine].concat());
    let mut seldom = beam(otp, &ns, LEGACY, &ticks);
    let hosts = list(&[BEAM, LEGACY]);
    // Hidden, so that ticks are all there is.
    let member = |name: &str, intensity: &str| {
        let args = [
            "--hidden",
            "--net-ticktime",
            TICKTIME,
            "--net-tickintensity",
            intensity,
        ];
        Member::start(&ns, name, &[&args[..], &["--topology", &hosts]].concat())
    };
    let members = [
        member(US, "8"),
        member(IDLE, "4"),
        member("t@127.0.0.1", "16"),
    ];
    let names: Vec<&str> = members.iter().map(Member::name).collect();
    for beam in [&mut often, &mut seldom] {
        sees(beam, &names);
    }
    let before = [sent(&mut often, &names), sent(&mut seldom, &names)];
    std::thread::sleep(HOLD);
    for (beam, before, least, most) in [
        (&mut often, &before[0], 20, 32),
        (&mut seldom, &before[1], 10, 20),
    ] {
        for (name, (count, before)) in names.iter().zip(sent(beam, &names).into_iter().zip(before))
        {
            let ticks = count - before;
            assert!(
                (least..=most).contains(&ticks),
                "{} to {name}: {ticks}",
                beam.name()
            );
        }
        sees(beam, &names);
    }
    for member in &members {
        let downs = member.count(|record| record["message"] == "node disconnected");
        assert_eq!(downs, 0, "{}", member.name());
    }
    let marks: Vec<usize> = members.iter().map(Member::mark).collect();
    often.stop().unwrap();
    let frozen = Instant::now();
    for (member, mark) in members.iter().zip(marks) {
        let down = member.disconnected(mark, BEAM);
        assert_eq!(down["reason"], "net_tick_timeout", "{}", member.name());
        let after = frozen.elapsed();
        assert!(
            after > Duration::from_secs(3) && after < Duration::from_secs(8),
            "{after:?}"
        );
    }
    often.cont().unwrap();
}

/// How many packets the BEAM has sent to each of these.
fn sent(beam: &mut Beam, to: &[&str]) -> Vec<u32> {
    let count = |name| {
        let count = format!(
            "{{_, P}} = lists:keyfind('{name}', 1, erlang:system_info(dist_ctrl)), \
             {{ok, [{{_, N}}]}} = inet:getstat(P, [send_cnt]), N"
        );
        beam.eval(&count).unwrap().parse().unwrap()
    };
    to.iter().map(count).collect()
}
