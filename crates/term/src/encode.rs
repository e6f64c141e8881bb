//! Terms to bytes.

use bytes::{BufMut, Bytes};
use num_bigint::{BigInt, Sign};

use crate::{Atom, Binary, Export, Fun, NativeRecord, Pid, Port, Reference, Term, tag};

/// The shortest binary, in bytes, that [`Encoder::without_version_apart`] does not copy: from here
/// on a copy costs more than a piece of its own.
pub const APART_FROM: usize = 16 * 1024;

/// The longest list of bytes that goes as a string.
const MAX_STRING: usize = u16::MAX as usize;

/// Encodes a term, the version byte 131 first, as OTP 26 and later do.
///
/// # Panics
/// If a binary, a list, a tuple or a map in it has 2^32 or more bytes or elements: the format
/// cannot carry it, and no node can either.
#[must_use]
pub fn encode(term: &Term) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    encode_into(term, &mut out);
    out
}

/// Appends the encoding of a term to `out`, the version byte 131 first.
///
/// # Panics
/// As for [`encode`].
pub fn encode_into<B: BufMut>(term: &Term, out: &mut B) {
    Encoder::new(out).term(term);
}

/// Writes a term piece by piece, without a tree of it.
///
/// A container is announced with its number of elements, which must follow; a list is followed
/// by its tail, [`Encoder::nil`] for a proper one. This is not checked. All methods panic as
/// [`encode`] does.
///
/// ```
/// use enmesh_term::{Atom, Encoder, Pid, Term, encode};
///
/// let pid = Pid::new(Atom::from_static("a@h"), 1, 0, 7);
/// let mut out = Vec::new();
/// Encoder::new(&mut out).tuple(3).int(2).atom(&Atom::from_static("")).pid(&pid);
/// assert_eq!(out, encode(&Term::tuple([Term::Int(2), Term::atom(""), pid.into()])));
/// ```
#[derive(Debug)]
pub struct Encoder<'b, B: BufMut> {
    out: &'b mut B,
    apart: Option<Apart<'b>>,
}

/// Where large binaries are put instead of being copied.
#[derive(Debug)]
struct Apart<'b> {
    binaries: &'b mut Vec<(usize, Bytes)>,
    /// How much could be written at the beginning.
    room: usize,
}

impl<'b, B: BufMut> Encoder<'b, B> {
    /// Begins a term: writes the version byte.
    pub fn new(out: &'b mut B) -> Self {
        out.put_u8(tag::VERSION);
        Self { out, apart: None }
    }

    /// Goes on where a version byte is not wanted.
    pub fn without_version(out: &'b mut B) -> Self {
        Self { out, apart: None }
    }

    /// As [`Encoder::without_version`], but binaries of [`APART_FROM`] bytes and more that can be
    /// shared are not copied: they go into `apart`, in order, each with the number of bytes in
    /// `out` that it belongs behind, counted from here.
    ///
    /// ```
    /// use enmesh_term::{APART_FROM, Encoder, Term};
    ///
    /// let large = Term::from(bytes::Bytes::from(vec![7; APART_FROM]));
    /// let (mut out, mut apart) = (Vec::new(), Vec::new());
    /// Encoder::without_version_apart(&mut out, &mut apart).tuple(2).term(&large).int(1);
    /// assert_eq!(out, [104, 2, 109, 0, 0, 64, 0, 97, 1]);
    /// assert_eq!(apart[0].0, 7);
    /// ```
    pub fn without_version_apart(out: &'b mut B, apart: &'b mut Vec<(usize, Bytes)>) -> Self {
        let room = out.remaining_mut();
        let binaries = apart;
        let apart = Some(Apart { binaries, room });
        Self { out, apart }
    }

    /// Writes a whole term.
    pub fn term(&mut self, term: &Term) -> &mut Self {
        match term {
            Term::Atom(atom) => self.atom(atom),
            Term::Int(int) => self.int(*int),
            Term::Binary(binary) => self.shared(binary),
            Term::List(elements) => self.proper_list(elements),
            Term::Tuple(elements) => self.tuple(elements.len()).all(elements),
            Term::Map(pairs) => {
                self.map(pairs.len());
                for (key, value) in pairs {
                    self.term(key).term(value);
                }
                self
            }
            Term::Float(float) => self.float(*float),
            Term::Pid(pid) => self.pid(pid),
            Term::Reference(reference) => self.reference(reference),
            Term::BigInt(big) => self.bigint(big),
            Term::BitString { bytes, bits } => self.bit_string(bytes, *bits),
            Term::ImproperList(elements, tail) => {
                self.list(elements.len()).all(elements).term(tail)
            }
            Term::Port(port) => self.port(port),
            Term::Fun(fun) => self.fun(fun),
            Term::Export(export) => self.export(export),
            Term::Record(record) => self.record(record),
        }
    }

