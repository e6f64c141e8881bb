//! Terms to values.

use num_bigint::BigInt;
use serde::de::{self, DeserializeSeed, IntoDeserializer as _, Visitor};

use crate::serde::{SerdeError, tries};
use crate::{FromTerm, Mismatch, PathStep, TermView, ViewElements, ViewPairs};

type Result<T> = std::result::Result<T, SerdeError>;

/// Reads one term.
#[derive(Clone, Copy)]
pub(super) struct Deserializer<'de> {
    term: TermView<'de>,
}

impl<'de> Deserializer<'de> {
    pub(super) const fn new(term: TermView<'de>) -> Self {
        Self { term }
    }

    fn is_nil(self) -> bool {
        self.term.is_atom("nil") || self.term.is_atom("undefined")
    }

    /// The elements of a list or tuple, with the number of those that went before.
    fn elements<V: Visitor<'de>>(
        elements: ViewElements<'de>,
        at: usize,
        visitor: V,
    ) -> Result<V::Value> {
        let mut elements = Elements { elements, at };
        let value = visitor.visit_seq(&mut elements)?;
        let found = elements.elements.by_ref().count() + elements.at;
        if found > elements.at {
            let expected = elements.at;
            return Err(SerdeError::Term(
                Mismatch::Length { expected, found }.into(),
            ));
        }
        elements.elements.finish()?;
        Ok(value)
    }

    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if let Some(int) = self.term.as_int() {
            return visitor.visit_i64(int);
        }
        let big: BigInt = self.term.integer()?;
        if let Ok(int) = u64::try_from(&big) {
            visitor.visit_u64(int)
        } else if let Ok(int) = i128::try_from(&big) {
            visitor.visit_i128(int)
        } else if let Ok(int) = u128::try_from(&big) {
            visitor.visit_u128(int)
        } else {
            let expected = "128 bits";
            Err(SerdeError::Term(Mismatch::OutOfRange { expected }.into()))
        }
    }

    fn atom<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if let Ok(truth) = bool::from_view(self.term) {
            visitor.visit_bool(truth)
        } else if self.is_nil() {
            visitor.visit_unit()
        } else {
            visitor.visit_str(self.term.atom()?.as_str())
        }
    }
}

/// Reads what may be of one kind only.
macro_rules! exactly {
    ($($deserialize:ident => $visit:ident($term:ident: $read:expr)),* $(,)?) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let $term = self.term;
            visitor.$visit($read)
        }
    )*};
}

