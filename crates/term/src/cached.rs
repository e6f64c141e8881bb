//! Terms whose atoms are references into a table that stands elsewhere: the atom cache of the
//! distribution protocol (erl_ext_dist, "Distribution Header").

use bytes::{BufMut, BytesMut};

use crate::limits::MAX_DEPTH;
use crate::{Atom, DecodeError, Encoder, tag};

/// What the atom cache references of one message mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct CachedAtoms<'t> {
    atoms: &'t [Atom],
    /// Where in `atoms` the atom of each reference is; `None` if it is where its number says.
    places: Option<&'t [u16]>,
}

impl<'t> CachedAtoms<'t> {
    /// Reference `n` means the atom at place `n` of `atoms`.
    #[must_use]
    pub const fn new(atoms: &'t [Atom]) -> Self {
        let places = None;
        Self { atoms, places }
    }

    /// Reference `n` means the atom at that place of `atoms` that place `n` of `places` names.
    #[must_use]
    pub const fn at(atoms: &'t [Atom], places: &'t [u16]) -> Self {
        let places = Some(places);
        Self { atoms, places }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.map_or(self.atoms.is_empty(), <[u16]>::is_empty)
    }

    /// The atom that reference `index` means.
    #[must_use]
    #[inline]
    pub fn get(&self, index: u8) -> Option<&'t Atom> {
        let index = usize::from(index);
        match self.places {
            None => self.atoms.get(index),
            Some(places) => self.atoms.get(usize::from(*places.get(index)?)),
        }
    }
}

/// Appends the bare term at the start of `input` to `out` with every atom cache reference replaced
/// by the atom of `atoms` that it means, and says how long the term is in `input` and whether it
/// has any reference. Without one nothing is appended.
///
/// The term is passed over, not checked: what a decoder refuses may get through.
///
/// # Errors
/// If the term is cut off, a reference means nothing, or `out` would grow by more than `max` bytes;
/// `out` is then as it was.
pub fn expand_atoms(
    input: &[u8],
    atoms: CachedAtoms<'_>,
    max: usize,
    out: &mut BytesMut,
) -> Result<(usize, bool), DecodeError> {
    rewrite(input, out, max, Expand { atoms })
}

/// Appends the bare term at the start of `input` to `out` with each atom that `index` has a number
/// for replaced by an atom cache reference of that number, and says how long the term is in
/// `input`. `index` is given the name of every atom, in UTF-8.
///
/// # Errors
/// If the term is cut off or has atom cache references already; `out` is then as it was.
pub fn compress_atoms(
    input: &[u8],
    out: &mut BytesMut,
    index: impl FnMut(&[u8]) -> Option<u8>,
) -> Result<usize, DecodeError> {
    let (used, is_changed) = rewrite(input, out, usize::MAX, Compress { index })?;
    if !is_changed {
        out.put_slice(&input[..used]);
    }
    Ok(used)
}

/// How long the bare term at the start of `input` is, atom cache references included.
pub(crate) fn span(input: &[u8]) -> Result<usize, DecodeError> {
    let mut nothing = BytesMut::new();
    let (used, _) = rewrite(input, &mut nothing, 0, Keep)?;
    Ok(used)
}

/// What becomes of the atoms of a term.
trait Visit {
    /// The reference that an atom of this name is replaced by.
    fn name(&mut self, name: &[u8]) -> Option<u8>;
    /// The atom that a reference is replaced by.
    fn reference(&self, index: u8) -> Result<Option<&Atom>, DecodeError>;
}

struct Expand<'t> {
    atoms: CachedAtoms<'t>,
}

impl Visit for Expand<'_> {
    fn name(&mut self, _: &[u8]) -> Option<u8> {
        None
    }

    fn reference(&self, index: u8) -> Result<Option<&Atom>, DecodeError> {
        let atom = self.atoms.get(index);
        atom.map(Some).ok_or(DecodeError::AtomCacheRef)
    }
}

struct Compress<F> {
    index: F,
}

impl<F: FnMut(&[u8]) -> Option<u8>> Visit for Compress<F> {
    fn name(&mut self, name: &[u8]) -> Option<u8> {
        (self.index)(name)
    }

    fn reference(&self, _: u8) -> Result<Option<&Atom>, DecodeError> {
        Err(DecodeError::AtomCacheRef)
    }
}

struct Keep;

impl Visit for Keep {
    fn name(&mut self, _: &[u8]) -> Option<u8> {
        None
    }

    fn reference(&self, _: u8) -> Result<Option<&Atom>, DecodeError> {
        Ok(None)
    }
}

