//! Reads a term piece by piece, where atoms may be atom cache references.

use bytes::BytesMut;

use crate::cached::{CachedAtoms, expand_atoms, span};
use crate::decode::decode_body;
use crate::token::Reader;
use crate::{Atom, DecodeError, Limits, Pid, Reference, Term, tag};

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads the pieces of a bare term one after the other, as their places in a message say what they
/// must be; an atom may be an atom cache reference.
///
/// Each method gives `None`, and has read nothing, before something of another kind.
#[derive(Clone, Copy, Debug)]
pub struct CachedReader<'a> {
    rest: &'a [u8],
    atoms: CachedAtoms<'a>,
}

impl<'a> CachedReader<'a> {
    /// A reader of `bytes`, whose atom cache references mean these atoms.
    #[must_use]
    pub const fn new(bytes: &'a [u8], atoms: CachedAtoms<'a>) -> Self {
        Self { rest: bytes, atoms }
    }

    /// What was not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The number of elements of a tuple, which are to be read next.
    ///
    /// # Errors
    /// If it is cut off.
    #[inline]
    pub fn tuple(&mut self) -> Result<Option<usize>> {
        let mut reader = Reader::<true>::new(self.rest);
        let count = match reader.u8()? {
            tag::SMALL_TUPLE => usize::from(reader.u8()?),
            tag::LARGE_TUPLE => reader.u32()? as usize,
            _ => return Ok(None),
        };
        self.rest = reader.rest;
        Ok(Some(count))
    }

    /// An integer of 32 bits.
    ///
    /// # Errors
    /// If it is cut off.
    #[inline]
    pub fn int(&mut self) -> Result<Option<i64>> {
        let mut reader = Reader::<true>::new(self.rest);
        let int = match reader.u8()? {
            tag::SMALL_INTEGER => i64::from(reader.u8()?),
            tag::INTEGER => i64::from(reader.i32()?),
            _ => return Ok(None),
        };
        self.rest = reader.rest;
        Ok(Some(int))
    }

    /// An atom.
    ///
    /// # Errors
    /// If it is cut off, is no atom after all, or a reference means nothing.
    #[inline]
    pub fn atom(&mut self) -> Result<Option<Atom>> {
        let mut reader = Reader::<true>::new(self.rest);
        match *self.rest.first().ok_or(DecodeError::Truncated)? {
            tag::ATOM_CACHE_REF
            | tag::SMALL_ATOM_UTF8
            | tag::ATOM_UTF8
            | tag::ATOM
            | tag::SMALL_ATOM => {}
            _ => return Ok(None),
        }
        let atom = reader.cached_atom(self.atoms)?;
        self.rest = reader.rest;
        Ok(Some(atom))
    }

    /// A process identifier.
    ///
    /// # Errors
    /// As for [`CachedReader::atom`].
    #[inline]
    pub fn pid(&mut self) -> Result<Option<Pid>> {
        let mut reader = Reader::<true>::new(self.rest);
        let tag = reader.u8()?;
        if tag != tag::NEW_PID && tag != tag::PID {
            return Ok(None);
        }
        let node = reader.cached_atom(self.atoms)?;
        let (id, serial) = (reader.u32()?, reader.u32()?);
        let creation = match tag {
            tag::PID => u32::from(reader.u8()?),
            _ => reader.u32()?,
        };
        self.rest = reader.rest;
        Ok(Some(Pid::new(node, id, serial, creation)))
    }

    /// A reference.
    ///
    /// # Errors
    /// As for [`CachedReader::atom`], or if it has no words or more than five.
    pub fn reference(&mut self) -> Result<Option<Reference>> {
        let mut reader = Reader::<true>::new(self.rest);
        let tag = reader.u8()?;
        let reference = match tag {
            tag::NEWER_REFERENCE | tag::NEW_REFERENCE => {
                let words = reader.u16()?;
                let node = reader.cached_atom(self.atoms)?;
                let creation = match tag {
                    tag::NEW_REFERENCE => u32::from(reader.u8()?),
                    _ => reader.u32()?,
                };
                reader.reference_of(node, creation, words)?
            }
            tag::REFERENCE => {
                let node = reader.cached_atom(self.atoms)?;
                let id = reader.u32()?;
                let creation = u32::from(reader.u8()?);
                let refused = DecodeError::BadReference { words: 1 };
                Reference::new(node, creation, &[id]).map_err(|_| refused)?
            }
            _ => return Ok(None),
        };
        self.rest = reader.rest;
        Ok(Some(reference))
    }

    /// Any term.
    ///
    /// # Errors
    /// As for [`crate::decode`]; its references are counted in full.
    pub fn term(&mut self, limits: &Limits) -> Result<Term> {
        let mut expanded = BytesMut::new();
        let (used, is_expanded) =
            expand_atoms(self.rest, self.atoms, limits.max_bytes, &mut expanded)?;
        let bytes = if is_expanded {
            &expanded[..]
        } else {
            &self.rest[..used]
        };
        let (term, _) = decode_body(bytes, None, limits)?;
        self.rest = &self.rest[used..];
        Ok(term)
    }

    /// Passes over any term.
    ///
    /// # Errors
    /// If it is cut off.
    #[inline]
    pub fn skip(&mut self) -> Result<()> {
        // The unused field of a send is an atom, and that is what is passed over most.
        let len = match *self.rest {
            [tag::ATOM_CACHE_REF, ..] => 2,
            [tag::SMALL_ATOM_UTF8, len, ..] => 2 + usize::from(len),
            _ => span(self.rest)?,
        };
        self.rest = self.rest.get(len..).ok_or(DecodeError::Truncated)?;
        Ok(())
    }
}

impl Reader<'_, true> {
    #[inline]
    fn cached_atom(&mut self, atoms: CachedAtoms<'_>) -> Result<Atom> {
        let Some((&tag::ATOM_CACHE_REF, rest)) = self.rest.split_first() else {
            return self.owned_atom();
        };
        self.rest = rest;
        let atom = atoms.get(self.u8()?);
        atom.cloned().ok_or(DecodeError::AtomCacheRef)
    }

    fn reference_of(&mut self, node: Atom, creation: u32, words: u16) -> Result<Reference> {
        let refused = DecodeError::BadReference { words };
        let mut ids = [0; crate::MAX_REFERENCE_WORDS];
        let ids = ids.get_mut(..usize::from(words)).ok_or(refused)?;
        for id in &mut *ids {
            *id = self.u32()?;
        }
        Reference::new(node, creation, ids).map_err(|_| refused)
    }
}
