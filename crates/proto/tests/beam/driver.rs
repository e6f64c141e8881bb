//! A BEAM, the epmd that it registers with, and a link to it that is driven by blocking calls.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use enmesh_identity::{Cookie, Creation};
use enmesh_proto::epmd::{AliveReply, NodeInfo, NodeType, PortReply, Request, RequestDecoder};
use enmesh_proto::{
    Action, Link, LinkConfig, LinkError, LocalNode, Message, PeerInfo, Question, Verdict,
};

/// How long a step may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a blocking read looks up.
const GLANCE: Duration = Duration::from_millis(20);

/// A BEAM node and the epmd that it registered with; both end with this value.
pub(crate) struct Beam {
    pub(crate) child: Child,
    port: u16,
    /// Where the BEAM finds us when it dials us.
    listener: TcpListener,
}

impl Beam {
    /// Starts `erl -name b@127.0.0.1 -setcookie c` and waits until it is registered. `prefix` is
    /// what stands before `erl` to start another release than the machine's own.
    pub(crate) fn start(prefix: &[OsString], eval: &str, options: &[&str]) -> Self {
        let name = ["-name", "b@127.0.0.1"];
        let (mut beam, registered) = Self::launch(prefix, eval, &[&name, options].concat());
        let node = registered
            .recv_timeout(PATIENCE)
            .expect("the BEAM registers");
        assert_eq!(
            (node.name.as_str(), node.node_type),
            ("b", NodeType::Visible)
        );
        beam.port = node.port;
        beam
    }

    /// Starts `erl -setcookie c`, whose registration, if it makes one, comes over the channel.
    pub(crate) fn launch(
        prefix: &[OsString],
        eval: &str,
        options: &[&str],
    ) -> (Self, Receiver<NodeInfo>) {
        let epmd = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut words = prefix.to_vec();
        words.push("erl".into());
        let child = Command::new(&words[0])
            .args(&words[1..])
            .args(["-noinput", "-setcookie", "c", "-start_epmd", "false"])
            .args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"])
            .args(["-kernel", "prevent_overlapping_partitions", "false"])
            .args(options)
            .args(["-eval", eval])
            .env(
                "ERL_EPMD_PORT",
                epmd.local_addr().unwrap().port().to_string(),
            )
            .env("HOME", "/tmp")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("erl is installed");
        let registered = serve_epmd(epmd, listener.local_addr().unwrap().port());
        let beam = Self {
            child,
            port: 0,
            listener,
        };
        (beam, registered)
    }

    pub(crate) fn dial(&self, config: LinkConfig) -> Peer {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let name = "b@127.0.0.1".parse().unwrap();
        Peer::new(
            stream,
            Link::dial(Instant::now(), Arc::new(config), name, 0xdead_beef),
        )
    }

    pub(crate) fn accept(&self, config: LinkConfig) -> Peer {
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
pub(crate) struct Peer {
    stream: TcpStream,
    pub(crate) link: Link,
    inbox: BytesMut,
    pub(crate) messages: Vec<Message>,
    pub(crate) asked_alive: bool,
    pub(crate) ended: Option<LinkError>,
    /// What is to be written is not.
    pub(crate) holds_back: bool,
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
            holds_back: false,
        }
    }

    /// Reads what is there and does what the link asks for.
    pub(crate) fn step(&mut self) {
        self.write();
        let mut buffer = [0; 65536];
        let mut result = match self.stream.read(&mut buffer) {
            Ok(0) => Err(self.link.handle_eof()),
            Ok(count) => {
                self.inbox.extend_from_slice(&buffer[..count]);
                self.link.handle_bytes(Instant::now(), &mut self.inbox)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.link.handle_timeout(Instant::now())
            }
            Err(_) => Err(self.link.handle_broken()),
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

    pub(crate) fn write(&mut self) {
        if self.holds_back {
            return;
        }
        if let Some(output) = self.link.take_output(Instant::now()) {
            // A peer that is gone shows itself by the next read.
            let _ = self.stream.write_all(&output);
        }
    }

    /// Steps until `done`, or until patience ends.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Peer) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "no {what}; {:?}", self.ended);
            self.step();
        }
    }

    pub(crate) fn up(&mut self) -> PeerInfo {
        self.until("link", |it| it.link.is_up() || it.ended.is_some());
        assert_eq!(self.ended, None);
        self.link.peer().unwrap().clone()
    }

    pub(crate) fn end(&mut self) -> LinkError {
        self.until("end", |it| it.ended.is_some());
        self.ended.clone().unwrap()
    }
}

pub(crate) fn config(cookie: &str) -> LinkConfig {
    let local = LocalNode {
        name: "r@127.0.0.1".parse().unwrap(),
        creation: Creation::from_seed(7),
        visible: true,
    };
    LinkConfig::new(local, Cookie::new(cookie).unwrap())
}
