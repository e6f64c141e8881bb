//! Control messages to bytes.

use bytes::BytesMut;
use enmesh_term::{Atom, Pid, Reference, Term};

use super::{AltactFlags, AltactTarget, Control, ProcId, SpawnResult};

impl Control {
    /// Puts the message at the end of `output` as an external term, 131 included.
    pub fn encode_into(&self, output: &mut BytesMut) {
        let _ = (self, output);
        todo!()
    }
}
