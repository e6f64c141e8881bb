//! Names whose hosts no DNS knows, at addresses that only a source tells.

use std::net::Ipv4Addr;

use enmesh_interop::{Authority, NetNs, Otp};

use crate::sidecar::{COOKIE, Place, list, says, sees};

const A: &str = "a@web-0.web.test";
const B: &str = "b@web-1.web.test";
const C: &str = "c@web-2.web.test";

const ADDRESS: &str = "inet:getaddr(\"web-1.web.test\", inet)";

pub(crate) fn names_that_dns_does_not_know(otp: Otp) {
    let place = Place::new(otp);
    let mut a = place.beam(A);
    let mut b = place.beam(B);
    let peers = format!("{A} 127.0.0.4\n{B} 127.0.0.5\n");
    let file = place.write("peers", &peers);
    let topology = format!("strategy=file name=pods polling_interval=200 path={file}");
    assert_eq!(a.eval(ADDRESS).unwrap(), "{error,nxdomain}");
    let args = ["--topology", &topology[..], "--prune", "immediate"];
    let beside_a = place.agent(A, &args);
    beside_a.connected(0, B);
    sees(&mut a, &[B]);
    says(&mut a, ADDRESS, "{ok,{127,0,0,5}}");
    assert_eq!(a.eval("hd(inet_db:res_option(lookup))").unwrap(), "file");
    // The other side was dialled, and need not know anything.
    sees(&mut b, &[A]);
    says(
        &mut b,
        "inet:getaddr(\"web-0.web.test\", inet)",
        "{error,nxdomain}",
    );

    // A pod has moved: the same name at another address.
    let mark = beside_a.mark();
    b.kill9().unwrap();
    beside_a.disconnected(mark, B);
    place.write(
        "peers",
        &format!("{A} 127.0.0.4\n{B} 127.0.0.6\n{C} 127.0.0.6\n"),
    );
    says(&mut a, ADDRESS, "{ok,{127,0,0,6}}");
    let mut b = place.beam(B);
    let c = place.beam(C);
    sees(&mut a, &[B, C]);
    says(
        &mut a,
        "inet:getaddrs(\"web-1.web.test\", inet)",
        "{ok,[{127,0,0,6}]}",
    );

    // Our node is started again, with an empty table.
    let mark = beside_a.mark();
    a.kill9().unwrap();
    drop(a);
    let mut a = place.beam(A);
    beside_a.attached(mark);
    sees(&mut a, &[B, C]);
    says(&mut a, ADDRESS, "{ok,{127,0,0,6}}");

    // A peer has left: what was written for it is taken back, and what another needs stays.
    drop(c);
    place.write("peers", &format!("{A} 127.0.0.4\n{B} 127.0.0.6\n"));
    says(
        &mut a,
        "inet:getaddr(\"web-2.web.test\", inet)",
        "{error,nxdomain}",
    );
    says(&mut a, ADDRESS, "{ok,{127,0,0,6}}");
    sees(&mut b, &[A]);

    // The agent is killed, and the peer moves before the next one comes.
    drop(beside_a);
    b.kill9().unwrap();
    drop(b);
    sees(&mut a, &[]);
    place.write("peers", &format!("{A} 127.0.0.4\n{B} 127.0.0.7\n"));
    let _b = place.beam(B);
    let _beside_a = place.agent(A, &args);
    sees(&mut a, &[B]);
    says(
        &mut a,
        "inet:getaddrs(\"web-1.web.test\", inet)",
        "{ok,[{127,0,0,7}]}",
    );
}

/// The node itself keeps what was written into it, so that the next agent knows.
pub(crate) fn what_a_killed_agent_wrote_is_taken_back(otp: Otp) {
    let place = Place::new(otp);
    let mut a = place.beam(A);
    let mut b = place.beam(B);
    let peers = format!("{A} 127.0.0.4\n{B} 127.0.0.5\n{C} 127.0.0.6\n");
    let file = place.write("peers", &peers);
    let topology = format!("strategy=file name=pods polling_interval=200 path={file}");
    let args = ["--topology", &topology[..]];
    let unknown = "inet:getaddr(\"web-2.web.test\", inet)";
    // What the user wrote is nobody's to take back.
    let own = "inet_db:add_host({127,0,0,9}, [\"own.web.test\"])";
    assert_eq!(a.eval(own).unwrap(), "ok");
    let agent = place.agent(A, &args);
    agent.connected(0, B);
    says(&mut a, unknown, "{ok,{127,0,0,6}}");
    drop(agent);

    // One who never came has left while no agent ran; one who has left too is still connected.
    place.write("peers", &format!("{A} 127.0.0.4\n"));
    let agent = place.agent(A, &args);
    agent.connected(0, B);
    says(&mut a, unknown, "{error,nxdomain}");
    assert_eq!(a.eval(ADDRESS).unwrap(), "{ok,{127,0,0,5}}");
    b.kill9().unwrap();
    agent.disconnected(0, B);
    says(&mut a, ADDRESS, "{error,nxdomain}");
    says(
        &mut a,
        "application:get_env(enmesh_agent, hosts)",
        "{ok,[]}",
    );
    let own = "inet:getaddr(\"own.web.test\", inet)";
    assert_eq!(a.eval(own).unwrap(), "{ok,{127,0,0,9}}");
}

/// Over TLS the agent shows its node's own certificate, whose host is that of both.
pub(crate) fn nodes_that_speak_tls(otp: Otp) {
    const A: &str = "a@web-0.example";
    const B: &str = "b@web-1.example";

    let address = Ipv4Addr::LOCALHOST.into();
    let hosts = [(address, "web-0.example"), (address, "web-1.example")];
    let place = Place::within(otp, NetNs::with_hosts(&hosts).unwrap());
    let authority = Authority::new(&[A, B]).unwrap();
    let mut beams = [A, B].map(|name| {
        let shown = authority.shown(name);
        let versions = "'tlsv1.3','tlsv1.2'";
        let options = authority.options(name, versions, "", &shown).unwrap();
        let extra = ["-proto_dist", "inet_tls", "-ssl_dist_optfile", &options];
        place.beam_with(name, COOKIE, &extra)
    });
    let flags = authority.flags(A);
    let mut args: Vec<_> = flags.iter().map(String::as_str).collect();
    let topology = list(&[B]);
    args.extend(["--topology", &topology]);
    let beside_a = place.agent(A, &args);
    beside_a.attached(0);
    beside_a.connected(0, B);
    sees(&mut beams[0], &[B]);
    sees(&mut beams[1], &[A]);
}
