//! Peers as text that programs and people write: one a line, or JSON.

mod json;

use std::net::IpAddr;

use enmesh_identity::{NodeName, PeerAddr};
use enmesh_membership::{FailureKind, Sighting, Update};

use crate::source::MAX_PEERS_PER_UPDATE;

/// The longest text that is read, in bytes: room for as many peers as there may be.
pub(crate) const MAX_TEXT_BYTES: usize = 4 << 20;

/// The longest part of a text that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// Why a text is no list of peers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerListError {
    #[error("more than {MAX_TEXT_BYTES} bytes are not read")]
    TooLong,
    #[error("it is not in UTF-8")]
    NotText,
    /// A text that was cut off before it began looks so, too.
    #[error("it names nobody; if nobody is what is meant, write []")]
    Empty,
    /// The rest of the line may be missing.
    #[error("no line break ends the last line, so that it may be half a line")]
    HalfALine,
    #[error("line {line}: `{shown}` is no node name, as in app@10.0.0.1")]
    BadName { line: usize, shown: String },
    #[error(
        "line {line}: `{shown}` is no address, as in 10.0.0.1, 10.0.0.1:9000, [fd00::1]:9000 or :9000"
    )]
    BadAddress { line: usize, shown: String },
    #[error("line {line}: more than a name and an address: `{shown}`")]
    TooMuch { line: usize, shown: String },
    #[error("{0}")]
    Json(serde_json::Error),
}

impl PeerListError {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Empty => FailureKind::Empty,
            _ => FailureKind::Malformed,
        }
    }
}

/// How the end of a text is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Whoever wrote it said that it was all, as a program does by its exit code.
    Told,
    /// Nothing says so, as with a file that somebody may be writing: lines end with line breaks.
    Untold,
}

/// What a text lists.
#[derive(Debug)]
pub(crate) struct PeerList {
    /// The first of them, at most [`MAX_PEERS_PER_UPDATE`].
    peers: Vec<Sighting>,
    /// How many more it lists.
    left_out: usize,
}

impl PeerList {
    /// A list that was cut is a part of the whole, and a part removes nobody.
    pub(crate) fn into_update(self) -> Update {
        let present = self.peers;
        match self.left_out {
            0 => Update::Snapshot(present),
            _ => Update::Changed {
                present,
                gone: Vec::new(),
            },
        }
    }
}

/// Says that a list is too long, once for each number of those who are left out.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(usize);

impl LeftOut {
    /// Looks at a list that came from `source`.
    pub(crate) fn look(&mut self, list: &PeerList, source: &str) {
        if self.is_news(list.left_out) {
            tracing::warn!(
                source,
                left_out = list.left_out,
                "it lists more than the {MAX_PEERS_PER_UPDATE} peers that a topology holds; the \
                 first are taken, and nobody leaves while it does"
            );
        }
    }

    fn is_news(&mut self, left_out: usize) -> bool {
        std::mem::replace(&mut self.0, left_out) != left_out && left_out > 0
    }
}

/// The peers that `bytes` list.
pub(crate) fn parse(bytes: &[u8], end: End) -> Result<PeerList, PeerListError> {
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(PeerListError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PeerListError::NotText)?;
    // Windows's editors put it before everything else.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut peers = match text.trim_start().as_bytes().first() {
        Some(b'[') => json::list(text).map_err(PeerListError::Json)?,
        Some(b'{') => json::objects(text).map_err(PeerListError::Json)?,
        _ => lines(text, end)?,
    };
    let left_out = peers.len().saturating_sub(MAX_PEERS_PER_UPDATE);
    peers.truncate(MAX_PEERS_PER_UPDATE);
    Ok(PeerList { peers, left_out })
}

fn lines(text: &str, end: End) -> Result<Vec<Sighting>, PeerListError> {
    if end == End::Untold && !text.is_empty() && !text.ends_with('\n') {
        return Err(PeerListError::HalfALine);
    }
    let mut peers = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        peers.extend(peer(number, line)?);
    }
    if peers.is_empty() {
        return Err(PeerListError::Empty);
    }
    Ok(peers)
}

/// `name`, `name address`, `name address:port` or `name :port`; nothing but a comment is nobody.
fn peer(line: usize, text: &str) -> Result<Option<Sighting>, PeerListError> {
    let mut words = text.split_whitespace();
    let mut word = || words.next().filter(|word| !word.starts_with('#'));
    let Some(name) = word() else {
        return Ok(None);
    };
    let place = word();
    if let (Some(_), Some(more)) = (place, word()) {
        let shown = shown(more);
        return Err(PeerListError::TooMuch { line, shown });
    }
    let Ok(name) = name.parse::<NodeName>() else {
        let shown = shown(name);
        return Err(PeerListError::BadName { line, shown });
    };
    let mut peer = PeerAddr::new(name);
    if let Some(place) = place {
        let Some((address, port)) = read_place(place) else {
            let shown = shown(place);
            return Err(PeerListError::BadAddress { line, shown });
        };
        peer = at(peer, address, port);
    }
    Ok(Some(peer.into()))
}

fn at(peer: PeerAddr, address: Option<IpAddr>, port: Option<u16>) -> PeerAddr {
    let peer = address.map_or(peer.clone(), |address| peer.with_address(address));
    port.map_or(peer.clone(), |port| peer.with_port(port))
}

fn read_place(text: &str) -> Option<(Option<IpAddr>, Option<u16>)> {
    if let Ok(address) = text.parse() {
        return Some((Some(address), None));
    }
    let (address, port) = text.rsplit_once(':')?;
    // A sign is no part of a port, though the parser of numbers takes one.
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|&port| is_number && port != 0)?;
    let address = match address.strip_prefix('[') {
        _ if address.is_empty() => None,
        Some(v6) => Some(IpAddr::V6(v6.strip_suffix(']')?.parse().ok()?)),
        None => Some(IpAddr::V4(address.parse().ok()?)),
    };
    Some((address, Some(port)))
}

/// `text` without what would steer a terminal or begin another line, and cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
