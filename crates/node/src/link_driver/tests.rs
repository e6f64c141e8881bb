//! How long one waits for another on a link, and on a node.

mod ends;

use bytes::{Buf, Bytes};
use enmesh_identity::{Cookie, Creation, NodeName};
use enmesh_otp::{AutoConnect, Kernel, KernelConfig};
use enmesh_proto::{Control, LinkConfig, LocalNode};
use enmesh_term::{Pid, Term};
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use super::*;
use crate::link_queue::{Refused, SMALL};
use crate::mailbox::{Mailbox, MailboxOptions, Received};

const MIB: usize = 1 << 20;

fn config(name: &str) -> Arc<LinkConfig> {
    let local = LocalNode {
        name: name.parse().unwrap(),
        creation: Creation::from_seed(9),
        visible: true,
    };
    Arc::new(LinkConfig::new(local, Cookie::new("secret").unwrap()))
}

/// Has `link` read `bytes`, lets it have its way, and gives what it says to that.
fn hear(link: &mut Link, bytes: BytesMut) -> BytesMut {
    let (now, mut inbox) = (Instant::now(), bytes);
    link.handle_bytes(now, &mut inbox).unwrap();
    while let Some(action) = link.poll_action() {
        if let Action::Ask(question) = action {
            let verdict = match question {
                Question::Authenticated(_) => Verdict::Admit,
                _ => Verdict::Accept,
            };
            link.handle_verdict(now, verdict).unwrap();
            link.handle_bytes(now, &mut inbox).unwrap();
        }
    }
    link.take_output(now).unwrap_or_default()
}

/// Both ends of a link that is up.
fn link_up() -> (Link, Link) {
    let now = Instant::now();
    let peer: NodeName = "b@127.0.0.1".parse().unwrap();
    let mut ours = Link::dial(now, config("a@127.0.0.1"), peer, 1);
    let mut theirs = Link::accept(now, config("b@127.0.0.1"), 2);
    let mut said = ours.take_output(now).unwrap();
    while !said.is_empty() {
        let answer = hear(&mut theirs, said);
        said = hear(&mut ours, answer);
    }
    assert!(ours.is_up());
    (ours, theirs)
}

/// With nobody who reads at the other end.
fn driver() -> Driver {
    driver_of(link_up().0)
}

fn driver_of(link: Link) -> Driver {
    Driver::new(link, wires().0)
}

/// What connects a link with nobody but the test.
fn wires() -> (Wires, mpsc::Receiver<Report>, mpsc::Sender<Verdict>) {
    let kernel = KernelConfig {
        node: "a@127.0.0.1".parse().unwrap(),
        creation: Creation::from_seed(9),
        visible: true,
        net_ticktime: Duration::from_secs(60),
        auto_connect: AutoConnect::Always,
        echo: false,
        seed: 7,
    };
    let mut plan =
        enmesh_membership::Plan::new(enmesh_membership::PlanConfig::new(kernel.node.clone(), 7));
    let (reports, reported) = mpsc::channel(1);
    let (judge, verdicts) = mpsc::channel(1);
    let wires = Wires {
        id: plan.handle_accepted(Instant::now()),
        reports,
        verdicts,
        stop: CancellationToken::new(),
        kernel: KernelDriver::new(
            Kernel::new(Instant::now(), kernel),
            MIB,
            crate::crew::Crew::new().unwrap(),
        ),
        queue: Arc::default(),
    };
    (wires, reported, judge)
}

fn message(payload: Vec<u8>) -> Message {
    Message {
        control: Control::Send {
            to: Pid::new(Atom::from_static("b@127.0.0.1"), 1, 0, 9),
            token: None,
        },
        payload: Some(payload.into()),
    }
}

/// A message to one of as many names as there are, each as long as a name can be.
fn to_long_name(number: u64, payload: Vec<u8>) -> Message {
    let name = format!("{number:05}{}", "\u{1d11e}".repeat(250));
    Message {
        control: Control::RegSend {
            from: Pid::new(Atom::from_static("a@127.0.0.1"), 1, 0, 9),
            to: Atom::new(&name).unwrap(),
            token: None,
        },
        payload: Some(payload.into()),
    }
}

/// What small messages are like.
#[derive(Clone, Copy)]
enum Kind {
    /// To a pid, with payloads of this length.
    Plain(usize),
    /// To a long name.
    Named,
}

impl Kind {
    fn message(self, number: u64) -> Message {
        match self {
            Kind::Plain(len) => message(vec![0; len]),
            Kind::Named => to_long_name(number, vec![0; 10]),
        }
    }
}

