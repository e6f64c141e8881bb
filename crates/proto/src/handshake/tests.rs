use enmesh_identity::{Cookie, NameError};

use super::*;
use crate::hex::bytes;
use crate::link::LocalNode;
use crate::{Allowed, Cookies};

/// What OTP 25 announces.
const OTP_25: &str = "0000000d 07df7fbd";

fn local() -> LocalNode {
    LocalNode {
        name: "r@127.0.0.1".parse().unwrap(),
        creation: Creation::from_wire(7),
        visible: true,
    }
}

fn config() -> LinkConfig {
    LinkConfig::new(local(), Cookie::new("c").unwrap())
}

/// A dialled handshake whose name was written already.
fn dialled() -> Handshake {
    let peer = "b@127.0.0.1".parse().unwrap();
    Handshake::dial(Arc::new(config()), peer, 99, &mut BytesMut::new())
}

fn accepted() -> Handshake {
    accepted_with(config())
}

fn accepted_with(config: LinkConfig) -> Handshake {
    Handshake::accept(Arc::new(config), 0x1234_5678)
}

/// Gives a message in and returns what came of it and what is to be written.
fn give(handshake: &mut Handshake, message: &str) -> (Result<Progress, LinkError>, Vec<u8>) {
    let mut output = BytesMut::new();
    let progress = handshake.handle_message(&bytes(message), &mut output);
    (progress, output.to_vec())
}

fn answer(handshake: &mut Handshake, verdict: Verdict) -> (Result<Progress, LinkError>, Vec<u8>) {
    let mut output = BytesMut::new();
    let progress = handshake.handle_verdict(verdict, &mut output);
    (progress, output.to_vec())
}

/// The message must end the handshake so, and nothing be written.
fn refuse(mut handshake: Handshake, message: &str, error: LinkError) {
    assert_eq!(
        give(&mut handshake, message),
        (Err(error), Vec::new()),
        "{message}"
    );
}

fn waiting(output: &str) -> (Result<Progress, LinkError>, Vec<u8>) {
    (Ok(Progress::Waiting), bytes(output))
}

fn send_name() -> String {
    format!("'N' {OTP_25} 6b0182a9 000b 'b@127.0.0.1'")
}

fn challenge() -> String {
    format!("'N' {OTP_25} daa74f6b 6b0182a9 000b 'b@127.0.0.1'")
}

