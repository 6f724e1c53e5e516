//! The query: which events. One type for reads, conditions and subscriptions.
//!
//! Invariant: [`Query::matches`] and [`Query::select`] say the same of every event.

mod select;
mod walk;

use std::{
    fmt,
    ops::{Range, RangeInclusive},
};

use annals_wire::{Event, EventId, Key, Kind, Lane, Recorded, Sequence, StoreId, StreamKey};

/// Items joined by "or".
///
/// ```
/// # use annals_index::{Query, QueryItem};
/// let seats = Query::of(QueryItem::new().tag("course:1")).or(QueryItem::new().tag("student:7"));
/// assert!(!seats.is_everything() && Query::all().is_everything());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// None stand for everything.
    items: Vec<QueryItem>,
}

/// Terms joined by "and"; one without terms is everything.
///
/// ```
/// # use annals_index::{Query, QueryItem};
/// # use annals_wire::Sequence;
/// // All of the tags, in one scope, after a sequence.
/// let item = QueryItem::new().tag("course:1").tag("urgent").scope("school").after(Sequence(17));
/// assert_eq!(Query::of(item.clone()), Query::of(item));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryItem {
    kinds: Vec<Kind>,
    categories: Vec<u16>,
    tags: Vec<String>,
    scope: Option<String>,
    entity: Option<String>,
    entity_prefix: Option<String>,
    lane: Option<Lane>,
    correlation: Option<EventId>,
    causation: Option<EventId>,
    after: Sequence,
    until: Option<Sequence>,
    recorded_after: Option<Recorded>,
    recorded_until: Option<Recorded>,
}

/// What a query needs to know of a stretch and an index does not have: it holds ids as hashes, and few times. Whoever
/// has the events finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever has the events: every field must be given")]
pub struct Known {
    /// The rows of those of [`Query::correlations`] that are here.
    pub begun: Vec<(EventId, u32)>,
    /// For each of [`Query::times`] the sequence of the first event that was recorded later, or of the next event
    /// where there is none. Where that lies outside of the stretch, any sequence on the same side of it will do.
    pub times: Vec<(Recorded, Sequence)>,
}

/// In which order events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a line has two directions")]
pub enum Direction {
    /// The oldest first.
    Forward,
    /// The newest first.
    Backward,
}

impl Query {
    /// Every event.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The events of one item.
    #[must_use]
    pub fn of(item: QueryItem) -> Self {
        Self { items: vec![item] }
    }

    /// These events and those of another item. Everything stays everything.
    #[must_use]
    pub fn or(mut self, item: QueryItem) -> Self {
        if !self.items.is_empty() {
            self.items.push(item);
        }
        self
    }

    /// The same without room that it does not use, for whoever keeps it for long.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        self.items.shrink_to_fit();
        self
    }

    /// These events and those of `other`, each once.
    #[must_use]
    pub fn or_those_of(mut self, other: &Self) -> Self {
        if self.items.is_empty() || other.items.is_empty() {
            return Self::all();
        }
        for item in &other.items {
            if !self.items.contains(item) {
                self.items.push(item.clone());
            }
        }
        self
    }

    /// Whether `event` is one of them.
    #[must_use]
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.items.is_empty() || self.items.iter().any(|item| item.matches(event))
    }

    /// The conversations that its items name. The event that one began with carries no correlation, so it is found
    /// by its id.
    pub fn correlations(&self) -> impl Iterator<Item = EventId> + '_ {
        self.items.iter().filter_map(|item| item.correlation)
    }

    /// The times that its items name.
    pub fn times(&self) -> impl Iterator<Item = Recorded> + '_ {
        self.items.iter().flat_map(|item| [item.recorded_after, item.recorded_until]).flatten()
    }

    /// Whether it asks for every event there is.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.items.is_empty()
    }

    /// The sequences between which all of its events lie; the start is included and the end is not. `times` as in
    /// [`Known::times`].
    #[must_use]
    pub fn sequences(&self, times: &[(Recorded, Sequence)]) -> Range<u64> {
        let ranges = self.items.iter().map(|item| item.sequences(times)).filter(|range| !range.is_empty());
        let outer = ranges.reduce(|one, other| one.start.min(other.start)..one.end.max(other.end));
        outer.unwrap_or(if self.items.is_empty() { 0..u64::MAX } else { 0..0 })
    }

    /// Hashes of keys that an event of each item has, of which one in `store` has all of at least one list: where no
    /// list has all of its keys, there is no such event. An empty list stands for everything.
    #[must_use]
    pub fn key_sets(&self, store: StoreId) -> Vec<Vec<u32>> {
        if self.items.is_empty() {
            return vec![Vec::new()];
        }
        self.items.iter().flat_map(|item| item.key_sets(store)).collect()
    }

    /// Whether any of `sequences` may be one of them: whether it is worth asking their index.
    #[must_use]
    pub fn may_match(&self, sequences: &RangeInclusive<Sequence>) -> bool {
        let meets = |item: &QueryItem| {
            *sequences.end() > item.after && item.until.is_none_or(|until| until >= *sequences.start())
        };
        !sequences.is_empty() && (self.items.is_empty() || self.items.iter().any(meets))
    }
}

