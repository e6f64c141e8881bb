//! The Rust half: it serves every row, and drives every row against any peer, as `enmesh_bench.erl` does.
//!
//! It is written as a user would write it: one thread, tasks with mailboxes, terms and tuples.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use enmesh::{
    Answer, Atom, Caller, Cookie, EpmdMode, GenServer, Mailbox, MailboxOptions, Node, NodeName,
    Pid, Process, Received, Stop, Term, TermRef, TlsConfig,
};
use tokio::task::{JoinSet, LocalSet};

use crate::samples::{Summary, at_any_moment, summary};

/// Names the node that this process is to be.
pub(crate) const ROLE: &str = "ENMESH_BENCH_NODE";

/// Name the files of a node that speaks TLS, and what is in each.
pub(crate) const TLS_FILES: [(&str, &str); 3] = [
    ("ENMESH_BENCH_CERT", "crt"),
    ("ENMESH_BENCH_KEY", "key"),
    ("ENMESH_BENCH_CA", "ca"),
];

/// The cookie of every pair.
pub(crate) const COOKIE: &str = "bench";

const WINDOW: u64 = 100;
const BULK: usize = 64 * 1024 * 1024;
/// From one transfer to the next: the same load for everybody, whoever could do more.
const BULK_EVERY: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(120);

/// Is a node until its standard input ends.
pub(crate) fn run(name: &str) -> Result<()> {
    let mut builder = Node::builder(name.parse()?, Cookie::new(COOKIE)?)
        .epmd(EpmdMode::System)
        .visible(true);
    if let [Some(cert), Some(key), Some(ca)] = TLS_FILES.map(|(name, _)| std::env::var_os(name)) {
        builder = builder.tls(TlsConfig::new(cert, key, ca));
    }
    let node = builder.start_blocking()?;
    node.block_on(LocalSet::new().run_until(serve_and_drive(node.clone())))
}

async fn serve_and_drive(node: Node) -> Result<()> {
    tokio::task::spawn_local(echo(node.mailbox("echo")?));
    // As a BEAM's mailbox, which has no bound: a flood that comes while we have no core must not end the sink.
    let boundless = MailboxOptions::default()
        .capacity(100_000_000)
        .max_bytes(8 << 30);
    let mailbox = node.mailbox_with("sink", &boundless)?;
    tokio::task::spawn_local(sink(mailbox));
    node.start_server("server", Server)?;
    let (lines, mut inbox) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    println!("ready");
    let node = Rc::new(node);
    while let Some(line) = inbox.recv().await {
        match row(&node, &line).await {
            Ok(done) => println!("result {:.3} {:.3} {:.3}", done.rate, done.p50, done.p99),
            Err(error) => println!("error {error:#}"),
        }
    }
    node.shutdown().await;
    Ok(())
}

// What is served.

async fn echo(mut mailbox: Mailbox) -> Result<()> {
    loop {
        let Term::Tuple(parts) = message(&mut mailbox).await?.term()? else {
            bail!("not for an echo");
        };
        let [Term::Pid(from), content] = &parts[..] else {
            bail!("nobody to answer");
        };
        if content.is_atom("whoami") {
            let answer = (Atom::from_static("echo"), mailbox.pid());
            mailbox.send(&**from, &answer).await?;
        } else {
            mailbox.send(&**from, content).await?;
        }
    }
}

async fn sink(mut mailbox: Mailbox) -> Result<()> {
    let mut count = 0_u64;
    loop {
        let message = message(&mut mailbox).await?;
        // Every message is looked at, as a BEAM's process does when it matches.
        let asked = match message.view()? {
            TermRef::Tuple(parts) if parts.len() == 2 => message.term()?,
            _ => {
                count += 1;
                continue;
            }
        };
        let Term::Tuple(parts) = asked else {
            bail!("not for a sink");
        };
        let [Term::Pid(from), _] = &parts[..] else {
            bail!("nobody to answer");
        };
        let answer = (Atom::from_static("count"), count);
        mailbox.send(&**from, &answer).await?;
        count = 0;
    }
}

/// A call is answered with its request.
struct Server;

