//! Terms borrowed from the bytes they came in.

use std::borrow::Cow;

use num_bigint::{BigInt, Sign};

use crate::check::check;
use crate::decode::Decoder;
use crate::token::{Reader, Token};
use crate::view_seq::{FunRef, ListRef, MapRef, RecordRef, TupleRef};
use crate::{Atom, DecodeError, Export, Limits, Pid, Port, Reference, Term, inflate, tag};

/// A term borrowed from its encoding: nothing is copied, elements are read when asked for.
///
/// The bytes are checked once, by [`TermRef::parse`]; what follows cannot fail. Walking over an
/// element that was not looked into costs a pass over its bytes.
///
/// ```
/// use enmesh_term::{Limits, Term, TermRef, decode_ref, encode};
///
/// let bytes = encode(&Term::atom("ok"));
/// let term = decode_ref(&bytes, &Limits::default())?;
/// assert!(matches!(term, TermRef::Atom(ok) if ok == *"ok"));
/// # Ok::<(), enmesh_term::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TermRef<'a> {
    /// An integer of 64 bits.
    Int(i64),
    /// An integer that needs more.
    BigInt(BigIntRef<'a>),
    /// A float, always finite.
    Float(f64),
    /// An atom.
    Atom(AtomRef<'a>),
    /// A binary.
    Binary(&'a [u8]),
    /// A bit string whose last byte has `bits` (1 to 7) bits, the high ones; the others are
    /// whatever the peer put there.
    BitString {
        /// All of its bytes.
        bytes: &'a [u8],
        /// How many bits of the last byte count.
        bits: u8,
    },
    /// A list: empty, of bytes, proper or improper.
    List(ListRef<'a>),
    /// A tuple.
    Tuple(TupleRef<'a>),
    /// A map.
    Map(MapRef<'a>),
    /// A process identifier.
    Pid(PidRef<'a>),
    /// A port identifier.
    Port(PortRef<'a>),
    /// A reference.
    Reference(ReferenceRef<'a>),
    /// A closure.
    Fun(FunRef<'a>),
    /// A function by name.
    Export(ExportRef<'a>),
    /// A native record of OTP 29.
    Record(RecordRef<'a>),
}

/// Reads one borrowed term that is the whole of `bytes`, the version byte 131 first.
///
/// # Errors
/// As for [`decode`](crate::decode), but a compressed term is [`DecodeError::Compressed`]
/// ([`inflate`](crate::inflate) makes it plain), and a map's keys are not compared until
/// [`TermRef::to_term`].
pub fn decode_ref<'a>(bytes: &'a [u8], limits: &Limits) -> Result<TermRef<'a>, DecodeError> {
    let (term, used) = TermRef::parse(bytes, limits)?;
    inflate::nothing_after(bytes, used)?;
    Ok(term)
}

impl<'a> TermRef<'a> {
    /// Reads one borrowed term, the version byte 131 first, and says how many bytes it took.
    ///
    /// # Errors
    /// As for [`decode_ref`]; bytes may follow.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<(Self, usize), DecodeError> {
        let (term, used) = Self::parse_body(inflate::versioned(bytes, limits)?, limits)?;
        Ok((term, used + 1))
    }

    /// Reads one borrowed term, without a version byte, and says how many bytes it took.
    ///
    /// # Errors
    /// As for [`decode_ref`]; bytes may follow.
    pub fn parse_bare(bytes: &'a [u8], limits: &Limits) -> Result<(Self, usize), DecodeError> {
        Self::parse_body(inflate::within(bytes, limits)?, limits)
    }

    fn parse_body(body: &'a [u8], limits: &Limits) -> Result<(Self, usize), DecodeError> {
        if body.first() == Some(&tag::COMPRESSED) {
            return Err(DecodeError::Compressed);
        }
        let used = check(body, limits)?;
        let term = Self::read(&mut Reader::new(body)).ok_or(DecodeError::Truncated)?;
        Ok((term, used))
    }

    /// Reads the head of a term from bytes that were checked. Elements are left in `reader`.
    pub(crate) fn read(reader: &mut Reader<'a, false>) -> Option<Self> {
        Self::read_counting(reader, &mut 0)
    }

    /// Does the same and says how many elements were left. What most terms are is read here,
    /// without a token in between.
    #[inline]
    pub(crate) fn read_counting(
        reader: &mut Reader<'a, false>,
        elements: &mut usize,
    ) -> Option<Self> {
        let (&tag, rest) = reader.rest.split_first()?;
        let mut after = Reader::<false>::new(rest);
        *elements = 0;
        let view = match tag {
            tag::SMALL_ATOM_UTF8 => Self::Atom(after.small_atom().ok()?),
            tag::SMALL_INTEGER => Self::Int(i64::from(after.u8().ok()?)),
            tag::INTEGER => Self::Int(i64::from(after.i32().ok()?)),
            tag::BINARY => {
                let len = after.u32().ok()? as usize;
                Self::Binary(after.take(len).ok()?)
            }
            _ => return Self::read_other(reader, elements),
        };
        reader.rest = after.rest;
        Some(view)
    }

    #[inline(never)]
    fn read_other(reader: &mut Reader<'a, false>, elements: &mut usize) -> Option<Self> {
        let token = reader.token().ok()?;
        *elements = token.elements();
        Some(match token {
            Token::Int(int) => Self::Int(int),
            Token::BigInt(big) => Self::BigInt(big),
            Token::Float(float) => Self::Float(float),
            Token::Atom(atom) => Self::Atom(atom),
            Token::Binary(bytes) => Self::Binary(bytes),
            Token::BitString { bytes, bits } => Self::BitString { bytes, bits },
            Token::Nil => Self::List(ListRef::empty()),
            Token::Str(bytes) => Self::List(ListRef::of_bytes(bytes)),
            Token::List(count) => Self::List(ListRef::new(count, reader.rest)),
            Token::Tuple(count) => Self::Tuple(TupleRef::new(count, reader.rest)),
            Token::Map(count) => Self::Map(MapRef::new(count, reader.rest)),
            Token::Pid(pid) => Self::Pid(pid),
            Token::Port(port) => Self::Port(port),
            Token::Reference(reference) => Self::Reference(reference),
            Token::Fun(fun) => Self::Fun(FunRef::new(fun)),
            Token::Export(export) => Self::Export(export),
            Token::Record(record) => Self::Record(RecordRef::new(record, reader.rest)),
        })
    }

    /// The owned term.
    ///
    /// # Errors
    /// [`DecodeError::DuplicateKey`] if a map in it has a key twice; nothing else is left to fail.
    pub fn to_term(&self) -> Result<Term, DecodeError> {
        Decoder::after_check().view(self)
    }

    /// The integer, if it is one of 64 bits.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        if let Self::Int(int) = self {
            Some(*int)
        } else {
            None
        }
    }

    /// The atom, if it is one.
    #[must_use]
    pub const fn as_atom(&self) -> Option<AtomRef<'a>> {
        if let Self::Atom(atom) = self {
            Some(*atom)
        } else {
            None
        }
    }

    /// The bytes, if it is a binary.
    #[must_use]
    pub const fn as_binary(&self) -> Option<&'a [u8]> {
        if let Self::Binary(bytes) = self {
            Some(bytes)
        } else {
            None
        }
    }

    /// The list, if it is one.
    #[must_use]
    pub const fn as_list(&self) -> Option<ListRef<'a>> {
        if let Self::List(list) = self {
            Some(*list)
        } else {
            None
        }
    }

    /// The tuple, if it is one.
    #[must_use]
    pub const fn as_tuple(&self) -> Option<TupleRef<'a>> {
        if let Self::Tuple(tuple) = self {
            Some(*tuple)
        } else {
            None
        }
    }

    /// The map, if it is one.
    #[must_use]
    pub const fn as_map(&self) -> Option<MapRef<'a>> {
        if let Self::Map(map) = self {
            Some(*map)
        } else {
            None
        }
    }

    /// The pid, if it is one.
    #[must_use]
    pub const fn as_pid(&self) -> Option<PidRef<'a>> {
        if let Self::Pid(pid) = self {
            Some(*pid)
        } else {
            None
        }
    }

    /// The reference, if it is one.
    #[must_use]
    pub const fn as_reference(&self) -> Option<ReferenceRef<'a>> {
        if let Self::Reference(reference) = self {
            Some(*reference)
        } else {
            None
        }
    }
}

