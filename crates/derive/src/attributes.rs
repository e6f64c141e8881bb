//! What stands in `#[term(…)]`.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, ExprPath, LitStr, Path, Result};

use crate::names::Case;

/// The longest atom, in characters.
const MAX_ATOM_CHARS: usize = 255;

/// What `#[term(…)]` on a struct or enum says.
#[derive(Default)]
pub(crate) struct ContainerAttributes {
    pub(crate) layout: LayoutAttributes,
    pub(crate) rename_all: Option<Case>,
    pub(crate) krate: Option<Path>,
    pub(crate) untagged: bool,
}

/// How a struct or a variant is laid out.
#[derive(Default)]
pub(crate) struct LayoutAttributes {
    pub(crate) rename: Option<LitStr>,
    pub(crate) tuple: bool,
    pub(crate) record: Option<LitStr>,
    pub(crate) elixir: Option<LitStr>,
    pub(crate) binary_keys: bool,
    pub(crate) deny_unknown: bool,
}

/// What `#[term(…)]` on a variant says.
#[derive(Default)]
pub(crate) struct VariantAttributes {
    pub(crate) layout: LayoutAttributes,
    pub(crate) untagged: bool,
}

/// What `#[term(…)]` on a field says.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) rename: Option<LitStr>,
    pub(crate) default: Option<FieldDefault>,
    pub(crate) skip: bool,
    pub(crate) form: Option<Form>,
}

/// What a field is if a map does not have its key.
pub(crate) enum FieldDefault {
    /// What `Default` says.
    Trait,
    /// What this function returns.
    Function(ExprPath),
}

/// Another form of a field than its type's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Charlist,
    Binary,
    Undefined,
}

/// Hands each part of each `#[term(…)]` to `take`, which says whether it knew it.
fn parse(
    attributes: &[Attribute],
    known: &str,
    mut take: impl FnMut(&ParseNestedMeta<'_>) -> Result<bool>,
) -> Result<()> {
    for attribute in attributes {
        if attribute.path().is_ident("term") {
            attribute.parse_nested_meta(|meta| {
                if take(&meta)? {
                    return Ok(());
                }
                Err(meta.error(format!("not known here; there are {known}")))
            })?;
        }
    }
    Ok(())
}

/// The text behind `=`, which must do as an atom.
fn atom(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let name: LitStr = meta.value()?.parse()?;
    if name.value().chars().count() > MAX_ATOM_CHARS {
        return Err(syn::Error::new_spanned(
            name,
            "an atom has at most 255 characters",
        ));
    }
    Ok(name)
}

impl LayoutAttributes {
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<bool> {
        if meta.path.is_ident("rename") {
            self.rename = Some(atom(meta)?);
        } else if meta.path.is_ident("tuple") {
            self.tuple = true;
        } else if meta.path.is_ident("record") {
            self.record = Some(atom(meta)?);
        } else if meta.path.is_ident("struct") {
            self.elixir = Some(elixir_module(meta)?);
        } else if meta.path.is_ident("deny_unknown") {
            self.deny_unknown = true;
        } else if meta.path.is_ident("keys") {
            let kind: LitStr = meta.value()?.parse()?;
            self.binary_keys = match kind.value().as_str() {
                "binary" => true,
                "atom" => false,
                _ => {
                    return Err(syn::Error::new_spanned(
                        kind,
                        "keys are \"atom\" or \"binary\"",
                    ));
                }
            };
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// The full name of an Elixir module, as its atom has it.
fn elixir_module(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let name = atom(meta)?;
    let value = name.value();
    if value.starts_with(char::is_uppercase) && !value.starts_with("Elixir.") {
        let message = format!("an Elixir module's atom has a prefix: write \"Elixir.{value}\"");
        return Err(syn::Error::new_spanned(name, message));
    }
    Ok(name)
}

impl ContainerAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self::default();
        let known =
            "tuple, record, struct, keys, deny_unknown, rename, rename_all, untagged, crate";
        parse(attributes, known, |meta| {
            if meta.path.is_ident("rename_all") {
                parsed.rename_all = Some(Case::parse(&meta.value()?.parse()?)?);
            } else if meta.path.is_ident("untagged") {
                parsed.untagged = true;
            } else if meta.path.is_ident("crate") {
                parsed.krate = Some(meta.value()?.parse::<LitStr>()?.parse()?);
            } else {
                return parsed.layout.take(meta);
            }
            Ok(true)
        })?;
        Ok(parsed)
    }
}

impl VariantAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self::default();
        let known = "rename, tuple, record, struct, keys, deny_unknown, untagged";
        parse(attributes, known, |meta| {
            if meta.path.is_ident("untagged") {
                parsed.untagged = true;
                return Ok(true);
            }
            parsed.layout.take(meta)
        })?;
        Ok(parsed)
    }
}

impl FieldAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self::default();
        let known = "rename, default, skip, charlist, binary, undefined";
        parse(attributes, known, |meta| {
            if meta.path.is_ident("rename") {
                parsed.rename = Some(atom(meta)?);
            } else if meta.path.is_ident("skip") {
                parsed.skip = true;
            } else if meta.path.is_ident("default") {
                parsed.default = Some(if meta.input.peek(syn::Token![=]) {
                    FieldDefault::Function(meta.value()?.parse::<LitStr>()?.parse()?)
                } else {
                    FieldDefault::Trait
                });
            } else if meta.path.is_ident("atom") {
                return Err(meta.error(
                    "text never becomes an atom, because nodes keep atoms for ever: give the \
                     field the type Atom, or an enum",
                ));
            } else if let Some(form) = form(&meta.path) {
                if parsed.form.is_some_and(|other| other != form) {
                    return Err(meta.error("a field has one form"));
                }
                parsed.form = Some(form);
            } else {
                return Ok(false);
            }
            Ok(true)
        })?;
        Ok(parsed)
    }
}

fn form(path: &Path) -> Option<Form> {
    [
        ("charlist", Form::Charlist),
        ("binary", Form::Binary),
        ("undefined", Form::Undefined),
    ]
    .into_iter()
    .find_map(|(name, form)| path.is_ident(name).then_some(form))
}
