//! The one reader of the format: takes a tag and what belongs to it, elements excepted.

use crate::DecodeError;
use crate::atom::{MAX_ATOM_CHARS, count_chars};
use crate::tag;
use crate::view::{AtomRef, BigIntRef, ExportRef, PidRef, PortRef, ReferenceRef};

type Result<T> = std::result::Result<T, DecodeError>;

/// What one tag says. A leaf is whole; of a container the elements are still to be read.
#[derive(Clone, Copy)]
pub(crate) enum Token<'a> {
    Int(i64),
    BigInt(BigIntRef<'a>),
    Float(f64),
    Atom(AtomRef<'a>),
    Binary(&'a [u8]),
    BitString {
        bytes: &'a [u8],
        bits: u8,
    },
    Nil,
    /// A list of small integers, one byte each.
    Str(&'a [u8]),
    /// A list of this many elements, after which its tail follows.
    List(u32),
    Tuple(u32),
    /// This many pairs.
    Map(u32),
    Pid(PidRef<'a>),
    Port(PortRef<'a>),
    Reference(ReferenceRef<'a>),
    Fun(FunToken<'a>),
    Export(ExportRef<'a>),
    Record(RecordToken<'a>),
}

impl Token<'_> {
    /// How many terms belong to it that are still to be read, the tail of a list included.
    #[inline]
    pub(crate) fn elements(&self) -> usize {
        match self {
            Self::List(count) => (*count as usize).saturating_add(1),
            Self::Tuple(count) => *count as usize,
            Self::Map(count) => (*count as usize).saturating_mul(2),
            Self::Record(record) => (record.count as usize).saturating_mul(2),
            _ => 0,
        }
    }
}

/// A closure.
#[derive(Clone, Copy)]
pub(crate) struct FunToken<'a> {
    /// The whole of it, tag included.
    pub(crate) encoding: &'a [u8],
    pub(crate) module: AtomRef<'a>,
    pub(crate) arity: u8,
    /// How many free variables there are; `body` is exactly these.
    pub(crate) free: u32,
    pub(crate) body: &'a [u8],
}

/// A native record, of which this many field names and then as many values follow.
#[derive(Clone, Copy)]
pub(crate) struct RecordToken<'a> {
    pub(crate) count: u32,
    pub(crate) flags: u8,
    pub(crate) module: AtomRef<'a>,
    pub(crate) name: AtomRef<'a>,
}

/// A term that has elements, and how many are announced.
#[derive(Clone, Copy)]
pub(crate) enum Container {
    List(u32),
    Tuple(u32),
    Map(u32),
    /// Not read yet.
    Record,
    /// Not read yet.
    Fun,
}

/// A place in the input.
///
/// `CHECK` says whether atoms are checked to be atoms; without it the bytes must have been
/// read once with it.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a, const CHECK: bool> {
    pub(crate) rest: &'a [u8],
}

impl<'a, const CHECK: bool> Reader<'a, CHECK> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Reads one tag and what belongs to it.
    #[inline]
    pub(crate) fn token(&mut self) -> Result<Token<'a>> {
        let start = self.rest;
        let tag = self.u8()?;
        Ok(match tag {
            tag::SMALL_INTEGER => Token::Int(i64::from(self.u8()?)),
            tag::INTEGER => Token::Int(i64::from(self.i32()?)),
            tag::SMALL_ATOM_UTF8 => Token::Atom(self.small_atom()?),
            tag::BINARY => {
                let len = self.u32()?;
                Token::Binary(self.take(len as usize)?)
            }
            tag::NEW_FLOAT => Token::Float(self.float()?),
            tag::NIL => Token::Nil,
            tag::LIST => Token::List(self.u32()?),
            tag::SMALL_TUPLE => Token::Tuple(u32::from(self.u8()?)),
            tag::MAP => Token::Map(self.u32()?),
            tag::STRING => {
                let len = self.u16()?;
                Token::Str(self.take(usize::from(len))?)
            }
            _ => return self.rarer_token(tag, start),
        })
    }

    /// Reads the head of a term that has elements; `None`, and nothing read, before any other.
    ///
    /// What recurses asks this first: a [`Token`] in each of its frames would make a deep term's
    /// stack several times as large.
    #[inline]
    pub(crate) fn container(&mut self) -> Result<Option<Container>> {
        let Some((&tag, rest)) = self.rest.split_first() else {
            return Err(DecodeError::Truncated);
        };
        let announce = match tag {
            tag::LIST => Container::List,
            tag::MAP => Container::Map,
            tag::LARGE_TUPLE => Container::Tuple,
            tag::SMALL_TUPLE => {
                self.rest = rest;
                return Ok(Some(Container::Tuple(u32::from(self.u8()?))));
            }
            tag::NATIVE_RECORD => return Ok(Some(Container::Record)),
            tag::NEW_FUN => return Ok(Some(Container::Fun)),
            _ => return Ok(None),
        };
        self.rest = rest;
        Ok(Some(announce(self.u32()?)))
    }

    /// Reads a record's head, where [`Container::Record`] was seen.
    pub(crate) fn record_head(&mut self) -> Result<RecordToken<'a>> {
        match self.token()? {
            Token::Record(record) => Ok(record),
            _ => Err(DecodeError::UnknownTag {
                tag: tag::NATIVE_RECORD,
            }),
        }
    }

    /// Reads a fun, where [`Container::Fun`] was seen.
    pub(crate) fn fun_head(&mut self) -> Result<FunToken<'a>> {
        match self.token()? {
            Token::Fun(fun) => Ok(fun),
            _ => Err(DecodeError::BadFun),
        }
    }

    #[inline(never)]
    fn rarer_token(&mut self, tag: u8, start: &'a [u8]) -> Result<Token<'a>> {
        Ok(match tag {
            tag::SMALL_BIG => {
                let len = usize::from(self.u8()?);
                self.big(len)?
            }
            tag::LARGE_BIG => {
                let len = self.u32()? as usize;
                self.big(len)?
            }
            tag::NEW_PID | tag::PID => Token::Pid(self.pid(tag)?),
            tag::NEWER_REFERENCE | tag::NEW_REFERENCE | tag::REFERENCE => {
                Token::Reference(self.reference(tag)?)
            }
            tag::V4_PORT | tag::NEW_PORT | tag::PORT => Token::Port(self.port(tag)?),
            tag::LARGE_TUPLE => Token::Tuple(self.u32()?),
            tag::FLOAT => Token::Float(old_float(self.take(31)?)?),
            tag::BIT_BINARY => self.bit_binary()?,
            tag::NEW_FUN => Token::Fun(self.fun(start)?),
            tag::EXPORT => Token::Export(self.export()?),
            tag::NATIVE_RECORD => Token::Record(RecordToken {
                count: self.u32()?,
                flags: self.u8()?,
                module: self.atom()?,
                name: self.atom()?,
            }),
            tag::ATOM_CACHE_REF => return Err(DecodeError::AtomCacheRef),
            tag::LOCAL => return Err(DecodeError::LocalTerm),
            tag::FUN => return Err(DecodeError::ObsoleteFun),
            _ => Token::Atom(
                self.atom_of_tag(tag)?
                    .ok_or(DecodeError::UnknownTag { tag })?,
            ),
        })
    }

    /// Reads an atom, where nothing else may stand.
    pub(crate) fn atom(&mut self) -> Result<AtomRef<'a>> {
        let tag = self.u8()?;
        if tag == tag::ATOM_CACHE_REF {
            return Err(DecodeError::AtomCacheRef);
        }
        self.atom_of_tag(tag)?.ok_or(DecodeError::NotAnAtom { tag })
    }

    fn atom_of_tag(&mut self, tag: u8) -> Result<Option<AtomRef<'a>>> {
        Ok(Some(match tag {
            tag::SMALL_ATOM_UTF8 => self.small_atom()?,
            tag::ATOM_UTF8 => {
                let len = usize::from(self.u16()?);
                self.utf8_atom(len)?
            }
            tag::SMALL_ATOM => {
                let len = usize::from(self.u8()?);
                AtomRef::latin1(self.take(len)?)
            }
            tag::ATOM => {
                let len = usize::from(self.u16()?);
                if len > MAX_ATOM_CHARS {
                    return Err(DecodeError::AtomTooLong);
                }
                AtomRef::latin1(self.take(len)?)
            }
            _ => return Ok(None),
        }))
    }

    #[inline]
    pub(crate) fn utf8_atom(&mut self, len: usize) -> Result<AtomRef<'a>> {
        let name = self.take(len)?;
        if CHECK {
            if !name.is_ascii() && std::str::from_utf8(name).is_err() {
                return Err(DecodeError::BadUtf8);
            }
            if len > MAX_ATOM_CHARS && count_chars(name) > MAX_ATOM_CHARS {
                return Err(DecodeError::AtomTooLong);
            }
        }
        Ok(AtomRef::utf8(name))
    }

    /// What follows the tag of SMALL_ATOM_UTF8_EXT.
    #[inline]
    pub(crate) fn small_atom(&mut self) -> Result<AtomRef<'a>> {
        let len = usize::from(self.u8()?);
        self.utf8_atom(len)
    }

    /// Passes over one term of checked bytes but for its elements, and says how many these are.
    #[inline]
    pub(crate) fn pass(&mut self) -> Result<usize> {
        let tag = *self.rest.first().ok_or(DecodeError::Truncated)?;
        let announced = |at: usize| {
            let len = self.rest.get(at..).and_then(|rest| rest.first_chunk());
            len.map_or(usize::MAX, |len| u32::from_be_bytes(*len) as usize)
        };
        let (len, elements) = match tag {
            tag::SMALL_INTEGER => (2, 0),
            tag::INTEGER => (5, 0),
            tag::NEW_FLOAT => (9, 0),
            tag::NIL => (1, 0),
            tag::SMALL_ATOM_UTF8 => (2 + usize::from(*self.rest.get(1).unwrap_or(&0)), 0),
            tag::BINARY => (announced(1).saturating_add(5), 0),
            tag::SMALL_TUPLE => (2, usize::from(*self.rest.get(1).unwrap_or(&0))),
            tag::LIST => (5, announced(1).saturating_add(1)),
            tag::MAP => (5, announced(1).saturating_mul(2)),
            _ => return self.token().map(|token| token.elements()),
        };
        self.take(len)?;
        Ok(elements)
    }

    fn big(&mut self, len: usize) -> Result<Token<'a>> {
        let negative = self.u8()? != 0;
        let big = BigIntRef::new(negative, self.take(len)?);
        Ok(big.to_i64().map_or(Token::BigInt(big), Token::Int))
    }

    fn creation(&mut self, is_old: bool) -> Result<u32> {
        if is_old {
            Ok(u32::from(self.u8()?))
        } else {
            self.u32()
        }
    }

    fn pid(&mut self, tag: u8) -> Result<PidRef<'a>> {
        Ok(PidRef {
            node: self.atom()?,
            id: self.u32()?,
            serial: self.u32()?,
            creation: self.creation(tag == tag::PID)?,
        })
    }

    fn port(&mut self, tag: u8) -> Result<PortRef<'a>> {
        let node = self.atom()?;
        let id = match tag {
            tag::V4_PORT => u64::from_be_bytes(self.array()?),
            _ => u64::from(self.u32()?),
        };
        Ok(PortRef {
            node,
            id,
            creation: self.creation(tag == tag::PORT)?,
        })
    }

    fn reference(&mut self, tag: u8) -> Result<ReferenceRef<'a>> {
        if tag == tag::REFERENCE {
            let node = self.atom()?;
            let ids = self.take(4)?;
            return Ok(ReferenceRef {
                node,
                creation: self.creation(true)?,
                ids,
            });
        }
        let words = self.u16()?;
        if !(1..=5).contains(&words) {
            return Err(DecodeError::BadReference { words });
        }
        let node = self.atom()?;
        let creation = self.creation(tag == tag::NEW_REFERENCE)?;
        Ok(ReferenceRef {
            node,
            creation,
            ids: self.take(usize::from(words) * 4)?,
        })
    }

    fn bit_binary(&mut self) -> Result<Token<'a>> {
        let len = self.u32()?;
        let bits = self.u8()?;
        let bytes = self.take(len as usize)?;
        match (len, bits) {
            (0, 0) | (1.., 8) => Ok(Token::Binary(bytes)),
            (1.., 1..=7) => Ok(Token::BitString { bytes, bits }),
            _ => Err(DecodeError::BadBitString { bytes: len, bits }),
        }
    }

    /// NEW_FUN_EXT from `start`, the place of its tag. The announced size counts itself, but not
    /// the tag.
    fn fun(&mut self, start: &'a [u8]) -> Result<FunToken<'a>> {
        let size = u32::from_be_bytes(*self.rest.first_chunk().ok_or(DecodeError::Truncated)?);
        let mut inner = Self::new(self.take(size as usize)?);
        inner.take(4).map_err(|_| DecodeError::BadFun)?;
        let arity = inner.u8()?;
        let _unique_and_index = inner.take(16 + 4)?;
        let free = inner.u32()?;
        let module = inner.atom()?;
        let _old_index = inner.plain_int()?;
        let _old_unique = inner.plain_int()?;
        match inner.u8()? {
            tag @ (tag::NEW_PID | tag::PID) => inner.pid(tag)?,
            _ => return Err(DecodeError::BadFun),
        };
        let encoding = &start[..start.len() - self.rest.len()];
        Ok(FunToken {
            encoding,
            module,
            arity,
            free,
            body: inner.rest,
        })
    }

    fn export(&mut self) -> Result<ExportRef<'a>> {
        let module = self.atom()?;
        let function = self.atom()?;
        let arity = u8::try_from(self.plain_int()?).map_err(|_| DecodeError::BadFun)?;
        Ok(ExportRef {
            module,
            function,
            arity,
        })
    }

    /// An integer inside a fun. Taking any token here would recurse as deep as a peer nests
    /// funs at this place.
    fn plain_int(&mut self) -> Result<i64> {
        match self.u8()? {
            tag::SMALL_INTEGER => Ok(i64::from(self.u8()?)),
            tag::INTEGER => Ok(i64::from(i32::from_be_bytes(self.array()?))),
            _ => Err(DecodeError::BadFun),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8> {
        let (&byte, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// What follows the tag of NEW_FLOAT_EXT.
    #[inline]
    pub(crate) fn float(&mut self) -> Result<f64> {
        finite(f64::from_be_bytes(self.array()?))
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

fn finite(float: f64) -> Result<f64> {
    if float.is_finite() {
        Ok(float)
    } else {
        Err(DecodeError::BadFloat)
    }
}

/// FLOAT_EXT: a decimal number in 31 bytes, filled up with zeros.
fn old_float(text: &[u8]) -> Result<f64> {
    let end = text
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(text.len());
    let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let text = std::str::from_utf8(&text[..end]).map_err(|_| DecodeError::BadFloat)?;
    if !text.as_bytes().iter().all(is_number) {
        return Err(DecodeError::BadFloat);
    }
    finite(text.parse().map_err(|_| DecodeError::BadFloat)?)
}