/// A borrowed atom, in UTF-8 or in latin1 as its tag said.
#[derive(Clone, Copy, Debug)]
pub struct AtomRef<'a> {
    name: &'a [u8],
    is_latin1: bool,
}

impl<'a> AtomRef<'a> {
    pub(crate) const fn utf8(name: &'a [u8]) -> Self {
        Self {
            name,
            is_latin1: false,
        }
    }

    pub(crate) const fn latin1(name: &'a [u8]) -> Self {
        Self {
            name,
            is_latin1: true,
        }
    }

    /// The name; borrowed unless it came in latin1 and has characters beyond ASCII.
    #[must_use]
    pub fn to_str(&self) -> Cow<'a, str> {
        if self.is_latin1 && !self.name.is_ascii() {
            return Cow::Owned(self.name.iter().map(|&byte| char::from(byte)).collect());
        }
        String::from_utf8_lossy(self.name)
    }

    /// The owned atom.
    #[must_use]
    #[inline]
    pub fn to_atom(&self) -> Atom {
        if !self.is_latin1
            && let Some(atom) = Atom::from_short_utf8(self.name)
        {
            return atom;
        }
        self.to_long_atom()
    }

    #[inline(never)]
    fn to_long_atom(self) -> Atom {
        Atom::from_valid(&self.to_str())
    }
}

