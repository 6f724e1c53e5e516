//! Reading values: from an event to the type that was asked for.

use std::iter;

use annals_index::{Query, QueryItem};
use annals_wire::Sequence;

use super::{DecodeError, EventType, Stored};
use crate::{
    Error, Event, Events, Store, extension,
    sync::{Arc, PoisonError},
};

impl Event {
    /// The version of its type that its payload has, 1 or more.
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, disk::MemoryDirectory};
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
    /// assert_eq!(store.all().next().unwrap()?.version()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Decode`] where its extension `annals/version` says none, which no store writes.
    pub fn version(&self) -> Result<u32, Error> {
        extension::version(self.extension(extension::VERSION))
            .ok_or(Error::Decode { sequence: self.sequence(), source: DecodeError::Version })
    }

    /// Whether it is an event that `T` is, of whatever version. Its payload is not looked at.
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, disk::MemoryDirectory};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(name = "order.placed")]
    /// # struct Placed { chairs: u32 }
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(name = "order.paid")]
    /// # struct Paid;
    /// # fn main() -> Result<(), annals::Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// # let order = Coordinate::new("order:42", "shop/eu")?;
    /// # store.append(&NewEvent::of(&order, &Placed { chairs: 2 })?)?;
    /// let event = store.all().next().unwrap()?;
    /// assert!(event.is::<Placed>() && !event.is::<Paid>());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is<T: EventType>(&self) -> bool {
        let name = self.kind_name();
        name.is_some_and(|name| T::schemas().iter().any(|schema| schema.name == &*name))
    }

    /// The value that [`crate::NewEvent::of`] made it from, brought to the newest version that `T` knows.
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, Error, disk::MemoryDirectory};
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
    /// let event = store.all().next().unwrap()?;
    /// assert_eq!(event.decode::<Placed>()?.chairs, 2);
    /// assert!(matches!(event.decode::<Order>()?, Order::Placed(_)));
    /// assert!(matches!(event.decode::<Paid>(), Err(Error::Decode { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Decode`], with the event's sequence and the reason: it is another event, of a version that `T` does not
    /// know, or its payload is no value of its version.
    pub fn decode<T: EventType>(&self) -> Result<T, Error> {
        self.decode_if::<T>()?.ok_or_else(|| {
            let name = self.kind_name().as_deref().map(Box::from);
            let source =
                DecodeError::OtherKind { wanted: std::any::type_name::<T>(), kind: self.kind(), name };
            Error::Decode { sequence: self.sequence(), source }
        })
    }

    /// The value, where the event is one that `T` is.
    fn decode_if<T: EventType>(&self) -> Result<Option<T>, Error> {
        let Some(name) = self.kind_name() else { return Ok(None) };
        let stored = Stored { name: &name, version: self.version()?, payload: self.payload() };
        T::decode(&stored).map_err(|source| Error::Decode { sequence: self.sequence(), source })
    }

    /// The name of its kind, where it has one.
    fn kind_name(&self) -> Option<Arc<str>> {
        let kinds = self.kinds().read().unwrap_or_else(PoisonError::into_inner);
        kinds.shared_name(self.kind())
    }
}

impl Events {
    /// The events with the values that they are. One that `T` is not is an error, as everything is for which
    /// [`Event::decode`] has one; so what is computed from all of them leaves none out. After an error it ends.
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, disk::MemoryDirectory};
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
    /// let mut open_cents = 0;
    /// for row in store.stream(&at).decode::<Order>() {
    ///     let (_event, change) = row?;
    ///     match change {
    ///         Order::Placed(placed) => open_cents += u64::from(placed.chairs) * 4950,
    ///         Order::Paid(paid) => open_cents -= paid.cents,
    ///     }
    /// }
    /// assert_eq!(open_cents, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn decode<T: EventType>(self) -> impl Iterator<Item = Result<(Event, T), Error>> + use<T> {
        self.try_map(|event| event.decode::<T>().map(Some))
    }

    /// The events that `T` is, with the values that they are; the others are passed over, and [`Events::limit`] counts
    /// them too. What makes [`Event::decode`] fail of those that `T` is, is an error. After an error it ends.
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, disk::MemoryDirectory};
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
    /// let paid: Vec<_> = store.stream(&at).of::<Paid>().collect::<Result<_, _>>()?;
    /// assert_eq!((paid.len(), paid[0].1.cents), (1, 9900));
    /// # Ok(())
    /// # }
    /// ```
    pub fn of<T: EventType>(self) -> impl Iterator<Item = Result<(Event, T), Error>> + use<T> {
        self.try_map(Event::decode_if::<T>)
    }

    /// Each event with what `decode` makes of it, up to the first error.
    fn try_map<T>(
        mut self,
        decode: impl Fn(&Event) -> Result<Option<T>, Error>,
    ) -> impl Iterator<Item = Result<(Event, T), Error>> {
        let mut is_done = false;
        let mut next = move || loop {
            let decoded = self.next()?.and_then(|event| Ok((decode(&event)?, event)));
            match decoded {
                Ok((None, _)) => {}
                Ok((Some(value), event)) => return Some(Ok((event, value))),
                Err(error) => return Some(Err(error)),
            }
        };
        iter::from_fn(move || {
            let item = if is_done { None } else { next() };
            is_done = !matches!(item, Some(Ok(_)));
            item
        })
    }
}

impl Store {
    /// All events that `T` is, in order of sequence, found by their kinds; [`Events::decode`] gives their values.
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, disk::MemoryDirectory};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(name = "order.placed")]
    /// # struct Placed { chairs: u32 }
    /// # fn main() -> Result<(), annals::Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// # let order = Coordinate::new("order:42", "shop/eu")?;
    /// # store.append(&NewEvent::of(&order, &Placed { chairs: 2 })?)?;
    /// let newest = store.events_of::<Placed>().backwards().decode::<Placed>().next();
    /// assert_eq!(newest.unwrap()?.1.chairs, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn events_of<T: EventType>(&self) -> Events {
        self.query(self.query_of::<T>())
    }

    /// The query for all events that `T` is, by the kinds that its names have by now.
    ///
    /// ```
    /// # use annals::{Coordinate, Event, NewEvent, Options, disk::MemoryDirectory};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event(name = "order.placed")]
    /// # struct Placed { chairs: u32 }
    /// # fn main() -> Result<(), annals::Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// # let order = Coordinate::new("order:42", "shop/eu")?;
    /// assert_eq!(store.query(store.query_of::<Placed>()).count(), 0, "the name has no kind yet");
    /// store.append(&NewEvent::of(&order, &Placed { chairs: 2 })?)?;
    /// assert_eq!(store.query(store.query_of::<Placed>()).count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn query_of<T: EventType>(&self) -> Query {
        let kinds: Vec<_> = T::schemas().iter().filter_map(|schema| self.find_kind(schema.name)).collect();
        // A kind that no name is bound to has no events, and an item without kinds would ask for all.
        let none = QueryItem::new().until(Sequence(0));
        Query::of(if kinds.is_empty() {
            none
        } else {
            kinds.into_iter().fold(QueryItem::new(), QueryItem::kind)
        })
    }
}
