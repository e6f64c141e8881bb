//! The environment of the process, taken once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The environment variables as they were at the start, those that are valid UTF-8.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// Where the files are that kubelet writes into a container.
    root: PathBuf,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            variables: BTreeMap::new(),
            root: PathBuf::from("/"),
        }
    }
}

impl Environment {
    /// The variables of this process.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of `name`, if it is set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The same with another value of `name`.
    pub(crate) fn with(mut self, name: &str, value: String) -> Self {
        self.variables.insert(name.to_owned(), value);
        self
    }

    /// The same with the container's files in another place.
    #[cfg(test)]
    pub(crate) fn with_root(self, root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ..self
        }
    }

    /// Where the container's files are.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The value of `name` if it is set and not empty: an empty variable means "not given", as
    /// in a Deployment that blanks one out.
    pub(crate) fn get_filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self {
            variables: pairs.into_iter().collect(),
            ..Self::default()
        }
    }
}