impl QueryItem {
    /// Every event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this kind, or any other kind or category that is named.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Of this category, 0x1 to 0xF, or any other kind or category that is named.
    #[must_use]
    pub fn category(mut self, category: u16) -> Self {
        self.categories.push(category);
        self
    }

    /// With this tag, and all others that are named.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// In this scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Of this entity, in any scope unless one is named.
    #[must_use]
    pub fn entity(mut self, entity: impl Into<String>) -> Self {
        self.entity = Some(entity.into());
        self
    }

    /// Of any entity that begins with `prefix`.
    #[must_use]
    pub fn entity_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.entity_prefix = Some(prefix.into());
        self
    }

    /// On this lane.
    #[must_use]
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = Some(lane);
        self
    }

    /// Of the conversation `id`, the event with that id included where it began it.
    #[must_use]
    pub fn correlation(mut self, id: EventId) -> Self {
        self.correlation = Some(id);
        self
    }

    /// Caused by the event `id`.
    #[must_use]
    pub fn causation(mut self, id: EventId) -> Self {
        self.causation = Some(id);
        self
    }

    /// Behind `sequence`, which is not included.
    #[must_use]
    pub fn after(mut self, sequence: Sequence) -> Self {
        self.after = sequence;
        self
    }

    /// Up to `sequence`, which is included.
    #[must_use]
    pub fn until(mut self, sequence: Sequence) -> Self {
        self.until = Some(sequence);
        self
    }

    /// Recorded later than `time`.
    #[must_use]
    pub fn recorded_after(mut self, time: Recorded) -> Self {
        self.recorded_after = Some(time);
        self
    }

    /// Recorded at `time` or earlier: as of that time.
    #[must_use]
    pub fn recorded_until(mut self, time: Recorded) -> Self {
        self.recorded_until = Some(time);
        self
    }

    /// Whether `event` is one of them.
    #[must_use]
    pub fn matches(&self, event: &Event<'_>) -> bool {
        event.sequence > self.after
            && self.until.is_none_or(|until| event.sequence <= until)
            && self.recorded_after.is_none_or(|time| event.stamp.recorded > time)
            && self.recorded_until.is_none_or(|time| event.stamp.recorded <= time)
            && self.matches_kind(event.stamp.kind)
            && self.matches_stream(&event.stream)
            && self.tags.iter().all(|tag| event.tags.iter().any(|found| found == tag))
            && self.correlation.is_none_or(|id| event.correlation_or_id() == id)
            && self.causation.is_none_or(|id| event.causation == Some(id))
    }

    /// The sequences between which its events lie; the start is included and the end is not.
    fn sequences(&self, times: &[(Recorded, Sequence)]) -> Range<u64> {
        let behind = |time: Recorded| {
            let known = times.iter().find(|(known, _)| *known == time);
            known.expect("whoever asks found the place of every time").1.0
        };
        let start = self.recorded_after.map_or(0, behind).max(self.after.0.saturating_add(1));
        let end = self.recorded_until.map_or(u64::MAX, behind);
        start..self.until.map_or(end, |until| end.min(until.0.saturating_add(1)))
    }

    fn key_sets(&self, store: StoreId) -> Vec<Vec<u32>> {
        let mut keys: Vec<u32> = self.tags.iter().map(|tag| Key::Tag(tag).hash(store)).collect();
        keys.extend(self.causation.map(|id| Key::Causation(id).hash(store)));
        if let Some(scope) = &self.scope {
            let key = match &self.entity {
                Some(entity) => Key::Coordinate { scope, entity },
                None => Key::Scope(scope),
            };
            keys.push(key.hash(store));
        }
        if let ([kind], []) = (self.kinds.as_slice(), self.categories.as_slice()) {
            keys.push(Key::Kind(*kind).hash(store));
        }
        let Some(id) = self.correlation else { return vec![keys] };
        let with = |key: Key<'_>| keys.iter().copied().chain([key.hash(store)]).collect();
        vec![with(Key::Correlation(id)), with(Key::Id(id))]
    }

    fn names_kinds(&self) -> bool {
        !(self.kinds.is_empty() && self.categories.is_empty())
    }

    fn names_stream(&self) -> bool {
        self.scope.is_some() || self.entity.is_some() || self.entity_prefix.is_some() || self.lane.is_some()
    }

    fn matches_kind(&self, kind: Kind) -> bool {
        !self.names_kinds() || self.kinds.contains(&kind) || self.categories.contains(&kind.category())
    }

    fn matches_stream(&self, key: &StreamKey<'_>) -> bool {
        self.scope.as_ref().is_none_or(|scope| key.scope == scope)
            && self.entity.as_ref().is_none_or(|entity| key.entity == entity)
            && self.entity_prefix.as_ref().is_none_or(|prefix| key.entity.starts_with(prefix))
            && self.lane.is_none_or(|lane| key.lane == lane)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.items.is_empty() {
            return f.write_str("everything");
        }
        for (place, item) in self.items.iter().enumerate() {
            let joined = if place == 0 { "" } else { " or " };
            write!(f, "{joined}({item})")?;
        }
        Ok(())
    }
}