/// Takes what is on its way to the socket for written.
fn written(driver: &mut Driver) -> Bytes {
    let mut outbox = std::mem::take(&mut driver.outbox);
    outbox.copy_to_bytes(outbox.remaining())
}

/// As many messages of this kind as the queue takes from users.
fn fill(queue: &Arc<LinkQueue>, kind: Kind) -> usize {
    let refused = |at| queue.try_push(Outgoing::new(100 + at, kind.message(at)), None);
    (0..)
        .find(|&at| matches!(refused(at), Err(Refused::Full(_))))
        .unwrap() as usize
}

/// What is counted: bytes that are written between the moment in which the queue takes a small
/// message and the moment in which that is written itself.
fn bytes_before_a_small_message(kind: Kind) -> usize {
    const MARK: &[u8] = b"the small one itself";
    let (mut worst, mut driver) = (0, driver());
    let queue = Arc::clone(&driver.wires.queue);
    let room = fill(&Arc::default(), kind);
    for round in 0..40 {
        // Large ones of many flows never end, and small ones come as fast as they are taken.
        while queue.has_room(Size::new(2 * MIB, 0), None) {
            let large = message(vec![1; 2 * MIB]);
            queue
                .try_push(Outgoing::new(round % 16, large), None)
                .unwrap();
        }
        let _ = queue.try_push(Outgoing::new(99, kind.message(99)), None);
        driver.fill_outbox(round % 2 == 0).unwrap();
        let mut others = driver.outbox.remaining();
        for at in 1..room as u64 {
            let _ = queue.try_push(Outgoing::new(100 + at, kind.message(at)), None);
        }
        queue.push(7777, message(MARK.to_vec()));
        written(&mut driver);
        for number in 50_000.. {
            driver.fill_outbox(round % 2 == 0).unwrap();
            let batch = written(&mut driver);
            let found = batch.windows(MARK.len()).position(|it| it == MARK);
            others += found.unwrap_or(batch.len());
            if found.is_some() {
                break;
            }
            // Nobody is told to wait while there is room for one more.
            let _ = queue.try_push(Outgoing::new(100, kind.message(number)), None);
        }
        worst = worst.max(others);
    }
    worst
}

#[test]
fn a_small_message_waits_for_one_mib_of_others_at_most() {
    for len in [10, 1000, 10_000, 60_000, SMALL] {
        let worst = bytes_before_a_small_message(Kind::Plain(len));
        assert!(worst > 64 * 1024, "nothing was in the way: {worst}");
        assert!(
            worst <= MIB,
            "{worst} bytes of messages of {len} went before"
        );
    }
}

#[test]
fn a_small_message_waits_for_one_mib_at_most_however_long_the_names_of_others_are() {
    let worst = bytes_before_a_small_message(Kind::Named);
    assert!(worst > 64 * 1024, "nothing was in the way: {worst}");
    assert!(worst <= MIB, "{worst} bytes went before");
}

#[test]
fn small_messages_behind_a_large_one_of_their_own_sender_keep_no_other_out() {
    const MARK: &[u8] = b"the small one of another";
    let mut driver = driver();
    let queue = Arc::clone(&driver.wires.queue);
    let large = message(vec![1; 32 * MIB]);
    queue.try_push(Outgoing::new(5, large), None).unwrap();
    for _ in 0..20 {
        let small = || Outgoing::new(5, message(vec![0; 1000]));
        while queue.try_push(small(), None).is_ok() {}
        driver.fill_outbox(true).unwrap();
        written(&mut driver);
    }
    queue.push(7777, message(MARK.to_vec()));
    let mut others = 0;
    loop {
        driver.fill_outbox(true).unwrap();
        let batch = written(&mut driver);
        match batch.windows(MARK.len()).position(|it| it == MARK) {
            Some(before) => break others += before,
            None => others += batch.len(),
        }
    }
    assert!(others <= MIB, "{others} bytes went before");
}

/// A request to call a function that is not there, which is long to decode.
fn long_request(from: &Pid) -> Message {
    let args = Term::List(vec![Term::Tuple(vec![Term::Int(1); 9]); 600_000]);
    let call = ["call", "no", "such"].map(Term::atom).into_iter();
    let call = Term::Tuple(call.chain([args, Term::atom("user")]).collect());
    let request = Term::tuple([from.clone().into(), call]);
    Message {
        control: Control::RegSend {
            from: from.clone(),
            to: Atom::from_static("rex"),
            token: None,
        },
        payload: Some(enmesh_term::encode_bare(&request).into()),
    }
}