fn digest(text: &str) -> String {
    use md5::Digest as _;
    let digest = md5::Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn peer_info(direction: Direction) -> PeerInfo {
    PeerInfo {
        name: "b@127.0.0.1".parse().unwrap(),
        creation: Creation::from_wire(0x6b01_82a9),
        flags: Flags::ours(true).without(Flags::ALTACT_SIG),
        visible: true,
        direction,
    }
}

#[test]
fn a_dial_begins_with_our_name() {
    let mut output = BytesMut::new();
    let peer = "b@127.0.0.1".parse().unwrap();
    Handshake::dial(Arc::new(config()), peer, 99, &mut output);
    let flags = format!("{:016x}", Flags::ours(true).bits());
    let expected = format!("001a 'N' {flags} 00000007 000b 'r@127.0.0.1'");
    assert_eq!(output, bytes(&expected));
}

#[test]
fn a_dial_ends_with_the_acknowledgement_of_a_beam() {
    let mut it = dialled();
    assert_eq!(give(&mut it, "'sok'"), waiting(""));
    let reply = format!("0015 'r' 00000063 {}", digest("c3668397931"));
    assert_eq!(give(&mut it, &challenge()), waiting(&reply));
    // As OTP 25 answered the challenge 99 with the cookie c.
    let (progress, output) = give(&mut it, "'a' 952d723fab28e9efa0d1f6e46e033358");
    let info = peer_info(Direction::Dialled);
    assert_eq!(
        progress,
        Ok(Progress::Ask(Question::Authenticated(info.clone())))
    );
    assert!(output.is_empty());
    assert_eq!(
        answer(&mut it, Verdict::Admit),
        (Ok(Progress::Done(info)), Vec::new())
    );
}

#[test]
fn an_accepted_peer_is_told_our_name_and_then_our_proof() {
    let mut it = accepted();
    let name = "b@127.0.0.1".parse().unwrap();
    assert_eq!(
        give(&mut it, &send_name()).0,
        Ok(Progress::Ask(Question::Inbound { name }))
    );
    let flags = format!("{:016x}", Flags::ours(true).bits());
    let ours = format!("0003 'sok' 001e 'N' {flags} 12345678 00000007 000b 'r@127.0.0.1'");
    assert_eq!(answer(&mut it, Verdict::Accept), waiting(&ours));
    let (progress, output) = give(&mut it, &format!("'r' 00000063 {}", digest("c305419896")));
    let info = peer_info(Direction::Accepted);
    assert_eq!(
        progress,
        Ok(Progress::Ask(Question::Authenticated(info.clone())))
    );
    assert!(output.is_empty(), "the proof waits for the verdict");
    let (progress, output) = answer(&mut it, Verdict::Admit);
    assert_eq!(progress, Ok(Progress::Done(info)));
    assert_eq!(output, bytes("0011 'a' 952d723fab28e9efa0d1f6e46e033358"));
}

#[test]
fn each_verdict_on_a_name_has_its_status() {
    for (verdict, status, ends) in [
        (Verdict::Nok, "0004 'snok'", Some(LinkError::Nok)),
        (
            Verdict::NotAllowed,
            "000c 'snot_allowed'",
            Some(LinkError::NotAllowed),
        ),
        (Verdict::AskAlive, "0006 'salive'", None),
        (Verdict::AcceptSimultaneous, "0010 'sok_simultaneous'", None),
    ] {
        let mut it = accepted();
        give(&mut it, &send_name()).0.unwrap();
        let (progress, output) = answer(&mut it, verdict);
        assert_eq!(progress.err(), ends);
        assert!(output.starts_with(&bytes(status)), "{verdict:?}");
    }
}

#[test]
fn an_accepted_peer_may_insist_or_give_up_after_alive() {
    for (text, ends) in [("'strue'", None), ("'sfalse'", Some(LinkError::GivenUp))] {
        let mut it = accepted();
        give(&mut it, &send_name()).0.unwrap();
        answer(&mut it, Verdict::AskAlive).0.unwrap();
        let (progress, output) = give(&mut it, text);
        assert_eq!(progress.err(), ends);
        // No other status follows: the challenge itself says yes.
        assert_eq!(output.get(2) == Some(&b'N'), ends.is_none());
    }
}

#[test]
fn a_dial_insists_or_gives_up_after_alive() {
    let mut it = dialled();
    assert_eq!(
        give(&mut it, "'salive'").0,
        Ok(Progress::Ask(Question::Alive))
    );
    assert_eq!(answer(&mut it, Verdict::Continue), waiting("0005 'strue'"));
    assert!(give(&mut it, &challenge()).0.is_ok());
    let mut it = dialled();
    give(&mut it, "'salive'").0.unwrap();
    let given_up = (Err(LinkError::GivenUp), bytes("0006 'sfalse'"));
    assert_eq!(answer(&mut it, Verdict::GiveUp), given_up);
}

#[test]
fn each_status_against_us_has_its_error() {
    refuse(dialled(), "'snok'", LinkError::Nok);
    refuse(dialled(), "'snot_allowed'", LinkError::NotAllowed);
    refuse(
        dialled(),
        "'snamed:' 0003 'a@h' 00000007",
        LinkError::DynamicName,
    );
    refuse(dialled(), "'struer'", HandshakeFault::Status.into());
    refuse(dialled(), "'s'", HandshakeFault::Status.into());
    assert_eq!(give(&mut dialled(), "'sok_simultaneous'"), waiting(""));
}

#[test]
fn another_node_than_the_one_wanted_is_refused() {
    let mut it = dialled();
    give(&mut it, "'sok'").0.unwrap();
    let told = format!("'N' {OTP_25} daa74f6b 6b0182a9 0003 'x@h'");
    let wanted = "b@127.0.0.1".parse().unwrap();
    refuse(
        it,
        &told,
        LinkError::WrongName {
            wanted,
            told: "x@h".parse().unwrap(),
        },
    );
}

#[test]
fn a_wrong_digest_is_refused_without_a_word() {
    let mut it = accepted();
    give(&mut it, &send_name()).0.unwrap();
    answer(&mut it, Verdict::Accept).0.unwrap();
    let reply = format!("'r' 00000063 {}", digest("wrong305419896"));
    let peer = "b@127.0.0.1".parse().unwrap();
    refuse(it, &reply, LinkError::WrongDigest { peer });

    let mut it = dialled();
    give(&mut it, "'sok'").0.unwrap();
    give(&mut it, &challenge()).0.unwrap();
    let peer = "b@127.0.0.1".parse().unwrap();
    refuse(
        it,
        &format!("'a' {}", digest("wrong99")),
        LinkError::AckWrongDigest { peer },
    );
}

#[test]
fn what_follows_a_name_is_ignored() {
    let longer = format!("{} 0102030405", send_name());
    assert!(matches!(
        give(&mut accepted(), &longer).0,
        Ok(Progress::Ask(_))
    ));
}

#[test]
fn old_and_dynamic_peers_have_errors_of_their_own() {
    refuse(
        accepted(),
        "'n' 0005 07df7fbd 'b@127.0.0.1'",
        LinkError::OldHandshake,
    );
    // As `erl -sname undefined` begins on OTP 27.
    let dynamic = "'N' 0000000f 07df7fbc 00000000 0004 'host'";
    refuse(accepted(), dynamic, LinkError::DynamicName);
}

#[test]
fn a_peer_without_mandatory_flags_is_told_not_allowed() {
    let bare = "'N' 00000000 07df7fbd 6b0182a9 000b 'b@127.0.0.1'";
    let (progress, output) = give(&mut accepted(), bare);
    assert_eq!(
        progress,
        Err(LinkError::MissingFlags {
            flags: Flags::V4_NC
        })
    );
    assert_eq!(output, bytes("000c 'snot_allowed'"));
    let mut it = dialled();
    give(&mut it, "'sok'").0.unwrap();
    let bare = "'N' 00000000 07df7fbd daa74f6b 6b0182a9 000b 'b@127.0.0.1'";
    refuse(
        it,
        bare,
        LinkError::MissingFlags {
            flags: Flags::V4_NC,
        },
    );
}

#[test]
fn a_hidden_peer_is_not_visible_and_nothing_is_published() {
    let mut it = accepted();
    let hidden = "'N' 0000000d 07df7fbc 6b0182a9 000b 'b@127.0.0.1'";
    give(&mut it, hidden).0.unwrap();
    answer(&mut it, Verdict::Accept).0.unwrap();
    let reply = format!("'r' 00000063 {}", digest("c305419896"));
    let Ok(Progress::Ask(Question::Authenticated(info))) = give(&mut it, &reply).0 else {
        panic!("the digest is right");
    };
    assert!(!info.visible);
    assert_eq!(info.flags, Flags::ours(false).without(Flags::ALTACT_SIG));
}

#[test]
fn bad_messages_are_refused() {
    let fault = |fault: HandshakeFault| LinkError::BadHandshake(fault);
    refuse(accepted(), "", fault(HandshakeFault::Short));
    let tag = HandshakeFault::Tag {
        wanted: b'N',
        found: b's',
    };
    refuse(accepted(), "'sok'", fault(tag));
    refuse(accepted(), "'N' 0000", fault(HandshakeFault::Short));
    let short = format!("'N' {OTP_25} 00000007 0010 'a@h'");
    refuse(accepted(), &short, fault(HandshakeFault::Short));
    let nameless = format!("'N' {OTP_25} 00000007 0001 'a'");
    refuse(
        accepted(),
        &nameless,
        fault(HandshakeFault::Name(NameError::NotOneAt)),
    );
    let mut it = accepted();
    give(&mut it, &send_name()).0.unwrap();
    answer(&mut it, Verdict::Accept).0.unwrap();
    let long = format!("'r' 00000063 {} 00", digest("c305419896"));
    refuse(it, &long, fault(HandshakeFault::Long));
}

#[test]
fn a_verdict_that_nobody_asked_for_changes_nothing() {
    let mut it = dialled();
    for verdict in [
        Verdict::Accept,
        Verdict::Continue,
        Verdict::Admit,
        Verdict::GiveUp,
    ] {
        assert_eq!(
            answer(&mut it, verdict),
            (Err(LinkError::Unasked), Vec::new())
        );
    }
    assert_eq!(give(&mut it, "'sok'"), waiting(""));
}

/// As `erl -sname undefined` of OTP 27 begins.
const DYNAMIC: &str = "'N' 0000000f 07df7fbc 00000000 0004 'host'";

#[test]
fn a_peer_without_a_name_is_given_one_and_our_challenge_says_so() {
    let mut config = config();
    config.name_seed = Some(5);
    let mut it = accepted_with(config);
    let Ok(Progress::Ask(Question::Inbound { name })) = give(&mut it, DYNAMIC).0 else {
        panic!("no question");
    };
    assert_eq!(name.host().as_str(), "host");
    let (progress, output) = answer(&mut it, Verdict::Accept);
    assert_eq!(progress, Ok(Progress::Waiting));
    let said = 7 + 2 + name.as_str().len() + 4;
    let head = format!("{said:04x} 'snamed:' {:04x} '{name}'", name.as_str().len());
    assert!(output.starts_with(&bytes(&head)), "{output:02x?}");
    let challenge = &output[2 + said..];
    let flags = (Flags::ours(true) | Flags::NAME_ME).bits();
    assert!(challenge.starts_with(&bytes(&format!("001e 'N' {flags:016x} 12345678"))));
    let reply = format!("'r' 00000063 {}", digest("c305419896"));
    let Ok(Progress::Ask(Question::Authenticated(info))) = give(&mut it, &reply).0 else {
        panic!("the digest is right");
    };
    assert_eq!((info.name, info.visible), (name, false));
    assert!(info.creation.get() >= 4);
}

#[test]
fn a_peer_without_a_name_is_never_visible_and_needs_a_host() {
    let mut config = config();
    config.name_seed = Some(5);
    let published = "'N' 0000000f 07df7fbd 00000000 0004 'host'";
    let mut it = accepted_with(config.clone());
    give(&mut it, published).0.unwrap();
    answer(&mut it, Verdict::Accept).0.unwrap();
    let reply = format!("'r' 00000063 {}", digest("c305419896"));
    let Ok(Progress::Ask(Question::Authenticated(info))) = give(&mut it, &reply).0 else {
        panic!("the digest is right");
    };
    assert!(!info.visible && !info.flags.contains(Flags::PUBLISHED));
    let hostless = "'N' 0000000f 07df7fbc 00000000 0000";
    let fault = HandshakeFault::Name(NameError::EmptyHost);
    refuse(accepted_with(config), hostless, fault.into());
}

#[test]
fn who_is_not_allowed_is_told_so_before_anybody_is_asked() {
    let mut config = config();
    config.allowed = Allowed::parse(["r@", "10.0.0.1"]).unwrap();
    let (progress, output) = give(&mut accepted_with(config.clone()), &send_name());
    assert_eq!(progress, Err(LinkError::NotAllowed));
    assert_eq!(output, bytes("000c 'snot_allowed'"));
    config.allowed = Allowed::parse(["127.0.0.1"]).unwrap();
    assert!(give(&mut accepted_with(config), &send_name()).0.is_ok());
}

#[test]
fn each_peer_is_held_to_the_cookie_that_we_hold_for_it() {
    let peer: NodeName = "b@127.0.0.1".parse().unwrap();
    let mut config = config();
    config.cookies = Cookies::new(Cookie::new("own").unwrap())
        .with(peer.clone(), Cookie::new("special").unwrap());
    let mut it = accepted_with(config.clone());
    give(&mut it, &send_name()).0.unwrap();
    answer(&mut it, Verdict::Accept).0.unwrap();
    let reply = format!("'r' 00000063 {}", digest("special305419896"));
    assert!(give(&mut it, &reply).0.is_ok());
    let proof = answer(&mut it, Verdict::Admit).1;
    assert_eq!(proof, bytes(&format!("0011 'a' {}", digest("special99"))));

    let mut it = Handshake::dial(Arc::new(config), peer, 99, &mut BytesMut::new());
    give(&mut it, "'sok'").0.unwrap();
    let reply = format!("0015 'r' 00000063 {}", digest("special3668397931"));
    assert_eq!(give(&mut it, &challenge()), waiting(&reply));
    assert!(
        give(&mut it, &format!("'a' {}", digest("special99")))
            .0
            .is_ok()
    );
}

#[test]
fn over_tls_every_length_has_four_bytes() {
    let mut config = config();
    config.wide_handshake = true;
    let mut output = BytesMut::new();
    let peer = "b@127.0.0.1".parse().unwrap();
    Handshake::dial(Arc::new(config.clone()), peer, 99, &mut output);
    assert!(output.starts_with(&bytes("0000001a 'N'")));
    let mut it = accepted_with(config);
    give(&mut it, &send_name()).0.unwrap();
    let output = answer(&mut it, Verdict::Accept).1;
    assert!(output.starts_with(&bytes("00000003 'sok' 0000001e 'N'")));
}
