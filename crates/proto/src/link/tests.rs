// A test has to begin its virtual time somewhere.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use enmesh_identity::{Cookie, Creation};
use enmesh_term::{Atom, Pid, Term, encode_bare};
use proptest::prelude::*;

use super::*;
use crate::control::ControlError;
use crate::flags::Flags;
use crate::framing::FrameError;
use crate::handshake::{HandshakeFault, Question};

mod hostile;
mod transfer;

fn config(name: &str, cookie: &str) -> LinkConfig {
    let local = LocalNode {
        name: name.parse().unwrap(),
        creation: Creation::from_seed(7),
        visible: true,
    };
    LinkConfig::new(local, Cookie::new(cookie).unwrap())
}

/// A link with the bytes that its driver read, and what it did.
struct End {
    link: Link,
    inbox: BytesMut,
    verdicts: Vec<Verdict>,
    asked: Vec<Question>,
    delivered: Vec<Message>,
    ended: Option<LinkError>,
}

impl End {
    fn new(link: Link) -> Self {
        let verdicts = vec![Verdict::Accept, Verdict::Continue, Verdict::Admit];
        Self {
            link,
            inbox: BytesMut::new(),
            verdicts,
            asked: Vec::new(),
            delivered: Vec::new(),
            ended: None,
        }
    }

    /// Reads `bytes` and does everything that the link asks for.
    fn read(&mut self, now: Instant, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
        let mut result = self.link.handle_bytes(now, &mut self.inbox);
        while let Some(action) = self.link.poll_action() {
            match action {
                Action::Deliver(message) => self.delivered.push(message),
                Action::Close(error) => self.ended = Some(error),
                Action::Ask(question) => {
                    self.asked.push(question.clone());
                    self.answer(now, &question);
                    result = self.link.handle_bytes(now, &mut self.inbox);
                }
            }
        }
        if let Err(error) = result {
            self.ended = Some(error);
        }
    }

    /// Gives the verdict of the test that answers the question.
    fn answer(&mut self, now: Instant, question: &Question) {
        let fits = |verdict: &Verdict| match question {
            Question::Inbound { .. } => matches!(
                verdict,
                Verdict::Accept
                    | Verdict::AcceptSimultaneous
                    | Verdict::Nok
                    | Verdict::NotAllowed
                    | Verdict::AskAlive
            ),
            Question::Alive => matches!(verdict, Verdict::Continue | Verdict::GiveUp),
            Question::Authenticated(_) => matches!(verdict, Verdict::Admit | Verdict::Discard),
        };
        let verdict = *self
            .verdicts
            .iter()
            .find(|it| fits(it))
            .expect("a verdict for it");
        self.link
            .handle_verdict(now, verdict)
            .expect("the verdict fits");
    }

    fn output(&mut self, now: Instant) -> Vec<u8> {
        self.link.take_output(now).unwrap_or_default().to_vec()
    }

    fn expect_up(&self) {
        assert!(
            self.link.is_up() && self.ended.is_none(),
            "{:?}",
            self.ended
        );
    }
}

/// Two links wired to each other.
struct Pair {
    now: Instant,
    dialler: End,
    acceptor: End,
    chunk: usize,
}

impl Pair {
    fn new(dialler: LinkConfig, acceptor: LinkConfig) -> Self {
        let now = Instant::now();
        let peer = acceptor.local.name.clone();
        Self {
            now,
            dialler: End::new(Link::dial(now, Arc::new(dialler), peer, 1)),
            acceptor: End::new(Link::accept(now, Arc::new(acceptor), 2)),
            chunk: usize::MAX,
        }
    }

    fn usual() -> Self {
        Self::new(config("a@h", "c"), config("b@h", "c"))
    }

    fn up() -> Self {
        Self::up_without(Flags::NONE)
    }

    /// Two links that are up, without these flags.
    fn up_without(withheld: Flags) -> Self {
        let (mut one, other) = (config("a@h", "c"), config("b@h", "c"));
        one.withheld = withheld;
        let mut pair = Self::new(one, other);
        pair.run();
        pair.dialler.expect_up();
        pair.acceptor.expect_up();
        pair
    }

