//! What epmd answers.

use enmesh_identity::Creation;

use super::{FieldError, Fields, MAX_NAMES, NodeInfo, parse_name};

const ALIVE2: u8 = b'y';
const ALIVE2_X: u8 = b'v';
const PORT2: u8 = b'w';

/// The answer to [`Request::Alive2`](super::Request::Alive2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliveReply {
    /// Sent to a node whose highest version is 6 or more.
    Alive2X {
        /// 0 if it is registered, 1 if the name is taken.
        result: u8,
        /// The incarnation that epmd offers.
        creation: Creation,
    },
    /// Sent to older ones.
    Alive2 {
        /// 0 if it is registered, 1 if the name is taken.
        result: u8,
        /// The incarnation that epmd offers: 1 to 3.
        creation: u16,
    },
}

/// The answer to [`Request::PortPlease`](super::Request::PortPlease).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortReply {
    /// The node is registered.
    Found(NodeInfo),
    /// It is not.
    NotFound {
        /// Why, as a number; 1 as a rule.
        code: u8,
    },
}

/// The answer to [`Request::Names`](super::Request::Names).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesReply {
    /// The port that this epmd itself listens on.
    pub epmd_port: u32,
    /// The names before the `@`, each with the port that its node listens on.
    pub names: Vec<(String, u16)>,
}

/// Why bytes are not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The first byte is that of no such answer.
    #[error("an answer with tag {tag}")]
    Tag {
        /// The first byte.
        tag: u8,
    },
    /// More bytes came than the answer has.
    #[error("more bytes than an answer has")]
    Excess,
    /// More than [`MAX_NAMES`] bytes.
    #[error("a list of names of more than {MAX_NAMES} bytes")]
    TooLong,
    /// A line that is not `name NAME at port PORT`.
    #[error("a bad line in the list of names")]
    Line,
    /// A field of it.
    #[error("a bad field")]
    Field(#[from] FieldError),
}

impl AliveReply {
    /// Whether the node is registered.
    pub fn is_registered(self) -> bool {
        matches!(
            self,
            AliveReply::Alive2X { result: 0, .. } | AliveReply::Alive2 { result: 0, .. }
        )
    }

    /// The answer as it travels.
    pub fn encode(self) -> Vec<u8> {
        match self {
            AliveReply::Alive2X { result, creation } => {
                [&[ALIVE2_X, result][..], &creation.get().to_be_bytes()].concat()
            }
            AliveReply::Alive2 { result, creation } => {
                [&[ALIVE2, result][..], &creation.to_be_bytes()].concat()
            }
        }
    }

    /// The answer in what came so far; `None` if more must come.
    ///
    /// # Errors
    /// If that is no such answer, or more than one.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ReplyError> {
        let Some((&tag, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let len = match tag {
            ALIVE2_X => 5,
            ALIVE2 => 3,
            tag => return Err(ReplyError::Tag { tag }),
        };
        if rest.len() > len {
            return Err(ReplyError::Excess);
        }
        Ok(match *rest {
            [result, a, b, c, d] => {
                let creation = Creation::from_wire(u32::from_be_bytes([a, b, c, d]));
                Some(AliveReply::Alive2X { result, creation })
            }
            [result, a, b] if tag == ALIVE2 => Some(AliveReply::Alive2 {
                result,
                creation: u16::from_be_bytes([a, b]),
            }),
            _ => None,
        })
    }
}

impl PortReply {
    /// The answer as it travels.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            PortReply::Found(node) => {
                let mut output = vec![PORT2, 0];
                node.encode_into(&mut output);
                output
            }
            PortReply::NotFound { code } => vec![PORT2, *code],
        }
    }

    /// The answer in what came so far; `None` if more must come. It is whole before the connection
    /// is closed, so there is no need to wait for that.
    ///
    /// # Errors
    /// If that is no such answer, or more than one.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ReplyError> {
        let (found, rest) = match *bytes {
            [] | [PORT2] => return Ok(None),
            [PORT2, 0, ref rest @ ..] => {
                let mut fields = Fields { rest };
                match NodeInfo::decode(&mut fields) {
                    Ok(node) => (PortReply::Found(node), fields.rest),
                    Err(FieldError::Short) => return Ok(None),
                    Err(error) => return Err(error.into()),
                }
            }
            [PORT2, code, ref rest @ ..] => (PortReply::NotFound { code }, rest),
            [tag, ..] => return Err(ReplyError::Tag { tag }),
        };
        if rest.is_empty() {
            Ok(Some(found))
        } else {
            Err(ReplyError::Excess)
        }
    }
}

impl NamesReply {
    /// The answer as it travels.
    pub fn encode(&self) -> Vec<u8> {
        let mut output = self.epmd_port.to_be_bytes().to_vec();
        for (name, port) in &self.names {
            output.extend(format!("name {name} at port {port}\n").bytes());
        }
        output
    }

    /// Whether this many bytes can still be an answer; a client stops reading when not.
    ///
    /// # Errors
    /// [`ReplyError::TooLong`].
    pub fn check_len(len: usize) -> Result<(), ReplyError> {
        if len > MAX_NAMES {
            Err(ReplyError::TooLong)
        } else {
            Ok(())
        }
    }

    /// The answer in everything that came until the connection was closed.
    ///
    /// # Errors
    /// If that is no such answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReplyError> {
        Self::check_len(bytes.len())?;
        let mut fields = Fields { rest: bytes };
        let epmd_port = u32::from_be_bytes(fields.array()?);
        let lines = fields
            .rest
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        let names = lines.map(parse_line).collect::<Result<_, _>>()?;
        Ok(Self { epmd_port, names })
    }
}

fn parse_line(line: &[u8]) -> Result<(String, u16), ReplyError> {
    let line = std::str::from_utf8(line).map_err(|_| ReplyError::Line)?;
    let line = line.strip_prefix("name ").ok_or(ReplyError::Line)?;
    // From the end, since a name may hold anything.
    let (name, port) = line.rsplit_once(" at port ").ok_or(ReplyError::Line)?;
    Ok((
        parse_name(name.as_bytes())?,
        port.parse().map_err(|_| ReplyError::Line)?,
    ))
}
