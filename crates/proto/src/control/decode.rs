//! Control messages from bytes.

use enmesh_term::{Atom, DecodeError, Limits, Pid, Reference, Term, TermRef, TupleIter};

use super::{AltactFlags, AltactTarget, Control, ProcId, SpawnResult, op};

/// The longest control message, in bytes. It holds identifiers, names, options of a spawn, and
/// from peers without EXIT_PAYLOAD an exit reason. A longer one ends the link.
pub(crate) const MAX_CONTROL: usize = 1 << 20;
/// How deep its terms may be nested. A deeper one ends the link.
const MAX_CONTROL_DEPTH: usize = 64;

/// Why a control message cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It is no external term, or over a limit.
    #[error("not a term")]
    Term(#[from] DecodeError),
    /// It is a term, but no tuple that begins with a number.
    #[error("not a tuple with an operation")]
    NotOperation,
    /// No such operation.
    #[error("unknown operation {op}")]
    UnknownOp {
        /// Its number.
        op: i64,
    },
    /// The operation has another number of elements.
    #[error("operation {op} with {arity} elements")]
    Arity {
        /// Its number.
        op: i64,
        /// How many elements the tuple has, the number included.
        arity: usize,
    },
    /// An element is of another type.
    #[error("operation {op} with a wrong element {index}")]
    Field {
        /// Its number.
        op: i64,
        /// Which element of the tuple is wrong; the number is element 0.
        index: usize,
    },
}

impl Control {
    /// The control message that `bytes` begin with, 131 included, and how many bytes it takes.
    ///
    /// # Errors
    /// If there is no term, or it is none of the protocol's.
    pub fn decode_prefix(bytes: &[u8]) -> Result<(Control, usize), ControlError> {
        let limits = Limits::default()
            .with_max_bytes(MAX_CONTROL)
            .with_max_depth(MAX_CONTROL_DEPTH);
        let bytes = &bytes[..bytes.len().min(MAX_CONTROL)];
        let (term, used) = TermRef::parse(bytes, &limits)?;
        Ok((Control::from_term(&term)?, used))
    }

    /// The control message that `term` is.
    ///
    /// # Errors
    /// If it is none of the protocol's.
    pub fn from_term(term: &TermRef<'_>) -> Result<Control, ControlError> {
        let tuple = term.as_tuple().ok_or(ControlError::NotOperation)?;
        let mut elements = tuple.iter();
        let op = elements.next().and_then(|first| first.as_int());
        let op = op.ok_or(ControlError::NotOperation)?;
        let mut fields = Fields {
            op,
            arity: tuple.len(),
            index: 0,
            elements,
        };
        let control = match op {
            ..=op::EXIT2_TT => fields.basic()?,
            op::MONITOR_P..=op::MONITOR_P_EXIT | op::PAYLOAD_MONITOR_P_EXIT => fields.monitor()?,
            op::SPAWN_REQUEST..=op::SPAWN_REPLY_TT => fields.spawn()?,
            _ => fields.late()?,
        };
        match fields.elements.len() {
            0 => Ok(control),
            _ => Err(fields.wrong_arity()),
        }
    }
}

/// Reads one element after the other. One that is missing is a wrong arity.
struct Fields<'a> {
    op: i64,
    arity: usize,
    index: usize,
    elements: TupleIter<'a>,
}