    /// Carries bytes until neither has any. The messages carried are counted.
    fn run(&mut self) -> usize {
        for carried in 0..1000 {
            let to_acceptor = self.dialler.output(self.now);
            for chunk in to_acceptor.chunks(self.chunk) {
                self.acceptor.read(self.now, chunk);
            }
            let to_dialler = self.acceptor.output(self.now);
            for chunk in to_dialler.chunks(self.chunk) {
                self.dialler.read(self.now, chunk);
            }
            if to_acceptor.is_empty() && to_dialler.is_empty() {
                return carried;
            }
        }
        panic!("the two links talk for ever");
    }

    /// Lets time pass without carrying a byte.
    fn pass_without_carrying(&mut self, time: Duration) {
        self.now += time;
        for it in [&mut self.dialler, &mut self.acceptor] {
            if let Err(error) = it.link.handle_timeout(self.now) {
                it.ended = Some(error);
            }
        }
    }

    /// Lets time pass, with both links' timers kept to the instant.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let ends = [&self.dialler, &self.acceptor];
            let next = ends.iter().filter_map(|it| it.link.deadline()).min();
            let Some(next) = next.filter(|&next| next <= end) else {
                break;
            };
            self.now = next;
            for it in [&mut self.dialler, &mut self.acceptor] {
                if let Err(error) = it.link.handle_timeout(next) {
                    it.ended = Some(error);
                }
            }
            self.run();
        }
        self.now = end;
    }
}

fn pid(node: &'static str) -> Pid {
    Pid::new(Atom::from_static(node), 1, 0, 7)
}

fn to_rex(node: &'static str) -> Control {
    Control::RegSend {
        from: pid(node),
        to: Atom::from_static("rex"),
        token: None,
    }
}

#[test]
fn two_links_come_up_and_know_each_other() {
    let pair = Pair::up();
    let info = PeerInfo {
        name: "b@h".parse().unwrap(),
        creation: Creation::from_wire(7),
        flags: crate::Flags::ours(true),
        visible: true,
        direction: Direction::Dialled,
    };
    assert_eq!(pair.dialler.link.peer(), Some(&info));
    assert_eq!(pair.dialler.asked, [Question::Authenticated(info)]);
    let peer = pair.acceptor.link.peer().unwrap();
    assert_eq!(
        (peer.name.as_str(), peer.direction),
        ("a@h", Direction::Accepted)
    );
    assert_eq!(
        pair.acceptor.asked[0],
        Question::Inbound {
            name: "a@h".parse().unwrap()
        }
    );
}

#[test]
fn a_link_comes_up_after_alive_and_after_a_simultaneous_dial() {
    for verdict in [Verdict::AskAlive, Verdict::AcceptSimultaneous] {
        let mut pair = Pair::usual();
        pair.acceptor.verdicts.insert(0, verdict);
        pair.run();
        pair.dialler.expect_up();
        pair.acceptor.expect_up();
        let asked_alive = pair.dialler.asked.contains(&Question::Alive);
        assert_eq!(asked_alive, verdict == Verdict::AskAlive);
    }
}

#[test]
fn verdicts_against_a_link_end_both_sides() {
    for (verdict, dialled, accepted) in [
        (Verdict::Nok, LinkError::Nok, LinkError::Nok),
        (
            Verdict::NotAllowed,
            LinkError::NotAllowed,
            LinkError::NotAllowed,
        ),
    ] {
        let mut pair = Pair::usual();
        pair.acceptor.verdicts.insert(0, verdict);
        pair.run();
        assert_eq!(
            (pair.dialler.ended, pair.acceptor.ended),
            (Some(dialled), Some(accepted))
        );
    }
    let mut pair = Pair::usual();
    pair.acceptor.verdicts.insert(0, Verdict::AskAlive);
    pair.dialler.verdicts.insert(0, Verdict::GiveUp);
    pair.run();
    assert_eq!(pair.dialler.ended, Some(LinkError::GivenUp));
    assert_eq!(pair.acceptor.ended, Some(LinkError::GivenUp));
}

#[test]
fn a_discarded_peer_never_counts_us_as_up() {
    let mut pair = Pair::usual();
    pair.acceptor.verdicts.insert(0, Verdict::Discard);
    pair.run();
    assert_eq!(pair.acceptor.ended, Some(LinkError::Discarded));
    assert!(!pair.dialler.link.is_up());
}

