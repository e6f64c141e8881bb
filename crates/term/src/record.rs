//! Native records, new in OTP 29.

use crate::{Atom, Term};

/// A native record of OTP 29: `#module:name{field = value}`.
///
/// OTP 25 to 28 cannot read one. A node of OTP 29 sends it to every peer, whether or not the
/// peer said that it understands it.
///
/// ```
/// use enmesh_term::{Atom, NativeRecord, Term};
///
/// let [module, name, field] = ["shop", "order", "id"].map(Atom::from_static);
/// let order = NativeRecord::new(module, name, true, vec![(field, Term::Int(7))]);
/// assert_eq!(order.name().as_str(), "order");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NativeRecord {
    parts: Box<Parts>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Parts {
    module: Atom,
    name: Atom,
    flags: u8,
    fields: Vec<(Atom, Term)>,
}

impl NativeRecord {
    /// The record of these parts; `exported` says whether its module exports the definition.
    #[must_use]
    pub fn new(module: Atom, name: Atom, exported: bool, fields: Vec<(Atom, Term)>) -> Self {
        Self::with_flags(module, name, u8::from(exported), fields)
    }

    pub(crate) fn with_flags(
        module: Atom,
        name: Atom,
        flags: u8,
        fields: Vec<(Atom, Term)>,
    ) -> Self {
        Self {
            parts: Box::new(Parts {
                module,
                name,
                flags,
                fields,
            }),
        }
    }

    /// The module that defines it.
    #[must_use]
    pub fn module(&self) -> &Atom {
        &self.parts.module
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Atom {
        &self.parts.name
    }

    /// Whether its module exports the definition.
    #[must_use]
    pub fn is_exported(&self) -> bool {
        self.parts.flags & 1 != 0
    }

    /// The flags byte, verbatim; only bit 0 has a meaning in OTP 29.
    pub(crate) fn flags(&self) -> u8 {
        self.parts.flags
    }

    /// The fields, in the order in which they came.
    #[must_use]
    pub fn fields(&self) -> &[(Atom, Term)] {
        &self.parts.fields
    }

    /// The value of the field of this name.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Term> {
        self.fields()
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| value)
    }
}
