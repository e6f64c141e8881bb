//! Whether a file that is looked at again and again says something else.

/// What was seen of the file so far.
#[derive(Debug)]
pub(super) struct Watched {
    /// What has counted last.
    known: Vec<u8>,
    /// What stood there at the last look and does not count yet.
    new: Option<Vec<u8>>,
    is_gone: bool,
}

/// What a look has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It says something else.
    Changed,
    /// It is not there, or empty.
    Gone,
}

impl Watched {
    /// A file whose `content` is in force.
    pub(super) fn new(content: Vec<u8>) -> Self {
        Self {
            known: content,
            new: None,
            is_gone: false,
        }
    }

    /// Takes in what stands in the file now, if it is there. What is new counts when it stands
    /// there at two looks in a row: who writes a file in several steps must not be taken at a half
    /// of his word. For the same reason an empty file is as good as none.
    pub(super) fn look(&mut self, content: Option<Vec<u8>>) -> Option<News> {
        let Some(content) = content.filter(|it| !it.trim_ascii().is_empty()) else {
            self.new = None;
            let is_news = !std::mem::replace(&mut self.is_gone, true);
            return is_news.then_some(News::Gone);
        };
        self.is_gone = false;
        if content == self.known {
            self.new = None;
            return None;
        }
        if self.new.as_ref() == Some(&content) {
            self.take_for_known(content);
            return Some(News::Changed);
        }
        self.new = Some(content);
        None
    }

    /// What stands there is read anyway.
    pub(super) fn take_for_known(&mut self, content: Vec<u8>) {
        self.known = content;
        self.new = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(watched: &mut Watched, content: &str) -> Option<News> {
        watched.look(Some(content.into()))
    }

    #[test]
    fn what_stands_there_at_two_looks_in_a_row_counts_once() {
        let mut watched = Watched::new(b"old".into());
        assert_eq!(look(&mut watched, "old"), None);
        assert_eq!(look(&mut watched, "new"), None);
        assert_eq!(look(&mut watched, "new"), Some(News::Changed));
        assert_eq!(look(&mut watched, "new"), None);
        assert_eq!(look(&mut watched, "old"), None);
        assert_eq!(look(&mut watched, "old"), Some(News::Changed));
    }

    #[test]
    fn a_file_that_is_written_in_steps_counts_when_it_is_whole() {
        let mut watched = Watched::new(b"old".into());
        for step in ["n", "ne", "", "new"] {
            assert_ne!(look(&mut watched, step), Some(News::Changed), "{step}");
        }
        assert_eq!(look(&mut watched, "new"), Some(News::Changed));
    }

    #[test]
    fn a_file_that_goes_or_is_emptied_is_said_once_and_changes_nothing() {
        let mut watched = Watched::new(b"old".into());
        assert_eq!(watched.look(None), Some(News::Gone));
        assert_eq!(watched.look(None), None);
        assert_eq!(look(&mut watched, " \n"), None);
        assert_eq!(look(&mut watched, "old"), None);
        assert_eq!(look(&mut watched, "\n"), Some(News::Gone));
        assert_eq!(look(&mut watched, "new"), None);
        assert_eq!(watched.look(None), Some(News::Gone));
        assert_eq!(look(&mut watched, "new"), None, "it was away in between");
        assert_eq!(look(&mut watched, "new"), Some(News::Changed));
    }

    #[test]
    fn what_is_read_for_another_reason_is_no_news() {
        let mut watched = Watched::new(b"old".into());
        watched.take_for_known(b"new".into());
        assert_eq!(look(&mut watched, "new"), None);
        assert_eq!(look(&mut watched, "new"), None);
    }
}
