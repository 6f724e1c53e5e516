//! Which type stands for which name in this process.
//!
//! Invariant: a name stands for one type.

use std::collections::HashMap;

use annals_wire::{Kind, KindName};

use super::Schema;
use crate::Error;

/// The types that are known, by the names of their events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Register(HashMap<&'static str, Schema>);

impl Register {
    /// The register of `schemas`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where two types have one name, or a name or version is one that no event has.
    pub(crate) fn of(schemas: &[Schema]) -> Result<Self, Error> {
        let mut register = Self::default();
        schemas.iter().try_for_each(|schema| register.add(schema))?;
        Ok(register)
    }

    /// Whether the type is known under its name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name stands for another type.
    pub(crate) fn has(&self, schema: &Schema) -> Result<bool, Error> {
        match self.0.get(schema.name) {
            Some(known) if known == schema => Ok(true),
            Some(known) => {
                let (one, other) = (known.type_name, schema.type_name);
                let why = if one == other {
                    format!(
                        "{}: {one} has the versions {} and {}",
                        schema.name, known.version, schema.version
                    )
                } else {
                    format!("{} is the name of two types, {one} and {other}", schema.name)
                };
                Err(Error::Invalid { what: "event type", why })
            }
            None => Ok(false),
        }
    }

    pub(crate) fn add(&mut self, schema: &Schema) -> Result<(), Error> {
        if self.has(schema)? {
            return Ok(());
        }
        KindName::new(Kind::new(0x1000).expect("category 0x1 is not reserved"), schema.name)?;
        if schema.version == 0 {
            let why = format!("{} has version 0; versions count from 1", schema.type_name);
            return Err(Error::Invalid { what: "event type", why });
        }
        self.0.insert(schema.name, *schema);
        Ok(())
    }
}
