//! What a client asks epmd.

use super::{FieldError, Fields, MAX_REQUEST, NodeInfo, parse_name};

const ALIVE2: u8 = b'x';
const PORT_PLEASE2: u8 = b'z';
const NAMES: u8 = b'n';
const DUMP: u8 = b'd';
const KILL: u8 = b'k';
const STOP: u8 = b's';

/// A request to epmd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Register a node, for as long as the connection stays open and silent. Answered by an
    /// [`AliveReply`](super::AliveReply).
    Alive2(NodeInfo),
    /// Where does a node listen? Answered by a [`PortReply`](super::PortReply), then closed.
    PortPlease {
        /// The part of its name before the `@`.
        name: String,
    },
    /// Who is registered? Answered by a [`NamesReply`](super::NamesReply), then closed.
    Names,
    /// Tell everything; from the same host alone. Answered by a text, then closed.
    Dump,
    /// End; from the same host alone. Answered by `OK` or `NO`.
    Kill,
    /// Forget a node; from the same host alone. Answered by `STOPPED` or `NOEXIST`.
    Stop {
        /// The part of its name before the `@`.
        name: String,
    },
}

/// Why bytes are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The announced length is zero.
    #[error("an empty request")]
    Empty,
    /// The announced length is over [`MAX_REQUEST`]. Nothing was kept for it.
    #[error("a request of {len} bytes is announced, {MAX_REQUEST} are allowed")]
    TooLong {
        /// The announced length, with its own two bytes.
        len: usize,
    },
    /// More bytes came than were announced.
    #[error("more bytes than announced")]
    Excess,
    /// No such request.
    #[error("unknown request {tag}")]
    Unknown {
        /// Its first byte.
        tag: u8,
    },
    /// A field of it.
    #[error("a bad field")]
    Field(#[from] FieldError),
}

impl Request {
    /// The request as it travels, length included.
    pub fn encode(&self) -> Vec<u8> {
        // The length is put in at the end.
        let mut output = vec![0, 0];
        match self {
            Request::Alive2(node) => {
                output.push(ALIVE2);
                node.encode_into(&mut output);
            }
            Request::PortPlease { name } => put_named(&mut output, PORT_PLEASE2, name),
            Request::Names => output.push(NAMES),
            Request::Dump => output.push(DUMP),
            Request::Kill => output.push(KILL),
            Request::Stop { name } => put_named(&mut output, STOP, name),
        }
        let len = u16::try_from(output.len() - 2).expect("a request is at most 3 KiB");
        output[..2].copy_from_slice(&len.to_be_bytes());
        output
    }

    /// The request in `body`, which has no length before it.
    ///
    /// # Errors
    /// If there is no such request.
    pub fn decode(body: &[u8]) -> Result<Self, RequestError> {
        let (&tag, rest) = body.split_first().ok_or(RequestError::Empty)?;
        match tag {
            ALIVE2 => {
                // What follows the last field is for later versions and ignored, as OTP does.
                Ok(Request::Alive2(NodeInfo::decode(&mut Fields { rest })?))
            }
            PORT_PLEASE2 => {
                // Some old clients put a NUL behind the name.
                let name = parse_name(rest.strip_suffix(b"\0").unwrap_or(rest))?;
                Ok(Request::PortPlease { name })
            }
            NAMES => Ok(Request::Names),
            DUMP => Ok(Request::Dump),
            KILL => Ok(Request::Kill),
            STOP => {
                let name = parse_name(rest.strip_suffix(b"\0").unwrap_or(rest))?;
                Ok(Request::Stop { name })
            }
            tag => Err(RequestError::Unknown { tag }),
        }
    }
}

fn put_named(output: &mut Vec<u8>, tag: u8, name: &str) {
    output.push(tag);
    output.extend(&name.as_bytes()[..name.len().min(super::MAX_NAME_BYTES)]);
}

/// Puts a request together from bytes as they come. There is one request a connection.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    buffer: Vec<u8>,
}

impl RequestDecoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came. `None` if more must come; after a request or an error the decoder is done.
    ///
    /// # Errors
    /// If there is no such request, it is too long, or more bytes came than were announced.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Request>, RequestError> {
        // A request is never longer than this, so one byte more is enough to see that it is.
        let room = (MAX_REQUEST + 1).saturating_sub(self.buffer.len());
        self.buffer.extend(&bytes[..bytes.len().min(room)]);
        let Some(&len) = self.buffer.first_chunk() else {
            return Ok(None);
        };
        let len = 2 + usize::from(u16::from_be_bytes(len));
        if len == 2 {
            return Err(RequestError::Empty);
        }
        if len > MAX_REQUEST {
            return Err(RequestError::TooLong { len });
        }
        match self.buffer.len().cmp(&len) {
            std::cmp::Ordering::Less => Ok(None),
            std::cmp::Ordering::Equal => Request::decode(&self.buffer[2..]).map(Some),
            std::cmp::Ordering::Greater => Err(RequestError::Excess),
        }
    }
}
