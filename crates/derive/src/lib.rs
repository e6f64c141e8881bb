//! `#[derive(ToTerm, FromTerm)]`: Rust structs and enums as Erlang terms.
//!
//! ```
//! use enmesh_term::{FromTerm, Term, ToTerm};
//! # use enmesh_derive::{FromTerm, ToTerm};
//!
//! #[derive(Debug, PartialEq, ToTerm, FromTerm)]
//! struct User {
//!     name: String,
//!     age: Option<u8>,
//!     #[term(default)]
//!     roles: Vec<Role>,
//! }
//!
//! #[derive(Debug, PartialEq, ToTerm, FromTerm)]
//! enum Role {
//!     Admin,
//!     Member(u32),
//! }
//!
//! let user = User { name: "joe".into(), age: None, roles: vec![Role::Admin, Role::Member(7)] };
//! let term = user.to_term();
//! assert_eq!(
//!     term.to_string(),
//!     r#"#{name => <<"joe">>,age => nil,roles => [admin,{member,7}]}"#
//! );
//! assert_eq!(User::from_term(&term), Ok(user));
//! ```
//!
//! # Structs
//!
//! | Rust | term |
//! |---|---|
//! | named fields | `#{name => …}`, a map with atoms as keys |
//! | … with `#[term(keys = "binary")]` | `#{<<"name">> => …}` |
//! | … with `#[term(struct = "Elixir.MyApp.User")]` | `%MyApp.User{name: …}` |
//! | any fields with `#[term(tuple)]` | `{…, …}` |
//! | any fields with `#[term(record = "user")]` | `{user, …, …}` |
//! | `struct Id(u64);` | what is inside |
//! | `struct Pair(u8, u8);` | `{…, …}` |
//! | `struct Ping;` | `ping`, or as `#[term(rename = "…")]` says |
//!
//! A map may have more keys than the struct has fields, unless `#[term(deny_unknown)]` is there. A
//! key may be missing if its field is an `Option` (then it is `None`) or has a default.
//! `rename_all = "camelCase"` spells all keys so (or in `snake_case`, `PascalCase`,
//! `SCREAMING_SNAKE_CASE`, `kebab-case`, `lowercase`).
//!
//! # Enums
//!
//! | Rust | term |
//! |---|---|
//! | `Idle` | `idle` |
//! | `Move(i64, i64)` | `{move, …, …}` |
//! | `Login { user: String }` | `{login, #{user => …}}` |
//! | … with `#[term(tuple)]` | `{login, …}` |
//! | … with `#[term(struct = "Elixir.MyApp.Login")]` | `%MyApp.Login{user: …}` |
//! | … with `#[term(untagged)]` | as a struct of the same fields would be |
//!
//! Variants are spelled in snake case, or as `rename_all` on the enum or `rename` on the variant
//! says. `Ok` beside `Ok(Term)` is `ok` and `{ok, …}`, and variants of one tag with different
//! numbers of fields are told apart by these. Untagged variants are tried in order after all
//! others; `untagged` on the enum makes all of them so. Give tags to an enum that contains itself in
//! several variants of one form: what each level of a term costs to try multiplies, and a term that
//! was read 256 times over in vain is refused (`Mismatch::TooManyTries`).
//!
//! # Fields
//!
//! | attribute | meaning |
//! |---|---|
//! | `rename = "key"` | the key in a map |
//! | `default`, `default = "function"` | what the field is if the map lacks its key |
//! | `skip` | not in the term; `Default` when read |
//! | `charlist` | text as a list of code points; also inside of `Option` and `Vec` |
//! | `binary` | `Vec<u8>`, `Box<[u8]>` or `[u8; N]` as a binary and not as a list; also inside of `Option` |
//! | `undefined` | a `None` is written as Erlang's `undefined` and not as Elixir's `nil` |
//!
//! Type parameters get the bound `ToTerm` or `FromTerm`. Only names in the program become atoms;
//! text never does, because a node keeps every atom for ever. `#[term(crate = "path")]` names the
//! crate to find the traits in, if it is called otherwise.
//!
//! # What is refused
//!
//! Two fields of one key, or two variants of one tag and size:
//! ```compile_fail
//! # use enmesh_derive::ToTerm;
//! #[derive(ToTerm)]
//! struct Twice {
//!     id: u8,
//!     #[term(rename = "id")]
//!     other: u8,
//! }
//! ```
//! Borrowed text cannot be read, because a value outlives the message it came in:
//! ```compile_fail
//! # use enmesh_derive::FromTerm;
//! #[derive(FromTerm)]
//! struct Borrowed<'a>(&'a str);
//! ```
//! Text as an atom, for the reason above:
//! ```compile_fail
//! # use enmesh_derive::ToTerm;
//! #[derive(ToTerm)]
//! struct Status {
//!     #[term(atom)]
//!     name: String,
//! }
//! ```

mod attributes;
mod from_term;
mod names;
mod shape;
mod to_term;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{DeriveInput, Path};

use crate::shape::Container;

/// Writes a struct or enum as a term; the page of the crate says how.
#[proc_macro_derive(ToTerm, attributes(term))]
pub fn to_term(input: TokenStream) -> TokenStream {
    expand(input, &quote!(::enmesh_term), to_term::expand)
}

/// Reads a struct or enum from a term; the page of the crate says how.
#[proc_macro_derive(FromTerm, attributes(term))]
pub fn from_term(input: TokenStream) -> TokenStream {
    expand(input, &quote!(::enmesh_term), from_term::expand)
}

/// Writes a struct or enum as a term; the page of `enmesh-derive` says how. This one is for programs
/// that depend on `enmesh`, which exports it as `ToTerm`.
#[proc_macro_derive(ToTermOfEnmesh, attributes(term))]
pub fn to_term_of_enmesh(input: TokenStream) -> TokenStream {
    expand(input, &quote!(::enmesh::__term), to_term::expand)
}

/// Reads a struct or enum from a term; the page of `enmesh-derive` says how. This one is for
/// programs that depend on `enmesh`, which exports it as `FromTerm`.
#[proc_macro_derive(FromTermOfEnmesh, attributes(term))]
pub fn from_term_of_enmesh(input: TokenStream) -> TokenStream {
    expand(input, &quote!(::enmesh::__term), from_term::expand)
}

/// What is implemented for `input`, or what is wrong with it.
fn expand(
    input: TokenStream,
    term: &Tokens,
    implement: impl FnOnce(&Container, &Tokens) -> Tokens,
) -> TokenStream {
    let container = syn::parse::<DeriveInput>(input).and_then(Container::parse);
    let tokens = match container {
        Ok(container) => {
            let own = container.krate.as_ref().map(|path: &Path| quote!(#path));
            implement(&container, own.as_ref().unwrap_or(term))
        }
        Err(error) => error.into_compile_error(),
    };
    tokens.into()
}

#[cfg(test)]
mod tests;
