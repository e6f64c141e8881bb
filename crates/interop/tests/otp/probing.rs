//! Who listens there? Real nodes tell their names to a probe, and come to no harm by it.

use std::net::SocketAddr;
use std::time::Duration;

use enmesh_discovery::{ProbeError, ProbeFault, Probed, probe};
use enmesh_interop::{Authority, Beam, Epmd, NetNs, Otp};

use crate::bench::{COOKIE, Member, SOON, beam, list, says, sees};
use crate::rust_node::block_on_io;

const BEAM: &str = "b@127.0.0.1";

/// So many probes that a name for each would be seen among the atoms.
const PROBES: usize = 60;
/// The names of probes, and what the first of them makes a node load.
const NEW_ATOMS: usize = 40;

fn ask(ns: &NetNs, port: u16) -> Result<Probed, ProbeError> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    ns.enter(|| block_on_io(probe(address, Duration::from_secs(10))))
        .unwrap()
}

fn port(beam: &mut Beam, alive: &str) -> u16 {
    let port = format!("element(2, erl_epmd:port_please(\"{alive}\", {{127,0,0,1}}))");
    beam.eval(&port).unwrap().parse().unwrap()
}

fn atoms(beam: &mut Beam) -> usize {
    let count = beam.eval("erlang:system_info(atom_count)").unwrap();
    count.parse().unwrap()
}

pub(crate) fn a_beam_tells_its_name_to_a_stranger(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let r = Member::start(&ns, "r@127.0.0.1", &["--topology", &list(&[BEAM])]);
    sees(&mut b, &["r@127.0.0.1"]);
    let port = port(&mut b, "b");
    let creation = b.eval("erlang:system_info(creation)").unwrap();
    let printed = b.output().all().len();
    ask(&ns, port).unwrap();
    let before = atoms(&mut b);
    for _ in 0..PROBES {
        let probed = ask(&ns, port).unwrap();
        assert_eq!(probed.name.as_str(), BEAM);
        assert_eq!(probed.creation.get().to_string(), creation);
    }
    let grown = atoms(&mut b).saturating_sub(before);
    assert!(grown <= NEW_ATOMS, "{grown} atoms for {PROBES} probes");
    // Nobody is connected who was not before, nobody is lost, and nothing is said of it.
    sees(&mut b, &["r@127.0.0.1"]);
    let said = b.output().all().split_off(printed);
    let said: Vec<_> = said
        .iter()
        .filter(|line| !line.is_empty() && !line.starts_with("@enmesh"))
        .collect();
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(r.count(|record| record["level"] == "WARN"), 0);

    // A member of ours tells its name as well, and says nothing of who asked.
    let port = self::port(&mut b, "r");
    for _ in 0..5 {
        assert_eq!(ask(&ns, port).unwrap().name.as_str(), "r@127.0.0.1");
    }
    says(&mut b, "net_adm:ping('r@127.0.0.1')", "pong");
    assert_eq!(r.count(|record| record["level"] == "WARN"), 0);
    assert_eq!(
        r.count(|record| record["message"] == "node disconnected"),
        0
    );
}

pub(crate) fn who_lets_no_strangers_in_says_so(otp: Otp) {
    let ns = NetNs::new().unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let mut b = beam(otp, &ns, BEAM, &[]);
    b.eval("net_kernel:allow(['friend@127.0.0.1'])").unwrap();
    let port = port(&mut b, "b");
    let error = ask(&ns, port).unwrap_err();
    let refused = matches!(
        error,
        ProbeError::Fault {
            fault: ProbeFault::NotAllowed,
            ..
        }
    );
    assert!(refused && !error.is_transient(), "{error:?}");
    // An epmd is no node.
    let error = ask(&ns, 4369).unwrap_err();
    assert!(matches!(error, ProbeError::Closed { .. }), "{error:?}");
}

pub(crate) fn a_beam_with_tls_is_said_to_have_it(otp: Otp) {
    let name = "b@beam.example";
    let ns = NetNs::with_hosts(&[([127, 0, 0, 1].into(), "beam.example")]).unwrap();
    let _epmd = Epmd::start(&ns).unwrap();
    let authority = Authority::new(&[name]).unwrap();
    let shown = authority.shown(name);
    let options = authority
        .options(name, "'tlsv1.3','tlsv1.2'", "", &shown)
        .unwrap();
    let extra = ["-proto_dist", "inet_tls", "-ssl_dist_optfile", &options];
    let mut b = Beam::start(otp, &ns, name, COOKIE, &extra).unwrap();
    let port = port(&mut b, "b");
    let error = ask(&ns, port).unwrap_err();
    let tls = matches!(
        error,
        ProbeError::Fault {
            fault: ProbeFault::Tls,
            ..
        }
    );
    assert!(tls, "{error:?}");
    b.wait_eval(SOON, "nodes(connected)", "[]").unwrap();
}
