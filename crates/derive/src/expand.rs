//! The implementation of `annals::typed::EventType` that the derive writes.
//!
//! Invariant: a payload of any version up to its type's own is decoded as that version's value and goes through every
//! function behind it, in order; the compiler sees that each takes what the one before it returns.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Path, Result, Type};

use crate::input::{Described, Input, Variants};

/// The implementation for `input`.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let ident = &input.ident;
    let body = match Input::of(input)? {
        Input::One(described) => one(&described),
        Input::Several(variants) => several(&variants),
    };
    Ok(quote! {
        #[automatically_derived]
        impl ::annals::typed::EventType for #ident {
            #body
        }
    })
}

fn one(described: &Described) -> TokenStream {
    let Described { name, version, upcasts } = described;
    let older = (1_u32..).zip(0..upcasts.len()).map(|(version, place)| {
        let chain = upcasts.iter().skip(place).map(upcast);
        quote!(#version => ::annals::typed::Stored::decode(stored) #(#chain)*,)
    });
    quote! {
        fn schemas() -> ::std::vec::Vec<::annals::typed::Schema> {
            ::std::vec![::annals::typed::Schema::of::<Self>(#name, #version)]
        }

        fn schema(&self) -> ::annals::typed::Schema {
            ::annals::typed::Schema::of::<Self>(#name, #version)
        }

        fn encode(&self) -> ::std::result::Result<::std::vec::Vec<u8>, ::annals::typed::BoxedError> {
            ::annals::typed::encode(self)
        }

        fn decode(
            stored: &::annals::typed::Stored<'_>,
        ) -> ::std::result::Result<::std::option::Option<Self>, ::annals::typed::DecodeError> {
            if ::annals::typed::Stored::name(stored) != #name {
                return ::std::result::Result::Ok(::std::option::Option::None);
            }
            let value: ::std::result::Result<Self, ::annals::typed::DecodeError> =
                match ::annals::typed::Stored::version(stored) {
                    #(#older)*
                    #version => ::annals::typed::Stored::decode(stored),
                    _ => ::std::result::Result::Err(::annals::typed::Stored::newer(stored, #version)),
                };
            ::std::result::Result::map(value, ::std::option::Option::Some)
        }
    }
}

fn upcast(function: &Path) -> TokenStream {
    quote!(.map(#function))
}

fn several(variants: &Variants<'_>) -> TokenStream {
    let types = variants.iter().map(|(_, ty)| ty);
    let schema = variants.iter().map(|(variant, ty)| delegate(variant, ty, &quote!(schema)));
    let encode = variants.iter().map(|(variant, ty)| delegate(variant, ty, &quote!(encode)));
    let decode = variants.iter().map(|(variant, ty)| {
        quote! {
            if let ::std::option::Option::Some(event) = <#ty as ::annals::typed::EventType>::decode(stored)? {
                return ::std::result::Result::Ok(::std::option::Option::Some(Self::#variant(event)));
            }
        }
    });
    quote! {
        fn schemas() -> ::std::vec::Vec<::annals::typed::Schema> {
            let mut schemas = ::std::vec::Vec::new();
            #(schemas.extend(<#types as ::annals::typed::EventType>::schemas());)*
            schemas
        }

        fn schema(&self) -> ::annals::typed::Schema {
            match self { #(#schema)* }
        }

        fn encode(&self) -> ::std::result::Result<::std::vec::Vec<u8>, ::annals::typed::BoxedError> {
            match self { #(#encode)* }
        }

        fn decode(
            stored: &::annals::typed::Stored<'_>,
        ) -> ::std::result::Result<::std::option::Option<Self>, ::annals::typed::DecodeError> {
            #(#decode)*
            ::std::result::Result::Ok(::std::option::Option::None)
        }
    }
}

fn delegate(variant: &syn::Ident, ty: &Type, method: &TokenStream) -> TokenStream {
    quote!(Self::#variant(event) => <#ty as ::annals::typed::EventType>::#method(event),)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        expand(&syn::parse_str(text).unwrap()).unwrap().to_string()
    }

    /// What the derive says of a type that it refuses.
    fn refusal(text: &str) -> String {
        match expand(&syn::parse_str(text).unwrap()) {
            Ok(code) => panic!("{text} is taken: {code}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_written_is_an_implementation() {
        for text in [
            "#[event(name = \"a\")] struct A;",
            "#[event(name = \"a\", version = 3, upcast(one, two::three,))] struct A { b: u8 }",
            "#[event(name = \"a\")] enum A { B, C(u8, u8), D { e: u8 } }",
            "enum A { B(B), C(c::C) }",
        ] {
            let code = expanded(text);
            assert!(code.contains("impl :: annals :: typed :: EventType for A"), "{code}");
        }
    }

    #[test]
    fn an_old_payload_goes_through_every_function_behind_its_version() {
        let code = expanded("#[event(name = \"a\", version = 3, upcast(one, two))] struct A;");
        let decode = ":: annals :: typed :: Stored :: decode (stored)";
        for arm in [
            format!("1u32 => {decode} . map (one) . map (two) ,"),
            format!("2u32 => {decode} . map (two) ,"),
            format!("3u32 => {decode} ,"),
        ] {
            assert!(code.contains(&arm), "{arm} in {code}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_reason() {
        let long = format!("#[event(name = \"{}\")] struct A;", "a".repeat(1025));
        for (text, reason) in [
            ("struct A;", "`#[event(name = \"..\")]` is missing"),
            ("#[event(name = \"a\")] struct A<T>(T);", "no generics"),
            ("#[event(name = \"a\")] struct A<'a>(&'a str);", "no generics"),
            ("#[event(name = \"a\")] union A { b: u8 }", "a union is no event"),
            ("#[event] struct A;", "expected attribute arguments"),
            ("#[event()] struct A;", "`name = \"..\"` is missing"),
            ("#[event(version = 1)] struct A;", "`name = \"..\"` is missing"),
            ("#[event(name = \"a\")] #[event(name = \"b\")] struct A;", "`#[event(..)]` is there twice"),
            ("#[event(name = \"a\", name = \"b\")] struct A;", "this is there twice"),
            ("#[event(name = \"a\", version = 1, version = 1)] struct A;", "this is there twice"),
            ("#[event(name = \"a\", upcast(), upcast())] struct A;", "this is there twice"),
            ("#[event(name = \"a\", color = 1)] struct A;", "only `name`, `version` and `upcast`"),
            ("#[event(name = \"\")] struct A;", "not empty"),
            ("#[event(name = \"a\\n\")] struct A;", "no control characters"),
            (&long, "at most 1024 bytes; this one has 1025"),
            ("#[event(name = \"a\", version = 0)] struct A;", "versions count from 1"),
            ("#[event(name = \"a\", version = 4294967296)] struct A;", "number too large"),
            ("struct A { #[event(name = \"a\")] b: u8 }", "belongs on the type"),
            ("enum A { #[event(name = \"a\")] B(B) }", "belongs on the type"),
            ("enum A { B(#[event(name = \"a\")] B) }", "belongs on the type"),
            ("enum A {}", "without variants"),
            ("enum A { B(B), C }", "a variant holds one event, as in `C(C)`"),
            ("enum A { B { b: B } }", "a variant holds one event, as in `B(B)`"),
            ("enum A { B(B, B) }", "a variant holds one event"),
            ("enum A { B(B), C(B) }", "another variant holds this event already"),
        ] {
            let why = refusal(text);
            assert!(why.contains(reason), "{text}: {why}");
        }
    }

    #[test]
    fn a_gap_in_the_chain_is_refused() {
        for (says, reason) in [
            ("version = 2", "version 2 takes 1 function in `upcast`: from version 1 to 2; there are 0"),
            (
                "version = 3, upcast(a)",
                "takes 2 functions in `upcast`: from version 1 to 2, and so on; there are 1",
            ),
            ("version = 2, upcast(a, b)", "takes 1 function in `upcast`: from version 1 to 2; there are 2"),
            ("upcast(a)", "version 1 takes no `upcast`; there are 1"),
        ] {
            let why = refusal(&format!("#[event(name = \"a\", {says})] struct A;"));
            assert!(why.contains(reason), "{says}: {why}");
        }
    }
}
