//! Bytes to owned terms.

use bytes::Bytes;

use crate::check::Budget;
use crate::inflate::{nothing_after, unpack, versioned};
use crate::token::{FunToken, Reader, RecordToken, Token};
use crate::view::TermRef;
use crate::{Atom, DecodeError, Fun, Limits, NativeRecord, Term, duplicate, tag};

type Result<T> = std::result::Result<T, DecodeError>;

/// Decodes the term that is the whole of `bytes`, the version byte 131 first.
///
/// Everything that a node of OTP 25 to 29 sends is taken, compressed terms too. As on a node, a
/// map with the same key twice is refused. Maps keep the order of their encoding.
///
/// # Errors
/// A [`DecodeError`] for anything else; memory stays within what `limits` and the length of
/// `bytes` allow.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Term> {
    let (term, used) = decode_prefix(bytes, limits)?;
    nothing_after(bytes, used)?;
    Ok(term)
}

/// Decodes the term at the start of `bytes`, the version byte 131 first, and says how many bytes
/// it took.
///
/// # Errors
/// As for [`decode`]; bytes may follow.
pub fn decode_prefix(bytes: &[u8], limits: &Limits) -> Result<(Term, usize)> {
    decode_from(bytes, None, limits)
}

/// Decodes the term that is the whole of `bytes`, its binaries sharing the memory of `bytes`.
///
/// No binary is copied; each keeps the whole of `bytes` alive.
///
/// # Errors
/// As for [`decode`].
pub fn decode_shared(bytes: &Bytes, limits: &Limits) -> Result<Term> {
    let (term, used) = decode_from(bytes, Some(bytes), limits)?;
    nothing_after(bytes, used)?;
    Ok(term)
}

fn decode_from(bytes: &[u8], shared: Option<&Bytes>, limits: &Limits) -> Result<(Term, usize)> {
    let body = versioned(bytes, limits)?;
    let budget = Budget::new(limits);
    if let Some((&tag::COMPRESSED, packed)) = body.split_first() {
        let (plain, used) = unpack(packed, limits)?;
        let plain = Bytes::from(plain);
        let mut decoder = Decoder {
            reader: Reader::new(&plain[1..]),
            shared: Some(&plain),
            budget,
        };
        let term = decoder.term(0, 0)?;
        nothing_after(decoder.reader.rest, 0)?;
        return Ok((term, 2 + used));
    }
    let mut decoder = Decoder {
        reader: Reader::new(body),
        shared,
        budget,
    };
    let term = decoder.term(0, 0)?;
    Ok((term, bytes.len() - decoder.reader.rest.len()))
}

/// Builds owned terms; binaries are slices of `shared` if that is given.
///
/// `owed` counts the elements that the containers around still need: each takes a byte at least,
/// so a container may announce no more than the bytes beyond those. All vectors together are
/// then bounded by the length of the input, whatever is announced.
pub(crate) struct Decoder<'a> {
    reader: Reader<'a, true>,
    shared: Option<&'a Bytes>,
    budget: Budget,
}

impl<'a> Decoder<'a> {
    /// A decoder of views, whose bytes were checked.
    pub(crate) fn after_check() -> Self {
        Self {
            reader: Reader::new(&[]),
            shared: None,
            budget: Budget::unbounded(),
        }
    }

