//! The wire format of epmd, the port mapper: requests and answers, in both directions.
//!
//! Every request has a length before it, no answer has (erl_dist_protocol, "EPMD Protocol"). The
//! decoders take bytes as they come and hold no more than the limits here allow.

mod reply;
mod request;

pub use reply::{AliveReply, NamesReply, PortReply, ReplyError};
pub use request::{Request, RequestDecoder, RequestError};

/// The port that epmd listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 4369;
/// The longest name, in characters.
pub const MAX_NAME_CHARS: usize = 255;
/// The longest name and the longest extra field, in bytes.
pub const MAX_NAME_BYTES: usize = 1020;
/// The longest request with its length, in bytes. OTP's epmd closes the connection for more.
pub const MAX_REQUEST: usize = 3059;
/// The longest list of names that is read, in bytes. What is over it is an error.
pub const MAX_NAMES: usize = 1 << 20;
/// The version of the distribution protocol that nodes announce as their highest.
pub const HIGHEST_VERSION: u16 = 6;
/// The version that nodes announce as their lowest.
pub const LOWEST_VERSION: u16 = 5;

/// What kind of node registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeType {
    /// A visible node: 77.
    Visible,
    /// A hidden node: 72.
    Hidden,
    /// Another number, which epmd stores and hands out all the same.
    Other(u8),
}

impl NodeType {
    /// The type that travels as `code`.
    pub fn from_code(code: u8) -> Self {
        match code {
            77 => NodeType::Visible,
            72 => NodeType::Hidden,
            other => NodeType::Other(other),
        }
    }

    /// The type as it travels.
    pub fn code(self) -> u8 {
        match self {
            NodeType::Visible => 77,
            NodeType::Hidden => 72,
            NodeType::Other(code) => code,
        }
    }
}

/// What epmd knows of a node: what it registered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// The part of its name before the `@`: 1 to 255 characters, no NUL.
    pub name: String,
    /// Where its distribution listens.
    pub port: u16,
    /// What kind of node it is.
    pub node_type: NodeType,
    /// The transport: 0 for TCP.
    pub protocol: u8,
    /// The highest version of the protocol that it speaks. From 6 on its creations have 32 bits.
    pub high: u16,
    /// The lowest version.
    pub low: u16,
    /// Anything else, at most [`MAX_NAME_BYTES`].
    pub extra: Vec<u8>,
}

impl NodeInfo {
    /// What a node of today registers with.
    pub fn new(name: impl Into<String>, port: u16, node_type: NodeType) -> Self {
        Self {
            name: name.into(),
            port,
            node_type,
            protocol: 0,
            high: HIGHEST_VERSION,
            low: LOWEST_VERSION,
            extra: Vec::new(),
        }
    }

    /// The fields as a request to register and an answer about a port share them.
    fn encode_into(&self, output: &mut Vec<u8>) {
        output.extend(self.port.to_be_bytes());
        output.push(self.node_type.code());
        output.push(self.protocol);
        output.extend(self.high.to_be_bytes());
        output.extend(self.low.to_be_bytes());
        put_counted(output, self.name.as_bytes());
        put_counted(output, &self.extra);
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, FieldError> {
        let [port_high, port_low, node_type, protocol] = fields.array()?;
        let high = u16::from_be_bytes(fields.array()?);
        let low = u16::from_be_bytes(fields.array()?);
        let name = fields.counted()?;
        let extra = fields.counted()?;
        Ok(Self {
            name: parse_name(name)?,
            port: u16::from_be_bytes([port_high, port_low]),
            node_type: NodeType::from_code(node_type),
            protocol,
            high,
            low,
            extra: extra.to_vec(),
        })
    }
}

/// Why a field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The bytes end before it does. From a stream more may come.
    #[error("the bytes end too early")]
    Short,
    /// A name or extra field of more than [`MAX_NAME_BYTES`].
    #[error("a field of {len} bytes, {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// A name that is empty, not UTF-8, longer than [`MAX_NAME_CHARS`] or has a control character
    /// in it.
    #[error("not a name")]
    Name,
}

fn put_counted(output: &mut Vec<u8>, bytes: &[u8]) {
    // What is too long to be told is cut off rather than told with a wrong length.
    let bytes = &bytes[..bytes.len().min(MAX_NAME_BYTES)];
    let len = u16::try_from(bytes.len()).expect("MAX_NAME_BYTES fits in 16 bits");
    output.extend(len.to_be_bytes());
    output.extend(bytes);
}

/// A name as a request or answer carries it. Control characters are refused, so that a name never
/// forges a line of another answer.
fn parse_name(bytes: &[u8]) -> Result<String, FieldError> {
    if bytes.len() > MAX_NAME_BYTES {
        return Err(FieldError::TooLong { len: bytes.len() });
    }
    let name = std::str::from_utf8(bytes).map_err(|_| FieldError::Name)?;
    let chars = name.chars().count();
    if chars == 0 || chars > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(FieldError::Name);
    }
    Ok(name.to_owned())
}

/// Reads one field after the other.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(FieldError::Short)?;
        self.rest = rest;
        Ok(*array)
    }

    fn counted(&mut self) -> Result<&'a [u8], FieldError> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        if len > MAX_NAME_BYTES {
            return Err(FieldError::TooLong { len });
        }
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(FieldError::Short)?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
