//! What two Rust members say to each other in a second, in two processes over loopback.
//!
//! `cargo bench -p enmesh --bench messages [NAME…]`; a row's name is its first column.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use enmesh::{
    Answer, Caller, Cookie, EpmdMode, GenServer, MailboxOptions, Node, NodeName, Process, Received,
    Stop, Term,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn name(host: u8) -> NodeName {
    format!("n{host}@127.0.0.{host}").parse().expect("a name")
}

async fn node(host: u8, port: u16) -> Node {
    Node::builder(name(host), Cookie::new("secret").expect("a cookie"))
        .listen(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
        .dist_port(port)
        .epmd(EpmdMode::None)
        .start()
        .await
        .expect("the node starts")
}

/// No bound that a burst reaches.
fn roomy() -> MailboxOptions {
    MailboxOptions::default()
        .capacity(1 << 30)
        .max_bytes(8 << 30)
}

struct Echo;

impl GenServer for Echo {
    async fn handle_call(
        &mut self,
        request: Term,
        _from: &Caller,
        _me: &Process,
    ) -> Result<Answer, Stop> {
        Ok(Answer::Reply(request))
    }
}

/// The other process: counts what comes to `sink`, sends back what comes to `echo`, serves calls.
async fn serve(port: u16) {
    let node = node(3, port).await;
    let server = node.start_server("server", Echo).expect("a server");
    let mut sink = node.mailbox_with("sink", &roomy()).expect("a mailbox");
    let mut echo = node.mailbox_with("echo", &roomy()).expect("a mailbox");
    let _ = server;
    println!("ready");
    let counting = async {
        // A run begins with `{Pid, Count}`, and Pid is told when so many have come.
        while let Ok(Received::Message(begin)) = sink.recv().await {
            let (pid, count) = begin.decode::<(enmesh::Pid, u64)>().expect("a run");
            for _ in 0..count {
                sink.recv().await.expect("a message");
            }
            sink.send(&pid, &count).await.expect("a link");
        }
    };
    let echoing = async {
        while let Ok(received) = echo.recv().await {
            let Received::Message(message) = received else {
                continue;
            };
            let (pid, n) = message.decode::<(enmesh::Pid, u64)>().expect("a ping");
            echo.send(&pid, &n).await.expect("a link");
        }
    };
    futures::join!(counting, echoing);
}

async fn one_way(node: &Node, count: u64, message: &Term) -> Duration {
    let sink = enmesh::Destination::from(("sink", &name(3)));
    let mut mailbox = node.anonymous_mailbox().expect("a mailbox");
    let begin = Instant::now();
    let run = (mailbox.pid().clone(), count);
    mailbox.send(&sink, &run).await.expect("a link");
    for _ in 0..count {
        mailbox.send(&sink, message).await.expect("a link");
    }
    let Received::Message(answer) = mailbox.recv().await.expect("an answer") else {
        panic!("no message");
    };
    assert_eq!(answer.decode::<u64>().expect("a number"), count);
    begin.elapsed()
}

async fn ping_pong(node: &Node, count: u64, in_flight: u64) -> Duration {
    let echo = enmesh::Destination::from(("echo", &name(3)));
    let mut mailbox = node.anonymous_mailbox_with(&roomy()).expect("a mailbox");
    let pid = mailbox.pid().clone();
    let begin = Instant::now();
    for n in 0..in_flight {
        mailbox
            .send(&echo, &(pid.clone(), n))
            .await
            .expect("a link");
    }
    for n in 0..count {
        mailbox.recv().await.expect("a pong");
        if n + in_flight < count {
            mailbox
                .send(&echo, &(pid.clone(), n))
                .await
                .expect("a link");
        }
    }
    begin.elapsed()
}

async fn calls(node: &Node, count: u64, callers: u64) -> Duration {
    let begin = Instant::now();
    let calling = (0..callers).map(|_| async {
        let request = Term::atom("x");
        for _ in 0..count / callers {
            let reply = node.call(("server", &name(3)), &request, PATIENCE).await;
            assert_eq!(reply, Ok(Term::atom("x")));
        }
    });
    futures::future::join_all(calling).await;
    begin.elapsed()
}

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn peer(port: u16) -> Peer {
    let program = std::env::current_exe().expect("a program");
    let mut child = Command::new(program)
        .args(["serve", &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let stdout = child.stdout.take().expect("a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert_eq!(line.trim(), "ready");
    Peer(child)
}

async fn measure(wanted: &[String]) {
    let any = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = any.local_addr().expect("an address").port();
    drop(any);
    let _peer = peer(port);
    let node = node(2, port).await;
    node.connect(name(3)).await.expect("a link");
    let hello = Term::tuple([Term::atom("hello"), Term::Int(1), Term::binary([7; 10])]);
    let block = |bytes: usize| Term::binary(vec![7; bytes]);
    let is_wanted = |row: &str| wanted.is_empty() || wanted.iter().any(|name| row == name);
    let rate = |row: &str, count: u64, bytes: u64, took: Duration| {
        let seconds = took.as_secs_f64();
        let (rate, volume) = (
            count as f64 / seconds,
            (count * bytes) as f64 / seconds / 1e6,
        );
        println!("{row:<16} {rate:>12.0}/s {volume:>10.1} MB/s");
    };
    for (row, count, message, bytes) in [
        ("small", 3_000_000, hello, 0),
        ("1KiB", 500_000, block(1 << 10), 1 << 10),
        ("64KiB", 30_000, block(64 << 10), 64 << 10),
        ("1MiB", 2_000, block(1 << 20), 1 << 20),
    ] {
        if is_wanted(row) {
            one_way(&node, count / 20, &message).await;
            rate(row, count, bytes, one_way(&node, count, &message).await);
        }
    }
    for (row, count, in_flight) in [("ping-1", 30_000, 1), ("ping-100", 500_000, 100)] {
        if is_wanted(row) {
            rate(row, count, 0, ping_pong(&node, count, in_flight).await);
        }
    }
    for (row, count, callers) in [("call-1", 20_000, 1), ("call-100", 200_000, 100)] {
        if is_wanted(row) {
            rate(row, count, 0, calls(&node, count, callers).await);
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [role, port] if role == "serve" => {
            futures::executor::block_on(serve(port.parse().expect("a port")));
        }
        wanted => {
            let wanted: Vec<_> = wanted.iter().filter(|arg| !arg.starts_with("--")).collect();
            let wanted: Vec<String> = wanted.into_iter().cloned().collect();
            futures::executor::block_on(measure(&wanted));
        }
    }
}
