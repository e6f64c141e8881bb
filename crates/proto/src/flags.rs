//! What a node can do, announced as 64 bits in the handshake.

use std::fmt;
use std::ops::{BitAnd, BitOr};

/// The capability flags of a node (erl_dist_protocol, "Distribution Flags").
///
/// After the handshake both sides go by the AND of what the two announced. Bits without a name
/// here are kept, and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u64);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Flags = Flags(1 << $bit);)*
        }

        /// Every flag with its name, in the order of the bits.
        const TABLE: &[(Flags, &str)] = &[$((Flags::$name, stringify!($name)),)*];
    };
}

flags! {
    /// The node is visible: it is in `nodes()`, `global` and `pg` talk to it.
    PUBLISHED = 0;
    /// An obsolete atom cache.
    ATOM_CACHE = 1;
    /// References of more than one word.
    EXTENDED_REFERENCES = 2;
    /// Monitors of processes.
    DIST_MONITOR = 3;
    /// Funs have a tag of their own.
    FUN_TAGS = 4;
    /// Monitors of registered names.
    DIST_MONITOR_NAME = 5;
    /// An obsolete atom cache.
    HIDDEN_ATOM_CACHE = 6;
    /// The new encoding of funs.
    NEW_FUN_TAGS = 7;
    /// Process identifiers and ports beyond 15 bits.
    EXTENDED_PIDS_PORTS = 8;
    /// External funs (`fun m:f/a`).
    EXPORT_PTR_TAG = 9;
    /// Bit strings.
    BIT_BINARIES = 10;
    /// Floats as IEEE doubles.
    NEW_FLOATS = 11;
    /// Unicode in the IO protocol.
    UNICODE_IO = 12;
    /// An atom cache in the header of each message.
    DIST_HDR_ATOM_CACHE = 13;
    /// Atoms of at most 255 bytes have a short encoding.
    SMALL_ATOM_TAGS = 14;
    /// Atoms are UTF-8.
    UTF8_ATOMS = 16;
    /// Maps.
    MAP_TAG = 17;
    /// Creations are 32 bits.
    BIG_CREATION = 18;
    /// Sends name the sender (operations 22 and 23).
    SEND_SENDER = 19;
    /// Labels of sequential tracing are any terms.
    BIG_SEQTRACE_LABELS = 20;
    /// Exit reasons travel as payload (operations 24 to 28).
    EXIT_PAYLOAD = 22;
    /// Big messages travel in fragments.
    FRAGMENTS = 23;
    /// The handshake of OTP 23 and later.
    HANDSHAKE_23 = 24;
    /// Unlinking is acknowledged (operations 35 and 36).
    UNLINK_ID = 25;
    /// Stands for all flags that OTP 25 made mandatory. It is bit 26 on the wire, whatever
    /// erl_dist_protocol says.
    MANDATORY_25_DIGEST = 26;
    /// Spawning by request (operations 29 to 32).
    SPAWN = 32;
    /// The peer wants a name from us.
    NAME_ME = 33;
    /// Wider numbers in process identifiers, ports and references.
    V4_NC = 34;
    /// Sends to aliases (operations 33 and 34).
    ALIAS = 35;
    /// One operation (37) for alias and priority signals, OTP 28.
    ALTACT_SIG = 37;
    /// Native records, OTP 29.
    NATIVE_RECORDS = 38;
}

impl Flags {
    /// No flag at all.
    pub const NONE: Flags = Flags(0);

    /// What every node of OTP 25 insists on.
    pub const MANDATORY_25: Flags = Flags(
        Flags::EXTENDED_REFERENCES.0
            | Flags::FUN_TAGS.0
            | Flags::NEW_FUN_TAGS.0
            | Flags::EXTENDED_PIDS_PORTS.0
            | Flags::EXPORT_PTR_TAG.0
            | Flags::BIT_BINARIES.0
            | Flags::NEW_FLOATS.0
            | Flags::UTF8_ATOMS.0
            | Flags::MAP_TAG.0
            | Flags::BIG_CREATION.0
            | Flags::HANDSHAKE_23.0,
    );

    /// What every node of OTP 26 to 29 insists on.
    pub const MANDATORY_26: Flags =
        Flags(Flags::MANDATORY_25.0 | Flags::UNLINK_ID.0 | Flags::V4_NC.0);

    /// Those of [`Flags::ours`] that a node may leave out.
    pub const OPTIONAL: Flags =
        Flags(Flags::DIST_HDR_ATOM_CACHE.0 | Flags::FRAGMENTS.0 | Flags::ALTACT_SIG.0);

