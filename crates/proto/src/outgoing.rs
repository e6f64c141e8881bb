//! Messages of a link that is up, to packets; large ones in turns.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::atom_cache::OwnAtoms;
use crate::control::Control;
use crate::link::LinkError;
use crate::output::Output;
use crate::packet::{self, Form};
use crate::payload::Payload;

/// The longest part of a payload in one fragment, and the longest payload that needs none, in
/// bytes; as a BEAM cuts.
pub(crate) const FRAGMENT: usize = 64 << 10;
/// How many bytes of fragments a batch of output has, a little more or less: a small message waits
/// for no more than the batch that is on its way.
pub(crate) const BATCH: usize = 256 << 10;
/// The longest payload whose atoms go through the cache, in bytes. In a longer one they are few
/// for the time that it takes to look.
const MAX_COMPRESSED: usize = 4 << 10;
/// More than a packet has around control message and payload, in bytes, atoms left out.
const OVERHEAD: usize = 32;

/// The sending side of a link that is up.
///
/// What can go at once is put into the output. Large messages wait in a lane of their flow and are
/// cut into fragments in turns, when the output is taken; what their flow sends later waits behind
/// them. Atoms are put into the cache when a packet is made, so packets must leave in the order in
/// which they are made.
#[derive(Debug)]
pub(crate) struct Outgoing {
    form: Form,
    max_message: usize,
    max_output: usize,
    atoms: OwnAtoms,
    /// A control message, plain.
    control: BytesMut,
    /// Terms with atom cache references.
    body: BytesMut,
    lanes: HashMap<u64, Lane>,
    /// The flows of the lanes, in the order of their turns.
    turns: VecDeque<u64>,
    /// The number of the last fragmented message. It is never 0: a BEAM crashes by that.
    sequence: u64,
    /// How many bytes wait in lanes: in messages that fit a packet, and in larger ones.
    small: usize,
    large: usize,
}

/// What waits of one flow, in order. It is never empty.
#[derive(Debug, Default)]
struct Lane {
    /// The message that is being cut.
    cut: Option<Cut>,
    behind: VecDeque<Parcel>,
}

#[derive(Debug)]
struct Cut {
    sequence: u64,
    /// How many fragments are to come.
    left: u64,
    rest: Payload,
}

#[derive(Debug)]
struct Parcel {
    control: Bytes,
    payload: Payload,
}

impl Outgoing {
    pub(crate) fn new(form: Form, max_message: usize, max_output: usize) -> Self {
        Self {
            form,
            max_message,
            max_output,
            atoms: OwnAtoms::default(),
            control: BytesMut::new(),
            body: BytesMut::new(),
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            sequence: 0,
            small: 0,
            large: 0,
        }
    }

    /// How many bytes of small messages wait here.
    pub(crate) fn small(&self) -> usize {
        self.small
    }

    /// How many bytes of large messages wait here.
    pub(crate) fn large(&self) -> usize {
        self.large
    }

    /// Whether nothing waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Takes a message; puts it into `output` if it can go at once.
    pub(crate) fn send(
        &mut self,
        output: &mut BytesMut,
        flow: u64,
        control: &Control,
        payload: Payload,
    ) -> Result<(), LinkError> {
        self.control.clear();
        control.encode_bare_into(&mut self.control);
        let len = self.control.len() + payload.len() + OVERHEAD;
        if len > self.max_message {
            let max = self.max_message;
            return Err(LinkError::TooLarge { len, max });
        }
        let is_large = self.is_large(payload.len());
        let waiting = if is_large {
            self.large
        } else {
            self.small + output.len()
        };
        if waiting > 0 && waiting + len > self.max_output {
            return Err(LinkError::OutputFull);
        }
        if is_large || !self.lanes.is_empty() && self.lanes.contains_key(&flow) {
            self.queue(flow, payload);
        } else {
            let control = std::mem::take(&mut self.control);
            self.put_whole(output, &control, &payload.into_bytes());
            self.control = control;
        }
        Ok(())
    }

    /// Puts a batch of fragments into `batch`, behind what is there and in `output`; what is left
    /// in `output` goes behind all.
    ///
    /// It is one fragment if there are many small messages already: more of these will wait for
    /// the end of this batch.
    pub(crate) fn fill(&mut self, output: &mut BytesMut, batch: &mut Output) {
        let small = batch.remaining() + output.len();
        let share = if small < FRAGMENT { BATCH } else { FRAGMENT };
        let full = small + share;
        while batch.remaining() + output.len() < full
            && let Some(flow) = self.turns.pop_front()
        {
            let Some(mut lane) = self.lanes.remove(&flow) else {
                continue;
            };
            self.step(output, batch, &mut lane);
            if lane.cut.is_some() || !lane.behind.is_empty() {
                self.lanes.insert(flow, lane);
                self.turns.push_back(flow);
            }
        }
    }

