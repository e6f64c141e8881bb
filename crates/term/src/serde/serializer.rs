//! Values to terms.

use serde::ser::{self, Serialize};

use crate::serde::SerdeError;
use crate::{Atom, MAX_TYPED_DEPTH, Term, ToTerm};

type Result<T> = std::result::Result<T, SerdeError>;

/// A container is made for this many elements at once; it grows as more come.
const MAX_RESERVED: usize = 1024;

/// Makes one term.
#[derive(Clone, Copy)]
pub(super) struct Serializer {
    /// How many containers are around.
    depth: usize,
}

impl Serializer {
    pub(super) const fn new() -> Self {
        Self { depth: 0 }
    }

    fn deeper(self) -> Result<Self> {
        if self.depth >= MAX_TYPED_DEPTH {
            return Err(SerdeError::TooDeep);
        }
        let depth = self.depth + 1;
        Ok(Self { depth })
    }

    fn elements(self, kind: Kind, tag: Option<&str>, len: usize) -> Result<Elements> {
        let inside = self.deeper()?;
        let mut elements = Vec::with_capacity(len.min(MAX_RESERVED) + 1);
        elements.extend(tag.map(atom).transpose()?);
        Ok(Elements {
            kind,
            elements,
            inside,
        })
    }

    fn pairs(self, tag: Option<&str>, len: usize) -> Result<Pairs> {
        let tag = tag.map(atom).transpose()?;
        let around = if tag.is_some() { self.deeper()? } else { self };
        Ok(Pairs {
            tag,
            key: None,
            pairs: Vec::with_capacity(len.min(MAX_RESERVED)),
            inside: around.deeper()?,
        })
    }
}

fn atom(name: &str) -> Result<Term> {
    Ok(Atom::new(name)?.into())
}

macro_rules! scalars {
    ($($serialize:ident: $scalar:ty),* $(,)?) => {$(
        fn $serialize(self, value: $scalar) -> Result<Term> {
            Ok(value.to_term())
        }
    )*};
}

impl ser::Serializer for Serializer {
    type Ok = Term;
    type Error = SerdeError;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Pairs;
    type SerializeStruct = Pairs;
    type SerializeStructVariant = Pairs;

    scalars! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_u128: u128, serialize_f32: f32, serialize_f64: f64,
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Term> {
        Ok(Term::binary(bytes))
    }

    fn serialize_none(self) -> Result<Term> {
        Ok(Term::atom("nil"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Term> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Term> {
        Ok(Term::atom("nil"))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Term> {
        Ok(Term::atom("nil"))
    }

    fn serialize_unit_variant(self, _: &str, _: u32, variant: &'static str) -> Result<Term> {
        atom(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Term> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Term> {
        let value = value.serialize(self.deeper()?)?;
        Ok(Term::tuple([atom(variant)?, value]))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Elements> {
        self.elements(Kind::List, None, len.unwrap_or(0))
    }

    fn serialize_tuple(self, len: usize) -> Result<Elements> {
        self.elements(Kind::Tuple, None, len)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Elements> {
        self.elements(Kind::Tuple, None, len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Elements> {
        self.elements(Kind::Tuple, Some(variant), len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Pairs> {
        self.pairs(None, len.unwrap_or(0))
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Pairs> {
        self.pairs(None, len)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Pairs> {
        self.pairs(Some(variant), len)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    List,
    Tuple,
}

/// Gathers the elements of a list or tuple.
pub(super) struct Elements {
    kind: Kind,
    elements: Vec<Term>,
    inside: Serializer,
}

impl Elements {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.elements.push(value.serialize(self.inside)?);
        Ok(())
    }

    fn finish(self) -> Result<Term> {
        Ok(match self.kind {
            Kind::List => Term::List(self.elements),
            Kind::Tuple => Term::Tuple(self.elements),
        })
    }
}

macro_rules! sequences {
    ($($trait:ident::$push:ident),*) => {$(
        impl ser::$trait for Elements {
            type Ok = Term;
            type Error = SerdeError;

            fn $push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.push(value)
            }

            fn end(self) -> Result<Term> {
                self.finish()
            }
        }
    )*};
}

sequences!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// Gathers the pairs of a map.
pub(super) struct Pairs {
    tag: Option<Term>,
    /// A key whose value comes next.
    key: Option<Term>,
    pairs: Vec<(Term, Term)>,
    inside: Serializer,
}

impl Pairs {
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        self.pairs
            .push((atom(name)?, value.serialize(self.inside)?));
        Ok(())
    }

    /// A node closes the link over a map with a key twice, so equal ones are made one.
    fn finish(self) -> Result<Term> {
        let map = Term::map(self.pairs);
        Ok(match self.tag {
            None => map,
            Some(tag) => Term::tuple([tag, map]),
        })
    }
}

impl ser::SerializeMap for Pairs {
    type Ok = Term;
    type Error = SerdeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key = Some(key.serialize(self.inside)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let no_key = || SerdeError::custom("a value of a map without its key");
        let key = self.key.take().ok_or_else(no_key)?;
        self.pairs.push((key, value.serialize(self.inside)?));
        Ok(())
    }

    fn end(self) -> Result<Term> {
        self.finish()
    }
}

macro_rules! structs {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Pairs {
            type Ok = Term;
            type Error = SerdeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<()> {
                self.field(name, value)
            }

            fn end(self) -> Result<Term> {
                self.finish()
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);
