//! Large messages put together from their fragments (erl_dist_protocol, "Fragmented Messages").

use std::collections::HashMap;

use enmesh_term::Atom;

use crate::control::Control;
use crate::framing::FrameError;

/// The most messages that may be incomplete at once.
pub(crate) const MAX_SEQUENCES: usize = 256;
/// The most bytes of incomplete messages, headers and control messages left out.
pub(crate) const MAX_PARTIAL: usize = 256 << 20;

/// A message of which some fragments are there.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) control: Control,
    /// What the atom cache references of the payload mean.
    pub(crate) atoms: Vec<Atom>,
    pub(crate) payload: Vec<u8>,
    /// The number of the fragment that is due; they count down to 1.
    due: u64,
}

/// The incomplete messages of a link.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    open: HashMap<u64, Sequence>,
    /// How many bytes of payload are there.
    bytes: usize,
}

impl Fragments {
    /// Takes the first fragment of a message that has `count` of them, and gives the message if
    /// that is all. Nothing is reserved for what is announced.
    pub(crate) fn begin(
        &mut self,
        id: u64,
        count: u64,
        control: Control,
        atoms: Vec<Atom>,
        part: &[u8],
    ) -> Result<Option<Sequence>, FrameError> {
        let due = count
            .checked_sub(1)
            .ok_or(FrameError::FragmentOrder { sequence: id })?;
        if self.open.contains_key(&id) {
            return Err(FrameError::SequenceTwice { sequence: id });
        }
        let payload = part.to_vec();
        let sequence = Sequence {
            control,
            atoms,
            payload,
            due,
        };
        if due == 0 {
            return Ok(Some(sequence));
        }
        if self.open.len() >= MAX_SEQUENCES {
            return Err(FrameError::TooManySequences);
        }
        self.charge(part.len())?;
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
        self.bytes -= len;
        Ok(whole)
    }

    fn charge(&mut self, len: usize) -> Result<(), FrameError> {
        self.bytes += len;
        if self.bytes > MAX_PARTIAL {
            return Err(FrameError::TooMuchPartial);
        }
        Ok(())
    }
}
