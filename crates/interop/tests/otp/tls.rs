//! Distribution over TLS (`-proto_dist inet_tls`): versions, verification in both directions, new certificates, and what is said
//! when it does not come up.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enmesh_interop::{Authority, Beam, Epmd, NetNs, Otp};
use serde_json::Value;

use crate::bench::{Member, SOON, beam, list, sees};

const BEAM: &str = "b@beam.example";
const US: &str = "r@rust.example";
const IDLE: &str = "s@idle.example";
const BOTH: &str = "'tlsv1.3','tlsv1.2'";

/// An authority that everybody here has a certificate of.
fn authority() -> Authority {
    Authority::new(&[BEAM, US, IDLE]).unwrap()
}

/// A namespace with OTP's epmd in which all names have this address.
fn names(address: IpAddr) -> (NetNs, Epmd) {
    let host = |node: &'static str| (address, node.rsplit_once('@').unwrap().1);
    let ns = NetNs::with_hosts(&[BEAM, US, IDLE].map(host)).unwrap();
    let epmd = Epmd::start(&ns).unwrap();
    (ns, epmd)
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

fn secured(otp: Otp, ns: &NetNs, protocol: &str, options: &str) -> Beam {
    let extra = ["-proto_dist", protocol, "-ssl_dist_optfile", options];
    beam(otp, ns, BEAM, &extra)
}

/// A member with certificates, and whom it dials.
fn member(ns: &NetNs, name: &str, flags: &[String], hosts: &[&str]) -> Member {
    let mut args: Vec<&str> = flags.iter().map(String::as_str).collect();
    let topology = list(hosts);
    if !hosts.is_empty() {
        args.extend(["--topology", &topology]);
    }
    Member::start(ns, name, &args)
}

fn said(member: &Member, message: &str, reason: &str) -> Value {
    let is_it = |record: &Value| {
        record["message"]
            .as_str()
            .unwrap_or("")
            .starts_with(message)
            && record["reason"] == reason
    };
    member.enmesh.wait_for(SOON, is_it).unwrap()
}

fn both_ways(otp: Otp, address: IpAddr, protocol: &str, versions: &str, further: &[&str]) {
    let (ns, _epmd) = names(address);
    let authority = authority();
    let options = authority
        .options(BEAM, versions, "", &authority.shown(BEAM))
        .unwrap();
    let mut b = secured(otp, &ns, protocol, &options);
    let flags = |name| {
        let mut flags = authority.flags(name);
        flags.extend(further.iter().map(|&text| text.to_owned()));
        flags
    };
    let echoing = [flags(US), vec!["--echo".to_owned()]].concat();
    let r = member(&ns, US, &echoing, &[BEAM]);
    r.connected(0, BEAM);
    // Many records of TLS, and fragments of a message, both ways.
    let echo = format!(
        "Sent = rand:bytes(20000000), {{echo, '{US}'}} ! {{self(), Sent}}, \
         receive {{echo, Got}} -> Got =:= Sent after 14000 -> nothing end"
    );
    assert_eq!(b.eval(&echo).unwrap(), "true");
    let s = member(&ns, IDLE, &flags(IDLE), &[]);
    assert_eq!(b.eval(&format!("net_adm:ping('{IDLE}')")).unwrap(), "pong");
    s.connected(0, BEAM);
    sees(&mut b, &[US, IDLE]);
    // A closed link is a proper end of TLS, and not an accident.
    let mark = r.mark();
    assert_eq!(
        b.eval(&format!("erlang:disconnect_node('{US}')")).unwrap(),
        "true"
    );
    assert_eq!(r.disconnected(mark, BEAM)["reason"], "connection_closed");
    r.connected(mark, BEAM);
    for member in [&r, &s] {
        assert_eq!(member.count(|record| record["level"] == "WARN"), 0);
    }
}

pub(crate) fn each_side_dials_over_tls_1_2(otp: Otp) {
    both_ways(otp, loopback(), "inet_tls", "'tlsv1.2'", &[]);
}

pub(crate) fn each_side_dials_over_tls_1_3(otp: Otp) {
    both_ways(otp, loopback(), "inet_tls", "'tlsv1.3'", &[]);
}

pub(crate) fn each_side_dials_over_tls_and_ipv6(otp: Otp) {
    let six = Ipv6Addr::LOCALHOST.into();
    both_ways(otp, six, "inet6_tls", BOTH, &["--listen", "::"]);
}

/// An address as host needs one in the certificate. OTP 25 does not take it as the dialling side, which the docs say.
pub(crate) fn addresses_in_certificates(otp: Otp) {
    const NAMES: [&str; 3] = ["b@127.0.0.1", "r@127.0.0.1", "s@127.0.0.1"];
    let (ns, _epmd) = names(loopback());
    let authority = Authority::new(&NAMES[..1]).unwrap();
    let options = authority.options(NAMES[0], BOTH, "", &authority.shown(NAMES[0]));
    let options = options.unwrap();
    let extra = ["-proto_dist", "inet_tls", "-ssl_dist_optfile", &options];
    let mut b = beam(otp, &ns, NAMES[0], &extra);
    let flags = authority.flags(NAMES[0]);
    member(&ns, NAMES[1], &flags, &[NAMES[0]]).connected(0, NAMES[0]);
    let _idle = member(&ns, NAMES[2], &flags, &[]);
    let wanted = if otp == Otp::R25 { "pang" } else { "pong" };
    let ping = format!("net_adm:ping('{}')", NAMES[2]);
    assert_eq!(b.eval(&ping).unwrap(), wanted);
}

/// In each direction the side that does not trust the other refuses, and both of us say why.
pub(crate) fn another_authority_is_refused_and_said(otp: Otp) {
    let (ns, _epmd) = names(loopback());
    let (ours, theirs) = (authority(), authority());
    let options = theirs.options(BEAM, BOTH, "", &theirs.shown(BEAM)).unwrap();
    let mut b = secured(otp, &ns, "inet_tls", &options);
    let r = member(&ns, US, &ours.flags(US), &[BEAM]);
    let failed = said(&r, "cannot connect to node", "tls_untrusted");
    let text = failed["error"].as_str().unwrap();
    assert!(text.contains(&ours.file(US, "ca")), "{text}");
    assert_eq!(b.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pang");
    said(&r, "link refused", "tls_refused");
    assert_eq!(b.connected().unwrap(), Vec::<String>::new());
    // We trust them, and they do not trust us.
    fs::copy(theirs.file(IDLE, "ca"), ours.file(IDLE, "ca")).unwrap();
    let s = member(&ns, IDLE, &ours.flags(IDLE), &[BEAM]);
    let failed = said(&s, "cannot connect to node", "tls_refused");
    let text = failed["error"].as_str().unwrap();
    assert!(text.contains(&ours.file(IDLE, "crt")), "{text}");
    // Even a BEAM that looks at no certificate as a client must show one that we trust.
    assert_eq!(b.eval(&format!("net_adm:ping('{IDLE}')")).unwrap(), "pang");
}

/// The whole authority is replaced; nothing is started again.
pub(crate) fn certificates_are_replaced_while_we_run(otp: Otp) {
    let (ns, _epmd) = names(loopback());
    let (ours, theirs) = (authority(), authority());
    let options = theirs.options(BEAM, BOTH, "", &theirs.shown(BEAM)).unwrap();
    let mut b = secured(otp, &ns, "inet_tls", &options);
    let r = member(&ns, US, &ours.flags(US), &[BEAM]);
    said(&r, "cannot connect to node", "tls_untrusted");
    // Halfway: the key does not belong to the certificate.
    theirs.sign(US).unwrap();
    fs::copy(theirs.file(US, "key"), ours.file(US, "key")).unwrap();
    let half = r.enmesh.wait_for(SOON, |record| {
        let text = record["message"].as_str().unwrap_or("");
        text.starts_with("certificates cannot be read again")
    });
    let half = half.unwrap();
    assert!(half["error"].as_str().unwrap().contains("rust.example.key"));
    for what in ["ca", "crt"] {
        fs::copy(theirs.file(US, what), ours.file(US, what)).unwrap();
    }
    r.connected(0, BEAM);
    sees(&mut b, &[US]);
    assert_eq!(
        r.count(|record| record["message"] == "certificates were replaced"),
        1
    );
}

/// OTP 25 looks at no certificate unless it is told to, and shows none: we do, and say what is missing.
pub(crate) fn a_beam_that_shows_no_certificate_is_refused(otp: Otp) {
    let (ns, _epmd) = names(loopback());
    let authority = authority();
    let options = authority.options(BEAM, BOTH, "", "").unwrap();
    let mut b = secured(otp, &ns, "inet_tls", &options);
    let s = member(&ns, IDLE, &authority.flags(IDLE), &[]);
    assert_eq!(b.eval(&format!("net_adm:ping('{IDLE}')")).unwrap(), "pang");
    let refused = said(&s, "link refused", "tls_failed");
    let text = refused["error"].as_str().unwrap();
    assert!(text.contains("showed no certificate"), "{text}");
    // It may come in where we were told so, and we dial it all the same.
    let mut flags = authority.flags(US);
    flags.extend(["--tls-verify-client".to_owned(), "false".to_owned()]);
    let r = member(&ns, US, &flags, &[]);
    assert_eq!(b.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pong");
    r.connected(0, BEAM);
}

/// One of the two was started without TLS.
pub(crate) fn a_beam_without_tls_is_said(otp: Otp) {
    let (ns, _epmd) = names(loopback());
    let authority = authority();
    let mut b = beam(otp, &ns, BEAM, &[]);
    let r = member(&ns, US, &authority.flags(US), &[BEAM]);
    let failed = said(&r, "cannot connect to node", "tls_no_answer");
    let text = failed["error"].as_str().unwrap();
    assert!(text.contains("-proto_dist inet_tls"), "{text}");
    assert_eq!(b.eval(&format!("net_adm:ping('{US}')")).unwrap(), "pang");
    let refused = said(&r, "link refused", "tls_not_spoken");
    let text = refused["error"].as_str().unwrap();
    assert!(text.contains("the peer speaks no tls"), "{text}");
    drop(b);
    let options = authority
        .options(BEAM, BOTH, "", &authority.shown(BEAM))
        .unwrap();
    let mut b = secured(otp, &ns, "inet_tls", &options);
    let s = member(&ns, IDLE, &[], &[BEAM]);
    said(&s, "cannot connect to node", "peer_speaks_tls");
    assert_eq!(b.eval(&format!("net_adm:ping('{IDLE}')")).unwrap(), "pang");
    let hint = s.enmesh.wait_for(SOON, |record| {
        record["message"] == "link refused" && record["hint"].as_str().is_some()
    });
    assert!(
        hint.unwrap()["hint"]
            .as_str()
            .unwrap()
            .contains("speaks TLS")
    );
}