#[test]
fn who_accepts_has_challenged_until_the_link_is_up() {
    let mut pair = Pair::usual();
    assert!(!pair.acceptor.link.has_challenged());
    let now = Instant::now();
    let name = pair.dialler.link.take_output(now).unwrap();
    let mut inbox = name;
    pair.acceptor.link.handle_bytes(now, &mut inbox).unwrap();
    assert!(!pair.acceptor.link.has_challenged());
    pair.acceptor
        .link
        .handle_verdict(now, Verdict::Accept)
        .unwrap();
    assert!(pair.acceptor.link.has_challenged());
    let mut pair = Pair::usual();
    pair.run();
    assert!(!pair.acceptor.link.has_challenged());
}

#[test]
fn another_cookie_is_certain_when_accepted_and_probable_when_dialled() {
    let mut pair = Pair::new(config("a@h", "c"), config("b@h", "other"));
    pair.run();
    let wrong = LinkError::WrongDigest {
        peer: "a@h".parse().unwrap(),
    };
    assert_eq!(pair.acceptor.ended, Some(wrong.clone()));
    let probable = LinkError::ClosedAfterDigest {
        peer: "b@h".parse().unwrap(),
    };
    assert_eq!(pair.dialler.link.handle_eof(), probable);
    assert!(wrong.is_wrong_cookie() && probable.is_wrong_cookie());
    assert!(!wrong.is_transient() && !probable.is_transient());
}

#[test]
fn a_connection_that_breaks_after_our_digest_says_nothing_of_cookies() {
    let mut pair = Pair::new(config("a@h", "c"), config("b@h", "other"));
    pair.run();
    let broken = LinkError::ClosedInSetup { phase: Phase::Ack };
    assert_eq!(pair.dialler.link.handle_broken(), broken);
    assert!(broken.is_transient() && !broken.is_wrong_cookie());
    let mut pair = Pair::usual();
    pair.run();
    assert_eq!(pair.dialler.link.handle_broken(), LinkError::Closed);
}

#[test]
fn another_name_than_the_wanted_one_is_refused() {
    let now = Instant::now();
    let mut pair = Pair::usual();
    let wanted: NodeName = "x@h".parse().unwrap();
    let link = Link::dial(now, Arc::new(config("a@h", "c")), wanted.clone(), 1);
    pair.dialler = End::new(link);
    pair.run();
    let told = "b@h".parse().unwrap();
    assert_eq!(
        pair.dialler.ended,
        Some(LinkError::WrongName { wanted, told })
    );
}

#[test]
fn the_end_of_the_stream_means_what_the_phase_says() {
    let mut pair = Pair::usual();
    assert_eq!(
        pair.dialler.link.handle_eof(),
        LinkError::ClosedInSetup {
            phase: Phase::Status
        }
    );
    assert_eq!(
        pair.acceptor.link.handle_eof(),
        LinkError::ClosedInSetup { phase: Phase::Name }
    );
    let mut pair = Pair::up();
    assert_eq!(pair.dialler.link.handle_eof(), LinkError::Closed);
    assert_eq!(pair.dialler.link.deadline(), None);
    assert!(
        pair.dialler.link.peer().is_some(),
        "who it was is still known"
    );
}

#[test]
fn messages_behind_the_acknowledgement_are_kept_until_the_verdict() {
    let mut pair = Pair::usual();
    pair.acceptor.read(pair.now, &pair.dialler.output(pair.now));
    pair.dialler.read(pair.now, &pair.acceptor.output(pair.now));
    pair.acceptor.read(pair.now, &pair.dialler.output(pair.now));
    pair.acceptor.expect_up();
    // The first message is in the same segment as the acknowledgement.
    let payload = Bytes::from(encode_bare(&Term::atom("hello")));
    pair.acceptor
        .link
        .send(0, &to_rex("b@h"), Some(payload.clone()))
        .unwrap();
    let segment = pair.acceptor.output(pair.now);
    pair.dialler.inbox.extend_from_slice(&segment);
    let end = &mut pair.dialler;
    end.link.handle_bytes(pair.now, &mut end.inbox).unwrap();
    assert!(matches!(end.link.poll_action(), Some(Action::Ask(_))));
    end.link.handle_bytes(pair.now, &mut end.inbox).unwrap();
    assert_eq!(end.link.poll_action(), None, "the question is open");
    assert!(!end.inbox.is_empty());
    end.link.handle_verdict(pair.now, Verdict::Admit).unwrap();
    end.read(pair.now, b"");
    let message = Message {
        control: to_rex("b@h"),
        payload: Some(payload),
    };
    assert_eq!(end.delivered, [message]);
    assert_eq!(
        end.link.counters().bytes_in,
        pair.acceptor.link.counters().bytes_out
    );
}

