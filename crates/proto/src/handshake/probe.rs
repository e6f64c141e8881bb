//! The part of the handshake that tells a name, and no more of it.

use bytes::BytesMut;
use enmesh_identity::{Creation, NodeName};

use super::MAX_HANDSHAKE_MESSAGE;
use super::message::{Challenge, HandshakeFault, SendName, Status, TAG_OLD_NAME};
use crate::flags::Flags;
use crate::framing::Prefix;

/// How a TLS record begins: an alert or a handshake, then the major version. As the length of a
/// message it would be 5,000 bytes, which no message of a handshake has.
const TLS_RECORDS: [[u8; 2]; 2] = [[0x15, 0x03], [0x16, 0x03]];

/// The incarnation that a probe claims. It never has a process, so nothing is named by it.
const CREATION: u32 = 1;

/// Asks whoever listens for its name, and goes no further (erl_dist_protocol, "Distribution
/// Handshake": `send_name`, `recv_status`, `recv_challenge`).
///
/// Neither side has used its cookie by then, so nothing is proven: the name is what the peer says.
/// [`Probe::new`] puts what to send into `output`; then [`Probe::handle_bytes`] takes what comes
/// until it gives an answer. After that the connection is to be closed.
///
/// ```
/// use bytes::BytesMut;
/// use enmesh_proto::Probe;
///
/// let mut output = BytesMut::new();
/// let mut probe = Probe::new("probe@127.0.0.1".parse()?, &mut output);
/// let mut inbox = BytesMut::from(&b"\0\x03sok"[..]);
/// assert_eq!(probe.handle_bytes(&mut inbox), Ok(None));
/// # Ok::<(), enmesh_identity::NameError>(())
/// ```
#[derive(Debug)]
pub struct Probe {
    /// Whether the peer has said that our name may come.
    welcome: bool,
}

/// What a peer said of itself when it was probed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probed {
    /// Its full name.
    pub name: NodeName,
    /// Its incarnation.
    pub creation: Creation,
    /// What it announces.
    pub flags: Flags,
}

/// Why a peer does not tell its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeFault {
    /// What came is a record of TLS.
    #[error("it speaks TLS, and tells its name to those alone who do as well")]
    Tls,
    /// What came is no message of a handshake.
    #[error("it does not speak the distribution protocol")]
    NotDistribution,
    /// The peer is older than OTP 23, or says so.
    #[error("it speaks the handshake of OTP 22 or older")]
    OldHandshake,
    /// The peer knows somebody of the probe's name; another name may come through.
    #[error("it is connected with somebody of the probe's name")]
    Busy,
    /// The peer lets only some names in, and the probe's is none of them.
    #[error("it lets in only those whom it was told to allow")]
    NotAllowed,
    /// A message of the handshake that cannot be understood.
    #[error("it sent a message that makes no sense")]
    Message(#[source] HandshakeFault),
}

impl Probe {
    /// A probe under the name `own`, which should be nobody else's, for a peer takes it for that
    /// node's. The node is hidden and wants no name of the peer.
    pub fn new(own: NodeName, output: &mut BytesMut) -> Self {
        let send_name = SendName {
            flags: Flags::ours(false),
            creation: Creation::from_wire(CREATION),
            name: own,
        };
        send_name.encode(Prefix::Two, output);
        Self { welcome: false }
    }

    /// Takes whole messages out of `inbox`; `None` while the name has not come.
    ///
    /// # Errors
    /// What the peer did instead. Nothing may be called any more then.
    pub fn handle_bytes(&mut self, inbox: &mut BytesMut) -> Result<Option<Probed>, ProbeFault> {
        if let Some(head) = inbox.first_chunk()
            && !self.welcome
            && TLS_RECORDS.contains(head)
        {
            return Err(ProbeFault::Tls);
        }
        loop {
            let message = Prefix::Two
                .take(inbox, MAX_HANDSHAKE_MESSAGE)
                .map_err(|_| ProbeFault::NotDistribution)?;
            let Some(message) = message else {
                return Ok(None);
            };
            if self.welcome {
                return challenge(&message).map(Some);
            }
            match Status::parse(&message).map_err(ProbeFault::Message)? {
                Status::Ok | Status::OkSimultaneous => self.welcome = true,
                Status::Nok | Status::Alive => return Err(ProbeFault::Busy),
                Status::NotAllowed => return Err(ProbeFault::NotAllowed),
                Status::Named | Status::True | Status::False => {
                    return Err(ProbeFault::Message(HandshakeFault::Status));
                }
            }
        }
    }
}