impl PartialEq<str> for AtomRef<'_> {
    fn eq(&self, other: &str) -> bool {
        if self.is_latin1 {
            return self
                .name
                .iter()
                .map(|&byte| char::from(byte))
                .eq(other.chars());
        }
        self.name == other.as_bytes()
    }
}

impl PartialEq<&str> for AtomRef<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<Atom> for AtomRef<'_> {
    fn eq(&self, other: &Atom) -> bool {
        *self == *other.as_str()
    }
}

impl PartialEq for AtomRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.is_latin1 == other.is_latin1 {
            return self.name == other.name;
        }
        *self == *other.to_str()
    }
}

impl Eq for AtomRef<'_> {}

/// A borrowed integer of more than 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct BigIntRef<'a> {
    is_negative: bool,
    /// Little endian.
    magnitude: &'a [u8],
}

impl<'a> BigIntRef<'a> {
    pub(crate) const fn new(is_negative: bool, magnitude: &'a [u8]) -> Self {
        Self {
            is_negative,
            magnitude,
        }
    }

    /// The value, if 64 bits hold it.
    pub(crate) fn to_i64(self) -> Option<i64> {
        let mut low = [0; 8];
        let (head, high) = self.magnitude.split_at(self.magnitude.len().min(8));
        if high.iter().any(|&byte| byte != 0) {
            return None;
        }
        low[..head.len()].copy_from_slice(head);
        let magnitude = u64::from_le_bytes(low);
        if self.is_negative {
            0i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        }
    }

    /// The owned integer.
    #[must_use]
    pub fn to_bigint(&self) -> BigInt {
        let sign = if self.is_negative {
            Sign::Minus
        } else {
            Sign::Plus
        };
        BigInt::from_bytes_le(sign, self.magnitude)
    }
}

/// A borrowed process identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidRef<'a> {
    /// The name of its node.
    pub node: AtomRef<'a>,
    /// Its number on that node.
    pub id: u32,
    /// How often the number was used up before.
    pub serial: u32,
    /// The creation of its node.
    pub creation: u32,
}

impl PidRef<'_> {
    /// The owned pid.
    #[must_use]
    pub fn to_pid(&self) -> Pid {
        Pid::new(self.node.to_atom(), self.id, self.serial, self.creation)
    }
}

/// A borrowed port identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRef<'a> {
    /// The name of its node.
    pub node: AtomRef<'a>,
    /// Its number on that node.
    pub id: u64,
    /// The creation of its node.
    pub creation: u32,
}

impl PortRef<'_> {
    /// The owned port.
    #[must_use]
    pub fn to_port(&self) -> Port {
        Port::new(self.node.to_atom(), self.id, self.creation)
    }
}

/// A borrowed reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceRef<'a> {
    /// The name of its node.
    pub node: AtomRef<'a>,
    /// The creation of its node.
    pub creation: u32,
    /// One to five words of four bytes, big endian.
    pub(crate) ids: &'a [u8],
}

impl ReferenceRef<'_> {
    /// Its words, least significant first.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.ids
            .as_chunks()
            .0
            .iter()
            .map(|word| u32::from_be_bytes(*word))
    }

    /// The owned reference.
    #[must_use]
    pub fn to_reference(&self) -> Reference {
        let mut words = [0; crate::reference::MAX_REFERENCE_WORDS];
        let mut len = 0;
        for (slot, id) in words.iter_mut().zip(self.ids()) {
            *slot = id;
            len += 1;
        }
        Reference::new(self.node.to_atom(), self.creation, &words[..len])
            .expect("the reader takes one to five words")
    }
}

/// A borrowed function by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportRef<'a> {
    /// Its module.
    pub module: AtomRef<'a>,
    /// Its name.
    pub function: AtomRef<'a>,
    /// How many arguments it takes.
    pub arity: u8,
}

impl ExportRef<'_> {
    /// The owned export.
    #[must_use]
    pub fn to_export(&self) -> Export {
        Export::new(self.module.to_atom(), self.function.to_atom(), self.arity)
    }
}