#[test]
fn a_message_is_its_length_then_112_then_the_terms() {
    let mut pair = Pair::up_without(Flags::OPTIONAL);
    let payload = Bytes::from(encode_bare(&Term::atom("x")));
    let to = pid("b@h");
    pair.dialler
        .link
        .send(0, &Control::Send { to, token: None }, Some(payload))
        .unwrap();
    let expected = crate::hex::bytes(
        "0000001e 70 83 68 03 61 02 77 00 58 77 03 'b@h' 00000001 00000000 00000007 83 77 01 'x'",
    );
    assert_eq!(pair.dialler.output(pair.now), expected);
}

/// A link that is up, whose peer sends `body` as one message.
fn receive(body: &[u8]) -> End {
    receive_without(Flags::OPTIONAL, body)
}

fn receive_without(withheld: Flags, body: &[u8]) -> End {
    let mut pair = Pair::up_without(withheld);
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    pair.acceptor.read(pair.now, &[&len, body].concat());
    pair.acceptor
}

#[test]
fn a_bad_body_ends_the_link() {
    let send = crate::hex::bytes("70 83 68 04 61 06 58 77 03 'a@h' 00000001 00000000 00000007");
    let send = [&send[..], b"w\0w\x03rex"].concat();
    for (body, error) in [
        (b"p".to_vec(), FrameError::NotPassThrough),
        (b"\x83D\0".to_vec(), FrameError::NotPassThrough),
        (b"pp".to_vec(), FrameError::NotPassThrough),
        (send.clone(), FrameError::PayloadMissing),
        ([&send[..], b"j"].concat(), FrameError::PayloadVersion),
        (
            b"p\x83h\x01a\x05\x83j".to_vec(),
            FrameError::Trailing { len: 2 },
        ),
    ] {
        assert_eq!(receive(&body).ended, Some(error.into()), "{body:?}");
    }
    let error = ControlError::UnknownOp { op: 99 };
    assert_eq!(receive(b"p\x83h\x01ac").ended, Some(error.into()));
}

#[test]
fn a_payload_is_not_looked_into() {
    let send =
        crate::hex::bytes("70 83 68 03 61 02 77 00 58 77 03 'b@h' 00000001 00000000 00000007");
    let end = receive(&[&send[..], b"\x83\xff\xff"].concat());
    end.expect_up();
    assert_eq!(end.delivered[0].payload.as_deref(), Some(&b"\xff\xff"[..]));
}

#[test]
fn messages_before_a_bad_one_are_delivered() {
    let mut pair = Pair::up();
    pair.dialler
        .link
        .send(0, &to_rex("a@h"), Some(Bytes::from_static(b"j")))
        .unwrap();
    let good = pair.dialler.output(pair.now);
    pair.acceptor
        .read(pair.now, &[&good[..], b"\0\0\0\x01p"].concat());
    assert_eq!(pair.acceptor.delivered.len(), 1);
    assert!(pair.acceptor.ended.is_some());
}

#[test]
fn nobody_speaks_for_a_process_of_another_node() {
    let mut pair = Pair::up();
    let link = Control::Link {
        from: pid("x@h"),
        to: pid("b@h"),
    };
    pair.dialler.link.send(0, &link, None).unwrap();
    pair.run();
    let peer = "a@h".parse().unwrap();
    assert_eq!(
        pair.acceptor.ended,
        Some(LinkError::ForeignProcess { peer })
    );
}

#[test]
fn a_length_over_the_limit_ends_the_link_before_anything_arrives() {
    let mut pair = Pair::up();
    pair.acceptor.read(pair.now, b"\xff\xff\xff\xff");
    let max = 128 << 20;
    let error = FrameError::TooLarge {
        len: u32::MAX as usize,
        max,
    };
    assert_eq!(pair.acceptor.ended, Some(error.into()));
    assert!(pair.acceptor.inbox.capacity() < 1 << 20);

    let mut pair = Pair::usual();
    pair.acceptor.read(pair.now, b"\x04\x01");
    let error = FrameError::TooLarge {
        len: 1025,
        max: 1024,
    };
    assert_eq!(pair.acceptor.ended, Some(error.into()));
}

