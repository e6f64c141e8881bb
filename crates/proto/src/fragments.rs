//! Large messages put together from their fragments (erl_dist_protocol, "Fragmented Messages").

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use enmesh_term::{Atom, Term};

use crate::control::Control;
use crate::framing::FrameError;
use crate::outgoing::FRAGMENT;
use crate::spares::Spares;

/// The most messages that may be incomplete at once.
pub(crate) const MAX_SEQUENCES: usize = 256;
/// The most bytes of incomplete messages, with what is kept of their control messages and atoms.
pub(crate) const MAX_PARTIAL: usize = 256 << 20;
/// The most memory from earlier messages that incomplete ones may have, in bytes. It is there before
/// what fills it, and who announces much may send little.
const MAX_LENT: usize = 128 << 20;
/// What a byte of a control message may take in memory: an empty list has one, and is a whole term.
const CONTROL_COST: usize = size_of::<Term>();
/// What an atom that a message refers to may take in memory beside its text.
const ATOM_COST: usize = 64;

/// A message of which some fragments are there.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) control: Control,
    /// What the atom cache references of the payload mean.
    pub(crate) atoms: Vec<Atom>,
    pub(crate) payload: Vec<u8>,
    /// What the control message and the atoms count as, in bytes.
    overhead: usize,
    /// How much memory from an earlier message it was given, in bytes.
    lent: usize,
    /// The number of the fragment that is due; they count down to 1.
    due: u64,
}

/// The incomplete messages of a link.
#[derive(Debug)]
pub(crate) struct Fragments {
    spares: Arc<Spares>,
    open: HashMap<u64, Sequence>,
    /// How many bytes they count as.
    bytes: usize,
    /// How much memory from earlier messages they were given, in bytes.
    lent: usize,
}

impl Drop for Fragments {
    fn drop(&mut self) {
        self.spares.leave();
    }
}

impl Fragments {
    pub(crate) fn new(spares: Arc<Spares>) -> Self {
        spares.join();
        let open = HashMap::new();
        Self {
            spares,
            open,
            bytes: 0,
            lent: 0,
        }
    }

    /// Takes the first fragment of a message that has `count` of them, and gives the message if
    /// that is all. Nothing is reserved for what is announced. The control message had
    /// `control_len` bytes.
    pub(crate) fn begin(
        &mut self,
        (id, count): (u64, u64),
        (control, control_len): (Control, usize),
        atoms: Vec<Atom>,
        part: &[u8],
    ) -> Result<Option<Sequence>, FrameError> {
        let due = count
            .checked_sub(1)
            .ok_or(FrameError::FragmentOrder { sequence: id })?;
        if self.open.contains_key(&id) {
            return Err(FrameError::SequenceTwice { sequence: id });
        }
        let said = usize::try_from(count).unwrap_or(usize::MAX);
        let said = said.saturating_mul(FRAGMENT);
        let mut payload = self.spares.take(said, MAX_LENT - self.lent);
        let lent = payload.capacity();
        payload.extend_from_slice(part);
        let told = atoms.iter().map(|atom| atom.as_bytes().len() + ATOM_COST);
        let overhead = control_len * CONTROL_COST + told.sum::<usize>();
        let sequence = Sequence {
            control,
            atoms,
            payload,
            overhead,
            lent,
            due,
        };
        if due == 0 {
            return Ok(Some(sequence));
        }
        if self.open.len() >= MAX_SEQUENCES {
            return Err(FrameError::TooManySequences);
        }
        self.charge(overhead + part.len())?;
        self.lent += lent;
        self.open.insert(id, sequence);
        Ok(None)
    }

    /// Takes a further fragment, and gives the message if it was the last. `max` is the most bytes
    /// of one payload.
    pub(crate) fn go_on(
        &mut self,
        id: u64,
        number: u64,
        part: &[u8],
        max: usize,
    ) -> Result<Option<Sequence>, FrameError> {
        let unknown = FrameError::UnknownSequence { sequence: id };
        let sequence = self.open.get_mut(&id).ok_or(unknown)?;
        if number != sequence.due {
            return Err(FrameError::FragmentOrder { sequence: id });
        }
        let len = sequence.payload.len() + part.len();
        if len > max {
            return Err(FrameError::TooLarge { len, max });
        }
        sequence.payload.extend_from_slice(part);
        sequence.due -= 1;
        let is_whole = sequence.due == 0;
        self.charge(part.len())?;
        if !is_whole {
            return Ok(None);
        }
        let whole = self.open.remove(&id);
        if let Some(whole) = &whole {
            self.bytes -= len + whole.overhead;
            self.lent -= whole.lent;
        }
        Ok(whole)
    }

    /// The bytes of a message that is whole.
    pub(crate) fn finish(&self, payload: Vec<u8>) -> Bytes {
        self.spares.lend(payload)
    }

    fn charge(&mut self, len: usize) -> Result<(), FrameError> {
        self.bytes += len;
        if self.bytes > MAX_PARTIAL {
            return Err(FrameError::TooMuchPartial);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enmesh_term::Pid;

    const MIB: usize = 1 << 20;

    #[test]
    fn who_announces_much_and_sends_little_has_no_more_memory_than_the_bound() {
        let spares = Arc::new(Spares::default());
        let mut fragments = Fragments::new(Arc::clone(&spares));
        let count = (MAX_LENT / 2 / FRAGMENT) as u64;
        let begin = |fragments: &mut Fragments, id| {
            drop(spares.lend(vec![0; MAX_LENT / 2]));
            let to = Pid::new(Atom::from_static("b@h"), 1, 0, 7);
            let control = Control::Send { to, token: None };
            let begun = fragments.begin((id, count), (control, 0), Vec::new(), b"j");
            assert!(begun.unwrap().is_none());
        };
        let held = |fragments: &Fragments| -> usize {
            let open = fragments.open.values();
            open.map(|sequence| sequence.payload.capacity()).sum()
        };
        for id in 1..=2 {
            begin(&mut fragments, id);
        }
        assert_eq!(held(&fragments), MAX_LENT, "it is used again");
        for id in 3..=9 {
            begin(&mut fragments, id);
        }
        assert!(held(&fragments) < MAX_LENT + MIB);
        for number in (1..count).rev() {
            let whole = fragments.go_on(1, number, b"", MIB).unwrap();
            assert_eq!(whole.is_some(), number == 1);
        }
        begin(&mut fragments, 10);
        assert!(held(&fragments) >= MAX_LENT, "there is room again");
    }
}