impl Fields<'_> {
    /// The operations of before OTP 19.
    fn basic(&mut self) -> Result<Control, ControlError> {
        Ok(match self.op {
            op::LINK => Control::Link {
                from: self.pid()?,
                to: self.pid()?,
            },
            op::SEND | op::SEND_TT => {
                self.next()?;
                Control::Send {
                    to: self.pid()?,
                    token: self.token(op::SEND_TT)?,
                }
            }
            op::EXIT | op::EXIT_TT => {
                let (from, to) = (self.pid()?, self.pid()?);
                let token = self.token(op::EXIT_TT)?;
                Control::Exit {
                    from,
                    to,
                    reason: self.term()?,
                    token,
                }
            }
            op::UNLINK => Control::Unlink {
                from: self.pid()?,
                to: self.pid()?,
            },
            op::NODE_LINK => Control::NodeLink,
            op::REG_SEND | op::REG_SEND_TT => {
                let from = self.pid()?;
                self.next()?;
                Control::RegSend {
                    from,
                    to: self.atom()?,
                    token: self.token(op::REG_SEND_TT)?,
                }
            }
            op::GROUP_LEADER => Control::GroupLeader {
                from: self.pid()?,
                to: self.pid()?,
            },
            op::EXIT2 | op::EXIT2_TT => {
                let (from, to) = (self.pid()?, self.pid()?);
                let token = self.token(op::EXIT2_TT)?;
                Control::Exit2 {
                    from,
                    to,
                    reason: self.term()?,
                    token,
                }
            }
            op => return Err(ControlError::UnknownOp { op }),
        })
    }

    fn monitor(&mut self) -> Result<Control, ControlError> {
        Ok(match self.op {
            op::MONITOR_P => Control::Monitor {
                from: self.pid()?,
                to: self.process()?,
                reference: self.reference()?,
            },
            op::DEMONITOR_P => Control::Demonitor {
                from: self.pid()?,
                to: self.process()?,
                reference: self.reference()?,
            },
            op::MONITOR_P_EXIT => Control::MonitorExit {
                from: self.process()?,
                to: self.pid()?,
                reference: self.reference()?,
                reason: self.term()?,
            },
            op::PAYLOAD_MONITOR_P_EXIT => Control::PayloadMonitorExit {
                from: self.process()?,
                to: self.pid()?,
                reference: self.reference()?,
            },
            op => return Err(ControlError::UnknownOp { op }),
        })
    }

    fn spawn(&mut self) -> Result<Control, ControlError> {
        Ok(match self.op {
            op::SPAWN_REQUEST | op::SPAWN_REQUEST_TT => {
                let (id, from, group_leader) = (self.reference()?, self.pid()?, self.pid()?);
                let (module, function, arity) = self.function()?;
                let options = self.term()?;
                let token = self.token(op::SPAWN_REQUEST_TT)?;
                Control::SpawnRequest {
                    id,
                    from,
                    group_leader,
                    module,
                    function,
                    arity,
                    options,
                    token,
                }
            }
            op::SPAWN_REPLY | op::SPAWN_REPLY_TT => Control::SpawnReply {
                id: self.reference()?,
                to: self.pid()?,
                flags: self.flags()?,
                result: self.spawn_result()?,
                token: self.token(op::SPAWN_REPLY_TT)?,
            },
            op => return Err(ControlError::UnknownOp { op }),
        })
    }

    /// The operations that came with flags of their own, from OTP 19 on.
    fn late(&mut self) -> Result<Control, ControlError> {
        Ok(match self.op {
            op::SEND_SENDER | op::SEND_SENDER_TT => Control::SendSender {
                from: self.pid()?,
                to: self.pid()?,
                token: self.token(op::SEND_SENDER_TT)?,
            },
            op::PAYLOAD_EXIT | op::PAYLOAD_EXIT_TT => Control::PayloadExit {
                from: self.pid()?,
                to: self.pid()?,
                token: self.token(op::PAYLOAD_EXIT_TT)?,
            },
            op::PAYLOAD_EXIT2 | op::PAYLOAD_EXIT2_TT => Control::PayloadExit2 {
                from: self.pid()?,
                to: self.pid()?,
                token: self.token(op::PAYLOAD_EXIT2_TT)?,
            },
            op::ALIAS_SEND | op::ALIAS_SEND_TT => Control::AliasSend {
                from: self.pid()?,
                alias: self.reference()?,
                token: self.token(op::ALIAS_SEND_TT)?,
            },
            op::UNLINK_ID => Control::UnlinkId {
                id: self.unsigned()?,
                from: self.pid()?,
                to: self.pid()?,
            },
            op::UNLINK_ID_ACK => Control::UnlinkIdAck {
                id: self.unsigned()?,
                from: self.pid()?,
                to: self.pid()?,
            },
            op::ALTACT_SIG_SEND => self.altact()?,
            op => return Err(ControlError::UnknownOp { op }),
        })
    }

    /// The flags say what the target is and whether there is a token; they must be right.
    fn altact(&mut self) -> Result<Control, ControlError> {
        let flags = AltactFlags::from_bits(self.flags()?);
        let from = self.pid()?;
        let to = if flags.contains(AltactFlags::ALIAS) {
            AltactTarget::Alias(self.reference()?)
        } else if flags.contains(AltactFlags::NAME) {
            AltactTarget::Name(self.atom()?)
        } else {
            AltactTarget::Pid(self.pid()?)
        };
        let token = if flags.contains(AltactFlags::TOKEN) {
            Some(self.term()?)
        } else {
            None
        };
        Ok(Control::Altact {
            flags,
            from,
            to,
            token,
        })
    }

    fn next(&mut self) -> Result<TermRef<'_>, ControlError> {
        self.index += 1;
        let error = self.wrong_arity();
        self.elements.next().ok_or(error)
    }

    /// The next element, made an owned value by `read` if it is of the right type.
    fn take<T>(&mut self, read: impl FnOnce(TermRef<'_>) -> Option<T>) -> Result<T, ControlError> {
        let value = read(self.next()?);
        value.ok_or(ControlError::Field {
            op: self.op,
            index: self.index,
        })
    }

    fn pid(&mut self) -> Result<Pid, ControlError> {
        self.take(|term| term.as_pid().map(|pid| pid.to_pid()))
    }

    fn atom(&mut self) -> Result<Atom, ControlError> {
        self.take(|term| term.as_atom().map(|atom| atom.to_atom()))
    }

    fn reference(&mut self) -> Result<Reference, ControlError> {
        self.take(|term| {
            term.as_reference()
                .map(|reference| reference.to_reference())
        })
    }

    fn process(&mut self) -> Result<ProcId, ControlError> {
        self.take(|term| match term {
            TermRef::Pid(pid) => Some(ProcId::Pid(pid.to_pid())),
            TermRef::Atom(atom) => Some(ProcId::Name(atom.to_atom())),
            _ => None,
        })
    }

    fn spawn_result(&mut self) -> Result<SpawnResult, ControlError> {
        Ok(match self.process()? {
            ProcId::Pid(pid) => SpawnResult::Started(pid),
            ProcId::Name(why) => SpawnResult::Refused(why),
        })
    }

    fn function(&mut self) -> Result<(Atom, Atom, u8), ControlError> {
        self.take(|term| {
            let [module, function, arity] = term.as_tuple()?.to_array()?;
            let arity = u8::try_from(arity.as_int()?).ok()?;
            Some((
                module.as_atom()?.to_atom(),
                function.as_atom()?.to_atom(),
                arity,
            ))
        })
    }

    fn flags(&mut self) -> Result<u32, ControlError> {
        self.take(|term| u32::try_from(term.as_int()?).ok())
    }

    fn unsigned(&mut self) -> Result<u64, ControlError> {
        self.take(|term| match term {
            TermRef::Int(number) => u64::try_from(number).ok(),
            TermRef::BigInt(number) => u64::try_from(number.to_bigint()).ok(),
            _ => None,
        })
    }

    fn term(&mut self) -> Result<Term, ControlError> {
        Ok(self.next()?.to_term()?)
    }

    /// The token, if the operation is the one that has it.
    fn token(&mut self, traced: i64) -> Result<Option<Term>, ControlError> {
        if self.op == traced {
            self.term().map(Some)
        } else {
            Ok(None)
        }
    }

    fn wrong_arity(&self) -> ControlError {
        ControlError::Arity {
            op: self.op,
            arity: self.arity,
        }
    }
}