#[test]
fn what_does_not_fit_is_not_sent_and_the_link_lives() {
    let mut small = config("a@h", "c");
    small.max_output = 1024;
    small.max_message = 2048;
    let mut pair = Pair::new(small, config("b@h", "c"));
    assert_eq!(
        pair.dialler.link.send(0, &to_rex("a@h"), None),
        Err(LinkError::NotUp)
    );
    pair.run();
    let link = &mut pair.dialler.link;
    let big = Bytes::from(vec![131; 1500]);
    link.send(0, &to_rex("a@h"), Some(big))
        .expect("one message alone may be over max_output");
    assert_eq!(
        link.send(0, &to_rex("a@h"), Some(Bytes::from_static(b"j"))),
        Err(LinkError::OutputFull)
    );
    let error = link
        .send(0, &to_rex("a@h"), Some(vec![131; 2048].into()))
        .unwrap_err();
    assert!(matches!(error, LinkError::TooLarge { max: 2048, .. }));
    pair.run();
    pair.dialler
        .link
        .send(0, &to_rex("a@h"), Some(Bytes::from_static(b"j")))
        .unwrap();
    pair.run();
    assert_eq!(pair.acceptor.delivered.len(), 2);
    assert_eq!(pair.dialler.link.counters().frames_out, 2);
}

#[test]
fn each_phase_has_its_own_time() {
    let mut pair = Pair::usual();
    let start = pair.now;
    let setup = Duration::from_secs(7);
    assert_eq!(pair.acceptor.link.deadline(), Some(start + setup));
    pair.now = start + Duration::from_secs(5);
    let name = pair.dialler.output(pair.now);
    pair.acceptor.read(pair.now, &name);
    assert_eq!(pair.acceptor.link.deadline(), Some(pair.now + setup));
    assert_eq!(pair.acceptor.link.handle_timeout(start + setup), Ok(()));
    let error = LinkError::SetupTimeout {
        phase: Phase::Reply,
    };
    let late = pair.now + setup;
    assert_eq!(pair.acceptor.link.handle_timeout(late), Err(error.clone()));
    assert!(error.is_transient());
    // Bytes that make no message buy no time.
    pair.dialler.read(start + Duration::from_secs(6), b"\0");
    let error = LinkError::SetupTimeout {
        phase: Phase::Status,
    };
    assert_eq!(pair.dialler.link.handle_timeout(start + setup), Err(error));
}

#[test]
fn a_question_that_nobody_answers_times_out() {
    let mut pair = Pair::usual();
    let end = &mut pair.acceptor;
    end.inbox.extend_from_slice(&pair.dialler.output(pair.now));
    end.link.handle_bytes(pair.now, &mut end.inbox).unwrap();
    let error = LinkError::SetupTimeout {
        phase: Phase::Inbound,
    };
    let late = pair.now + Duration::from_secs(7);
    assert_eq!(end.link.handle_timeout(late), Err(error));
    assert_eq!(
        end.link.handle_verdict(late, Verdict::Accept),
        Err(LinkError::Unasked)
    );
}

#[test]
fn an_idle_pair_lives_by_ticks_and_does_not_echo_them_for_ever() {
    let mut pair = Pair::up();
    pair.pass(Duration::from_secs(3600));
    pair.dialler.expect_up();
    pair.acceptor.expect_up();
    for end in [&pair.dialler, &pair.acceptor] {
        // One a check, 240 in an hour, and at most an answer to each.
        let ticks = end.link.counters().ticks_out;
        assert!((120..=480).contains(&ticks), "{ticks} ticks");
    }
}

#[test]
fn a_tick_is_answered_once() {
    let mut pair = Pair::up();
    // What was written during the handshake does not count.
    pair.dialler.read(pair.now, &TICK);
    assert_eq!(pair.dialler.output(pair.now), TICK);
    pair.dialler.read(pair.now, &TICK);
    assert_eq!(
        pair.dialler.output(pair.now),
        b"",
        "the answer was written since"
    );
    pair.dialler.read(pair.now, &TICK);
    assert_eq!(pair.dialler.output(pair.now), TICK);
}

