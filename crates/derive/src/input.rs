//! What a type and its attributes say, checked.
//!
//! Invariant: a [`Described`] has a name that the log takes, a version of 1 or more, and one upcast fewer than that;
//! [`Variants`] hold at least one event, no type twice.

use quote::ToTokens;
use syn::{
    Attribute, Data, DataEnum, DeriveInput, Error, Field, Fields, Ident, LitInt, LitStr, Path, Result, Token,
    Type, meta::ParseNestedMeta, parenthesized, punctuated::Punctuated, spanned::Spanned,
};

/// The most bytes that a name may have, as docs/format.md says of the name of a kind.
const NAME_LEN_MAX: usize = 1024;

/// What the derive is asked for.
pub(crate) enum Input<'a> {
    /// One event.
    One(Described),
    /// One of several events.
    Several(Variants<'a>),
}

/// What `#[event(..)]` says.
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) version: u32,
    /// From each version to the next.
    pub(crate) upcasts: Vec<Path>,
}

/// The variants of an enum, and the type of the event that each holds.
pub(crate) type Variants<'a> = Vec<(&'a Ident, &'a Type)>;

impl<'a> Input<'a> {
    pub(crate) fn of(input: &'a DeriveInput) -> Result<Self> {
        if !input.generics.params.is_empty() {
            return Err(Error::new_spanned(
                &input.generics,
                "an event has no generics: its name stands for one type",
            ));
        }
        refuse_inner_attributes(&input.data)?;
        let attributes: Vec<_> =
            input.attrs.iter().filter(|attribute| attribute.path().is_ident("event")).collect();
        match (attributes.as_slice(), &input.data) {
            (_, Data::Union(_)) => Err(Error::new_spanned(&input.ident, "a union is no event")),
            ([], Data::Enum(data)) => variants(input, data).map(Self::Several),
            ([], _) => Err(Error::new_spanned(
                &input.ident,
                "`#[event(name = \"..\")]` is missing: the name of the event's kind, which is in the log for ever",
            )),
            ([attribute], _) => described(attribute).map(Self::One),
            ([_, second, ..], _) => Err(Error::new_spanned(second, "`#[event(..)]` is there twice")),
        }
    }
}

fn refuse_inner_attributes(data: &Data) -> Result<()> {
    let fields: Vec<&Field> = match data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    let variants = match data {
        Data::Enum(data) => data.variants.iter().collect(),
        _ => Vec::new(),
    };
    let attributes = fields.iter().flat_map(|field| &field.attrs);
    let mut attributes = attributes.chain(variants.iter().flat_map(|variant| &variant.attrs));
    match attributes.find(|attribute| attribute.path().is_ident("event")) {
        Some(attribute) => Err(Error::new_spanned(attribute, "`#[event(..)]` belongs on the type")),
        None => Ok(()),
    }
}

fn variants<'a>(input: &DeriveInput, data: &'a DataEnum) -> Result<Variants<'a>> {
    let mut variants = Variants::new();
    for variant in &data.variants {
        let ty = match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                fields.unnamed.first().map(|field| &field.ty)
            }
            _ => None,
        };
        let Some(ty) = ty else {
            let what = format!(
                "a variant holds one event, as in `{0}({0})`; or the enum is one event, with `#[event(name = \"..\")]`",
                variant.ident
            );
            return Err(Error::new_spanned(variant, what));
        };
        let text = ty.to_token_stream().to_string();
        if variants.iter().any(|(_, other)| other.to_token_stream().to_string() == text) {
            return Err(Error::new_spanned(ty, "another variant holds this event already"));
        }
        variants.push((&variant.ident, ty));
    }
    if variants.is_empty() {
        return Err(Error::new_spanned(&input.ident, "an enum without variants is no event"));
    }
    Ok(variants)
}

/// What the attribute says, before it is known to be whole.
#[derive(Default)]
struct Said {
    name: Option<LitStr>,
    version: Option<LitInt>,
    upcasts: Option<Vec<Path>>,
}

impl Said {
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let is_repeated = if meta.path.is_ident("name") {
            self.name.replace(meta.value()?.parse()?).is_some()
        } else if meta.path.is_ident("version") {
            self.version.replace(meta.value()?.parse()?).is_some()
        } else if meta.path.is_ident("upcast") {
            let content;
            parenthesized!(content in meta.input);
            let paths = Punctuated::<Path, Token![,]>::parse_terminated(&content)?;
            self.upcasts.replace(paths.into_iter().collect()).is_some()
        } else {
            return Err(meta.error("only `name`, `version` and `upcast` are known here"));
        };
        if is_repeated { Err(meta.error("this is there twice")) } else { Ok(()) }
    }
}

fn described(attribute: &Attribute) -> Result<Described> {
    let mut said = Said::default();
    attribute.parse_nested_meta(|meta| said.take(&meta))?;
    let missing =
        || Error::new_spanned(attribute, "`name = \"..\"` is missing: the name of the event's kind");
    let name = said.name.ok_or_else(missing)?;
    check_name(&name)?;
    let version = match &said.version {
        None => 1,
        Some(literal) => match literal.base10_parse::<u32>()? {
            0 => return Err(Error::new_spanned(literal, "versions count from 1")),
            version => version,
        },
    };
    let upcasts = said.upcasts.unwrap_or_default();
    if u32::try_from(upcasts.len()).ok() != Some(version - 1) {
        let span = upcasts.last().map_or_else(|| attribute.span(), Spanned::span);
        return Err(Error::new(span, wrong_upcasts(version, upcasts.len())));
    }
    Ok(Described { name: name.value(), version, upcasts })
}

fn check_name(literal: &LitStr) -> Result<()> {
    let name = literal.value();
    let why = if name.is_empty() {
        "the name of a kind is not empty".to_owned()
    } else if name.len() > NAME_LEN_MAX {
        format!("the name of a kind has at most {NAME_LEN_MAX} bytes; this one has {}", name.len())
    } else if name.chars().any(char::is_control) {
        "the name of a kind has no control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new_spanned(literal, why))
}

fn wrong_upcasts(version: u32, found: usize) -> String {
    let takes = match version {
        1 => "version 1 takes no `upcast`".to_owned(),
        2 => "version 2 takes 1 function in `upcast`: from version 1 to 2".to_owned(),
        _ => format!(
            "version {version} takes {} functions in `upcast`: from version 1 to 2, and so on",
            version - 1
        ),
    };
    format!("{takes}; there are {found}")
}