impl GenServer for Server {
    async fn handle_call(
        &mut self,
        request: Term,
        _from: &Caller,
        _me: &Process,
    ) -> Result<Answer, Stop> {
        Ok(Answer::Reply(request))
    }
}

async fn message(mailbox: &mut Mailbox) -> Result<enmesh::Message> {
    loop {
        if let Received::Message(message) = mailbox.recv().await? {
            return Ok(message);
        }
    }
}

// What is driven.

async fn row(node: &Rc<Node>, line: &str) -> Result<Summary> {
    let words: Vec<&str> = line.split(' ').collect();
    let [row, peer, millis] = words[..] else {
        bail!("not a row: {line}");
    };
    let peer: NodeName = peer.parse()?;
    let time = Duration::from_millis(millis.parse()?);
    // What waits for a connection has bounds of its own, which 64 MiB exceed.
    node.connect(peer.clone()).await?;
    let small = || (Atom::from_static("hello"), 1, Term::binary(b"0123456789"));
    let bytes = |size: usize| Term::binary(vec![7; size]);
    match row {
        "ping_1" => ping(node, &peer, time).await,
        "ping_100" => window(node, &peer, time).await,
        "one_way_small" => one_way(node, &peer, time, &small()).await,
        "one_way_1k" => one_way(node, &peer, time, &bytes(1 << 10)).await,
        "one_way_64k" => one_way(node, &peer, time, &bytes(64 << 10)).await,
        "one_way_1m" => one_way(node, &peer, time, &bytes(1 << 20)).await,
        "ping_beside_64m" => beside_bulk(node, &peer, time, bytes(BULK)).await,
        "call_1" => callers(node, &peer, time, 1, Work::Call).await,
        "call_100" => callers(node, &peer, time, 100, Work::Call).await,
        "rpc_1" => callers(node, &peer, time, 1, Work::Rpc).await,
        "rpc_100" => callers(node, &peer, time, 100, Work::Rpc).await,
        "connect" => cycles(node, &peer, time).await,
        _ => bail!("unknown row: {row}"),
    }
}

async fn echo_of(mailbox: &mut Mailbox, peer: &NodeName) -> Result<Pid> {
    let question = (mailbox.pid(), Atom::from_static("whoami"));
    mailbox.send(("echo", peer), &question).await?;
    let answer = message(mailbox).await?.term()?;
    match answer {
        Term::Tuple(parts) => match &parts[..] {
            [_, Term::Pid(echo)] => Ok((**echo).clone()),
            _ => bail!("no echo at {peer}"),
        },
        _ => bail!("no echo at {peer}"),
    }
}

async fn ping(node: &Node, peer: &NodeName, time: Duration) -> Result<Summary> {
    let begin = Instant::now();
    let samples = pings(node, peer, time).await?;
    Ok(summary(begin.elapsed(), samples))
}

async fn pings(node: &Node, peer: &NodeName, time: Duration) -> Result<Vec<Duration>> {
    let mut mailbox = node.anonymous_mailbox()?;
    let echo = echo_of(&mut mailbox, peer).await?;
    let question = (mailbox.pid().clone(), 1);
    let mut samples = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < time {
        let sent = Instant::now();
        mailbox.send(&echo, &question).await?;
        let answer = message(&mut mailbox).await?;
        ensure!(matches!(answer.view()?, TermRef::Int(1)), "another answer");
        samples.push(sent.elapsed());
    }
    Ok(samples)
}

async fn window(node: &Node, peer: &NodeName, time: Duration) -> Result<Summary> {
    let mut mailbox = node.anonymous_mailbox()?;
    let echo = echo_of(&mut mailbox, peer).await?;
    let question = (mailbox.pid().clone(), 1);
    let begin = Instant::now();
    for _ in 0..WINDOW {
        mailbox.send(&echo, &question).await?;
    }
    let mut count = 0;
    while begin.elapsed() < time {
        for _ in 0..WINDOW {
            let answer = message(&mut mailbox).await?;
            ensure!(matches!(answer.view()?, TermRef::Int(1)), "another answer");
            mailbox.send(&echo, &question).await?;
            count += 1;
        }
    }
    for _ in 0..WINDOW {
        message(&mut mailbox).await?;
        count += 1;
    }
    Ok(Summary::of_count(count, begin.elapsed()))
}