#[test]
fn a_flood_of_ticks_is_not_answered_one_by_one() {
    let mut pair = Pair::up();
    pair.acceptor.read(pair.now, &TICK.repeat(1000));
    let answers = pair.acceptor.output(pair.now).len() / TICK.len();
    assert_eq!(answers, 1);
}

#[test]
fn nothing_is_ticked_while_something_is_written() {
    let mut pair = Pair::up();
    let link = &mut pair.dialler.link;
    link.send(0, &to_rex("a@h"), Some(Bytes::from_static(b"j")))
        .unwrap();
    let _ = link.take_output(pair.now);
    let check = link.deadline().unwrap();
    assert_eq!(check, pair.now + Duration::from_secs(15));
    link.handle_timeout(check).unwrap();
    assert_eq!(link.take_output(check), None);
    let check = link.deadline().unwrap();
    link.handle_timeout(check).unwrap();
    assert_eq!(link.take_output(check).as_deref(), Some(&TICK[..]));
}

#[test]
fn a_peer_is_dead_at_the_fourth_check_after_the_one_that_noticed_traffic() {
    let mut pair = Pair::up();
    let start = pair.now;
    let link = &mut pair.dialler.link;
    let at = |seconds| start + Duration::from_secs(seconds);
    link.handle_timeout(at(15)).unwrap();
    pair.dialler.inbox.extend_from_slice(&TICK);
    link.handle_bytes(at(16), &mut pair.dialler.inbox).unwrap();
    for check in [30, 45, 60, 75] {
        assert_eq!(link.deadline(), Some(at(check)));
        assert_eq!(link.handle_timeout(at(check)), Ok(()), "{check}");
    }
    assert_eq!(link.handle_timeout(at(90)), Err(LinkError::TickTimeout));
}

#[test]
fn a_part_of_a_message_is_traffic_too() {
    let mut pair = Pair::up();
    let mut now = pair.now;
    let end = &mut pair.dialler;
    end.inbox.extend_from_slice(b"\0\0\x10\0");
    for _ in 0..20 {
        end.inbox.extend_from_slice(b"p");
        end.link.handle_bytes(now, &mut end.inbox).unwrap();
        now = end.link.deadline().unwrap();
        end.link.handle_timeout(now).unwrap();
    }
    // The same bytes again are no traffic.
    for _ in 0..3 {
        end.link.handle_bytes(now, &mut end.inbox).unwrap();
        now = end.link.deadline().unwrap();
        end.link.handle_timeout(now).unwrap();
    }
    now = end.link.deadline().unwrap();
    assert_eq!(end.link.handle_timeout(now), Err(LinkError::TickTimeout));
}

#[test]
fn a_host_that_stood_still_checks_once_and_hears_the_peer_first() {
    let mut pair = Pair::up();
    let late = pair.now + Duration::from_secs(3600);
    let link = &mut pair.dialler.link;
    assert_eq!(link.handle_timeout(late), Ok(()));
    assert_eq!(link.handle_timeout(late), Ok(()));
    assert_eq!(link.deadline(), Some(late + Duration::from_secs(15)));
}

#[test]
fn a_peer_with_a_shorter_ticktime_keeps_us() {
    let mut short = config("b@h", "c");
    short.net_ticktime = Duration::from_secs(4);
    let mut pair = Pair::new(config("a@h", "c"), short);
    pair.run();
    pair.pass(Duration::from_secs(600));
    pair.dialler.expect_up();
    pair.acceptor.expect_up();
}

#[test]
fn an_ended_link_does_nothing_more() {
    let mut pair = Pair::usual();
    pair.acceptor.read(pair.now, b"\0\x01x");
    let fault = HandshakeFault::Tag {
        wanted: b'N',
        found: b'x',
    };
    assert_eq!(pair.acceptor.ended, Some(fault.into()));
    let link = &mut pair.acceptor.link;
    let mut inbox = BytesMut::from(&b"\0\x01x"[..]);
    assert_eq!(link.handle_bytes(pair.now, &mut inbox), Err(fault.into()));
    assert_eq!(link.handle_eof(), fault.into());
    assert_eq!(link.deadline(), None);
    assert_eq!(link.send(0, &to_rex("b@h"), None), Err(LinkError::NotUp));
}

