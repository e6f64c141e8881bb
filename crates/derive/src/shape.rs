//! What a struct or enum looks like as a term.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::{Data, DeriveInput, Fields, Generics, Ident, Member, Path, Result, Type};

use crate::attributes::{
    ContainerAttributes, FieldAttributes, FieldDefault, Form, LayoutAttributes, VariantAttributes,
};
use crate::names::Case;

/// A struct or enum that is derived for.
pub(crate) struct Container {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) krate: Option<Path>,
    pub(crate) bodies: Bodies,
}

pub(crate) enum Bodies {
    Struct(Body),
    Enum(Vec<Body>),
}

/// A struct, or a variant of an enum.
pub(crate) struct Body {
    /// `None` for a struct.
    pub(crate) variant: Option<Ident>,
    pub(crate) layout: Layout,
    pub(crate) fields: Vec<Field>,
}

/// How fields lie in a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Nothing but an atom.
    Atom(String),
    /// As the one field itself.
    Transparent,
    /// One after the other in a tuple, behind a tag.
    Tuple { tag: Option<String> },
    /// In a map; the map behind a tag in a pair.
    Map { tag: Option<String>, map: MapLayout },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MapLayout {
    pub(crate) elixir: Option<String>,
    pub(crate) binary_keys: bool,
    pub(crate) deny_unknown: bool,
}

pub(crate) struct Field {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    /// The name in errors; `None` for fields that are counted.
    pub(crate) name: Option<String>,
    /// The key in a map.
    pub(crate) key: String,
    pub(crate) default: Option<FieldDefault>,
    pub(crate) skip: bool,
    pub(crate) form: Option<Form>,
}

impl Container {
    pub(crate) fn parse(input: DeriveInput) -> Result<Self> {
        let attributes = ContainerAttributes::parse(&input.attrs)?;
        let bodies = match &input.data {
            Data::Struct(data) => {
                if attributes.untagged {
                    return Err(error(&input.ident, "only an enum can be untagged"));
                }
                let place = Place::Struct(&input.ident);
                let case = attributes.rename_all.unwrap_or(Case::AsIs);
                Bodies::Struct(Body::parse(place, &data.fields, &attributes.layout, case)?)
            }
            Data::Enum(data) => Bodies::Enum(variants(&input.ident, data, &attributes)?),
            Data::Union(_) => return Err(error(&input.ident, "a union cannot be a term")),
        };
        Ok(Self {
            ident: input.ident,
            generics: input.generics,
            krate: attributes.krate,
            bodies,
        })
    }
}

fn variants(
    ident: &Ident,
    data: &syn::DataEnum,
    attributes: &ContainerAttributes,
) -> Result<Vec<Body>> {
    if data.variants.is_empty() {
        return Err(error(ident, "an enum without variants is no term"));
    }
    let layout = &attributes.layout;
    if layout.tuple || layout.record.is_some() || layout.elixir.is_some() || layout.rename.is_some()
    {
        let message = "tuple, record, struct and rename stand on a struct or on a variant";
        return Err(error(ident, message));
    }
    let case = attributes.rename_all.unwrap_or(Case::Snake);
    let mut bodies = Vec::new();
    for variant in &data.variants {
        let mut own = VariantAttributes::parse(&variant.attrs)?;
        own.layout.binary_keys |= layout.binary_keys;
        own.layout.deny_unknown |= layout.deny_unknown;
        let place = Place::Variant {
            ident: &variant.ident,
            name: case.apply(&variant.ident.unraw().to_string()),
            untagged: own.untagged || attributes.untagged,
        };
        let body = Body::parse(place, &variant.fields, &own.layout, Case::AsIs)?;
        if bodies.iter().any(|other| body.clashes(other)) {
            let message = "another variant has this tag and as many fields: rename one of them";
            return Err(error(&variant.ident, message));
        }
        bodies.push(body);
    }
    Ok(bodies)
}

/// Where a body stands.
enum Place<'a> {
    Struct(&'a Ident),
    Variant {
        ident: &'a Ident,
        name: String,
        untagged: bool,
    },
}

impl Place<'_> {
    const fn ident(&self) -> &Ident {
        match self {
            Self::Struct(ident) | Self::Variant { ident, .. } => ident,
        }
    }

    /// The atom that stands for it, unless it was renamed.
    fn name(&self) -> String {
        match self {
            Self::Struct(ident) => Case::Snake.apply(&ident.unraw().to_string()),
            Self::Variant { name, .. } => name.clone(),
        }
    }

    const fn is_tagged(&self) -> bool {
        matches!(
            self,
            Self::Variant {
                untagged: false,
                ..
            }
        )
    }
}

impl Body {
    fn parse(
        place: Place<'_>,
        fields: &Fields,
        attributes: &LayoutAttributes,
        case: Case,
    ) -> Result<Self> {
        let parsed: Vec<Field> = fields
            .iter()
            .enumerate()
            .map(|(at, field)| Field::parse(at, field, case))
            .collect::<Result<_>>()?;
        let layout = layout(&place, fields, &parsed, attributes)?;
        let variant = match &place {
            Place::Struct(_) => None,
            Place::Variant { ident, .. } => Some((*ident).clone()),
        };
        let body = Self {
            variant,
            layout,
            fields: parsed,
        };
        body.check(place.ident(), fields)?;
        Ok(body)
    }

    /// The fields that are in the term.
    pub(crate) fn present(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields
            .iter()
            .enumerate()
            .filter(|(_, field)| !field.skip)
    }