    fn all(&mut self, terms: &[Term]) -> &mut Self {
        for term in terms {
            self.term(term);
        }
        self
    }

    /// Announces a tuple of so many elements.
    pub fn tuple(&mut self, len: usize) -> &mut Self {
        match u8::try_from(len) {
            Ok(len) => self.out.put_slice(&[tag::SMALL_TUPLE, len]),
            Err(_) => self.tag_and_len(tag::LARGE_TUPLE, len),
        }
        self
    }

    /// Announces a list of so many elements, to be followed by its tail.
    pub fn list(&mut self, len: usize) -> &mut Self {
        self.tag_and_len(tag::LIST, len);
        self
    }

    /// Writes the empty list.
    pub fn nil(&mut self) -> &mut Self {
        self.out.put_u8(tag::NIL);
        self
    }

    /// Announces a map of so many pairs.
    pub fn map(&mut self, len: usize) -> &mut Self {
        self.tag_and_len(tag::MAP, len);
        self
    }

    /// Writes an integer, in the shortest of its encodings.
    pub fn int(&mut self, int: i64) -> &mut Self {
        if let Ok(small) = u8::try_from(int) {
            self.out.put_slice(&[tag::SMALL_INTEGER, small]);
        } else if let Ok(word) = i32::try_from(int) {
            let [a, b, c, d] = word.to_be_bytes();
            self.out.put_slice(&[tag::INTEGER, a, b, c, d]);
        } else {
            let magnitude = int.unsigned_abs();
            let len = 8 - magnitude.leading_zeros() / 8;
            self.out
                .put_slice(&[tag::SMALL_BIG, len as u8, u8::from(int < 0)]);
            self.out.put_slice(&magnitude.to_le_bytes()[..len as usize]);
        }
        self
    }

    /// Writes an integer of any size.
    pub fn bigint(&mut self, big: &BigInt) -> &mut Self {
        if let Ok(int) = i64::try_from(big) {
            return self.int(int);
        }
        let (sign, magnitude) = big.to_bytes_le();
        match u8::try_from(magnitude.len()) {
            Ok(len) => self.out.put_slice(&[tag::SMALL_BIG, len]),
            Err(_) => self.tag_and_len(tag::LARGE_BIG, magnitude.len()),
        }
        self.out.put_u8(u8::from(sign == Sign::Minus));
        self.out.put_slice(&magnitude);
        self
    }

    /// Writes a float; what is not finite becomes an atom, as [`Term::Float`] says.
    pub fn float(&mut self, float: f64) -> &mut Self {
        if !float.is_finite() {
            return self.atom(&not_finite(float));
        }
        let mut encoding = [tag::NEW_FLOAT; 9];
        encoding[1..].copy_from_slice(&float.to_be_bytes());
        self.out.put_slice(&encoding);
        self
    }

    /// Writes an atom.
    pub fn atom(&mut self, atom: &Atom) -> &mut Self {
        let name = atom.as_bytes();
        match u8::try_from(name.len()) {
            Ok(len) => self.out.put_slice(&[tag::SMALL_ATOM_UTF8, len]),
            Err(_) => {
                let [high, low] = u16::try_from(name.len())
                    .expect("255 characters are 1,020 bytes at most")
                    .to_be_bytes();
                self.out.put_slice(&[tag::ATOM_UTF8, high, low]);
            }
        }
        self.out.put_slice(name);
        self
    }

    /// Writes a binary.
    pub fn binary(&mut self, bytes: &[u8]) -> &mut Self {
        self.tag_and_len(tag::BINARY, bytes.len());
        self.out.put_slice(bytes);
        self
    }

    /// Writes a binary that can be shared.
    pub fn shared(&mut self, binary: &Binary) -> &mut Self {
        self.put_apart(binary, || binary.to_bytes())
    }

    /// The same of [`Bytes`].
    pub fn shared_bytes(&mut self, bytes: &Bytes) -> &mut Self {
        self.put_apart(bytes, || bytes.clone())
    }

