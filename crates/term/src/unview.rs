//! Views to owned terms.

use crate::check::Budget;
use crate::decode::{Decoder, PLACEHOLDER};
use crate::token::{Reader, RecordToken};
use crate::{DecodeError, Term, TermRef};

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Decoder<'a> {
    /// A decoder of views, whose bytes were checked.
    pub(crate) fn after_check() -> Self {
        Self {
            reader: Reader::new(&[]),
            shared: None,
            budget: Budget::unbounded(),
        }
    }

    /// The owned term of a view.
    pub(crate) fn view(&mut self, view: &TermRef<'a>) -> Result<Term> {
        let mut term = PLACEHOLDER;
        let slot = &mut term;
        match view {
            TermRef::List(list) => match (list.parts(), list.as_bytes()) {
                (Some((count, body)), _) => {
                    self.reader = Reader::new(body);
                    self.list(slot, count, 0, 0)?;
                }
                (None, bytes) => term = self.string(bytes.unwrap_or(&[]))?,
            },
            TermRef::Tuple(tuple) => {
                self.reader = Reader::new(tuple.body);
                self.tuple(slot, tuple.count, 0, 0)?;
            }
            TermRef::Map(map) => {
                self.reader = Reader::new(map.body);
                self.map(slot, map.count, 0, 0)?;
            }
            TermRef::Record(record) => {
                self.reader = Reader::new(record.body);
                let (module, name) = (record.module, record.name);
                let head = RecordToken {
                    count: record.count,
                    flags: record.flags,
                    module,
                    name,
                };
                self.record(slot, head, 0, 0)?;
            }
            leaf => term = self.leaf_of(leaf),
        }
        Ok(term)
    }

    fn leaf_of(&self, view: &TermRef<'a>) -> Term {
        match view {
            TermRef::Int(int) => Term::Int(*int),
            TermRef::BigInt(big) => Term::BigInt(Box::new(big.to_bigint())),
            TermRef::Float(float) => Term::Float(*float),
            TermRef::Atom(atom) => Term::Atom(atom.to_atom()),
            TermRef::Binary(bytes) => Term::Binary(self.keep(bytes)),
            TermRef::BitString { bytes, bits } => Term::bit_string(bytes, *bits),
            TermRef::Pid(pid) => Term::from(pid.to_pid()),
            TermRef::Port(port) => Term::Port(port.to_port()),
            TermRef::Reference(reference) => Term::Reference(reference.to_reference()),
            TermRef::Fun(fun) => Term::Fun(fun.to_fun()),
            TermRef::Export(export) => Term::Export(export.to_export()),
            TermRef::List(_) | TermRef::Tuple(_) | TermRef::Map(_) | TermRef::Record(_) => {
                unreachable!("only leaves come here")
            }
        }
    }
}