    /// How many elements it has as a tagged tuple.
    pub(crate) fn arity(&self) -> usize {
        match &self.layout {
            Layout::Map { .. } => 2,
            _ => self.present().count() + 1,
        }
    }

    /// The tag of a tagged tuple.
    pub(crate) const fn tag(&self) -> Option<&String> {
        match &self.layout {
            Layout::Tuple { tag } | Layout::Map { tag, .. } => tag.as_ref(),
            Layout::Atom(_) | Layout::Transparent => None,
        }
    }

    /// Whether a term could be either of two variants by its tag.
    fn clashes(&self, other: &Self) -> bool {
        match (&self.layout, &other.layout) {
            (Layout::Atom(name), Layout::Atom(other)) => name == other,
            _ => self.tag().is_some() && self.tag() == other.tag() && self.arity() == other.arity(),
        }
    }

    /// Refuses what cannot be, or would be without effect.
    fn check(&self, ident: &Ident, fields: &Fields) -> Result<()> {
        let is_map = matches!(self.layout, Layout::Map { .. });
        for (parsed, field) in self.fields.iter().zip(fields) {
            if !is_map && !parsed.skip && parsed.default.is_some() {
                let message = "a default is for a key that a map may lack; here is no map";
                return Err(error(field, message));
            }
            let is_renamed = FieldAttributes::parse(&field.attrs)?.rename.is_some();
            if is_renamed && (!is_map || parsed.skip) {
                return Err(error(field, "rename is for the key of a map; here is none"));
            }
            if parsed.skip && parsed.form.is_some() {
                return Err(error(field, "a field that is left out has no form"));
            }
        }
        let mut keys: Vec<&str> = self
            .present()
            .map(|(_, field)| field.key.as_str())
            .collect();
        if let Layout::Map { map, .. } = &self.layout
            && map.elixir.is_some()
        {
            keys.push("__struct__");
        }
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1])
            && is_map
        {
            let message = format!("two fields have the key {:?}: rename one of them", twice[0]);
            return Err(error(ident, message));
        }
        Ok(())
    }
}

fn layout(
    place: &Place<'_>,
    fields: &Fields,
    parsed: &[Field],
    attributes: &LayoutAttributes,
) -> Result<Layout> {
    let ident = place.ident();
    let LayoutAttributes {
        rename,
        tuple,
        record,
        elixir,
        ..
    } = attributes;
    if usize::from(*tuple) + usize::from(record.is_some()) + usize::from(elixir.is_some()) > 1 {
        return Err(error(ident, "choose one of tuple, record and struct"));
    }
    let is_unit = matches!(fields, Fields::Unit);
    if is_unit && *tuple {
        return Err(error(
            ident,
            "there is nothing to put into a tuple: leave tuple out",
        ));
    }
    let has_keys = matches!(fields, Fields::Named(_)) && !*tuple && record.is_none();
    // A variant may have what was said of the whole enum.
    let is_struct = matches!(place, Place::Struct(_));
    let speaks_of_keys = is_struct && (attributes.binary_keys || attributes.deny_unknown);
    if !has_keys && (elixir.is_some() || speaks_of_keys) {
        let message = "struct, keys and deny_unknown are for named fields in a map";
        return Err(error(ident, message));
    }
    let name = rename
        .as_ref()
        .map_or_else(|| place.name(), syn::LitStr::value);
    let tag = match record {
        Some(record) => Some(record.value()),
        None if place.is_tagged() && elixir.is_none() => Some(name.clone()),
        None => None,
    };
    if rename.is_some() && !is_unit && (tag.is_none() || record.is_some()) {
        let message = "rename is for the tag of a variant; a tuple gets one by record = \"name\"";
        return Err(error(ident, message));
    }
    let present = parsed.iter().filter(|field| !field.skip).count();
    Ok(match fields {
        Fields::Unit if record.is_none() => Layout::Atom(name),
        Fields::Named(_) if has_keys => Layout::Map {
            tag,
            map: attributes.map(),
        },
        Fields::Unnamed(_) if tag.is_none() && present == 1 && !*tuple => Layout::Transparent,
        _ => Layout::Tuple { tag },
    })
}

impl LayoutAttributes {
    fn map(&self) -> MapLayout {
        MapLayout {
            elixir: self.elixir.as_ref().map(syn::LitStr::value),
            binary_keys: self.binary_keys,
            deny_unknown: self.deny_unknown,
        }
    }
}

impl Field {
    fn parse(at: usize, field: &syn::Field, case: Case) -> Result<Self> {
        let attributes = FieldAttributes::parse(&field.attrs)?;
        let name = field.ident.as_ref().map(|ident| ident.unraw().to_string());
        let spelled = name.as_deref().map(|name| case.apply(name));
        let renamed = attributes.rename.as_ref().map(syn::LitStr::value);
        let member = match &field.ident {
            Some(ident) => Member::Named(ident.clone()),
            None => Member::Unnamed(syn::Index {
                index: u32::try_from(at).unwrap_or(u32::MAX),
                span: Span::call_site(),
            }),
        };
        Ok(Self {
            member,
            ty: field.ty.clone(),
            name,
            key: renamed.or(spelled).unwrap_or_default(),
            default: attributes.default,
            skip: attributes.skip,
            form: attributes.form,
        })
    }
}

fn error(at: &impl quote::ToTokens, message: impl std::fmt::Display) -> syn::Error {
    syn::Error::new_spanned(at, message)
}
