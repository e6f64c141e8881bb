//! Control messages from bytes.

use enmesh_term::{Atom, CachedAtoms, CachedReader, DecodeError, Limits, Pid, Reference, Term};

use super::{AltactFlags, AltactTarget, Control, ProcId, SpawnRequest, SpawnResult, op};

/// The longest control message, in bytes. It holds identifiers, names, options of a spawn, and
/// from peers without EXIT_PAYLOAD an exit reason. A longer one ends the link.
pub(crate) const MAX_CONTROL: usize = 1 << 20;
/// How deep its terms may be nested. A deeper one ends the link.
const MAX_CONTROL_DEPTH: usize = 64;
const LIMITS: Limits = Limits::new()
    .with_max_bytes(MAX_CONTROL)
    .with_max_depth(MAX_CONTROL_DEPTH);
/// The first byte of an external term.
const TERM_VERSION: u8 = 131;

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
        match bytes.split_first() {
            None => Err(DecodeError::Truncated.into()),
            Some((&TERM_VERSION, bare)) => {
                let (control, used) = Self::decode_bare(bare, CachedAtoms::default())?;
                Ok((control, used + 1))
            }
            Some((&found, _)) => Err(DecodeError::BadVersion { found }.into()),
        }
    }

    /// The control message that `bytes` begin with, without a version byte and with atom cache
    /// references that mean `atoms`, and how many bytes it takes.
    #[inline]
    pub(crate) fn decode_bare(
        bytes: &[u8],
        atoms: CachedAtoms<'_>,
    ) -> Result<(Control, usize), ControlError> {
        match Self::decode_usual(bytes, atoms) {
            Some(usual) => Ok(usual),
            None => Self::decode_any(bytes, atoms),
        }
    }

    /// The messages that most are, without what a rarer one needs: a control message is big, and
    /// to move it about would be most of the time that one of these takes. `None` before all
    /// others, and before what is wrong with them.
    #[inline]
    fn decode_usual(bytes: &[u8], atoms: CachedAtoms<'_>) -> Option<(Control, usize)> {
        let mut reader = CachedReader::new(bytes, atoms);
        let arity = reader.tuple().ok()??;
        let token = None;
        let control = match (reader.int().ok()??, arity) {
            (op::SEND, 3) => {
                reader.skip().ok()?;
                let to = reader.pid().ok()??;
                Control::Send { to, token }
            }
            (op::REG_SEND, 4) => {
                let from = reader.pid().ok()??;
                reader.skip().ok()?;
                let to = reader.atom().ok()??;
                Control::RegSend { from, to, token }
            }
            _ => return None,
        };
        Some((control, bytes.len() - reader.rest().len()))
    }

    #[inline(never)]
    fn decode_any(bytes: &[u8], atoms: CachedAtoms<'_>) -> Result<(Control, usize), ControlError> {
        let bytes = &bytes[..bytes.len().min(MAX_CONTROL)];
        let mut reader = CachedReader::new(bytes, atoms);
        let arity = reader.tuple()?.ok_or(ControlError::NotOperation)?;
        if arity == 0 {
            return Err(ControlError::NotOperation);
        }
        let op = match reader.int()? {
            Some(op) => op,
            None => {
                let op = reader.term(&LIMITS)?.as_int();
                op.ok_or(ControlError::NotOperation)?
            }
        };
        let mut fields = Fields {
            op,
            arity,
            index: 0,
            reader,
        };
        let control = match op {
            ..=op::EXIT2_TT => fields.basic()?,
            op::MONITOR_P..=op::MONITOR_P_EXIT | op::PAYLOAD_MONITOR_P_EXIT => fields.monitor()?,
            op::SPAWN_REQUEST..=op::SPAWN_REPLY_TT => fields.spawn()?,
            _ => fields.late()?,
        };
        if fields.index + 1 < arity {
            return Err(fields.wrong_arity());
        }
        Ok((control, bytes.len() - fields.reader.rest().len()))
    }
}