#[test]
fn two_links_come_up_over_a_wide_handshake() {
    let (mut one, mut other) = (config("a@h", "c"), config("b@h", "c"));
    (one.wide_handshake, other.wide_handshake) = (true, true);
    let mut pair = Pair::new(one, other);
    pair.run();
    pair.dialler.expect_up();
    pair.acceptor.expect_up();
}

#[test]
fn a_dial_that_is_not_allowed_ends_before_a_byte_is_written() {
    let mut config = config("a@h", "c");
    config.allowed = crate::Allowed::parse(["c@"]).unwrap();
    let peer = "b@h".parse().unwrap();
    let mut link = Link::dial(Instant::now(), Arc::new(config), peer, 1);
    assert_eq!(link.take_output(Instant::now()), None);
    let closed = Some(Action::Close(LinkError::NotAllowed));
    assert_eq!(link.poll_action(), closed);
    assert_eq!(link.deadline(), None);
}

proptest! {
    #[test]
    fn two_links_come_up_and_talk_in_any_chunking(chunk in 1usize..200, count in 0usize..5) {
        let mut pair = Pair::usual();
        pair.chunk = chunk;
        pair.run();
        pair.dialler.expect_up();
        pair.acceptor.expect_up();
        for _ in 0..count {
            pair.dialler.link.send(0, &to_rex("a@h"), Some(Bytes::from_static(b"w\x01x"))).unwrap();
            pair.acceptor.link.send(0, &to_rex("b@h"), Some(Bytes::from_static(b"j"))).unwrap();
        }
        pair.run();
        prop_assert_eq!(pair.acceptor.delivered.len(), count);
        prop_assert_eq!(pair.dialler.delivered.len(), count);
        prop_assert_eq!(
            pair.dialler.link.counters().bytes_in,
            pair.acceptor.link.counters().bytes_out
        );
    }

    #[test]
    fn any_bytes_in_any_chunking_end_a_handshake_or_wait(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        tag in prop::sample::select(b"Nnsra".to_vec()),
        chunk in 1usize..50,
    ) {
        let framed = [&[0, bytes.len() as u8, tag], &bytes[..]].concat();
        for input in [&bytes, &framed] {
            let mut pair = Pair::usual();
            for chunk in input.chunks(chunk) {
                pair.dialler.read(pair.now, chunk);
                pair.acceptor.read(pair.now, chunk);
            }
            prop_assert!(!pair.dialler.link.is_up() && !pair.acceptor.link.is_up());
        }
    }

    #[test]
    fn any_bytes_in_any_chunking_are_messages_or_end_the_link(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        op in 0u8..40,
        arity in 1u8..8,
        chunk in 1usize..50,
    ) {
        let body = [&[112, 131, 104, arity, 97, op], &bytes[..]].concat();
        let framed = [&(body.len() as u32).to_be_bytes()[..], &body].concat();
        for input in [&bytes, &framed] {
            let mut pair = Pair::up();
            for chunk in input.chunks(chunk) {
                pair.acceptor.read(pair.now, chunk);
            }
            prop_assert_eq!(pair.acceptor.link.is_up(), pair.acceptor.ended.is_none());
        }
    }

    #[test]
    fn a_damaged_handshake_never_authenticates_another_cookie(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut pair = Pair::new(config("a@h", "c"), config("b@h", "other"));
        let mut name = pair.dialler.output(pair.now);
        let at = at.index(name.len());
        name[at] = byte;
        pair.acceptor.read(pair.now, &name);
        pair.run();
        prop_assert!(!pair.dialler.link.is_up() && !pair.acceptor.link.is_up());
    }
}

#[test]
fn ticks_of_an_idle_link_come_at_every_check() {
    let mut pair = Pair::up();
    let end = &mut pair.dialler;
    let mut sent = 0;
    for _ in 0..8 {
        let check = end.link.deadline().unwrap();
        end.link.handle_timeout(check).unwrap();
        sent += end.output(check).len() / TICK.len();
        // The peer's own tick, between two checks of ours.
        end.read(check + Duration::from_secs(5), &TICK);
        sent += end.output(check).len() / TICK.len();
    }
    assert_eq!(sent, 8);
}
