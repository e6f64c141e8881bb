//! Bytes to owned terms.

use bytes::Bytes;

use crate::check::Budget;
use crate::inflate::{nothing_after, unpack, versioned};
use crate::short::Short;
use crate::token::{Container, Reader, RecordToken, Token};
use crate::view::TermRef;
use crate::{Atom, Binary, DecodeError, Fun, Limits, NativeRecord, Term, order, tag};

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

/// Binaries of fewer bytes are copied where others share memory: that costs no more, and a few
/// bytes should not keep a whole message alive.
const SHARE_FROM: usize = 64;

/// Decodes the term that is the whole of `bytes`, its binaries sharing the memory of `bytes`.
///
/// No binary of 64 bytes or more is copied; each keeps the whole of `bytes` alive.
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

/// What stands where a term will be.
const PLACEHOLDER: Term = Term::Int(0);

/// Puts a term in its place. A placeholder owns nothing, so dropping it would be idle work.
#[inline]
fn fill(slot: &mut Term, term: Term) {
    std::mem::forget(std::mem::replace(slot, term));
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
            TermRef::BigInt(big) => Ok(Term::BigInt(Box::new(big.to_bigint()))),
            TermRef::Float(float) => Ok(Term::Float(*float)),
            TermRef::Atom(atom) => Ok(Term::Atom(atom.to_atom())),
            TermRef::Binary(bytes) => Ok(Term::Binary(self.keep(bytes))),
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
            TermRef::Pid(pid) => Ok(Term::from(pid.to_pid())),
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

    fn term(&mut self, depth: usize, owed: usize) -> Result<Term> {
        let mut slot = PLACEHOLDER;
        match self.read(&mut slot, depth, owed) {
            Ok(()) => Ok(slot),
            Err(error) => Err(error),
        }
    }

    /// Reads a term into `slot`, which holds a placeholder.
    ///
    /// This and what recurses into it is kept small: a deep term has these frames at each level.
    #[inline]
    fn read(&mut self, slot: &mut Term, depth: usize, owed: usize) -> Result<()> {
        match self.read_usual(slot) {
            Ok(false) => self.read_other(slot, depth, owed),
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads one of the leaves that are most of any message, written where it stays without a
    /// token in between; `false`, and nothing read, before anything else. Each arm fills the
    /// slot itself: a term that all arms shared would be copied there.
    #[inline]
    fn read_usual(&mut self, slot: &mut Term) -> Result<bool> {
        let Some((&tag, rest)) = self.reader.rest.split_first() else {
            return Err(DecodeError::Truncated);
        };
        let mut after = Reader::<true>::new(rest);
        match tag {
            tag::SMALL_ATOM_UTF8 => {
                let len = usize::from(after.u8()?);
                match Short::head(after.rest, len) {
                    Some((name, true)) => fill(slot, Term::Atom(Atom::from_short(name))),
                    _ => self.check_atom(slot, after.rest, len)?,
                }
                after.take(len)?;
            }
            tag::SMALL_INTEGER => fill(slot, Term::Int(i64::from(after.u8()?))),
            tag::INTEGER => fill(slot, Term::Int(i64::from(after.i32()?))),
            tag::BINARY => {
                let len = after.u32()? as usize;
                match Short::head(after.rest, len) {
                    Some((bytes, _)) => fill(slot, Term::Binary(Binary::from_short(bytes))),
                    None => self.read_binary(slot, after.rest, len)?,
                }
                after.take(len)?;
            }
            tag::NEW_FLOAT => fill(slot, Term::Float(after.float()?)),
            _ => return Ok(false),
        }
        self.reader.rest = after.rest;
        Ok(true)
    }

    #[inline(never)]
    fn read_other(&mut self, slot: &mut Term, depth: usize, owed: usize) -> Result<()> {
        let read = match self.reader.container() {
            Ok(None) => self.leaf(),
            Ok(Some(container)) => self.container(container, depth, owed),
            Err(error) => Err(error),
        };
        match read {
            Ok(term) => {
                fill(slot, term);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn container(&mut self, container: Container, depth: usize, owed: usize) -> Result<Term> {
        match container {
            Container::List(count) => self.list(count, depth, owed),
            Container::Tuple(count) => self.tuple(count, depth, owed),
            Container::Map(count) => self.map(count, depth, owed),
            Container::Record => self.record_here(depth, owed),
            Container::Fun => self.fun(depth),
        }
    }

    #[inline]
    fn leaf(&mut self) -> Result<Term> {
        Ok(match self.reader.token()? {
            Token::Int(int) => Term::Int(int),
            Token::Float(float) => Term::Float(float),
            Token::Atom(atom) => Term::Atom(atom.to_atom()),
            Token::Binary(bytes) => Term::Binary(self.keep(bytes)),
            Token::Nil => Term::nil(),
            Token::Str(bytes) => return self.string(bytes),
            Token::Pid(pid) => Term::from(pid.to_pid()),
            Token::BigInt(big) => Term::BigInt(Box::new(big.to_bigint())),
            Token::BitString { bytes, bits } => Term::bit_string(bytes, bits),
            Token::Port(port) => Term::Port(port.to_port()),
            Token::Reference(reference) => Term::Reference(reference.to_reference()),
            Token::Export(export) => Term::Export(export.to_export()),
            Token::List(_) | Token::Tuple(_) | Token::Map(_) | Token::Record(_) | Token::Fun(_) => {
                unreachable!("a container was looked for before")
            }
        })
    }

    /// The atom of the first `len` bytes, if it is long, near the end, or not ASCII.
    #[inline(never)]
    fn check_atom(&self, slot: &mut Term, rest: &'a [u8], len: usize) -> Result<()> {
        let atom = Reader::<true>::new(rest).utf8_atom(len)?.to_atom();
        fill(slot, Term::Atom(atom));
        Ok(())
    }

    #[inline(never)]
    fn read_binary(&self, slot: &mut Term, rest: &'a [u8], len: usize) -> Result<()> {
        let bytes = Reader::<true>::new(rest).take(len)?;
        fill(slot, Term::Binary(self.keep(bytes)));
        Ok(())
    }

    #[inline]
    fn keep(&self, bytes: &[u8]) -> Binary {
        match self.shared {
            Some(shared) if bytes.len() >= SHARE_FROM => Binary::from(shared.slice_ref(bytes)),
            _ => Binary::copy_from_slice(bytes),
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

    /// Reads a list's or a tuple's elements.
    fn elements(
        &mut self,
        out: &mut Vec<Term>,
        count: usize,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        self.admit(count, owed)?;
        let depth = self.budget.deeper(depth)?;
        let start = out.len();
        // Exactly so much at first, but not again and again where many tails continue a list.
        if out.capacity() == 0 {
            out.reserve_exact(count);
        }
        out.resize_with(start + count, || PLACEHOLDER);
        let mut owed = owed + count;
        for slot in &mut out[start..] {
            owed -= 1;
            self.read(slot, depth, owed)?;
        }
        Ok(())
    }

    fn tuple(&mut self, count: u32, depth: usize, owed: usize) -> Result<Term> {
        let mut out = Vec::new();
        match self.elements(&mut out, count as usize, depth, owed) {
            Ok(()) => Ok(Term::Tuple(out)),
            Err(error) => Err(error),
        }
    }

    fn list(&mut self, count: u32, depth: usize, owed: usize) -> Result<Term> {
        let mut out = Vec::new();
        match self.list_elements(&mut out, count as usize, depth, owed) {
            Ok(true) => Ok(Term::List(out)),
            Ok(false) => self.improper(out, depth, owed),
            Err(error) => Err(error),
        }
    }

    /// Whether the list is proper; if not, its tail is still to be read. A tail that is a list
    /// again continues this one, and is no deeper.
    fn list_elements(
        &mut self,
        out: &mut Vec<Term>,
        mut count: usize,
        depth: usize,
        owed: usize,
    ) -> Result<bool> {
        loop {
            self.elements(out, count, depth, owed)?;
            match self.reader.rest.first() {
                Some(&tag::NIL) => return self.reader.u8().map(|_| true),
                Some(&tag::STRING) => return self.string_tail(out),
                Some(&tag::LIST) => count = self.list_again()?,
                _ => return Ok(false),
            }
        }
    }

    fn list_again(&mut self) -> Result<usize> {
        self.reader.u8()?;
        Ok(self.reader.u32()? as usize)
    }

    #[inline(never)]
    fn string_tail(&mut self, out: &mut Vec<Term>) -> Result<bool> {
        if let Token::Str(bytes) = self.reader.token()? {
            self.budget.charge(bytes.len())?;
            out.extend(bytes.iter().map(|&byte| Term::Int(i64::from(byte))));
        }
        Ok(true)
    }

    fn improper(&mut self, out: Vec<Term>, depth: usize, owed: usize) -> Result<Term> {
        let depth = self.budget.deeper(depth)?;
        match self.term(depth, owed) {
            Ok(tail) if out.is_empty() => Ok(tail),
            Ok(tail) => Ok(Term::ImproperList(out, Box::new(tail))),
            Err(error) => Err(error),
        }
    }

    fn map(&mut self, count: u32, depth: usize, owed: usize) -> Result<Term> {
        let mut pairs = Vec::new();
        match self.pairs(&mut pairs, count as usize, depth, owed) {
            Ok(()) if order::has_duplicate(&pairs) => Err(DecodeError::DuplicateKey),
            Ok(()) => Ok(Term::Map(pairs)),
            Err(error) => Err(error),
        }
    }

    fn pairs(
        &mut self,
        out: &mut Vec<(Term, Term)>,
        count: usize,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        self.admit(count.saturating_mul(2), owed)?;
        let depth = self.budget.deeper(depth)?;
        out.reserve_exact(count);
        out.resize_with(count, || (PLACEHOLDER, PLACEHOLDER));
        let mut owed = owed + count * 2;
        for (key, value) in out {
            owed -= 2;
            self.read(key, depth, owed + 1)?;
            self.read(value, depth, owed)?;
        }
        Ok(())
    }

    fn record_here(&mut self, depth: usize, owed: usize) -> Result<Term> {
        match self.reader.record_head() {
            Ok(head) => self.record(head, depth, owed),
            Err(error) => Err(error),
        }
    }

    fn record(&mut self, head: RecordToken<'a>, depth: usize, owed: usize) -> Result<Term> {
        let names = self.record_names(head.count as usize, owed)?;
        let mut values = Vec::new();
        self.elements(&mut values, names.len(), depth, owed)?;
        Ok(record_of(head, names, values))
    }

    #[inline(never)]
    fn record_names(&mut self, count: usize, owed: usize) -> Result<Vec<Atom>> {
        // The values are let in, and charged for, when it is their turn.
        self.admit(count, owed.saturating_add(count))?;
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            names.push(self.reader.atom()?.to_atom());
        }
        Ok(names)
    }

    /// A fun's free variables are checked, but only its bytes are kept.
    #[inline(never)]
    fn fun(&mut self, depth: usize) -> Result<Term> {
        let head = self.reader.fun_head()?;
        self.budget.check_fun(&head, depth)?;
        let encoding = Bytes::from(self.keep(head.encoding));
        Ok(Term::Fun(Fun::from_checked(
            head.module.to_atom(),
            head.arity,
            encoding,
        )))
    }
}

#[inline(never)]
fn record_of(head: RecordToken<'_>, names: Vec<Atom>, values: Vec<Term>) -> Term {
    let fields = names.into_iter().zip(values).collect();
    let (module, name) = (head.module.to_atom(), head.name.to_atom());
    Term::Record(NativeRecord::with_flags(module, name, head.flags, fields))
}
