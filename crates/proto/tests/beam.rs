//! A real BEAM node on the other end, found through an epmd that is the test itself.
//!
//! Everything is on loopback and on ports that the system chooses. A missing `erl` is a failure.
// This is the driver that the crate itself must not have.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use enmesh_identity::{Cookie, Creation};
use enmesh_proto::epmd::{AliveReply, NodeInfo, NodeType, PortReply, Request, RequestDecoder};
use enmesh_proto::{
    Action, Control, Direction, Link, LinkConfig, LinkError, LocalNode, Message, PeerInfo,
    Question, Verdict,
};
use enmesh_term::{Atom, Limits, Pid, Term, decode_bare, encode_bare};

/// How long a step may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a blocking read looks up.
const GLANCE: Duration = Duration::from_millis(20);

/// A BEAM node and the epmd that it registered with; both end with this value.
struct Beam {
    child: Child,
    port: u16,
    /// Where the BEAM finds us when it dials us.
    listener: TcpListener,
}

impl Beam {
    /// Starts `erl -name b@127.0.0.1 -setcookie c` and waits until it is registered.
    fn start(eval: &str, options: &[&str]) -> Self {
        let epmd = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let child = Command::new("erl")
            .args(["-noinput", "-name", "b@127.0.0.1", "-setcookie", "c"])
            .args([
                "-start_epmd",
                "false",
                "-kernel",
                "inet_dist_use_interface",
                "{127,0,0,1}",
            ])
            .args(["-kernel", "prevent_overlapping_partitions", "false"])
            .args(options)
            .args(["-eval", eval])
            .env(
                "ERL_EPMD_PORT",
                epmd.local_addr().unwrap().port().to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("erl of OTP 25 is installed");
        let registered = serve_epmd(epmd, listener.local_addr().unwrap().port());
        let node = registered
            .recv_timeout(PATIENCE)
            .expect("the BEAM registers");
        assert_eq!(
            (node.name.as_str(), node.node_type),
            ("b", NodeType::Visible)
        );
        Self {
            child,
            port: node.port,
            listener,
        }
    }

    fn dial(&self, config: LinkConfig) -> Peer {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let name = "b@127.0.0.1".parse().unwrap();
        Peer::new(
            stream,
            Link::dial(Instant::now(), Arc::new(config), name, 0xdead_beef),
        )
    }

    fn accept(&self, config: LinkConfig) -> Peer {
        self.listener.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "the BEAM does not dial");
                    std::thread::sleep(GLANCE);
                }
                Err(error) => panic!("{error}"),
            }
        };
        stream.set_nonblocking(false).unwrap();
        Peer::new(
            stream,
            Link::accept(Instant::now(), Arc::new(config), 0xcafe_f00d),
        )
    }
}

impl Drop for Beam {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Registers whoever asks and tells everybody that `r` listens on `port`.
fn serve_epmd(epmd: TcpListener, port: u16) -> Receiver<NodeInfo> {
    let (tell, registered) = channel();
    std::thread::spawn(move || {
        // A registration lasts as long as its connection.
        let mut held = Vec::new();
        for stream in epmd.incoming() {
            let mut stream = stream.unwrap();
            match read_request(&mut stream) {
                Request::Alive2(node) => {
                    let creation = Creation::from_seed(5);
                    let reply = AliveReply::Alive2X {
                        result: 0,
                        creation,
                    };
                    stream.write_all(&reply.encode()).unwrap();
                    held.push(stream);
                    let _ = tell.send(node);
                }
                Request::PortPlease { name } if name == "r" => {
                    let node = NodeInfo::new(name, port, NodeType::Visible);
                    stream.write_all(&PortReply::Found(node).encode()).unwrap();
                }
                _ => stream
                    .write_all(&PortReply::NotFound { code: 1 }.encode())
                    .unwrap(),
            }
        }
    });
    registered
}

fn read_request(stream: &mut TcpStream) -> Request {
    let mut decoder = RequestDecoder::new();
    let mut buffer = [0; 512];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed within a request");
        if let Some(request) = decoder
            .feed(&buffer[..count])
            .expect("a request of the BEAM")
        {
            return request;
        }
    }
}

/// A link driven by blocking calls.
struct Peer {
    stream: TcpStream,
    link: Link,
    inbox: BytesMut,
    messages: Vec<Message>,
    asked_alive: bool,
    ended: Option<LinkError>,
}

impl Peer {
    fn new(stream: TcpStream, link: Link) -> Self {
        stream.set_read_timeout(Some(GLANCE)).unwrap();
        Self {
            stream,
            link,
            inbox: BytesMut::new(),
            messages: Vec::new(),
            asked_alive: false,
            ended: None,
        }
    }

    /// Reads what is there and does what the link asks for.
    fn step(&mut self) {
        self.write();
        let mut buffer = [0; 4096];
        let mut result = match self.stream.read(&mut buffer) {
            Ok(0) => Err(self.link.handle_eof()),
            Ok(count) => {
                self.inbox.extend_from_slice(&buffer[..count]);
                self.link.handle_bytes(Instant::now(), &mut self.inbox)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.link.handle_timeout(Instant::now())
            }
            Err(_) => Err(self.link.handle_eof()),
        };
        while let Some(action) = self.link.poll_action() {
            let verdict = match action {
                Action::Deliver(message) => {
                    self.messages.push(message);
                    continue;
                }
                Action::Close(error) => {
                    self.ended = Some(error);
                    continue;
                }
                Action::Ask(Question::Inbound { .. }) => Verdict::Accept,
                Action::Ask(Question::Alive) => {
                    self.asked_alive = true;
                    Verdict::Continue
                }
                Action::Ask(Question::Authenticated(_)) => Verdict::Admit,
            };
            self.link.handle_verdict(Instant::now(), verdict).unwrap();
            result = self.link.handle_bytes(Instant::now(), &mut self.inbox);
        }
        self.write();
        if let Err(error) = result {
            self.ended = Some(error);
        }
    }

