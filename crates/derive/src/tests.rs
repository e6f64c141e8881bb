//! What is refused, and with which words.

use syn::{DeriveInput, parse_quote};

use crate::shape::Container;

#[track_caller]
fn refuses(input: DeriveInput, words: &str) {
    match Container::parse(input) {
        Ok(_) => panic!("accepted"),
        Err(error) => assert_eq!(error.to_string(), words),
    }
}

#[test]
fn what_is_written_wrongly_is_answered_with_what_to_write() {
    refuses(
        parse_quote!(
            #[term(struct = "MyApp.User")]
            struct A {
                a: u8,
            }
        ),
        "an Elixir module's atom has a prefix: write \"Elixir.MyApp.User\"",
    );
    refuses(
        parse_quote!(
            #[term(keys = "string")]
            struct A {
                a: u8,
            }
        ),
        "keys are \"atom\" or \"binary\"",
    );
    refuses(
        parse_quote!(
            #[term(rename_all = "snake")]
            struct A {
                a: u8,
            }
        ),
        "write one of \"snake_case\", \"camelCase\", \"PascalCase\", \"SCREAMING_SNAKE_CASE\", \
         \"kebab-case\", \"lowercase\"",
    );
    refuses(
        parse_quote!(
            struct A {
                #[term(flatten)]
                a: u8,
            }
        ),
        "not known here; there are rename, default, skip, charlist, binary, undefined",
    );
    refuses(
        parse_quote!(
            struct A {
                #[term(atom)]
                a: String,
            }
        ),
        "text never becomes an atom, because nodes keep atoms for ever: give the field the type \
         Atom, or an enum",
    );
    let long = "x".repeat(256);
    refuses(
        parse_quote!(
            #[term(record = #long)]
            struct A(u8);
        ),
        "an atom has at most 255 characters",
    );
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    refuses(
        parse_quote!(
            struct A {
                a: u8,
                #[term(rename = "a")]
                b: u8,
            }
        ),
        "two fields have the key \"a\": rename one of them",
    );
    refuses(
        parse_quote!(
            #[term(struct = "Elixir.A")]
            struct A {
                __struct__: u8,
            }
        ),
        "two fields have the key \"__struct__\": rename one of them",
    );
    let clash = "another variant has this tag and as many fields: rename one of them";
    refuses(
        parse_quote!(
            enum A {
                Up(u8),
                #[term(rename = "up")]
                Down(u8),
            }
        ),
        clash,
    );
    refuses(
        parse_quote!(
            enum A {
                Up,
                #[term(rename = "up")]
                Down,
            }
        ),
        clash,
    );
    refuses(
        parse_quote!(
            enum A {
                Up {
                    a: u8,
                },
                #[term(rename = "up")]
                Down(u8),
            }
        ),
        clash,
    );
}

#[test]
fn what_would_have_no_effect_is_refused() {
    refuses(
        parse_quote!(
            #[term(tuple)]
            struct A {
                #[term(default)]
                a: u8,
            }
        ),
        "a default is for a key that a map may lack; here is no map",
    );
    refuses(
        parse_quote!(
            struct A(#[term(rename = "a")] u8);
        ),
        "rename is for the key of a map; here is none",
    );
    refuses(
        parse_quote!(
            struct A {
                #[term(skip, charlist)]
                a: String,
            }
        ),
        "a field that is left out has no form",
    );
    refuses(
        parse_quote!(
            struct A {
                #[term(binary, charlist)]
                a: String,
            }
        ),
        "a field has one form",
    );
    refuses(
        parse_quote!(
            #[term(tuple, record = "a")]
            struct A {
                a: u8,
            }
        ),
        "choose one of tuple, record and struct",
    );
    refuses(
        parse_quote!(
            #[term(rename = "a")]
            struct A {
                a: u8,
            }
        ),
        "rename is for the tag of a variant; a tuple gets one by record = \"name\"",
    );
    refuses(
        parse_quote!(
            #[term(keys = "binary")]
            struct A(u8);
        ),
        "struct, keys and deny_unknown are for named fields in a map",
    );
    refuses(
        parse_quote!(
            #[term(tuple)]
            struct A;
        ),
        "there is nothing to put into a tuple: leave tuple out",
    );
    refuses(
        parse_quote!(
            #[term(tuple)]
            enum A {
                B,
            }
        ),
        "tuple, record, struct and rename stand on a struct or on a variant",
    );
    refuses(
        parse_quote!(
            #[term(untagged)]
            struct A;
        ),
        "only an enum can be untagged",
    );
    refuses(
        parse_quote!(
            enum A {}
        ),
        "an enum without variants is no term",
    );
    refuses(parse_quote!(union A { a: u8 }), "a union cannot be a term");
}
