//! Bytes to owned terms.

use bytes::Bytes;

use crate::check::Budget;
use crate::inflate::{nothing_after, unpack, versioned};
use crate::short::Short;
use crate::token::{Container, Reader, RecordToken, Token};
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
    let (term, used) = decode_body(versioned(bytes, limits)?, shared, limits)?;
    Ok((term, used + 1))
}

/// Decodes the term that `body`, which has no version byte, begins with.
pub(crate) fn decode_body(
    body: &[u8],
    shared: Option<&Bytes>,
    limits: &Limits,
) -> Result<(Term, usize)> {
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
        return Ok((term, 1 + used));
    }
    let mut decoder = Decoder {
        reader: Reader::new(body),
        shared,
        budget,
    };
    let term = decoder.term(0, 0)?;
    Ok((term, body.len() - decoder.reader.rest.len()))
}

/// What stands where a term will be.
pub(crate) const PLACEHOLDER: Term = Term::Int(0);

/// Puts a term in its place. A container goes there empty and is filled there: a vector that is
/// moved on right after it was written stalls. A placeholder owns nothing, so dropping it would be idle work.
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
    pub(crate) reader: Reader<'a, true>,
    pub(crate) shared: Option<&'a Bytes>,
    pub(crate) budget: Budget,
}

/// Reads one of the leaves that are most of any message, written where it stays without a token in
/// between, and gives what follows it; `None` before anything else, before what is wrong or
/// unusual with them, and near the end of the input.
///
/// Each arm fills the slot itself: a term that all arms shared would be copied there. The place
/// comes and goes by value: each term's place depends on the one before, so that a detour through
/// memory would be most of the time that a term takes.
#[inline]
fn read_usual<'a>(bytes: &'a [u8], slot: &mut Term) -> Option<&'a [u8]> {
    let (&tag, rest) = bytes.split_first()?;
    let mut after = Reader::<true>::new(rest);
    match tag {
        tag::SMALL_ATOM_UTF8 => {
            let len = usize::from(after.u8().ok()?);
            let (name, true) = Short::window(after.rest, len)? else {
                return None;
            };
            fill(slot, Term::Atom(Atom::from_short(name)));
            after.take(len).ok()?;
        }
        tag::SMALL_INTEGER => fill(slot, Term::Int(i64::from(after.u8().ok()?))),
        tag::INTEGER => fill(slot, Term::Int(i64::from(after.i32().ok()?))),
        tag::BINARY => {
            let len = after.u32().ok()? as usize;
            let (bytes, _) = Short::window(after.rest, len)?;
            fill(slot, Term::Binary(Binary::from_short(bytes)));
            after.take(len).ok()?;
        }
        tag::NEW_FLOAT => fill(slot, Term::Float(after.float().ok()?)),
        _ => return None,
    }
    Some(after.rest)
}

