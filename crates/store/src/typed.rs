//! Typed events: Rust types that are bound to kinds by name, and read back whatever version they were written with.
//!
//! ```
//! use annals::{Coordinate, Event, Expected, NewEvent, Options, disk::MemoryDirectory};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(name = "account.opened")]
//! struct Opened { owner: String }
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(name = "account.deposited")]
//! struct Deposited { cents: i64 }
//!
//! #[derive(Event)]
//! enum Account { Opened(Opened), Deposited(Deposited) }
//!
//! # fn main() -> Result<(), annals::Error> {
//! let store = Options::new().create(true).events::<Account>().open_on(MemoryDirectory::new())?;
//! let account = Coordinate::new("account:7", "bank")?;
//! store.append_batch(&[
//!     NewEvent::of(&account, &Opened { owner: "Ada".to_owned() })?.expected(Expected::None),
//!     NewEvent::of(&account, &Deposited { cents: 500 })?,
//! ])?;
//! let mut balance = 0;
//! for event in store.stream(&account).decode::<Account>() {
//!     match event?.1 {
//!         Account::Opened(_) => balance = 0,
//!         Account::Deposited(deposited) => balance += deposited.cents,
//!     }
//! }
//! assert_eq!(balance, 500);
//! # Ok(())
//! # }
//! ```
//!
//! # Changing a type
//!
//! Payloads are MessagePack with named fields. So fields may change their order, a field with `#[serde(default)]` may
//! be added, and one may go, without a new version. What else changes is a new version: the old type stays in the
//! program for reading, with a function from each version to the next.
//!
//! ```
//! # use annals::{Coordinate, Event, NewEvent, Options, disk::MemoryDirectory};
//! # use serde::{Deserialize, Serialize};
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(name = "account.deposited", version = 2, upcast(with_currency))]
//! struct Deposited { cents: i64, currency: String }
//!
//! /// What version 1 had.
//! #[derive(Deserialize)]
//! struct DepositedV1 { cents: i64 }
//!
//! fn with_currency(old: DepositedV1) -> Deposited {
//!     Deposited { cents: old.cents, currency: "EUR".to_owned() }
//! }
//! # fn main() -> Result<(), annals::Error> {
//! # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
//! # let at = Coordinate::new("account:7", "bank")?;
//! # let old = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("cents", 5)])).unwrap();
//! # let id = store.append(&NewEvent::new(&at, store.kind("account.deposited")?, &old))?.id;
//! # let deposited = store.get(id)?.unwrap().decode::<Deposited>()?;
//! # assert_eq!((deposited.cents, deposited.currency.as_str()), (5, "EUR"));
//! # Ok(())
//! # }
//! ```
//!
//! The version is in the log with each event, and nothing that is stored is ever rewritten. A chain with a gap does not
//! compile:
//!
//! ```compile_fail
//! # use annals::Event;
//! # use serde::{Deserialize, Serialize};
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(name = "account.deposited", version = 2)]
//! struct Deposited { cents: i64, currency: String }
//! ```
//!
//! What can only be seen of all types together is checked when a store opens with them: [`Options::events`].
//!
//! Invariant: a value that was appended is read back as its type, or the read says why not; never as another type.
//!
//! [`Options::events`]: crate::Options::events

mod append;
mod read;
mod register;

use std::{any::TypeId, error, fmt};

use annals_wire::Kind;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use self::register::Register;

/// Why a value has no payload, or a payload no value.
pub type BoxedError = Box<dyn error::Error + Send + Sync>;

/// What can be appended and read as an event. `#[derive(Event)]` implements it; by hand it is for payloads that are not
/// MessagePack.
///
/// ```
/// use annals::typed::{BoxedError, DecodeError, EventType, Schema, Stored};
///
/// /// A note, in plain text.
/// struct Note(String);
///
/// impl EventType for Note {
///     fn schemas() -> Vec<Schema> {
///         vec![Schema::of::<Self>("note", 1)]
///     }
///     fn schema(&self) -> Schema {
///         Schema::of::<Self>("note", 1)
///     }
///     fn encode(&self) -> Result<Vec<u8>, BoxedError> {
///         Ok(self.0.clone().into_bytes())
///     }
///     fn decode(stored: &Stored<'_>) -> Result<Option<Self>, DecodeError> {
///         match (stored.name(), stored.version()) {
///             ("note", 1) => {
///                 let text = String::from_utf8(stored.payload()?.to_vec());
///                 text.map(|text| Some(Self(text))).map_err(|error| stored.undecodable(error.into()))
///             }
///             ("note", _) => Err(stored.newer(1)),
///             _ => Ok(None),
///         }
///     }
/// }
/// # let store = annals::Options::new().create(true).events::<Note>();
/// # let store = store.open_on(annals::disk::MemoryDirectory::new()).unwrap();
/// # let at = annals::Coordinate::new("e", "s").unwrap();
/// # store.append(&annals::NewEvent::of(&at, &Note("x".to_owned())).unwrap()).unwrap();
/// # assert_eq!(store.all().decode::<Note>().next().unwrap().unwrap().1.0, "x");
/// ```
pub trait EventType: Sized + 'static {
    /// What the values are, by name and version: one for a type that is one event, and all that its variants hold for
    /// an enum of events.
    fn schemas() -> Vec<Schema>;

    /// What this value is.
    fn schema(&self) -> Schema;

    /// The value's payload.
    ///
    /// # Errors
    /// Where the value cannot be written.
    fn encode(&self) -> Result<Vec<u8>, BoxedError>;

    /// The value of an event, of whatever version; `None` where it is another event.
    ///
    /// # Errors
    /// [`DecodeError`] where the event is one of these, and is of a version that this program does not know, or its
    /// payload is no value of its version.
    fn decode(stored: &Stored<'_>) -> Result<Option<Self>, DecodeError>;
}

