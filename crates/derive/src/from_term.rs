//! `impl FromTerm`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

use crate::attributes::FieldDefault;
use crate::shape::{Bodies, Body, Container, Field, Layout, MapLayout};
use crate::to_term::{binding, form};

/// Implements `FromTerm`; `term` is the path of the crate that has it.
pub(crate) fn expand(container: &Container, term: &TokenStream) -> TokenStream {
    let read = match &container.bodies {
        Bodies::Struct(body) => Reader { term, body }.read(),
        Bodies::Enum(bodies) => read_enum(bodies, term),
    };
    let mut generics = container.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#term::FromTerm));
    }
    let ident = &container.ident;
    let (generics, arguments, conditions) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #generics #term::FromTerm for #ident #arguments #conditions {
            fn from_view(
                __term: #term::TermView<'_>,
            ) -> ::core::result::Result<Self, #term::FromTermError> {
                #read
            }
        }
    }
}

/// Finds the variant by what tells it from others, then tries those that nothing tells.
fn read_enum(bodies: &[Body], term: &TokenStream) -> TokenStream {
    let support = quote!(#term::derive_support);
    let (mut told, mut tried, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for body in bodies {
        let read = Reader { term, body }.read();
        let condition = match (&body.layout, body.tag()) {
            (Layout::Atom(name), _) => {
                names.push(name);
                quote!(__term.is_atom(#name))
            }
            (_, Some(tag)) => {
                names.push(tag);
                let tags = bodies.iter().filter(|other| other.tag() == Some(tag));
                let arity = match tags.count() {
                    1 => quote!(::core::option::Option::None),
                    _ => {
                        let arity = body.arity();
                        quote!(::core::option::Option::Some(#arity))
                    }
                };
                quote!(#support::is_tagged(__term, #tag, #arity)?)
            }
            (
                Layout::Map {
                    map:
                        MapLayout {
                            elixir: Some(name), ..
                        },
                    ..
                },
                _,
            ) => {
                names.push(name);
                quote!(#support::is_struct(__term, #name)?)
            }
            _ => {
                tried.push(read);
                continue;
            }
        };
        told.push(quote!(if #condition { return #read; }));
    }
    let tries = (!tried.is_empty()).then(|| quote!(let __tries = #support::Tries::begin(__term);));
    quote! {
        #(#told)*
        #tries
        #(
            let __tried = (|| -> ::core::result::Result<Self, #term::FromTermError> { #tried })();
            match __tried {
                ::core::result::Result::Ok(__value) => {
                    return ::core::result::Result::Ok(__value);
                }
                ::core::result::Result::Err(__error) => __tries.failed(__term, &__error)?,
            }
        )*
        ::core::result::Result::Err(#support::unknown_variant(__term, &[#(#names),*]))
    }
}

struct Reader<'a> {
    term: &'a TokenStream,
    body: &'a Body,
}

impl Reader<'_> {
    /// An expression of a `Result` that reads `__term`. It may use `?` and `return`.
    fn read(&self) -> TokenStream {
        let term = self.term;
        match &self.body.layout {
            Layout::Atom(name) => {
                let made = self.made(|_, _| unreachable!("an atom has no fields"));
                quote!({ __term.expect_atom(#name)?; #made })
            }
            Layout::Transparent => self.made(|_, field| {
                let inner = quote!(#term::derive_support::inside(__term)?);
                let read = self.read_value(field, &inner);
                quote!(#read?)
            }),
            Layout::Tuple { tag } => self.read_tuple(tag.as_deref()),
            Layout::Map { tag: None, map } => self.read_map(map),
            Layout::Map {
                tag: Some(tag),
                map,
            } => {
                let read = self.read_map(map);
                quote!({
                    let __inner = #term::derive_support::content(__term, #tag)?;
                    (|__term: #term::TermView<'_>| -> ::core::result::Result<Self, #term::FromTermError> {
                        #read
                    })(__inner)
                        .map_err(|__error: #term::FromTermError| __error.within_index(1))
                })
            }
        }
    }

    /// The struct or variant, with what `present` makes of each field that is in the term.
    fn made(&self, present: impl Fn(usize, &Field) -> TokenStream) -> TokenStream {
        let variant = self.body.variant.as_ref().map(|ident| quote!(::#ident));
        let fields = self.body.fields.iter().enumerate().map(|(at, field)| {
            let member = &field.member;
            if field.skip {
                let default = self.default(field);
                return quote!(#member: #default);
            }
            let value = present(at, field);
            quote!(#member: #value)
        });
        quote!(::core::result::Result::Ok(Self #variant { #(#fields),* }))
    }

    fn read_tuple(&self, tag: Option<&str>) -> TokenStream {
        let term = self.term;
        let support = quote!(#term::derive_support);
        let first = usize::from(tag.is_some());
        let count = self.body.present().count() + first;
        let tag = match tag {
            None => quote!(::core::option::Option::None),
            Some(tag) => quote!(::core::option::Option::Some(#tag)),
        };
        let places: Vec<usize> = self.body.present().map(|(at, _)| at).collect();
        let made = self.made(|at, field| {
            let read = self.read_value(field, &quote!(#support::next(&mut __elements)));
            let within = match &field.name {
                Some(name) => quote!(__error.within_field(#name)),
                None => {
                    let place = first + places.partition_point(|other| *other < at);
                    quote!(__error.within_index(#place))
                }
            };
            quote!(#read.map_err(|__error: #term::FromTermError| #within)?)
        });
        let mutable = (count > first).then(|| quote!(mut));
        quote!({
            let #mutable __elements = #support::elements(__term, #tag, #count)?;
            #made
        })
    }

    fn read_map(&self, map: &MapLayout) -> TokenStream {
        let term = self.term;
        let support = quote!(#term::derive_support);
        let is_binary = map.binary_keys;
        let slots = self.body.present().map(|(at, field)| {
            let (slot, ty) = (binding(at), &field.ty);
            quote!(let mut #slot: ::core::option::Option<#ty> = ::core::option::Option::None;)
        });
        let keys = self.body.present().map(|(_, field)| &field.key);
        let arms = self.body.present().enumerate().map(|(found, (at, field))| {
            let (slot, name) = (binding(at), field.name.as_deref().unwrap_or_default());
            let read = self.read_value(field, &quote!(__value));
            quote!(::core::option::Option::Some(#found) => {
                #support::put(&mut #slot, #read, #name)?;
            })
        });
        let elixir = map.elixir.iter().map(|name| {
            quote! {
                ::core::option::Option::None if __key.is_atom("__struct__") => {
                    __is_struct = #support::expect_struct(__value, #name)?;
                }
            }
        });
        let (begin, end) = match &map.elixir {
            None => (None, None),
            Some(_) => (
                Some(quote!(let mut __is_struct = false;)),
                Some(quote!(if !__is_struct {
                    return ::core::result::Result::Err(#support::missing("__struct__"));
                })),
            ),
        };
        let otherwise = if map.deny_unknown {
            quote!(return ::core::result::Result::Err(#support::unknown_key(__key)))
        } else {
            quote!({})
        };
        let made = self.made(|at, field| self.take(at, field));
        quote!({
            #begin
            #(#slots)*
            for (__key, __value) in __term.map()?.1 {
                match #support::find_key(__key, &[#(#keys),*], #is_binary) {
                    #(#arms)*
                    #(#elixir)*
                    _ => #otherwise,
                }
            }
            #end
            #made
        })
    }

    /// What was found under the field's key, or what stands for it.
    fn take(&self, at: usize, field: &Field) -> TokenStream {
        let (term, slot, ty) = (self.term, binding(at), &field.ty);
        let name = field.name.as_deref().unwrap_or_default();
        if field.default.is_some() {
            let default = self.default(field);
            return quote!(match #slot {
                ::core::option::Option::Some(__value) => __value,
                ::core::option::Option::None => #default,
            });
        }
        let absent = match field.form {
            None => quote!(<#ty as #term::FromTerm>::absent()),
            Some(form) => {
                let form = self::form(term, form);
                quote!(<#form as #term::derive_support::ReadAs<#ty>>::absent())
            }
        };
        quote!(#term::derive_support::found(#slot.or_else(|| #absent), #name)?)
    }

    fn default(&self, field: &Field) -> TokenStream {
        match &field.default {
            Some(FieldDefault::Function(function)) => quote!(#function()),
            Some(FieldDefault::Trait) | None => quote!(::core::default::Default::default()),
        }
    }

    fn read_value(&self, field: &Field, from: &TokenStream) -> TokenStream {
        let (term, ty) = (self.term, &field.ty);
        match field.form {
            None => quote!(<#ty as #term::FromTerm>::from_view(#from)),
            Some(form) => {
                let form = self::form(term, form);
                quote!(<#form as #term::derive_support::ReadAs<#ty>>::from_view(#from))
            }
        }
    }
}