fn rewrite<V: Visit>(
    input: &[u8],
    out: &mut BytesMut,
    max: usize,
    visit: V,
) -> Result<(usize, bool), DecodeError> {
    let start = out.len();
    let mut it = Rewriter {
        input,
        at: 0,
        copied: 0,
        start,
        out,
        max,
        visit,
        funs: Vec::new(),
    };
    let result = it.term();
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// One pass over a term, without recursion: how many terms are still to come is all that it takes
/// to find the end.
struct Rewriter<'a, 'o, V> {
    input: &'a [u8],
    /// How far the input is read. It may pass the end, which is seen when the next byte is wanted.
    at: usize,
    /// How much of the input is in `out`, as it is or replaced.
    copied: usize,
    /// Where in `out` the term begins.
    start: usize,
    out: &'o mut BytesMut,
    max: usize,
    visit: V,
    /// The funs that are not over: each announces its size, which changes with its atoms.
    funs: Vec<OpenFun>,
}

struct OpenFun {
    size: u32,
    /// Where it ends in the input.
    end: usize,
    /// Where its size stands in the output.
    size_at: usize,
    /// How much longer the output was than the input when it began.
    grown: isize,
    /// How many terms are still to come when it ends.
    left: usize,
}

impl<V: Visit> Rewriter<'_, '_, V> {
    fn term(&mut self) -> Result<(usize, bool), DecodeError> {
        let mut left = 1usize;
        while left > 0 {
            if !self.funs.is_empty() {
                self.close_funs(left)?;
            }
            let tag = *self.input.get(self.at).ok_or(DecodeError::Truncated)?;
            left -= 1;
            let elements = match tag {
                tag::SMALL_ATOM_UTF8 | tag::ATOM_CACHE_REF => {
                    self.atom()?;
                    0
                }
                tag::SMALL_INTEGER => self.skip(2),
                tag::INTEGER => self.skip(5),
                tag::NIL => self.skip(1),
                tag::BINARY => {
                    let len = self.u32(1)?;
                    self.skip(5usize.saturating_add(len))
                }
                tag::SMALL_TUPLE => {
                    let count = usize::from(self.u8(1)?);
                    self.skip(2) + count
                }
                tag::LIST => {
                    let count = self.u32(1)?;
                    self.skip(5) + count.saturating_add(1)
                }
                tag::MAP => {
                    let count = self.u32(1)?;
                    self.skip(5) + count.saturating_mul(2)
                }
                tag::NEW_PID => self.identifier(1, 12)?,
                tag::NEWER_REFERENCE => self.reference(4)?,
                tag => self.rarer(tag, left)?,
            };
            left = left.saturating_add(elements);
        }
        self.close_funs(0)?;
        if self.at > self.input.len() {
            return Err(DecodeError::Truncated);
        }
        let is_changed = self.copied > 0;
        if is_changed {
            let rest = &self.input[self.copied..self.at];
            self.out.put_slice(rest);
            self.within()?;
        }
        Ok((self.at, is_changed))
    }

    /// Passes over the head of a term, and says how many elements it has.
    #[inline(never)]
    fn rarer(&mut self, tag: u8, left: usize) -> Result<usize, DecodeError> {
        Ok(match tag {
            tag::NEW_FLOAT => self.skip(9),
            tag::STRING => {
                let len = self.u16(1)?;
                self.skip(3 + len)
            }
            tag::ATOM_UTF8 | tag::ATOM | tag::SMALL_ATOM => {
                self.atom()?;
                0
            }
            tag::PID => self.identifier(1, 9)?,
            tag::NEW_REFERENCE => self.reference(1)?,
            tag::REFERENCE | tag::PORT => self.identifier(1, 5)?,
            tag::NEW_PORT => self.identifier(1, 8)?,
            tag::V4_PORT => self.identifier(1, 12)?,
            tag::LARGE_TUPLE => {
                let count = self.u32(1)?;
                self.skip(5) + count
            }
            tag::SMALL_BIG => {
                let len = usize::from(self.u8(1)?);
                self.skip(3 + len)
            }
            tag::LARGE_BIG | tag::BIT_BINARY => {
                let len = self.u32(1)?;
                self.skip(6usize.saturating_add(len))
            }
            tag::FLOAT => self.skip(32),
            // Module, function and arity are terms.
            tag::EXPORT => self.skip(1) + 3,
            tag::NATIVE_RECORD => {
                let count = self.u32(1)?;
                self.skip(6) + count.saturating_mul(2).saturating_add(2)
            }
            tag::NEW_FUN => self.open_fun(left)?,
            tag::LOCAL => return Err(DecodeError::LocalTerm),
            tag => return Err(DecodeError::UnknownTag { tag }),
        })
    }

    fn skip(&mut self, len: usize) -> usize {
        self.at = self.at.saturating_add(len);
        0
    }

    fn u8(&self, offset: usize) -> Result<u8, DecodeError> {
        let byte = self.input.get(self.at + offset);
        byte.copied().ok_or(DecodeError::Truncated)
    }

    fn u16(&self, offset: usize) -> Result<usize, DecodeError> {
        let bytes = self.input.get(self.at + offset..);
        let bytes = bytes.and_then(|rest| rest.first_chunk());
        let bytes = bytes.ok_or(DecodeError::Truncated)?;
        Ok(usize::from(u16::from_be_bytes(*bytes)))
    }

    fn u32(&self, offset: usize) -> Result<usize, DecodeError> {
        let bytes = self.input.get(self.at + offset..);
        let bytes = bytes.and_then(|rest| rest.first_chunk());
        let bytes = bytes.ok_or(DecodeError::Truncated)?;
        Ok(u32::from_be_bytes(*bytes) as usize)
    }

    /// A node's name after `before` bytes, then `after` bytes.
    fn identifier(&mut self, before: usize, after: usize) -> Result<usize, DecodeError> {
        self.skip(before);
        self.atom()?;
        Ok(self.skip(after))
    }

    /// A reference with a creation of so many bytes.
    fn reference(&mut self, creation: usize) -> Result<usize, DecodeError> {
        let words = self.u16(1)?;
        self.identifier(3, creation + 4 * words)
    }

    fn atom(&mut self) -> Result<(), DecodeError> {
        let head = match self.u8(0)? {
            tag::ATOM_CACHE_REF => return self.replace_reference(),
            tag::SMALL_ATOM_UTF8 => (2, usize::from(self.u8(1)?)),
            tag::ATOM_UTF8 => (3, self.u16(1)?),
            tag::SMALL_ATOM => {
                let len = usize::from(self.u8(1)?);
                self.skip(2 + len);
                return Ok(());
            }
            tag::ATOM => {
                let len = self.u16(1)?;
                self.skip(3 + len);
                return Ok(());
            }
            tag => return Err(DecodeError::NotAnAtom { tag }),
        };
        let (head, len) = head;
        let name = self.input.get(self.at + head..self.at + head + len);
        match self.visit.name(name.ok_or(DecodeError::Truncated)?) {
            None => self.at += head + len,
            Some(index) => {
                self.copy();
                self.out.put_slice(&[tag::ATOM_CACHE_REF, index]);
                self.at += head + len;
                self.copied = self.at;
            }
        }
        Ok(())
    }

    fn replace_reference(&mut self) -> Result<(), DecodeError> {
        let index = self.u8(1)?;
        if self.visit.reference(index)?.is_some() {
            self.copy();
            if let Some(atom) = self.visit.reference(index)? {
                Encoder::without_version(self.out).atom(atom);
            }
            self.copied = self.at + 2;
            self.within()?;
        }
        self.at += 2;
        Ok(())
    }

    /// Puts what was passed over but not copied into the output.
    fn copy(&mut self) {
        self.out.put_slice(&self.input[self.copied..self.at]);
    }

    fn within(&self) -> Result<(), DecodeError> {
        let bytes = self.out.len() - self.start;
        if bytes > self.max {
            let limit = self.max;
            return Err(DecodeError::TooLarge { bytes, limit });
        }
        Ok(())
    }

    /// Where in the output the byte at `at` of the input is or will be.
    fn place(&self, at: usize) -> usize {
        self.out.len() + (at - self.copied)
    }

    fn grown(&self) -> isize {
        (self.place(self.at) - self.start) as isize - self.at as isize
    }

    /// NEW_FUN_EXT: its module, two integers and the creating process are terms, and then come
    /// its free variables.
    fn open_fun(&mut self, left: usize) -> Result<usize, DecodeError> {
        let size = self.u32(1)?;
        let free = self.u32(26)?;
        if self.funs.len() >= MAX_DEPTH {
            return Err(DecodeError::TooDeep { limit: MAX_DEPTH });
        }
        self.funs.push(OpenFun {
            size: size as u32,
            end: self.at.saturating_add(1).saturating_add(size),
            size_at: self.place(self.at + 1),
            grown: self.grown(),
            left,
        });
        Ok(self.skip(30) + free.saturating_add(4))
    }

    /// Puts the sizes right of those funs that end here.
    fn close_funs(&mut self, left: usize) -> Result<(), DecodeError> {
        while let Some(fun) = self.funs.last()
            && fun.end <= self.at
        {
            if fun.end != self.at || fun.left != left || self.at > self.input.len() {
                return Err(DecodeError::BadFun);
            }
            let growth = self.grown() - fun.grown;
            if growth != 0 {
                // Something in it was replaced, and what is before that, the size too, copied.
                let size = i64::from(fun.size) + growth as i64;
                let size = u32::try_from(size).map_err(|_| DecodeError::BadFun)?;
                let place = fun.size_at..fun.size_at + 4;
                self.out[place].copy_from_slice(&size.to_be_bytes());
            }
            self.funs.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