    fn put_apart(&mut self, bytes: &[u8], share: impl FnOnce() -> Bytes) -> &mut Self {
        if bytes.len() < APART_FROM || self.apart.is_none() {
            return self.binary(bytes);
        }
        self.tag_and_len(tag::BINARY, bytes.len());
        if let Some(apart) = &mut self.apart {
            let at = apart.room - self.out.remaining_mut();
            apart.binaries.push((at, share()));
        }
        self
    }

    /// Writes a bit string with `bits` bits in the last byte.
    pub fn bit_string(&mut self, bytes: &[u8], bits: u8) -> &mut Self {
        match bytes.split_last() {
            Some((last, whole)) if (1..8).contains(&bits) => {
                self.tag_and_len(tag::BIT_BINARY, bytes.len());
                self.out.put_u8(bits);
                self.out.put_slice(whole);
                self.out.put_u8(last & !(0xff >> bits));
                self
            }
            _ => self.binary(bytes),
        }
    }

    /// Writes a list of bytes, Erlang's string.
    pub fn string(&mut self, bytes: &[u8]) -> &mut Self {
        match u16::try_from(bytes.len()) {
            Ok(0) => self.nil(),
            Ok(len) => {
                let [high, low] = len.to_be_bytes();
                self.out.put_slice(&[tag::STRING, high, low]);
                self.out.put_slice(bytes);
                self
            }
            Err(_) => {
                self.list(bytes.len());
                for &byte in bytes {
                    self.int(i64::from(byte));
                }
                self.nil()
            }
        }
    }

    fn proper_list(&mut self, elements: &[Term]) -> &mut Self {
        if elements.is_empty() {
            return self.nil();
        }
        let is_byte = |term: &Term| matches!(term, Term::Int(0..=255));
        if elements.len() <= MAX_STRING && elements.iter().all(is_byte) {
            let bytes = elements.iter().map(|term| term.as_int().unwrap_or(0) as u8);
            return self.string(&bytes.collect::<Vec<u8>>());
        }
        self.list(elements.len()).all(elements).nil()
    }

    /// Writes a pid.
    pub fn pid(&mut self, pid: &Pid) -> &mut Self {
        self.out.put_u8(tag::NEW_PID);
        self.atom(pid.node());
        self.out.put_u32(pid.id());
        self.out.put_u32(pid.serial());
        self.out.put_u32(pid.creation());
        self
    }

    /// Writes a port, always in the long form: OTP 24 and later read it, 26 and later write it.
    pub fn port(&mut self, port: &Port) -> &mut Self {
        self.out.put_u8(tag::V4_PORT);
        self.atom(port.node());
        self.out.put_u64(port.id());
        self.out.put_u32(port.creation());
        self
    }

    /// Writes a reference.
    pub fn reference(&mut self, reference: &Reference) -> &mut Self {
        self.out
            .put_slice(&[tag::NEWER_REFERENCE, 0, reference.ids().len() as u8]);
        self.atom(reference.node());
        self.out.put_u32(reference.creation());
        for id in reference.ids() {
            self.out.put_u32(*id);
        }
        self
    }

    /// Writes a closure, in the bytes it came in.
    pub fn fun(&mut self, fun: &Fun) -> &mut Self {
        self.out.put_slice(fun.encoding());
        self
    }

    /// Writes a function by name.
    pub fn export(&mut self, export: &Export) -> &mut Self {
        self.out.put_u8(tag::EXPORT);
        self.atom(export.module())
            .atom(export.function())
            .int(i64::from(export.arity()))
    }

    /// Writes a native record, which only OTP 29 can read.
    pub fn record(&mut self, record: &NativeRecord) -> &mut Self {
        self.tag_and_len(tag::NATIVE_RECORD, record.fields().len());
        self.out.put_u8(record.flags());
        self.atom(record.module()).atom(record.name());
        for (name, _) in record.fields() {
            self.atom(name);
        }
        for (_, value) in record.fields() {
            self.term(value);
        }
        self
    }

    #[inline]
    fn tag_and_len(&mut self, tag: u8, len: usize) {
        let len = u32::try_from(len).expect("the format has no room for 2^32 elements or bytes");
        let [a, b, c, d] = len.to_be_bytes();
        self.out.put_slice(&[tag, a, b, c, d]);
    }
}

fn not_finite(float: f64) -> Atom {
    Atom::from_static(if float.is_nan() {
        "nan"
    } else if float > 0.0 {
        "infinity"
    } else {
        "-infinity"
    })
}