fn challenge(message: &[u8]) -> Result<Probed, ProbeFault> {
    if message.first() == Some(&TAG_OLD_NAME) {
        return Err(ProbeFault::OldHandshake);
    }
    let told = Challenge::parse(message).map_err(ProbeFault::Message)?;
    Ok(Probed {
        name: told.name,
        creation: told.creation,
        flags: told.flags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::bytes as from_hex;
    use proptest::prelude::*;

    /// What OTP 25 answers to a probe: `ok`, then its challenge as `b@127.0.0.1`.
    const ANSWER: &str = "0003 73 6f6b \
        001e 4e 0000000d07df7fbd 1e04a3b2 6581ff02 000b 62403132372e302e302e31";

    fn probe() -> Probe {
        Probe::new("p@127.0.0.1".parse().unwrap(), &mut BytesMut::new())
    }

    fn answer(bytes: &[u8]) -> Result<Option<Probed>, ProbeFault> {
        probe().handle_bytes(&mut BytesMut::from(bytes))
    }

    #[test]
    fn a_probe_is_hidden_and_has_a_name() {
        let mut output = BytesMut::new();
        let _probe = Probe::new("p@h".parse().unwrap(), &mut output);
        let flags = Flags::from_bits(u64::from_be_bytes(output[3..11].try_into().unwrap()));
        assert_eq!(flags, Flags::ours(false));
        assert!(!flags.contains(Flags::PUBLISHED) && !flags.contains(Flags::NAME_ME));
        assert_eq!(&output[11..], from_hex("00000001 0003 'p@h'"));
    }

    #[test]
    fn the_name_is_that_of_the_challenge() {
        let probed = answer(&from_hex(ANSWER)).unwrap().unwrap();
        assert_eq!(probed.name.as_str(), "b@127.0.0.1");
        assert_eq!(probed.creation.get(), 0x6581_ff02);
        assert!(probed.flags.contains(Flags::PUBLISHED));
    }

    #[test]
    fn half_an_answer_is_none_yet() {
        let whole = from_hex(ANSWER);
        for len in 0..whole.len() {
            assert_eq!(answer(&whole[..len]), Ok(None), "{len} bytes");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let message = |text: &[u8]| {
            let len = u16::try_from(text.len()).unwrap().to_be_bytes();
            answer(&[&len, text].concat())
        };
        let status = ProbeFault::Message(HandshakeFault::Status);
        for (text, fault) in [
            (&b"snok"[..], ProbeFault::Busy),
            (b"salive", ProbeFault::Busy),
            (b"snot_allowed", ProbeFault::NotAllowed),
            (b"snamed:\0\x03a@b\0\0\0\x01", status),
            (b"strue", status),
            (b"swhatever", status),
        ] {
            assert_eq!(message(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_distribution_is_told_apart() {
        // An alert of TLS: unexpected message.
        assert_eq!(
            answer(&from_hex("15 03 03 00 02 02 0a")),
            Err(ProbeFault::Tls)
        );
        assert_eq!(
            answer(b"HTTP/1.1 400 Bad Request\r\n"),
            Err(ProbeFault::NotDistribution)
        );
        assert_eq!(
            answer(&from_hex("0003 73 6f6b 0003 6e 0005")),
            Err(ProbeFault::OldHandshake)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_are_taken_alike(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            welcome: bool,
            at in 0..80usize,
        ) {
            let bytes = match welcome {
                true => [&from_hex("0003 73 6f6b")[..], &bytes].concat(),
                false => bytes,
            };
            let whole = answer(&bytes);
            let mut probe = probe();
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let mut inbox = BytesMut::from(first);
            let mut parts = probe.handle_bytes(&mut inbox);
            if parts == Ok(None) {
                inbox.extend_from_slice(second);
                parts = probe.handle_bytes(&mut inbox);
            }
            prop_assert_eq!(parts, whole);
        }
    }
}