    fn is_large(&self, payload: usize) -> bool {
        self.form.has_fragments() && payload > FRAGMENT
    }

    /// How many bytes wait in small or in large messages, as one of so many bytes of payload is.
    fn waiting(&mut self, payload: usize) -> &mut usize {
        if self.is_large(payload) {
            &mut self.large
        } else {
            &mut self.small
        }
    }

    fn queue(&mut self, flow: u64, payload: Payload) {
        let control = Bytes::copy_from_slice(&self.control);
        *self.waiting(payload.len()) += control.len() + payload.len();
        let lane = self.lanes.entry(flow).or_insert_with(|| {
            self.turns.push_back(flow);
            Lane::default()
        });
        lane.behind.push_back(Parcel { control, payload });
    }

    /// Puts the next packet of a lane into the output. The part of a payload is not copied.
    fn step(&mut self, output: &mut BytesMut, batch: &mut Output, lane: &mut Lane) {
        if let Some(cut) = &mut lane.cut {
            let part = cut.rest.split_to(cut.rest.len().min(FRAGMENT));
            self.large -= part.len();
            output.reserve(OVERHEAD);
            output.put_u32(1 + 1 + 8 + 8 + part.len() as u32);
            output.put_slice(&[packet::VERSION, packet::NEXT]);
            output.put_u64(cut.sequence);
            output.put_u64(cut.left);
            batch.push(output.split().freeze());
            batch.extend(part);
            cut.left -= 1;
            if cut.left == 0 {
                lane.cut = None;
            }
            return;
        }
        let Some(Parcel { control, payload }) = lane.behind.pop_front() else {
            return;
        };
        if self.is_large(payload.len()) {
            lane.cut = Some(self.put_first(output, batch, &control, payload));
        } else {
            self.small -= control.len() + payload.len();
            self.put_whole(output, &control, &payload.into_bytes());
        }
    }

    fn put_first(
        &mut self,
        output: &mut BytesMut,
        batch: &mut Output,
        control: &[u8],
        mut payload: Payload,
    ) -> Cut {
        let count = payload.len().div_ceil(FRAGMENT) as u64;
        let part = payload.split_to(FRAGMENT);
        self.large -= control.len() + part.len();
        self.sequence += 1;
        output.reserve(control.len() + OVERHEAD);
        let start = begin(output, &[packet::VERSION, packet::FIRST]);
        output.put_u64(self.sequence);
        output.put_u64(count);
        self.put_terms(output, control, &[]);
        end(output, start, part.len());
        batch.push(output.split().freeze());
        batch.extend(part);
        Cut {
            sequence: self.sequence,
            left: count - 1,
            rest: payload,
        }
    }

    fn put_whole(&mut self, output: &mut BytesMut, control: &[u8], payload: &[u8]) {
        output.reserve(control.len() + payload.len() + OVERHEAD);
        let start = match self.form {
            Form::PassThrough => {
                let start = begin(output, &[packet::PASS_THROUGH, packet::VERSION]);
                output.put_slice(control);
                if !payload.is_empty() {
                    output.put_u8(packet::VERSION);
                    output.put_slice(payload);
                }
                start
            }
            Form::Header { .. } => {
                let start = begin(output, &[packet::VERSION, packet::WHOLE]);
                self.put_terms(output, control, payload);
                start
            }
        };
        end(output, start, 0);
    }

    /// Puts the list of atoms, the control message and the payload.
    fn put_terms(&mut self, output: &mut BytesMut, control: &[u8], payload: &[u8]) {
        if !self.form.has_cache() {
            output.put_u8(0);
            output.put_slice(control);
            output.put_slice(payload);
            return;
        }
        self.atoms.begin();
        self.body.clear();
        self.atoms.compress(control, &mut self.body);
        let is_short = !payload.is_empty() && payload.len() <= MAX_COMPRESSED;
        if is_short {
            self.atoms.compress(payload, &mut self.body);
        }
        self.atoms.put_header(output);
        output.put_slice(&self.body);
        if !is_short {
            output.put_slice(payload);
        }
    }
}

/// Begins a packet: puts the place for its length, and its first bytes.
fn begin(output: &mut BytesMut, kind: &[u8; 2]) -> usize {
    let start = output.len();
    output.put_slice(&[0, 0, 0, 0, kind[0], kind[1]]);
    start
}

/// Puts the length of the packet that began at `start`, and of which so many bytes go apart, into
/// its place.
fn end(output: &mut BytesMut, start: usize, apart: usize) {
    let len =
        u32::try_from(output.len() - start - 4 + apart).expect("max_message is at most 2 GiB");
    output[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