    fn write(&mut self) {
        if let Some(output) = self.link.take_output(Instant::now()) {
            // A peer that is gone shows itself by the next read.
            let _ = self.stream.write_all(&output);
        }
    }

    /// Steps until `done`, or until patience ends.
    fn until(&mut self, what: &str, done: impl Fn(&Peer) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "no {what}; {:?}", self.ended);
            self.step();
        }
    }

    fn up(&mut self) -> PeerInfo {
        self.until("link", |it| it.link.is_up() || it.ended.is_some());
        assert_eq!(self.ended, None);
        self.link.peer().unwrap().clone()
    }

    fn end(&mut self) -> LinkError {
        self.until("end", |it| it.ended.is_some());
        self.ended.clone().unwrap()
    }
}

fn config(cookie: &str) -> LinkConfig {
    let local = LocalNode {
        name: "r@127.0.0.1".parse().unwrap(),
        creation: Creation::from_seed(7),
        visible: true,
    };
    LinkConfig::new(local, Cookie::new(cookie).unwrap())
}

const DIAL_US: &str = "net_kernel:connect_node('r@127.0.0.1').";
const ECHO: &str =
    "register(echo, spawn(fun F() -> receive {P, M} -> P ! {echoed, M} end, F() end)).";

#[test]
fn a_beam_is_dialled_and_echoes() {
    let beam = Beam::start(ECHO, &[]);
    let mut peer = beam.dial(config("c"));
    let info = peer.up();
    assert_eq!(info.name.as_str(), "b@127.0.0.1");
    assert_eq!(info.creation, Creation::from_seed(5), "what epmd gave it");
    assert_eq!((info.visible, info.direction), (true, Direction::Dialled));
    // A BEAM greets a visible node by two messages.
    peer.until("greeting", |it| it.messages.len() >= 2);
    let to = |it: &Message| match &it.control {
        Control::RegSend { to, .. } => to.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(to(&peer.messages[0]), "rex");
    assert_eq!(to(&peer.messages[1]), "global_name_server");

    let us = Pid::new(Atom::from_static("r@127.0.0.1"), 1, 0, 7);
    let body = Bytes::from(encode_bare(&Term::tuple([
        us.clone().into(),
        Term::Int(42),
    ])));
    let echo = Control::RegSend {
        from: us.clone(),
        to: Atom::from_static("echo"),
        token: None,
    };
    peer.messages.clear();
    // The node may be registered before its process is, so the message is sent until it is heard.
    let deadline = Instant::now() + PATIENCE;
    while peer.messages.is_empty() {
        assert!(Instant::now() < deadline, "no echo; {:?}", peer.ended);
        peer.link.send(0, &echo, Some(body.clone())).unwrap();
        peer.step();
    }
    let echoed = &peer.messages[0];
    assert_eq!(
        echoed.control,
        Control::Send {
            to: us,
            token: None
        }
    );
    let term = decode_bare(echoed.payload.as_ref().unwrap(), &Limits::default()).unwrap();
    assert_eq!(term, Term::tuple([Term::atom("echoed"), Term::Int(42)]));
}

#[test]
fn a_beam_dials_us() {
    let beam = Beam::start(DIAL_US, &[]);
    let mut peer = beam.accept(config("c"));
    let info = peer.up();
    assert_eq!(
        (info.name.as_str(), info.direction),
        ("b@127.0.0.1", Direction::Accepted)
    );
    peer.until("greeting", |it| it.messages.len() >= 2);
}

#[test]
fn another_cookie_shows_on_both_sides() {
    let beam = Beam::start(DIAL_US, &[]);
    let dialled = beam.dial(config("other")).end();
    assert_eq!(
        dialled,
        LinkError::ClosedAfterDigest {
            peer: "b@127.0.0.1".parse().unwrap()
        }
    );
    let accepted = beam.accept(config("other")).end();
    assert_eq!(
        accepted,
        LinkError::WrongDigest {
            peer: "b@127.0.0.1".parse().unwrap()
        }
    );
}

#[test]
fn a_second_link_is_asked_about_and_takes_over() {
    let beam = Beam::start("ok.", &[]);
    let mut first = beam.dial(config("c"));
    first.up();
    let mut second = beam.dial(config("c"));
    second.up();
    assert!(second.asked_alive);
    assert_eq!(first.end(), LinkError::Closed);
    second.until("greeting", |it| it.messages.len() >= 2);
}

#[test]
fn an_idle_beam_with_a_short_ticktime_keeps_us() {
    let beam = Beam::start("ok.", &["-kernel", "net_ticktime", "4"]);
    let mut peer = beam.dial(config("c"));
    peer.up();
    let end = Instant::now() + Duration::from_secs(11);
    peer.until("end of the wait", |_| Instant::now() >= end);
    assert_eq!(peer.ended, None);
    let counters = peer.link.counters();
    assert!(
        counters.ticks_in >= 5 && counters.ticks_out >= 3,
        "{counters:?}"
    );
}

#[test]
fn a_beam_that_is_killed_closes_the_link() {
    let mut beam = Beam::start("ok.", &[]);
    let mut peer = beam.dial(config("c"));
    peer.up();
    beam.child.kill().unwrap();
    assert_eq!(peer.end(), LinkError::Closed);
}
