//! One pass over a term that checks everything and builds nothing, and the way past a term.

use crate::token::{FunToken, Reader, Token};
use crate::{DecodeError, Limits};

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

impl Check<'_> {
    /// Reads `count` terms one after the other.
    fn terms(&mut self, count: usize, depth: usize) -> Result<(), DecodeError> {
        for _ in 0..count {
            match self.reader.token()? {
                Token::List(count) => self.list(count as usize, depth)?,
                Token::Tuple(count) => self.elements(count as usize, depth)?,
                Token::Map(count) => self.elements(count as usize * 2, depth)?,
                Token::Str(bytes) => self.budget.charge(bytes.len())?,
                Token::Record(record) => self.record(record.count as usize, depth)?,
                Token::Fun(fun) => self.budget.check_fun(&fun, depth)?,
                _ => {}
            }
        }
        Ok(())
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
            let before_tail = self.reader.rest;
            match self.reader.token()? {
                Token::Nil => return Ok(()),
                Token::List(more) => count = more as usize,
                _ => {
                    self.reader.rest = before_tail;
                    let depth = self.budget.deeper(depth)?;
                    return self.terms(1, depth);
                }
            }
        }
    }

    fn record(&mut self, count: usize, depth: usize) -> Result<(), DecodeError> {
        self.admit(count)?;
        for _ in 0..count {
            self.reader.atom()?;
        }
        self.elements(count, depth)
    }
}

/// What follows the first `count` terms of checked bytes.
#[inline]
pub(crate) fn skip(bytes: &[u8], count: usize) -> &[u8] {
    let mut reader = Reader::<false>::new(bytes);
    let mut left = count;
    while let Some(fewer) = left.checked_sub(1) {
        left = fewer;
        left += match reader.token() {
            Ok(Token::List(count)) => count as usize + 1,
            Ok(Token::Tuple(count)) => count as usize,
            Ok(Token::Map(count)) => count as usize * 2,
            Ok(Token::Record(record)) => record.count as usize * 2,
            Ok(_) => 0,
            // Checked bytes have no errors; stopping at the end is the harmless answer.
            Err(_) => return &[],
        };
    }
    reader.rest
}