impl fmt::Display for QueryItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds.iter().map(|kind| format!("kind {kind}"));
        let categories = self.categories.iter().map(|category| format!("category {category:#x}"));
        let any = kinds.chain(categories).collect::<Vec<_>>().join(" or ");
        let mut terms = Vec::from_iter(Some(any).filter(|any| !any.is_empty()));
        terms.extend(self.tags.iter().map(|tag| format!("tag {tag}")));
        terms.extend(self.scope.iter().map(|scope| format!("scope {scope}")));
        terms.extend(self.entity.iter().map(|entity| format!("entity {entity}")));
        terms.extend(self.entity_prefix.iter().map(|prefix| format!("entity {prefix}...")));
        terms.extend(self.lane.iter().map(|lane| format!("lane {lane}")));
        terms.extend(self.correlation.iter().map(|id| format!("correlation {id}")));
        terms.extend(self.causation.iter().map(|id| format!("causation {id}")));
        terms.extend(Some(self.after).filter(|after| after.0 > 0).map(|after| format!("after {after}")));
        terms.extend(self.until.iter().map(|until| format!("until {until}")));
        terms.extend(self.recorded_after.iter().map(|time| format!("recorded after {time}")));
        terms.extend(self.recorded_until.iter().map(|time| format!("recorded until {time}")));
        f.write_str(&if terms.is_empty() { "everything".to_owned() } else { terms.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_or_something_is_everything() {
        assert_eq!(Query::all().or(QueryItem::new().scope("s")), Query::all());
    }

    #[test]
    fn two_queries_are_one_of_the_items_of_both() {
        let of = |scope: &str| QueryItem::new().scope(scope);
        let (one, other) = (Query::of(of("a")).or(of("b")), Query::of(of("b")).or(of("c")));
        assert_eq!(one.clone().or_those_of(&other), Query::of(of("a")).or(of("b")).or(of("c")));
        assert_eq!(one.clone().or_those_of(&Query::all()), Query::all());
        assert_eq!(Query::all().or_those_of(&one), Query::all());
    }

    #[test]
    fn a_query_reads_as_what_it_asks_for() {
        let kind = |number| Kind::new(number).unwrap();
        let item = QueryItem::new().kind(kind(0x1002)).category(0x2).tag("a").tag("b").scope("s");
        let item = item.entity_prefix("order:").lane(Lane(3)).after(Sequence(7));
        assert_eq!(
            Query::of(item).or(QueryItem::new()).to_string(),
            "(kind 0x1002 or category 0x2, tag a, tag b, scope s, entity order:..., lane 3, after 7) or (everything)"
        );
        assert_eq!(Query::all().to_string(), "everything");
    }

    #[test]
    fn a_stretch_may_match_where_it_meets_the_range_of_an_item() {
        let query = Query::of(QueryItem::new().after(Sequence(5)).until(Sequence(8)));
        let may_match = |first, last| query.may_match(&(Sequence(first)..=Sequence(last)));
        assert!(!may_match(1, 5) && may_match(1, 6) && may_match(8, 9) && !may_match(9, 20));
        assert!(!may_match(7, 6), "no sequences");
        assert!(Query::all().may_match(&(Sequence(1)..=Sequence(1))));
    }
}
