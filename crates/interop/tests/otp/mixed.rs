//! All releases and two members in one cluster.

use std::time::Duration;

use enmesh_interop::{Epmd, NetNs, Otp};

use crate::bench::{Member, SOON, beam, list, says, sees};
use crate::cases::stays_so;

/// Everybody sees everybody else, and it stays so.
#[test]
fn three_releases_and_two_members_see_each_other() {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let beams = ["b25@127.0.0.1", "b27@127.0.0.1", "b29@127.0.0.1"];
    let members = ["r1@127.0.0.1", "r2@127.0.0.1"];
    let all = [&beams[..], &members[..]].concat();
    let others =
        |own: &str| -> Vec<&str> { all.iter().copied().filter(|name| *name != own).collect() };
    let topology = list(&all);
    let started: Vec<Member> = members
        .iter()
        .map(|name| Member::start(&ns, name, &["--visible", "--topology", &topology]))
        .collect();
    let mut running: Vec<_> = Otp::ALL
        .into_iter()
        .zip(beams)
        .map(|(otp, name)| beam(otp, &ns, name, &[]))
        .collect();
    for peer in &beams[1..] {
        assert_eq!(
            running[0].eval(&format!("net_adm:ping('{peer}')")).unwrap(),
            "pong"
        );
    }
    for beam in &mut running {
        let name = beam.name().to_owned();
        sees(beam, &others(&name));
        // In nodes() as well, where hidden nodes are not.
        let quoted: Vec<_> = others(&name)
            .iter()
            .map(|name| format!("'{name}'"))
            .collect();
        says(
            beam,
            "lists:sort(nodes())",
            &format!("[{}]", quoted.join(",")),
        );
    }
    for member in &started {
        member
            .enmesh
            .wait_cluster(SOON, &others(member.name()))
            .unwrap();
    }
    stays_so("the cluster is whole", Duration::from_secs(5), || {
        for beam in &mut running {
            let wanted = others(beam.name()).len();
            anyhow::ensure!(
                beam.connected()?.len() == wanted,
                "{} lost somebody",
                beam.name()
            );
        }
        Ok(())
    });
    assert_eq!(
        started[0].count(|record| record["message"] == "node disconnected"),
        0
    );
}