    /// The owned term of a view.
    pub(crate) fn view(&mut self, view: &TermRef<'a>) -> Result<Term> {
        match view {
            TermRef::Int(int) => Ok(Term::Int(*int)),
            TermRef::BigInt(big) => Ok(Term::BigInt(big.to_bigint())),
            TermRef::Float(float) => Ok(Term::Float(*float)),
            TermRef::Atom(atom) => Ok(Term::Atom(atom.to_atom())),
            TermRef::Binary(bytes) => Ok(self.binary(bytes)),
            TermRef::BitString { bytes, bits } => Ok(Term::bit_string(bytes, *bits)),
            TermRef::List(list) => match (list.parts(), list.as_bytes()) {
                (Some((count, body)), _) => {
                    self.reader = Reader::new(body);
                    self.list(count, 0, 0)
                }
                (None, bytes) => self.string(bytes.unwrap_or(&[])),
            },
            TermRef::Tuple(tuple) => {
                self.reader = Reader::new(tuple.body);
                self.tuple(tuple.count, 0, 0)
            }
            TermRef::Map(map) => {
                self.reader = Reader::new(map.body);
                self.map(map.count, 0, 0)
            }
            TermRef::Pid(pid) => Ok(Term::Pid(pid.to_pid())),
            TermRef::Port(port) => Ok(Term::Port(port.to_port())),
            TermRef::Reference(reference) => Ok(Term::Reference(reference.to_reference())),
            TermRef::Fun(fun) => Ok(Term::Fun(fun.to_fun())),
            TermRef::Export(export) => Ok(Term::Export(export.to_export())),
            TermRef::Record(record) => {
                self.reader = Reader::new(record.body);
                let (module, name) = (record.module, record.name);
                let token = RecordToken {
                    count: record.count,
                    flags: record.flags,
                    module,
                    name,
                };
                self.record(token, 0, 0)
            }
        }
    }

    /// Kept small: a deep term has one of these frames, and one of its container's, per level.
    fn term(&mut self, depth: usize, owed: usize) -> Result<Term> {
        match self.reader.token()? {
            Token::List(count) => self.list(count, depth, owed),
            Token::Tuple(count) => self.tuple(count, depth, owed),
            Token::Map(count) => self.map(count, depth, owed),
            Token::Record(record) => self.record(record, depth, owed),
            Token::Fun(fun) => self.fun(fun, depth),
            leaf => self.leaf(leaf),
        }
    }

    #[inline]
    fn leaf(&mut self, token: Token<'a>) -> Result<Term> {
        Ok(match token {
            Token::Int(int) => Term::Int(int),
            Token::Float(float) => Term::Float(float),
            Token::Atom(atom) => Term::Atom(atom.to_atom()),
            Token::Binary(bytes) => self.binary(bytes),
            Token::Nil => Term::nil(),
            Token::Str(bytes) => return self.string(bytes),
            Token::Pid(pid) => Term::Pid(pid.to_pid()),
            Token::BigInt(big) => Term::BigInt(big.to_bigint()),
            Token::BitString { bytes, bits } => Term::bit_string(bytes, bits),
            Token::Port(port) => Term::Port(port.to_port()),
            Token::Reference(reference) => Term::Reference(reference.to_reference()),
            Token::Export(export) => Term::Export(export.to_export()),
            Token::List(_) | Token::Tuple(_) | Token::Map(_) | Token::Record(_) | Token::Fun(_) => {
                unreachable!("containers are not leaves")
            }
        })
    }

    #[inline]
    fn binary(&self, bytes: &[u8]) -> Term {
        Term::Binary(self.keep(bytes))
    }

    #[inline]
    fn keep(&self, bytes: &[u8]) -> Bytes {
        match self.shared {
            Some(shared) => shared.slice_ref(bytes),
            None => Bytes::copy_from_slice(bytes),
        }
    }

    fn string(&mut self, bytes: &[u8]) -> Result<Term> {
        self.budget.charge(bytes.len())?;
        Ok(Term::List(
            bytes
                .iter()
                .map(|&byte| Term::Int(i64::from(byte)))
                .collect(),
        ))
    }

    /// Lets `count` more elements in, on top of those owed, or says why not.
    #[inline]
    fn admit(&mut self, count: usize, owed: usize) -> Result<()> {
        if count.saturating_add(owed) > self.reader.rest.len() {
            return Err(DecodeError::Truncated);
        }
        self.budget.charge(count)
    }

