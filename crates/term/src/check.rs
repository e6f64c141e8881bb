//! One pass over a term that checks everything and builds nothing, and the way past a term.

use crate::token::{Container, FunToken, Reader, Token};
use crate::{DecodeError, Limits, tag};

/// Checks the term at the start of `bytes` (no version byte) and says how long it is.
pub(crate) fn check(bytes: &[u8], limits: &Limits) -> Result<usize, DecodeError> {
    let mut check = Check {
        reader: Reader::new(bytes),
        budget: Budget::new(limits),
    };
    check.terms(1, 0)?;
    Ok(bytes.len() - check.reader.rest.len())
}

/// What is left of the limits.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    terms: usize,
    max_depth: usize,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let max_depth = limits.max_depth.min(crate::limits::MAX_DEPTH);
        Self {
            terms: limits.max_terms,
            max_depth,
        }
    }

    /// Nothing is bounded, because a check went before.
    pub(crate) const fn unbounded() -> Self {
        Self {
            terms: usize::MAX,
            max_depth: usize::MAX,
        }
    }

    #[inline]
    pub(crate) fn charge(&mut self, terms: usize) -> Result<(), DecodeError> {
        self.terms = self
            .terms
            .checked_sub(terms)
            .ok_or(DecodeError::TooManyTerms)?;
        Ok(())
    }

    /// The depth inside a container at `depth`.
    #[inline]
    pub(crate) fn deeper(&self, depth: usize) -> Result<usize, DecodeError> {
        if depth >= self.max_depth {
            return Err(DecodeError::TooDeep {
                limit: self.max_depth,
            });
        }
        Ok(depth + 1)
    }
}

impl Budget {
    /// Checks the free variables of a fun at `depth`.
    pub(crate) fn check_fun(
        &mut self,
        fun: &FunToken<'_>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let mut check = Check {
            reader: Reader::new(fun.body),
            budget: *self,
        };
        check.elements(fun.free as usize, depth)?;
        *self = check.budget;
        match check.reader.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { count }),
        }
    }
}

struct Check<'a> {
    reader: Reader<'a, true>,
    budget: Budget,
}

impl<'a> Check<'a> {
    /// Reads `count` terms one after the other.
    fn terms(&mut self, count: usize, depth: usize) -> Result<(), DecodeError> {
        for _ in 0..count {
            match self.reader.rest.first() {
                Some(&tag::SMALL_ATOM_UTF8) => {
                    self.reader.u8()?;
                    self.reader.small_atom()?;
                }
                Some(&(tag::SMALL_INTEGER | tag::INTEGER | tag::BINARY | tag::NIL)) => {
                    self.reader.pass()?;
                }
                _ => self.other(depth)?,
            }
        }
        Ok(())
    }

    fn other(&mut self, depth: usize) -> Result<(), DecodeError> {
        match self.reader.container()? {
            None => self.leaf(),
            Some(container) => self.container(container, depth),
        }
    }

    #[inline]
    fn leaf(&mut self) -> Result<(), DecodeError> {
        match self.reader.token()? {
            Token::Str(bytes) => self.budget.charge(bytes.len()),
            _ => Ok(()),
        }
    }

    fn container(&mut self, container: Container, depth: usize) -> Result<(), DecodeError> {
        match container {
            Container::List(count) => self.list(count as usize, depth),
            Container::Tuple(count) => self.elements(count as usize, depth),
            Container::Map(count) => self.elements((count as usize).saturating_mul(2), depth),
            Container::Record => {
                let count = self.record_names()?;
                self.elements(count, depth)
            }
            Container::Fun => self.fun(depth),
        }
    }

    /// A container's elements; each takes a byte at least.
    fn elements(&mut self, count: usize, depth: usize) -> Result<(), DecodeError> {
        self.admit(count)?;
        let depth = self.budget.deeper(depth)?;
        self.terms(count, depth)
    }

    fn admit(&mut self, count: usize) -> Result<(), DecodeError> {
        if count > self.reader.rest.len() {
            return Err(DecodeError::Truncated);
        }
        self.budget.charge(count)
    }

    /// A list's tail that is a list again continues it, and is no deeper.
    fn list(&mut self, mut count: usize, depth: usize) -> Result<(), DecodeError> {
        loop {
            self.elements(count, depth)?;
            match self.reader.rest.first() {
                Some(&tag::NIL | &tag::STRING) => return self.leaf(),
                Some(&tag::LIST) => count = self.list_again()?,
                _ => break,
            }
        }
        let depth = self.budget.deeper(depth)?;
        self.terms(1, depth)
    }

    fn list_again(&mut self) -> Result<usize, DecodeError> {
        self.reader.u8()?;
        Ok(self.reader.u32()? as usize)
    }

    #[inline(never)]
    fn record_names(&mut self) -> Result<usize, DecodeError> {
        let count = self.reader.record_head()?.count as usize;
        self.admit(count)?;
        for _ in 0..count {
            self.reader.atom()?;
        }
        Ok(count)
    }

    /// The free variables of a fun, and nothing more within its size.
    fn fun(&mut self, depth: usize) -> Result<(), DecodeError> {
        let (free, body) = self.fun_head()?;
        let after = std::mem::replace(&mut self.reader, Reader::new(body));
        self.elements(free, depth)?;
        let count = self.reader.rest.len();
        self.reader = after;
        if count == 0 {
            Ok(())
        } else {
            Err(DecodeError::Trailing { count })
        }
    }

    #[inline(never)]
    fn fun_head(&mut self) -> Result<(usize, &'a [u8]), DecodeError> {
        let fun = self.reader.fun_head()?;
        Ok((fun.free as usize, fun.body))
    }
}

/// What follows the first `count` terms of checked bytes.
#[inline]
pub(crate) fn skip(bytes: &[u8], count: usize) -> &[u8] {
    let mut reader = Reader::<false>::new(bytes);
    let mut left = count;
    while left > 0 {
        match reader.pass() {
            Ok(elements) => left = (left - 1).saturating_add(elements),
            // Checked bytes have no errors; stopping at the end is the harmless answer.
            Err(_) => return &[],
        }
    }
    reader.rest
}