    /// What this implementation serves and therefore announces.
    ///
    /// SEND_SENDER is left out, because nobody here asks who sent, and the process that did would
    /// cost each message more bytes. EXIT_PAYLOAD is announced so that a monstrous exit
    /// reason is a payload, which can fail alone, and not part of a control message.
    pub fn ours(visible: bool) -> Flags {
        let base = Flags::MANDATORY_26
            | Flags::MANDATORY_25_DIGEST
            | Flags::DIST_MONITOR
            | Flags::DIST_MONITOR_NAME
            | Flags::UNICODE_IO
            | Flags::SMALL_ATOM_TAGS
            | Flags::EXIT_PAYLOAD
            | Flags::SPAWN
            | Flags::ALIAS
            | Flags::OPTIONAL;
        if visible {
            base | Flags::PUBLISHED
        } else {
            base
        }
    }

    /// The flags as they travel.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The flags that travel as `bits`.
    pub const fn from_bits(bits: u64) -> Flags {
        Flags(bits)
    }

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags but those of `other`.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// The flags with those added that [`Flags::MANDATORY_25_DIGEST`] stands for, if it is set.
    #[must_use]
    pub fn expanded(self) -> Flags {
        if self.contains(Flags::MANDATORY_25_DIGEST) {
            self | Flags::MANDATORY_25
        } else {
            self
        }
    }

    /// What `peer` does not announce although we insist on it: the set of OTP 26, since
    /// UNLINK_ID and V4_NC are what we send. Every node since OTP 25 announces them.
    pub fn missing_mandatory(peer: Flags) -> Flags {
        Flags(Flags::MANDATORY_26.0 & !peer.expanded().0)
    }
}

impl BitAnd for Flags {
    type Output = Flags;

    fn bitand(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut separator = "";
        for (flag, name) in TABLE {
            if self.contains(*flag) {
                write!(f, "{separator}{name}")?;
                separator = " ";
                rest &= !flag.0;
            }
        }
        if rest != 0 {
            write!(f, "{separator}{rest:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OTP 25 and 27 send by default, as seen on the wire.
    const OTP_25: Flags = Flags::from_bits(0xD_07DF_7FBD);
    /// What OTP 29 sends by default, as seen on the wire.
    const OTP_29: Flags = Flags::from_bits(0x6D_07DF_7FBD);

    #[test]
    fn the_digest_is_bit_26() {
        assert_eq!(Flags::MANDATORY_25_DIGEST.bits(), 0x400_0000);
    }

    #[test]
    fn otp_25_to_29_miss_nothing() {
        assert_eq!(Flags::missing_mandatory(OTP_25), Flags::NONE);
        assert_eq!(Flags::missing_mandatory(OTP_29), Flags::NONE);
    }

    #[test]
    fn otp_29_is_otp_25_with_altact_and_records() {
        assert_eq!(OTP_29, OTP_25 | Flags::ALTACT_SIG | Flags::NATIVE_RECORDS);
    }

    #[test]
    fn ours_is_part_of_what_otp_understands() {
        assert!(OTP_29.contains(Flags::ours(true)));
        assert!((OTP_25 | Flags::ALTACT_SIG).contains(Flags::ours(true)));
        assert!(Flags::ours(true).contains(Flags::PUBLISHED));
        assert!(!Flags::ours(false).contains(Flags::PUBLISHED));
    }

    #[test]
    fn the_digest_stands_for_the_mandatory_flags_of_otp_25() {
        let short = Flags::MANDATORY_25_DIGEST | Flags::V4_NC | Flags::UNLINK_ID;
        assert_eq!(Flags::missing_mandatory(short), Flags::NONE);
        assert_eq!(
            Flags::missing_mandatory(Flags::MANDATORY_25_DIGEST),
            Flags::V4_NC | Flags::UNLINK_ID
        );
    }

    #[test]
    fn flags_print_their_names() {
        let it = Flags::V4_NC | Flags::UNLINK_ID | Flags::from_bits(1 << 60);
        assert_eq!(it.to_string(), "UNLINK_ID V4_NC 0x1000000000000000");
    }

    #[test]
    fn no_two_flags_share_a_bit() {
        let sum = TABLE.iter().fold(0u64, |sum, (flag, _)| sum | flag.bits());
        assert_eq!(sum.count_ones() as usize, TABLE.len());
    }
}