/// Reads one element after the other. One that is missing is a wrong arity.
struct Fields<'a> {
    op: i64,
    arity: usize,
    index: usize,
    reader: CachedReader<'a>,
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
                self.skip()?;
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
                    reason: Box::new(self.term()?),
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
                self.skip()?;
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
                    reason: Box::new(self.term()?),
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
                reason: Box::new(self.term()?),
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
                Control::SpawnRequest(Box::new(SpawnRequest {
                    id,
                    from,
                    group_leader,
                    module,
                    function,
                    arity,
                    options,
                    token,
                }))
            }
            op::SPAWN_REPLY | op::SPAWN_REPLY_TT => Control::SpawnReply {
                id: self.reference()?,
                to: self.pid()?,
                flags: self.flags()?,
                result: Box::new(self.spawn_result()?),
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
            Some(Box::new(self.term()?))
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

    /// The next element is this one; if there is none, the arity is wrong.
    fn advance(&mut self) -> Result<(), ControlError> {
        self.index += 1;
        if self.index < self.arity {
            Ok(())
        } else {
            Err(self.wrong_arity())
        }
    }

    /// What was read of the element, if it is of the right type.
    fn found<T>(&self, value: Option<T>) -> Result<T, ControlError> {
        value.ok_or(ControlError::Field {
            op: self.op,
            index: self.index,
        })
    }

    fn skip(&mut self) -> Result<(), ControlError> {
        self.advance()?;
        Ok(self.reader.skip()?)
    }

    fn pid(&mut self) -> Result<Pid, ControlError> {
        self.advance()?;
        let pid = self.reader.pid()?;
        self.found(pid)
    }

    fn atom(&mut self) -> Result<Atom, ControlError> {
        self.advance()?;
        let atom = self.reader.atom()?;
        self.found(atom)
    }

    fn reference(&mut self) -> Result<Reference, ControlError> {
        self.advance()?;
        let reference = self.reader.reference()?;
        self.found(reference)
    }

    fn process(&mut self) -> Result<ProcId, ControlError> {
        self.advance()?;
        let process = match self.reader.pid()? {
            Some(pid) => Some(ProcId::Pid(pid)),
            None => self.reader.atom()?.map(ProcId::Name),
        };
        self.found(process)
    }

    fn spawn_result(&mut self) -> Result<SpawnResult, ControlError> {
        Ok(match self.process()? {
            ProcId::Pid(pid) => SpawnResult::Started(pid),
            ProcId::Name(why) => SpawnResult::Refused(why),
        })
    }

    fn function(&mut self) -> Result<(Atom, Atom, u8), ControlError> {
        self.advance()?;
        let elements = self.reader.tuple()?.filter(|&count| count == 3);
        self.found(elements)?;
        let (module, function) = (self.reader.atom()?, self.reader.atom()?);
        let arity = self.reader.int()?;
        let arity = arity.and_then(|arity| u8::try_from(arity).ok());
        let function = module.zip(function).zip(arity);
        let ((module, function), arity) = self.found(function)?;
        Ok((module, function, arity))
    }

    fn flags(&mut self) -> Result<u32, ControlError> {
        let flags = self.term()?.as_int();
        self.found(flags.and_then(|flags| u32::try_from(flags).ok()))
    }

    fn unsigned(&mut self) -> Result<u64, ControlError> {
        let number = match self.term()? {
            Term::Int(number) => u64::try_from(number).ok(),
            Term::BigInt(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        self.found(number)
    }

    fn term(&mut self) -> Result<Term, ControlError> {
        self.advance()?;
        Ok(self.reader.term(&LIMITS)?)
    }

    /// The token, if the operation is the one that has it.
    fn token(&mut self, traced: i64) -> Result<Option<Box<Term>>, ControlError> {
        if self.op == traced {
            Ok(Some(Box::new(self.term()?)))
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
