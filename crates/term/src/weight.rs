//! How much a term is, for those who bound what they hold.

use crate::Term;

impl Term {
    /// About how many bytes of memory the term takes. It costs one pass over all terms inside, and
    /// reads no binaries.
    ///
    /// ```
    /// use enmesh_term::Term;
    ///
    /// let term = Term::tuple([Term::atom("ok"), Term::binary(vec![0; 10_000])]);
    /// assert!((10_000..10_200).contains(&term.weight()));
    /// ```
    #[must_use]
    pub fn weight(&self) -> usize {
        // A stack of its own: terms that programs make may be of any depth.
        let (mut weight, mut waiting) = (0_usize, vec![self]);
        while let Some(term) = waiting.pop() {
            weight += size_of::<Self>();
            match term {
                Self::Binary(bytes) => weight += bytes.len(),
                Self::BitString { bytes, .. } => weight += bytes.len(),
                Self::BigInt(int) => weight += (int.bits() / 8) as usize,
                Self::Fun(fun) => weight += fun.encoding().len(),
                Self::List(terms) | Self::Tuple(terms) => waiting.extend(terms),
                Self::ImproperList(head, tail) => {
                    waiting.extend(&**head);
                    waiting.push(tail);
                }
                Self::Map(pairs) => {
                    waiting.extend(pairs.iter().flat_map(|(key, value)| [key, value]));
                }
                Self::Record(record) => {
                    waiting.extend(record.fields().iter().map(|(_, value)| value));
                }
                _ => {}
            }
        }
        weight
    }
}
