//! The forms of a packet (erl_dist_protocol, "Protocol between Connected Nodes"; erl_ext_dist,
//! "Distribution Header").

use crate::flags::Flags;

/// The first byte of a message without header.
pub(crate) const PASS_THROUGH: u8 = 112;
/// The first byte of an external term, and of a packet with a header.
pub(crate) const VERSION: u8 = 131;
/// The second byte of a packet with a header that holds a whole message.
pub(crate) const WHOLE: u8 = 68;
/// The second byte of a packet with the first fragment of a message.
pub(crate) const FIRST: u8 = 69;
/// The second byte of a packet with a further fragment.
pub(crate) const NEXT: u8 = 70;

/// Whether a packet is a part of a message, if it is one at all.
pub(crate) fn is_fragment(packet: &[u8]) -> bool {
    matches!(packet, [VERSION, FIRST | NEXT, ..])
}

/// The form of every packet of a link. The flags of both sides decide it, and packets of the other
/// form end the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// No header, the terms with their version bytes.
    PassThrough,
    /// A header, the terms without.
    Header {
        /// Whether the header may list atoms.
        cache: bool,
        /// Whether a message may come in fragments.
        fragments: bool,
    },
}

impl Form {
    /// The form between nodes that have these flags in common.
    pub(crate) fn of(flags: Flags) -> Self {
        let cache = flags.contains(Flags::DIST_HDR_ATOM_CACHE);
        let fragments = flags.contains(Flags::FRAGMENTS);
        if cache || fragments {
            Self::Header { cache, fragments }
        } else {
            Self::PassThrough
        }
    }

    pub(crate) fn has_cache(self) -> bool {
        matches!(self, Self::Header { cache: true, .. })
    }

    pub(crate) fn has_fragments(self) -> bool {
        matches!(
            self,
            Self::Header {
                fragments: true,
                ..
            }
        )
    }
}
