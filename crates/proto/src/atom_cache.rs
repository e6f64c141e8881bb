//! The atom cache of one direction of a link (erl_ext_dist, "Distribution Header").

use bytes::{Buf, BufMut, BytesMut};
use enmesh_term::{Atom, CachedAtoms, compress_atoms};

use crate::framing::FrameError;

/// How many atoms a cache holds: 8 segments of 256.
const SLOTS: usize = 2048;
/// How many atoms the header of one packet may list.
const MAX_REFS: usize = 255;
/// A reference's bit that says that the atom itself follows, and is to be put into the cache.
const NEW: u8 = 8;
/// The bit behind the last reference that says that the lengths of new atoms have two bytes.
const LONG: u8 = 1;

/// Where in `atoms` the atom of each slot is, plus one; 0 is none. A link uses few slots as a rule,
/// and most links of a node are idle: a whole table of atoms each would be its biggest part.
type Slots = Box<[u16; SLOTS]>;

fn no_slots() -> Slots {
    Box::new([0; SLOTS])
}

/// The peer's atoms, as its packets tell them.
#[derive(Debug, Default)]
pub(crate) struct PeerAtoms {
    slots: Option<Slots>,
    atoms: Vec<Atom>,
    /// Where in `atoms` what the references of the packet at hand mean is.
    table: Vec<u16>,
}

impl PeerAtoms {
    /// What the references of the last packet mean.
    #[inline]
    pub(crate) fn table(&self) -> CachedAtoms<'_> {
        CachedAtoms::at(&self.atoms, &self.table)
    }

    /// The same, to be kept until the rest of a fragmented message has come.
    pub(crate) fn copy_table(&self) -> Vec<Atom> {
        let atoms = self.table.iter();
        let atoms = atoms.filter_map(|&place| self.atoms.get(usize::from(place)));
        atoms.cloned().collect()
    }

    /// Takes the list of atoms at the start of `rest`, and leaves what follows it there.
    pub(crate) fn read_header(&mut self, rest: &mut &[u8]) -> Result<(), FrameError> {
        self.table.clear();
        let count = usize::from(rest.try_get_u8().map_err(|_| FrameError::BadHeader)?);
        if count == 0 {
            return Ok(());
        }
        let flags = take(rest, count / 2 + 1)?;
        let nibble = |at: usize| flags[at / 2] >> (4 * (at % 2)) & 15;
        let is_long = nibble(count) & LONG != 0;
        for at in 0..count {
            let index = rest.try_get_u8().map_err(|_| FrameError::BadHeader)?;
            let slot = usize::from(nibble(at) & 7) << 8 | usize::from(index);
            if nibble(at) & NEW != 0 {
                let len = if is_long {
                    rest.try_get_u16().map(usize::from)
                } else {
                    rest.try_get_u8().map(usize::from)
                };
                let name = take(rest, len.map_err(|_| FrameError::BadHeader)?)?;
                self.learn(slot, name)?;
            }
            let place = self.slots.as_ref().map_or(0, |slots| slots[slot]);
            let place = place.checked_sub(1);
            self.table
                .push(place.ok_or(FrameError::UnknownAtom { slot })?);
        }
        Ok(())
    }

    fn learn(&mut self, slot: usize, name: &[u8]) -> Result<(), FrameError> {
        let name = std::str::from_utf8(name).map_err(|_| FrameError::BadHeader)?;
        let atom = Atom::new(name).map_err(|_| FrameError::BadHeader)?;
        let place = &mut self.slots.get_or_insert_with(no_slots)[slot];
        match usize::from(*place).checked_sub(1) {
            // No node does that, and an earlier reference of this packet would change its meaning.
            Some(_) if self.table.contains(&(*place - 1)) => return Err(FrameError::BadHeader),
            Some(at) => self.atoms[at] = atom,
            None => {
                self.atoms.push(atom);
                *place = self.atoms.len() as u16;
            }
        }
        Ok(())
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], FrameError> {
    let (head, tail) = rest.split_at_checked(len).ok_or(FrameError::BadHeader)?;
    *rest = tail;
    Ok(head)
}