/// A type with the name and version of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    name: &'static str,
    version: u32,
    id: TypeId,
    type_name: &'static str,
}

impl Schema {
    /// That `T` is version `version`, counted from 1, of the event `name`.
    #[must_use]
    pub fn of<T: 'static>(name: &'static str, version: u32) -> Self {
        Self { name, version, id: TypeId::of::<T>(), type_name: std::any::type_name::<T>() }
    }

    /// The name of the event's kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The version that is appended, and the newest that is read.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }
}

/// An event as it is stored, to be decoded as some type.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    name: &'a str,
    version: u32,
    payload: Option<&'a [u8]>,
}

impl<'a> Stored<'a> {
    /// The name of its kind.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The version that it was appended with, 1 or more.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Its payload.
    ///
    /// # Errors
    /// [`DecodeError::Erased`].
    pub fn payload(&self) -> Result<&'a [u8], DecodeError> {
        self.payload.ok_or_else(|| DecodeError::Erased { name: self.name.into() })
    }

    /// The value that its payload is in MessagePack.
    ///
    /// # Errors
    /// [`DecodeError::Payload`] where it is none, or more than one; [`DecodeError::Erased`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let mut rest = self.payload()?;
        let value = rmp_serde::from_read(&mut rest).map_err(|source| self.undecodable(source.into()))?;
        match rest.len() {
            0 => Ok(value),
            len => Err(self.undecodable(BytesBehind(len).into())),
        }
    }

    /// That the payload is no value, because of `source`.
    #[must_use]
    pub fn undecodable(&self, source: BoxedError) -> DecodeError {
        DecodeError::Payload { name: self.name.into(), version: self.version, source }
    }

    /// That the version is newer than `known`.
    #[must_use]
    pub fn newer(&self, known: u32) -> DecodeError {
        DecodeError::NewerVersion { name: self.name.into(), found: self.version, known }
    }
}

/// `value` in MessagePack with named fields; [`Stored::decode`] gives it back.
///
/// # Errors
/// Where the value cannot be written so.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, BoxedError> {
    Ok(rmp_serde::to_vec_named(value)?)
}

/// Why an event is not read as the type that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is another event.
    #[error("it is {}, and no {wanted}", told(*kind, name.as_deref()))]
    OtherKind {
        /// The type that was asked for.
        wanted: &'static str,
        /// The event's kind.
        kind: Kind,
        /// The name of the kind, where it has one.
        name: Option<Box<str>>,
    },
    /// A newer program wrote it.
    #[error("{name} of version {found} is newer than this program, which knows it up to version {known}")]
    NewerVersion {
        /// The name of its kind.
        name: Box<str>,
        /// The version that it has.
        found: u32,
        /// The newest version that the type knows.
        known: u32,
    },
    /// Its payload is no value of its version.
    #[error("the payload of {name}, version {version}, does not decode: {source}")]
    Payload {
        /// The name of its kind.
        name: Box<str>,
        /// The version that it has.
        version: u32,
        /// What is wrong with it.
        source: BoxedError,
    },
    /// Its payload was erased.
    #[error("the payload of {name} was erased")]
    Erased {
        /// The name of its kind.
        name: Box<str>,
    },
    /// Its extension `annals/version` says no version.
    #[error("its extension annals/version is no number from 2 to 4294967295")]
    Version,
}

fn told(kind: Kind, name: Option<&str>) -> String {
    name.map_or_else(|| format!("of kind {kind}, which has no name"), str::to_owned)
}

/// A payload that goes on behind the value.
#[derive(Debug)]
struct BytesBehind(usize);

impl fmt::Display for BytesBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} more bytes behind the value", self.0)
    }
}

impl error::Error for BytesBehind {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erased_payload_is_told_as_that() {
        let stored = Stored { name: "order.placed", version: 1, payload: None };
        let error = stored.decode::<u8>().unwrap_err();
        assert!(matches!(error, DecodeError::Erased { .. }));
        assert_eq!(error.to_string(), "the payload of order.placed was erased");
    }
}