impl<'a> Decoder<'a> {
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
        match read_usual(self.reader.rest, slot) {
            Some(rest) => {
                self.reader.rest = rest;
                Ok(())
            }
            None => self.read_other(slot, depth, owed),
        }
    }

    #[inline(never)]
    fn read_other(&mut self, slot: &mut Term, depth: usize, owed: usize) -> Result<()> {
        match self.reader.container() {
            Ok(None) => self.leaf(slot),
            Ok(Some(container)) => self.container(slot, container, depth, owed),
            Err(error) => Err(error),
        }
    }

    fn container(
        &mut self,
        slot: &mut Term,
        container: Container,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        match container {
            Container::List(count) => self.list(slot, count, depth, owed),
            Container::Tuple(count) => self.tuple(slot, count, depth, owed),
            Container::Map(count) => self.map(slot, count, depth, owed),
            Container::Record => self.record_here(slot, depth, owed),
            Container::Fun => self.fun(slot, depth),
        }
    }

    #[inline(never)]
    fn leaf(&mut self, slot: &mut Term) -> Result<()> {
        match self.reader.rest.first() {
            Some(&tag::NIL) => {
                self.reader.u8()?;
                fill(slot, Term::nil());
            }
            Some(&tag::SMALL_ATOM_UTF8) => {
                fill(slot, Term::Atom(self.reader.owned_atom()?));
            }
            Some(&tag::BINARY) => {
                self.reader.u8()?;
                let len = self.reader.u32()? as usize;
                let bytes = self.reader.take(len)?;
                fill(slot, Term::Binary(self.keep(bytes)));
            }
            Some(&tag::NEW_PID) => {
                self.reader.u8()?;
                let pid = self.reader.owned_pid()?;
                fill(slot, Term::Pid(Box::new(pid)));
            }
            Some(&tag::NEWER_REFERENCE) => {
                self.reader.u8()?;
                fill(slot, Term::Reference(self.reader.owned_reference()?));
            }
            _ => {
                let term = self.rarer_leaf()?;
                fill(slot, term);
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn rarer_leaf(&mut self) -> Result<Term> {
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

    #[inline]
    pub(crate) fn keep(&self, bytes: &[u8]) -> Binary {
        match self.shared {
            Some(shared) if bytes.len() >= SHARE_FROM => Binary::from(shared.slice_ref(bytes)),
            _ => Binary::copy_from_slice(bytes),
        }
    }

    pub(crate) fn string(&mut self, bytes: &[u8]) -> Result<Term> {
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
            *out = Vec::with_capacity(count);
        }
        out.extend((0..count).map(|_| PLACEHOLDER));
        let mut owed = owed + count;
        let mut rest = self.reader.rest;
        for slot in &mut out[start..] {
            owed -= 1;
            rest = self.element(rest, slot, depth, owed)?;
        }
        self.reader.rest = rest;
        Ok(())
    }

    /// Reads the element at `rest` and gives what follows it.
    #[inline]
    fn element(
        &mut self,
        rest: &'a [u8],
        slot: &mut Term,
        depth: usize,
        owed: usize,
    ) -> Result<&'a [u8]> {
        if let Some(rest) = read_usual(rest, slot) {
            return Ok(rest);
        }
        self.reader.rest = rest;
        self.read_other(slot, depth, owed)?;
        Ok(self.reader.rest)
    }

    pub(crate) fn tuple(
        &mut self,
        slot: &mut Term,
        count: u32,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        fill(slot, Term::Tuple(Vec::new()));
        match slot {
            Term::Tuple(out) => self.elements(out, count as usize, depth, owed),
            _ => Ok(()),
        }
    }

    pub(crate) fn list(
        &mut self,
        slot: &mut Term,
        count: u32,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        fill(slot, Term::List(Vec::new()));
        let Term::List(out) = slot else {
            return Ok(());
        };
        if self.list_elements(out, count as usize, depth, owed)? {
            return Ok(());
        }
        let out = std::mem::take(out);
        self.improper(slot, out, depth, owed)
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

    fn improper(
        &mut self,
        slot: &mut Term,
        out: Vec<Term>,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        let depth = self.budget.deeper(depth)?;
        if out.is_empty() {
            return self.read(slot, depth, owed);
        }
        let mut tail = Box::new(PLACEHOLDER);
        self.read(&mut tail, depth, owed)?;
        fill(slot, Term::ImproperList(out.into(), tail));
        Ok(())
    }

    pub(crate) fn map(
        &mut self,
        slot: &mut Term,
        count: u32,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        fill(slot, Term::Map(Vec::new()));
        let Term::Map(pairs) = slot else {
            return Ok(());
        };
        self.pairs(pairs, count as usize, depth, owed)?;
        if order::has_duplicate(pairs) {
            return Err(DecodeError::DuplicateKey);
        }
        Ok(())
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
        out.extend((0..count).map(|_| (PLACEHOLDER, PLACEHOLDER)));
        let mut owed = owed + count * 2;
        let mut rest = self.reader.rest;
        for (key, value) in out {
            owed -= 2;
            rest = self.element(rest, key, depth, owed + 1)?;
            rest = self.element(rest, value, depth, owed)?;
        }
        self.reader.rest = rest;
        Ok(())
    }

    fn record_here(&mut self, slot: &mut Term, depth: usize, owed: usize) -> Result<()> {
        match self.reader.record_head() {
            Ok(head) => self.record(slot, head, depth, owed),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn record(
        &mut self,
        slot: &mut Term,
        head: RecordToken<'a>,
        depth: usize,
        owed: usize,
    ) -> Result<()> {
        let names = self.record_names(head.count as usize, owed)?;
        let mut values = Vec::new();
        self.elements(&mut values, names.len(), depth, owed)?;
        fill(slot, record_of(head, names, values));
        Ok(())
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
    fn fun(&mut self, slot: &mut Term, depth: usize) -> Result<()> {
        let head = self.reader.fun_head()?;
        self.budget.check_fun(&head, depth)?;
        let encoding = Bytes::from(self.keep(head.encoding));
        let fun = Fun::from_checked(head.module.to_atom(), head.arity, encoding);
        fill(slot, Term::Fun(fun));
        Ok(())
    }
}

#[inline(never)]
fn record_of(head: RecordToken<'_>, names: Vec<Atom>, values: Vec<Term>) -> Term {
    let fields = names.into_iter().zip(values).collect();
    let (module, name) = (head.module.to_atom(), head.name.to_atom());
    Term::Record(NativeRecord::with_flags(module, name, head.flags, fields))
}
