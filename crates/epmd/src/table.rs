//! The names that an epmd server knows, with the creation that each incarnation got.

use std::collections::{BTreeMap, VecDeque};

/// Names that have left and whose last creation is remembered; the oldest is forgotten first.
const MAX_RETIRED: usize = 1000;

/// Creations begin here: 0 to 3 belong to nodes that know none or only the old, short ones.
const FIRST_CREATION: u32 = 4;

/// One registered name: what was said of it, its creation, and `holder`, the thing that keeps it.
#[derive(Debug)]
pub(crate) struct Entry<I, H> {
    pub(crate) info: I,
    pub(crate) creation: u32,
    pub(crate) holder: H,
}

/// Who is registered now and which creation each name had last.
#[derive(Debug)]
pub(crate) struct Table<I, H> {
    live: BTreeMap<String, Entry<I, H>>,
    retired: VecDeque<(String, u32)>,
    max_names: usize,
}

/// Why a name was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Somebody alive has it.
    InUse,
    /// The table holds as many names as it may.
    Full,
}

impl<I, H> Table<I, H> {
    pub(crate) fn new(max_names: usize) -> Self {
        Self {
            live: BTreeMap::new(),
            retired: VecDeque::new(),
            max_names,
        }
    }

    /// Takes `name` in and says its creation: one above the last that this name had, else `seed`
    /// (seconds since 1970, so that it also rises over restarts of the server).
    pub(crate) fn register(
        &mut self,
        name: String,
        info: I,
        holder: H,
        seed: u32,
    ) -> Result<u32, Denial> {
        if self.live.contains_key(&name) {
            return Err(Denial::InUse);
        }
        if self.live.len() >= self.max_names {
            return Err(Denial::Full);
        }
        let last = self.retired.iter().position(|(old, _)| *old == name);
        let creation = match last.and_then(|at| self.retired.remove(at)) {
            Some((_, last)) => last.wrapping_add(1),
            None => seed,
        };
        let creation = creation.max(FIRST_CREATION);
        self.live.insert(
            name,
            Entry {
                info,
                creation,
                holder,
            },
        );
        Ok(creation)
    }

    /// Takes `name` out if `is_holder` agrees that its holder is the one that left.
    pub(crate) fn retire(&mut self, name: &str, is_holder: impl FnOnce(&H) -> bool) -> Option<H> {
        if !self
            .live
            .get(name)
            .is_some_and(|entry| is_holder(&entry.holder))
        {
            return None;
        }
        let entry = self.live.remove(name)?;
        if self.retired.len() >= MAX_RETIRED {
            self.retired.pop_front();
        }
        self.retired.push_back((name.to_owned(), entry.creation));
        Some(entry.holder)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry<I, H>> {
        self.live.get(name)
    }

    /// The registered names, sorted.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&str, &Entry<I, H>)> {
        self.live.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The names that left, the oldest first.
    pub(crate) fn retired(&self) -> impl Iterator<Item = &str> {
        self.retired.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(max_names: usize) -> Table<u16, u32> {
        Table::new(max_names)
    }

    #[test]
    fn a_names_creation_rises_by_one_at_each_registration() {
        let mut table = table(8);
        assert_eq!(table.register("a".into(), 1, 1, 100), Ok(100));
        assert_eq!(table.retire("a", |holder| *holder == 1), Some(1));
        // The clock may have gone back in the meantime.
        assert_eq!(table.register("a".into(), 1, 2, 50), Ok(101));
    }

    #[test]
    fn creations_are_at_least_four_even_after_the_counter_turned_over() {
        let mut table = table(8);
        assert_eq!(table.register("zero".into(), 1, 1, 0), Ok(4));
        assert_eq!(table.register("top".into(), 1, 1, u32::MAX), Ok(u32::MAX));
        table.retire("top", |_| true);
        assert_eq!(table.register("top".into(), 1, 1, 7), Ok(4));
    }

    #[test]
    fn a_living_name_is_not_given_away() {
        let mut table = table(8);
        table.register("a".into(), 1, 1, 100).unwrap();
        assert_eq!(table.register("a".into(), 2, 2, 100), Err(Denial::InUse));
        assert_eq!(table.get("a").map(|entry| entry.info), Some(1));
    }

    #[test]
    fn a_late_word_of_an_earlier_holder_takes_nobody_out() {
        let mut table = table(8);
        table.register("a".into(), 1, 2, 100).unwrap();
        assert_eq!(table.retire("a", |holder| *holder == 1), None);
        assert!(table.get("a").is_some());
    }

    #[test]
    fn a_full_table_refuses_and_has_room_again_when_somebody_left() {
        let mut table = table(1);
        table.register("a".into(), 1, 1, 100).unwrap();
        assert_eq!(table.register("b".into(), 1, 2, 100), Err(Denial::Full));
        table.retire("a", |_| true);
        assert_eq!(table.register("b".into(), 1, 2, 100), Ok(100));
    }

    #[test]
    fn the_oldest_name_that_left_is_forgotten_at_the_limit() {
        let mut table = table(8);
        for n in 0..=MAX_RETIRED {
            table.register(format!("n{n}"), 1, 1, 100).unwrap();
            table.retire(&format!("n{n}"), |_| true);
        }
        assert_eq!(table.retired().count(), MAX_RETIRED);
        assert_eq!(table.retired().next(), Some("n1"));
        assert_eq!(table.register("n1".into(), 1, 1, 100), Ok(101));
    }
}
