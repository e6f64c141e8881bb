//! Leaves read straight into what owns them, without a token in between.

use crate::short::Short;
use crate::token::Reader;
use crate::{Atom, DecodeError, MAX_REFERENCE_WORDS, Pid, Reference, tag};

type Result<T> = std::result::Result<T, DecodeError>;

impl Reader<'_, true> {
    /// What follows the tag of SMALL_ATOM_UTF8_EXT, if it is as short and plain as most.
    #[inline]
    pub(crate) fn short_atom(&mut self) -> Option<Atom> {
        let (&len, rest) = self.rest.split_first()?;
        let (name, is_ascii) = Short::head(rest, usize::from(len))?;
        if !is_ascii {
            return None;
        }
        self.rest = rest.get(usize::from(len)..)?;
        Some(Atom::from_short(name))
    }

    #[inline]
    pub(crate) fn owned_atom(&mut self) -> Result<Atom> {
        if let Some((&tag::SMALL_ATOM_UTF8, rest)) = self.rest.split_first() {
            let mut after = Self::new(rest);
            if let Some(atom) = after.short_atom() {
                self.rest = after.rest;
                return Ok(atom);
            }
        }
        Ok(self.atom()?.to_atom())
    }

    /// What follows the tag of NEW_PID_EXT.
    pub(crate) fn owned_pid(&mut self) -> Result<Pid> {
        let node = self.owned_atom()?;
        Ok(Pid::new(node, self.u32()?, self.u32()?, self.u32()?))
    }

    /// What follows the tag of NEWER_REFERENCE_EXT.
    pub(crate) fn owned_reference(&mut self) -> Result<Reference> {
        let words = self.u16()?;
        let refused = DecodeError::BadReference { words };
        let mut ids = [0; MAX_REFERENCE_WORDS];
        let ids = ids.get_mut(..usize::from(words));
        let ids = ids.filter(|ids| !ids.is_empty()).ok_or(refused)?;
        let node = self.owned_atom()?;
        let creation = self.u32()?;
        for id in &mut *ids {
            *id = self.u32()?;
        }
        Reference::new(node, creation, ids).map_err(|_| refused)
    }
}
