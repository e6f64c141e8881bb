//! `impl ToTerm`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::parse_quote;

use crate::attributes::Form;
use crate::shape::{Bodies, Body, Container, Field, Layout, MapLayout};

/// Implements `ToTerm`; `term` is the path of the crate that has it.
pub(crate) fn expand(container: &Container, term: &TokenStream) -> TokenStream {
    let bodies = match &container.bodies {
        Bodies::Struct(body) => std::slice::from_ref(body),
        Bodies::Enum(bodies) => bodies,
    };
    let (mut trees, mut writes) = (Vec::new(), Vec::new());
    for body in bodies {
        let writer = Writer { term, body };
        let (pattern, tree, write) = (writer.pattern(), writer.tree(), writer.write());
        trees.push(quote!(#pattern => #tree,));
        writes.push(quote!(#pattern => { #write }));
    }
    let mut generics = container.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#term::ToTerm));
    }
    let ident = &container.ident;
    let (generics, arguments, conditions) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #generics #term::ToTerm for #ident #arguments #conditions {
            fn to_term(&self) -> #term::Term {
                match self { #(#trees)* }
            }

            fn encode_with<__B: #term::derive_support::BufMut>(
                &self,
                __encoder: &mut #term::Encoder<'_, __B>,
            ) {
                match self { #(#writes)* }
            }
        }
    }
}

/// An atom made at compile time.
pub(crate) fn atom(term: &TokenStream, name: &str) -> TokenStream {
    quote!(const { #term::Atom::from_static(#name) })
}

/// The form of a field that is not its type's own.
pub(crate) fn form(term: &TokenStream, form: Form) -> TokenStream {
    match form {
        Form::Charlist => quote!(#term::derive_support::AsCharlist),
        Form::Binary => quote!(#term::derive_support::AsBinary),
        Form::Undefined => quote!(#term::derive_support::AsUndefined),
    }
}

/// The name that the field at `at` is bound to.
pub(crate) fn binding(at: usize) -> Ident {
    format_ident!("__field_{at}")
}

struct Writer<'a> {
    term: &'a TokenStream,
    body: &'a Body,
}

impl Writer<'_> {
    fn pattern(&self) -> TokenStream {
        let variant = self.body.variant.as_ref().map(|ident| quote!(::#ident));
        let bound = self.body.present().map(|(at, field)| {
            let (member, binding) = (&field.member, binding(at));
            quote!(#member: #binding)
        });
        quote!(Self #variant { #(#bound,)* .. })
    }

    fn tree(&self) -> TokenStream {
        let term = self.term;
        let values = self.body.present().map(|(at, field)| self.value(at, field));
        match &self.body.layout {
            Layout::Atom(name) => {
                let name = atom(term, name);
                quote!(#term::Term::Atom(#name))
            }
            Layout::Transparent => quote!(#(#values)*),
            Layout::Tuple { tag } => {
                let tag = tag.iter().map(|tag| {
                    let tag = atom(term, tag);
                    quote!(#term::Term::Atom(#tag))
                });
                let elements = tag.chain(values);
                quote!(#term::Term::Tuple(::std::vec::Vec::from([#(#elements),*])))
            }
            Layout::Map { tag, map } => {
                let map = self.map_tree(map);
                match tag.as_ref().map(|tag| atom(term, tag)) {
                    None => map,
                    Some(tag) => quote! {
                        #term::Term::Tuple(::std::vec::Vec::from([#term::Term::Atom(#tag), #map]))
                    },
                }
            }
        }
    }

    fn map_tree(&self, map: &MapLayout) -> TokenStream {
        let term = self.term;
        let elixir = map.elixir.iter().map(|name| {
            let (key, name) = (atom(term, "__struct__"), atom(term, name));
            quote!((#term::Term::Atom(#key), #term::Term::Atom(#name)))
        });
        let fields = self.body.present().map(|(at, field)| {
            let value = self.value(at, field);
            let name = &field.key;
            if map.binary_keys {
                return quote!((#term::Term::binary(#name), #value));
            }
            let key = atom(term, name);
            quote!((#term::Term::Atom(#key), #value))
        });
        let pairs = elixir.chain(fields);
        quote!(#term::Term::Map(::std::vec::Vec::from([#(#pairs),*])))
    }

    fn write(&self) -> TokenStream {
        let term = self.term;
        let writes = self
            .body
            .present()
            .map(|(at, field)| self.write_value(at, field));
        let put_atom = |name: &String| {
            let name = atom(term, name);
            quote!(__encoder.atom(&#name);)
        };
        match &self.body.layout {
            Layout::Atom(name) => put_atom(name),
            Layout::Transparent => quote!(#(#writes)*),
            Layout::Tuple { tag } => {
                let count = self.body.present().count() + usize::from(tag.is_some());
                let tag = tag.iter().map(put_atom);
                quote!(__encoder.tuple(#count); #(#tag)* #(#writes)*)
            }
            Layout::Map { tag, map } => {
                let tag = tag.iter().map(put_atom);
                let tag = tag.map(|tag| quote!(__encoder.tuple(2); #tag));
                let count = self.body.present().count() + usize::from(map.elixir.is_some());
                let elixir = map.elixir.iter().map(|name| {
                    let (key, name) = (put_atom(&"__struct__".to_owned()), put_atom(name));
                    quote!(#key #name)
                });
                let keys = self.body.present().map(|(_, field)| {
                    if map.binary_keys {
                        let key = &field.key;
                        return quote!(__encoder.binary(#key.as_bytes()););
                    }
                    put_atom(&field.key)
                });
                quote!(#(#tag)* __encoder.map(#count); #(#elixir)* #(#keys #writes)*)
            }
        }
    }

    fn value(&self, at: usize, field: &Field) -> TokenStream {
        let (term, binding) = (self.term, binding(at));
        match field.form {
            None => quote!(#term::ToTerm::to_term(#binding)),
            Some(form) => {
                let form = self::form(term, form);
                quote!(<#form as #term::derive_support::WriteAs<_>>::to_term(#binding))
            }
        }
    }

    fn write_value(&self, at: usize, field: &Field) -> TokenStream {
        let (term, binding) = (self.term, binding(at));
        match field.form {
            None => quote!(#term::ToTerm::encode_with(#binding, __encoder);),
            Some(form) => {
                let form = self::form(term, form);
                quote! {
                    <#form as #term::derive_support::WriteAs<_>>::encode_with(#binding, __encoder);
                }
            }
        }
    }
}
