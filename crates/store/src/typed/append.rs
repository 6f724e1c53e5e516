//! Appending values: from a type to a kind and a version.

use annals_wire::{Coordinate, Kind};

use super::{EventType, Schema};
use crate::{Error, NewEvent, Store, store::Shared, sync::PoisonError};

impl<'a> NewEvent<'a> {
    /// `value` as an event at `coordinate`; [`crate::Event::decode`] gives it back. Its kind is the one with the name
    /// of its type, to which the name is bound by the first append, in the log and for ever.
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, disk::MemoryDirectory};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(name = "order.placed")]
    /// struct Placed { chairs: u32 }
    ///
    /// # fn main() -> Result<(), annals::Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let order = Coordinate::new("order:42", "shop/eu")?;
    /// let id = store.append(&NewEvent::of(&order, &Placed { chairs: 2 })?)?.id;
    /// assert_eq!(store.get(id)?.unwrap().decode::<Placed>()?.chairs, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] where the value cannot be written. The append itself refuses with it a type whose name stands
    /// for another type.
    pub fn of<T: EventType>(coordinate: &'a Coordinate, value: &T) -> Result<Self, Error> {
        let schema = value.schema();
        let payload = value
            .encode()
            .map_err(|cause| Error::Invalid { what: "payload", why: format!("{}: {cause}", schema.name) })?;
        Ok(Self::with_schema(coordinate, schema, payload))
    }
}

impl Store {
    /// The kinds of the events that `T` is, for a query or a condition. Names that have none are bound, as by
    /// [`Store::kind`].
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, Query, QueryItem, disk::MemoryDirectory};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(name = "order.placed")]
    /// # struct Placed { chairs: u32 }
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(name = "order.paid")]
    /// # struct Paid { cents: u64 }
    /// # #[derive(Event)]
    /// # enum Order { Placed(Placed), Paid(Paid) }
    /// # fn main() -> Result<(), annals::Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// # let at = Coordinate::new("order:42", "shop/eu")?;
    /// # store.append(&NewEvent::of(&at, &Placed { chairs: 2 })?)?;
    /// # store.append(&NewEvent::of(&at, &Paid { cents: 9900 })?)?;
    /// let item = store.kinds_of::<Order>()?.into_iter().fold(QueryItem::new(), QueryItem::kind);
    /// assert_eq!(store.query(Query::of(item.scope("shop/eu"))).count(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::kind`].
    pub fn kinds_of<T: EventType>(&self) -> Result<Vec<Kind>, Error> {
        T::schemas().iter().map(|schema| self.kind(schema.name)).collect()
    }
}

impl Shared {
    /// The kind with the name of `schema`, which is bound to one where it was not.
    pub(crate) fn kind_of(&self, schema: &Schema) -> Result<Kind, Error> {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        let (is_known, bound) = (kinds.types.has(schema)?, kinds.kind(schema.name));
        drop(kinds);
        if !is_known {
            self.kinds.write().unwrap_or_else(PoisonError::into_inner).types.add(schema)?;
        }
        bound.map_or_else(|| self.bind_kind(None, schema.name), Ok)
    }
}