/// The atoms that our packets told the peer.
///
/// A packet is made by [`OwnAtoms::begin`], any number of [`OwnAtoms::compress`], and then
/// [`OwnAtoms::put_header`]. Packets must be written in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct OwnAtoms {
    slots: Option<Slots>,
    told: Vec<Told>,
    /// The number of the packet at hand.
    packet: u64,
    /// What the header of the packet at hand lists.
    refs: Vec<Ref>,
    has_long: bool,
}

#[derive(Debug)]
struct Told {
    atom: Atom,
    /// The packet that referred to it last, and by which number.
    packet: u64,
    index: u8,
}

#[derive(Debug)]
struct Ref {
    slot: u16,
    /// Where in `told` it is, if the peer does not know it yet.
    new: Option<u16>,
}

impl OwnAtoms {
    /// Begins a packet.
    pub(crate) fn begin(&mut self) {
        self.packet += 1;
        self.refs.clear();
        self.has_long = false;
    }

    /// Appends a bare term with its atoms replaced by references; as it is if it is no term.
    pub(crate) fn compress(&mut self, term: &[u8], out: &mut BytesMut) {
        let start = out.len();
        match compress_atoms(term, out, |name| self.refer(name)) {
            Ok(used) if used == term.len() => {}
            // What is no term is for the receiver to refuse. Atoms that the header lists for
            // nothing do no harm.
            _ => {
                out.truncate(start);
                out.put_slice(term);
            }
        }
    }

    /// Appends the list of the packet's atoms.
    pub(crate) fn put_header(&self, out: &mut BytesMut) {
        let count = self.refs.len();
        out.put_u8(count as u8);
        if count == 0 {
            return;
        }
        let nibble = |at: usize| match self.refs.get(at) {
            Some(it) => (it.slot >> 8) as u8 | if it.new.is_some() { NEW } else { 0 },
            None if at == count && self.has_long => LONG,
            None => 0,
        };
        for at in 0..count / 2 + 1 {
            out.put_u8(nibble(2 * at) | nibble(2 * at + 1) << 4);
        }
        for it in &self.refs {
            out.put_u8(it.slot as u8);
            let Some(new) = it.new else { continue };
            let name = self.told[usize::from(new)].atom.as_bytes();
            if self.has_long {
                out.put_u16(name.len() as u16);
            } else {
                out.put_u8(name.len() as u8);
            }
            out.put_slice(name);
        }
    }

    /// The number by which the packet refers to an atom; `None` if it must stand there in full:
    /// because the header is full, or the slot is taken by another atom of this packet.
    fn refer(&mut self, name: &[u8]) -> Option<u8> {
        let slot = slot_of(name);
        let slots = self.slots.get_or_insert_with(no_slots);
        let place = &mut slots[slot];
        if let Some(at) = usize::from(*place).checked_sub(1) {
            let told = &mut self.told[at];
            let is_known = told.atom.as_bytes() == name;
            if told.packet == self.packet {
                return is_known.then_some(told.index);
            }
            if self.refs.len() >= MAX_REFS {
                return None;
            }
            if !is_known {
                told.atom = atom_of(name)?;
                self.has_long |= name.len() > 255;
            }
            (told.packet, told.index) = (self.packet, self.refs.len() as u8);
            self.refs.push(Ref {
                slot: slot as u16,
                new: (!is_known).then_some(at as u16),
            });
            return Some(self.refs.len() as u8 - 1);
        }
        if self.refs.len() >= MAX_REFS {
            return None;
        }
        let index = self.refs.len() as u8;
        let (atom, packet) = (atom_of(name)?, self.packet);
        self.has_long |= name.len() > 255;
        self.refs.push(Ref {
            slot: slot as u16,
            new: Some(self.told.len() as u16),
        });
        self.told.push(Told {
            atom,
            packet,
            index,
        });
        *place = self.told.len() as u16;
        Some(index)
    }
}

fn atom_of(name: &[u8]) -> Option<Atom> {
    Atom::new(std::str::from_utf8(name).ok()?).ok()
}

/// The slot that an atom goes into, whoever is there already.
fn slot_of(name: &[u8]) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let mut hash = mix(name.len() as u64, 0);
    let (words, rest) = name.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let rest = rest
        .iter()
        .fold(0, |word, &byte| word << 8 | u64::from(byte));
    (mix(hash, rest).wrapping_mul(FACTOR) >> 53) as usize
}

#[cfg(test)]
mod tests;
