//! Annals' derive: binds a Rust type to the name and version of an event.
//!
//! **Owns** `#[derive(Event)]`: what its attributes may say, and the implementation of `annals::typed::EventType`
//! that it writes. Programs use it as `annals::Event`, and find it explained in `annals::typed`.
//!
//! **Does not** encode or decode anything, or know a store: what it writes calls `annals::typed`, and what can be
//! checked while a program compiles is checked here.
//!
//! **Next:** `input.rs` reads a type and its attributes, `expand.rs` writes the implementation.

#![forbid(unsafe_code)]

mod input;

mod expand;

use proc_macro::TokenStream;

/// Makes a type an event, or an enum one of several.
///
/// A struct, or an enum that has the attribute itself, is one event:
///
/// ```text
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(name = "order.placed", version = 3, upcast(v1_to_v2, v2_to_v3))]
/// struct OrderPlaced { .. }
/// ```
///
/// - `name`: the name of its kind, which is in the log for ever. 1 to 1,024 bytes without control characters.
/// - `version`: of what its payload has, from 1; 1 where it is left out.
/// - `upcast`: functions, each from a value of one version to one of the next, from version 1 on; one fewer than the
///   version. A gap does not compile, nor does a function that takes something else than the one before it returns.
///
/// An enum without the attribute is one of the events that its variants hold, one each:
///
/// ```text
/// #[derive(Event)]
/// enum Order { Placed(OrderPlaced), Paid(OrderPaid) }
/// ```
///
/// # Errors
/// What is wrong is said where it stands, and the program does not compile.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
