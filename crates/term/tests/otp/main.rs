//! Against a real node: what it writes we read and write alike, and the other way round.
//!
//! `ENMESH_TEST_ESCRIPT` names another `escript` (a command, its words separated by spaces) to
//! try another release of OTP. Without any `escript` these tests fail.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use enmesh_term::{DecodeError, Limits, Term, decode, decode_ref, encode, inflate};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

mod any_term;

/// How many terms go each way.
const TERMS: u64 = 2000;

/// A node that answers one request after the other.
struct Peer {
    child: Child,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
}

impl Peer {
    fn start() -> Self {
        let command = std::env::var("ENMESH_TEST_ESCRIPT").unwrap_or_else(|_| {
            format!(
                "escript {}/tests/otp/peer.escript",
                env!("CARGO_MANIFEST_DIR")
            )
        });
        let mut words = command.split(' ');
        let mut child = Command::new(words.next().expect("a command"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("escript starts: install erlang-base");
        let requests = child.stdin.take();
        let answers = child.stdout.take().expect("piped");
        Self {
            child,
            requests,
            answers,
        }
    }

    fn ask(&mut self, kind: u8, body: &[u8]) -> (u8, Vec<u8>) {
        let mut request = (body.len() as u32 + 1).to_be_bytes().to_vec();
        request.push(kind);
        request.extend(body);
        self.requests
            .as_mut()
            .expect("open")
            .write_all(&request)
            .expect("the peer reads");
        let mut len = [0; 4];
        self.answers.read_exact(&mut len).expect("the peer answers");
        let mut answer = vec![0; u32::from_be_bytes(len) as usize];
        self.answers
            .read_exact(&mut answer)
            .expect("the peer answers");
        (answer.remove(0), answer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.requests = None;
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }
}

fn has_map(term: &Term) -> bool {
    match term {
        Term::Map(_) => true,
        Term::List(elements) | Term::Tuple(elements) => elements.iter().any(has_map),
        Term::ImproperList(elements, tail) => elements.iter().any(has_map) || has_map(tail),
        _ => false,
    }
}

#[test]
fn a_node_reads_our_terms_and_writes_them_back_alike() {
    let mut peer = Peer::start();
    let mut runner = TestRunner::deterministic();
    let (mut same_bytes, any_term) = (0, any_term::any_term());
    for _ in 0..TERMS {
        let term = any_term.new_tree(&mut runner).expect("a term").current();
        let ours = encode(&term);
        let (kind, theirs) = peer.ask(b't', &ours);
        assert_eq!(kind, b'o', "{term:?} as {ours:02x?}");
        assert_eq!(decode(&theirs, &Limits::default()), Ok(term.clone()));
        // A node orders a map's pairs in its own way.
        if !has_map(&term) {
            check_same(&theirs, &ours);
            same_bytes += 1;
        }
    }
    assert!(
        same_bytes > TERMS / 2,
        "only {same_bytes} terms were without maps"
    );
}

#[test]
fn we_read_a_nodes_terms_and_write_the_very_same_bytes() {
    let mut peer = Peer::start();
    let limits = Limits::default();
    let mut compressed = 0;
    for seed in 1..=TERMS {
        let (kind, theirs) = peer.ask(b'g', &seed.to_be_bytes());
        assert_eq!(kind, b'o');
        let term = decode(&theirs, &limits).unwrap_or_else(|e| panic!("{e}: {theirs:02x?}"));
        let plain = inflate(&theirs, &limits).expect("read before");
        compressed += u64::from(*plain != theirs);
        let ours = encode(&term);
        check_same(&plain, &ours);
        let view = decode_ref(&plain, &limits).expect("read before");
        assert_eq!(view.to_term(), Ok(term));
        let request = [&seed.to_be_bytes()[..], &ours].concat();
        assert_eq!(peer.ask(b'c', &request).0, b'o', "seed {seed}");
    }
    assert!(
        compressed > TERMS / 100,
        "only {compressed} terms were compressed"
    );
}

#[test]
fn what_a_node_refuses_we_refuse_too() {
    let mut peer = Peer::start();
    let mut runner = TestRunner::deterministic();
    let (mut refused, any_term) = (0, any_term::any_term());
    let damage = (proptest::num::u8::ANY, proptest::num::usize::ANY);
    for _ in 0..TERMS {
        let mut bytes = encode(&any_term.new_tree(&mut runner).expect("a term").current());
        let (byte, at) = damage.new_tree(&mut runner).expect("a place").current();
        let at = at % bytes.len();
        // A node also reads tags that stand for places in its memory: none of its peers' business.
        bytes[at] = if (73..=75).contains(&byte) { 0 } else { byte };
        let ours = decode(&bytes, &Limits::default());
        let (kind, theirs) = peer.ask(b't', &bytes);
        match (kind, ours) {
            (b'b', Err(_)) => refused += 1,
            (b'o', Ok(term)) => assert_eq!(decode(&theirs, &Limits::default()), Ok(term)),
            // A node passes over what follows the term, and has references of no words.
            (b'o', Err(DecodeError::Trailing { .. } | DecodeError::BadReference { .. })) => {}
            (b'o', Err(error)) => panic!("{error}, but the node takes {bytes:02x?}"),
            // A node has narrower pids, references and creations than their encodings.
            (b'b', Ok(_)) if holds_identifier(&bytes) => {}
            (_, ours) => panic!("the node refuses {bytes:02x?}, we read {ours:?}"),
        }
    }
    assert!(
        refused > TERMS / 20,
        "only {refused} damaged terms were refused"
    );
}

/// Says where two encodings part, as whole ones fill the screen.
#[track_caller]
fn check_same(theirs: &[u8], ours: &[u8]) {
    let at = theirs.iter().zip(ours).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| bytes[at.saturating_sub(16)..bytes.len().min(at + 16)].to_vec();
    assert!(
        theirs == ours,
        "at {at}: node {:?}, we {:?}",
        around(theirs),
        around(ours)
    );
}

fn holds_identifier(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .any(|byte| matches!(byte, 88..=90 | 101..=103 | 112 | 114 | 120))
}