    fn extend(
        &mut self,
        out: &mut Vec<Term>,
        count: usize,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        self.admit(count, owed)?;
        let depth = self.budget.deeper(depth)?;
        out.reserve_exact(count);
        for left in (0..count).rev() {
            out.push(self.term(depth, owed + left)?);
        }
        Ok(())
    }

    fn tuple(&mut self, count: u32, depth: usize, owed: usize) -> Result<Term> {
        let mut out = Vec::new();
        self.extend(&mut out, count as usize, depth, owed)?;
        Ok(Term::Tuple(out))
    }

    /// A list's tail that is a list again continues it, and is no deeper.
    fn list(&mut self, count: u32, depth: usize, owed: usize) -> Result<Term> {
        let mut out = Vec::new();
        self.extend(&mut out, count as usize, depth, owed)?;
        loop {
            let before_tail = self.reader.rest;
            match self.reader.token()? {
                Token::Nil => return Ok(Term::List(out)),
                Token::List(more) => self.more(&mut out, more, depth, owed)?,
                Token::Str(bytes) => {
                    self.budget.charge(bytes.len())?;
                    out.extend(bytes.iter().map(|&byte| Term::Int(i64::from(byte))));
                    return Ok(Term::List(out));
                }
                _ => {
                    self.reader.rest = before_tail;
                    return self.improper(out, depth, owed);
                }
            }
        }
    }

    /// Elements after a list in a list's tail; their vector doubles instead of growing exactly,
    /// or many short tails would copy the elements again and again.
    fn more(&mut self, out: &mut Vec<Term>, count: u32, depth: usize, owed: usize) -> Result<()> {
        self.admit(count as usize, owed)?;
        let depth = self.budget.deeper(depth)?;
        for left in (0..count as usize).rev() {
            out.push(self.term(depth, owed + left)?);
        }
        Ok(())
    }

    fn improper(&mut self, out: Vec<Term>, depth: usize, owed: usize) -> Result<Term> {
        let depth = self.budget.deeper(depth)?;
        let tail = self.term(depth, owed)?;
        Ok(if out.is_empty() {
            tail
        } else {
            Term::ImproperList(out, Box::new(tail))
        })
    }

    fn map(&mut self, count: u32, depth: usize, owed: usize) -> Result<Term> {
        let count = count as usize;
        self.admit(count * 2, owed)?;
        let depth = self.budget.deeper(depth)?;
        let mut pairs = Vec::with_capacity(count);
        for left in (0..count).rev() {
            let key = self.term(depth, owed + left * 2 + 1)?;
            pairs.push((key, self.term(depth, owed + left * 2)?));
        }
        if duplicate::has_duplicate(&pairs) {
            return Err(DecodeError::DuplicateKey);
        }
        Ok(Term::Map(pairs))
    }

    fn record(&mut self, token: RecordToken<'a>, depth: usize, owed: usize) -> Result<Term> {
        let count = token.count as usize;
        self.admit(count * 2, owed)?;
        let depth = self.budget.deeper(depth)?;
        let mut names: Vec<Atom> = Vec::with_capacity(count);
        for _ in 0..count {
            names.push(self.reader.atom()?.to_atom());
        }
        let mut fields = Vec::with_capacity(count);
        for (at, name) in names.into_iter().enumerate() {
            fields.push((name, self.term(depth, owed + count - at - 1)?));
        }
        if duplicate::has_duplicate(&fields) {
            return Err(DecodeError::DuplicateKey);
        }
        let (module, name) = (token.module.to_atom(), token.name.to_atom());
        Ok(Term::Record(NativeRecord::with_flags(
            module,
            name,
            token.flags,
            fields,
        )))
    }

    /// A fun's free variables are checked, but only its bytes are kept.
    fn fun(&mut self, token: FunToken<'a>, depth: usize) -> Result<Term> {
        self.budget.check_fun(&token, depth)?;
        let encoding = self.keep(token.encoding);
        Ok(Term::Fun(Fun::from_checked(
            token.module.to_atom(),
            token.arity,
            encoding,
        )))
    }
}