async fn one_way(
    node: &Node,
    peer: &NodeName,
    time: Duration,
    content: &impl enmesh::ToTerm,
) -> Result<Summary> {
    let mut mailbox = node.anonymous_mailbox()?;
    count_of(&mut mailbox, peer).await?;
    let sink = enmesh::Destination::from(("sink", peer));
    let begin = Instant::now();
    while begin.elapsed() < time {
        for _ in 0..16 {
            mailbox.send(&sink, content).await?;
        }
    }
    let count = count_of(&mut mailbox, peer).await?;
    Ok(Summary::of_count(count, begin.elapsed()))
}

async fn count_of(mailbox: &mut Mailbox, peer: &NodeName) -> Result<u64> {
    let question = (mailbox.pid(), Atom::from_static("count"));
    mailbox.send(("sink", peer), &question).await?;
    let answer = tokio::time::timeout(PATIENCE, message(mailbox)).await??;
    let Term::Tuple(parts) = answer.term()? else {
        bail!("no count");
    };
    match &parts[..] {
        [_, Term::Int(count)] => Ok(u64::try_from(*count)?),
        _ => bail!("no count"),
    }
}

async fn beside_bulk(
    node: &Rc<Node>,
    peer: &NodeName,
    time: Duration,
    content: Term,
) -> Result<Summary> {
    let (sender, to) = (Rc::clone(node), peer.clone());
    let bulk = tokio::task::spawn_local(async move {
        let mut mailbox = sender.anonymous_mailbox()?;
        loop {
            let next = tokio::time::Instant::now() + BULK_EVERY;
            mailbox.send(("sink", &to), &content).await?;
            count_of(&mut mailbox, &to).await?;
            tokio::time::sleep_until(next).await;
        }
        #[allow(unreachable_code)] // It says what the loop's errors are.
        Ok::<(), anyhow::Error>(())
    });
    let samples = pings(node, peer, time).await?;
    ensure!(!bulk.is_finished(), "the bulk ended: {:?}", bulk.await);
    bulk.abort();
    Ok(at_any_moment(&samples))
}

#[derive(Clone, Copy)]
enum Work {
    Call,
    Rpc,
}

impl Work {
    async fn once(self, node: &Node, peer: &NodeName) -> Result<()> {
        match self {
            Self::Call => {
                let request = Atom::from_static("x");
                let reply = node.call(("server", peer), &request, PATIENCE).await?;
                ensure!(reply.is_atom("x"), "it replies {reply}");
            }
            Self::Rpc => {
                let answer = node.rpc(peer, "erlang", "node", vec![], PATIENCE).await?;
                ensure!(answer.is_atom(peer.as_str()), "it answers {answer}");
            }
        }
        Ok(())
    }
}

async fn callers(
    node: &Rc<Node>,
    peer: &NodeName,
    time: Duration,
    number: usize,
    work: Work,
) -> Result<Summary> {
    work.once(node, peer).await?;
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..number {
        let (node, peer) = (Rc::clone(node), peer.clone());
        callers.spawn_local(async move {
            let mut samples = Vec::new();
            while begin.elapsed() < time {
                let sent = Instant::now();
                work.once(&node, &peer).await?;
                samples.push(sent.elapsed());
            }
            Ok::<_, anyhow::Error>(samples)
        });
    }
    let mut samples = Vec::new();
    while let Some(caller) = callers.join_next().await {
        samples.extend(caller??);
    }
    Ok(summary(begin.elapsed(), samples))
}

async fn cycles(node: &Node, peer: &NodeName, time: Duration) -> Result<Summary> {
    node.disconnect(peer).await;
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < time {
        if node.connect(peer.clone()).await.is_ok() {
            count += 1;
        }
        node.disconnect(peer).await;
    }
    let done = Summary::of_count(count, begin.elapsed());
    node.connect(peer.clone()).await.context("at the end")?;
    Ok(done)
}