/// How often something was done until `done`, and how long it took at most.
async fn longest(done: &AtomicBool, act: impl AsyncFn()) -> (u32, Duration) {
    let (mut times, mut longest) = (0, Duration::ZERO);
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        act().await;
        longest = longest.max(began.elapsed());
        times += 1;
    }
    (times, longest)
}

#[tokio::test]
async fn neither_the_kernel_nor_other_links_wait_while_a_long_request_is_decoded() {
    let mut driver = driver();
    let peer = driver.link.peer().unwrap().clone();
    let from = Pid::new(atom_of(&peer.name), 40, 0, peer.creation.get());
    driver.peer = Some(atom_of(&peer.name));
    let kernel = Arc::clone(&driver.wires.kernel);
    kernel.nodeup(&peer, 1, Arc::default());
    let done = Arc::new(AtomicBool::new(false));
    let message = long_request(&from);
    let user = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let ask = async || kernel.with(|_, _| ());
            futures::executor::block_on(longest(&done, ask))
        }
    });
    let link = async {
        let began = Instant::now();
        assert!(driver.deliver(message).await.is_none());
        assert_eq!(driver.undecodable, 0);
        done.store(true, Ordering::Relaxed);
        began.elapsed()
    };
    let others = longest(&done, tokio::task::yield_now);
    let (all, (turns, stalled)) = tokio::join!(link, others);
    let (asked, waited) = user.join().unwrap();
    assert!(turns > 100, "{turns} turns in {all:?}");
    // If it were decoded at one go, they would wait for all of it.
    assert!(stalled < all / 2, "no turn for {stalled:?} of {all:?}");
    assert!(asked > 100, "asked {asked} times in {all:?}");
    assert!(waited < all / 2, "waited {waited:?} of {all:?}");
}

/// Takes everything, and notes how many questions were answered at each write.
struct Noted {
    answered: Arc<AtomicUsize>,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl AsyncWrite for Noted {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let answered = self.answered.load(Ordering::Relaxed);
        self.writes.lock().unwrap().push(answered);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn the_first_answers_leave_before_everything_that_came_in_is_answered() {
    const QUESTIONS: usize = 100;
    let (ours, mut theirs) = link_up();
    let mut driver = driver_of(ours);
    let peer = driver.link.peer().unwrap().clone();
    driver.peer = Some(atom_of(&peer.name));
    let (kernel, queue) = (&driver.wires.kernel, &driver.wires.queue);
    kernel.nodeup(&peer, 1, Arc::clone(queue));
    let mut mailbox = Mailbox::new(kernel, &MailboxOptions::default()).unwrap();
    let asker = Pid::new(atom_of(&peer.name), 40, 0, peer.creation.get());
    let to = mailbox.pid().clone();
    let mut questions = move || {
        for _ in 0..QUESTIONS {
            let (to, token) = (to.clone(), None);
            let question = Some(Bytes::from_static(&[97, 1]));
            theirs
                .send(1, &Control::Send { to, token }, question)
                .unwrap();
        }
        theirs.take_output(Instant::now()).unwrap()
    };
    let mut noted = Noted {
        answered: Arc::default(),
        writes: Arc::default(),
    };
    let (answered, writes) = (Arc::clone(&noted.answered), Arc::clone(&noted.writes));
    let stop = driver.wires.stop.clone();
    let (mut peers_end, mut socket) = tokio::io::duplex(MIB);
    let echo = tokio::spawn(async move {
        for number in 1..=3 * QUESTIONS {
            if number % QUESTIONS == 1 {
                peers_end.write_all(&questions()).await.unwrap();
            }
            assert!(matches!(mailbox.recv().await, Ok(Received::Message(_))));
            mailbox.send(&asker, &1).await.unwrap();
            answered.store(number, Ordering::Relaxed);
        }
        // What is to be written is, before the link ends.
        tokio::time::sleep(Duration::from_millis(10)).await;
        stop.cancel();
    });
    driver.run(&mut socket, &mut noted).await;
    echo.await.unwrap();
    let writes = std::mem::take(&mut *writes.lock().unwrap());
    let last = writes.iter().filter(|&&at| at > 2 * QUESTIONS);
    let last: Vec<usize> = last.map(|at| at - 2 * QUESTIONS).collect();
    let most = last
        .iter()
        .scan(0, |before, &at| Some(at - std::mem::replace(before, at)));
    assert_eq!(last.last(), Some(&QUESTIONS), "{writes:?}");
    assert!(most.max() <= Some(ANSWERED_AT_ONCE), "{writes:?}");
}