macro_rules! integers {
    ($($deserialize:ident),*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.integer(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Deserializer<'de> {
    type Error = SerdeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let term = self.term;
        if let Some(bytes) = term.as_bytes() {
            match std::str::from_utf8(bytes) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => visitor.visit_borrowed_bytes(bytes),
            }
        } else if let Some(float) = term.as_float() {
            visitor.visit_f64(float)
        } else if term.is_map() {
            self.deserialize_map(visitor)
        } else if term.is_sequence() {
            self.deserialize_seq(visitor)
        } else if term.is_atomic() {
            self.atom(visitor)
        } else if term.is_integer() {
            self.integer(visitor)
        } else {
            Err(term.mismatch("a term that serde knows").into())
        }
    }

    integers!(
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_i128,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_u128
    );

    exactly! {
        deserialize_bool => visit_bool(term: bool::from_view(term)?),
        deserialize_f32 => visit_f32(term: f32::from_view(term)?),
        deserialize_f64 => visit_f64(term: f64::from_view(term)?),
        deserialize_char => visit_char(term: char::from_view(term)?),
        deserialize_str => visit_borrowed_str(term: term.text()?),
        deserialize_string => visit_borrowed_str(term: term.text()?),
        deserialize_bytes => visit_borrowed_bytes(term: term.bytes()?),
        deserialize_byte_buf => visit_borrowed_bytes(term: term.bytes()?),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.is_nil() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.is_nil() {
            return visitor.visit_unit();
        }
        let nil = Mismatch::OtherAtom { expected: "nil" };
        Err(SerdeError::Term(nil.into()))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let elements = if self.term.is_tuple() {
            self.term.tuple()?.1
        } else {
            self.term.list()?
        };
        Self::elements(elements, 0, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let (_, pairs) = self.term.map()?;
        visitor.visit_map(Pairs { pairs, last: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if !self.term.is_tuple() {
            let atom = self.term.atom()?;
            return visitor.visit_enum(atom.as_str().into_deserializer());
        }
        let (count, elements) = self.term.tuple()?;
        visitor.visit_enum(Tagged { count, elements })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if let Some(bytes) = self.term.as_bytes() {
            return visitor.visit_borrowed_bytes(bytes);
        }
        if self.term.is_atomic() {
            return visitor.visit_str(self.term.atom()?.as_str());
        }
        // A key that is no name at all, such as a number: no field has it.
        visitor.visit_borrowed_bytes(b"")
    }

    /// Passes over anything at once, however deep it is.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }
}

/// Hands out the elements of a list or tuple.
struct Elements<'de> {
    elements: ViewElements<'de>,
    /// How many were handed out, or lie before the first.
    at: usize,
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'de> {
    type Error = SerdeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(term) = self.elements.next() else {
            return Ok(None);
        };
        tries::element();
        let at = self.at;
        self.at += 1;
        let value = seed.deserialize(Deserializer { term });
        value
            .map(Some)
            .map_err(|error| error.within(|| PathStep::Index(at)))
    }
}

/// Hands out the pairs of a map.
struct Pairs<'de> {
    pairs: ViewPairs<'de>,
    last: Option<(TermView<'de>, TermView<'de>)>,
}

impl<'de> de::MapAccess<'de> for Pairs<'de> {
    type Error = SerdeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.last = self.pairs.next();
        let Some((term, _)) = self.last else {
            return Ok(None);
        };
        tries::element();
        let key = seed.deserialize(Deserializer { term });
        key.map(Some)
            .map_err(|error| error.within(|| PathStep::Key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let no_key = || SerdeError::custom("a value of a map without its key");
        let (key, term) = self.last.take().ok_or_else(no_key)?;
        let step = || key.to_term().map_or(PathStep::Key, PathStep::Value);
        let value = seed.deserialize(Deserializer { term });
        value.map_err(|error| error.within(step))
    }
}

/// A variant as a tuple that begins with its name.
struct Tagged<'de> {
    count: usize,
    elements: ViewElements<'de>,
}

impl<'de> de::EnumAccess<'de> for Tagged<'de> {
    type Error = SerdeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self)> {
        let empty = Mismatch::Length {
            expected: 1,
            found: 0,
        };
        let term = self.elements.next();
        let term = term.ok_or_else(|| SerdeError::Term(empty.into()))?;
        let name = seed.deserialize(Deserializer { term });
        let name = name.map_err(|error| error.within(|| PathStep::Index(0)))?;
        Ok((name, self))
    }
}

impl<'de> Tagged<'de> {
    /// The one element behind the tag.
    fn content(mut self) -> Result<Deserializer<'de>> {
        let (expected, found) = (2, self.count);
        match self.elements.next() {
            Some(term) if found == expected => Ok(Deserializer { term }),
            _ => Err(SerdeError::Term(
                Mismatch::Length { expected, found }.into(),
            )),
        }
    }
}

impl<'de> de::VariantAccess<'de> for Tagged<'de> {
    type Error = SerdeError;

    fn unit_variant(self) -> Result<()> {
        let (expected, found) = (1, self.count);
        if found > expected {
            return Err(SerdeError::Term(
                Mismatch::Length { expected, found }.into(),
            ));
        }
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        let value = seed.deserialize(self.content()?);
        value.map_err(|error| error.within(|| PathStep::Index(1)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        Deserializer::elements(self.elements, 1, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let value = de::Deserializer::deserialize_map(self.content()?, visitor);
        value.map_err(|error| error.within(|| PathStep::Index(1)))
    }
}
