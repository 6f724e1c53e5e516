//! Many lists of rows, walked together in one direction.
//!
//! Invariant: rows come in order, and no list is read further than one row ahead. A list that is out of
//! order, which only a forged one is, ends in an error: the order does not depend on what lies there.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    ops::Range,
};

use super::Direction;
use crate::{Error, Rows};

/// The rows of many lists, merged as they are asked for.
pub(super) struct Walk<'a> {
    direction: Direction,
    cursors: Vec<Cursor<'a>>,
    /// The next row of each cursor that has one, as a key that grows in the direction; and the cursor.
    heads: BinaryHeap<Reverse<(u32, usize)>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, cursors: Vec::new(), heads: BinaryHeap::new() }
    }

    pub(super) fn add(&mut self, list: Rows<'a>, rows: &Range<u32>, item: usize) -> Result<(), Error> {
        let mut cursor = Cursor { list, places: list.places(rows)?, left: rows.clone(), item };
        if let Some(row) = cursor.next(self.direction)? {
            self.heads.push(Reverse((self.direction.key(row), self.cursors.len())));
            self.cursors.push(cursor);
        }
        Ok(())
    }

    /// The next row that any list has, and the item that the list drives. A row comes once for each list.
    pub(super) fn next(&mut self) -> Result<Option<(u32, usize)>, Error> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let Reverse((key, place)) = *head;
        let cursor = self.cursors.get_mut(place).expect("a cursor for each head");
        match cursor.next(self.direction)? {
            Some(row) => *head = Reverse((self.direction.key(row), place)),
            None => _ = PeekMut::pop(head),
        }
        Ok(Some((self.direction.key(key), cursor.item)))
    }
}

/// A place in one list.
struct Cursor<'a> {
    list: Rows<'a>,
    /// The indices in the list that are still to come.
    places: Range<usize>,
    /// The rows that may still come.
    left: Range<u32>,
    item: usize,
}

impl Cursor<'_> {
    fn next(&mut self, direction: Direction) -> Result<Option<u32>, Error> {
        let Some(place) = direction.step(&mut self.places) else { return Ok(None) };
        let row = self.list.at(place)?.filter(|row| self.left.contains(row));
        let row = row.ok_or(Error::invalid("footer rows", "out of order, or not there"))?;
        match direction {
            Direction::Forward => self.left.start = row + 1,
            Direction::Backward => self.left.end = row,
        }
        Ok(Some(row))
    }
}

impl Direction {
    /// Takes the next of `numbers` in this direction.
    pub fn step<N>(self, numbers: &mut Range<N>) -> Option<N>
    where
        Range<N>: DoubleEndedIterator<Item = N>,
    {
        match self {
            Self::Forward => numbers.next(),
            Self::Backward => numbers.next_back(),
        }
    }

    /// A number for `row` that grows in this direction; the row again for its own key.
    fn key(self, row: u32) -> u32 {
        match self {
            Self::Forward => row,
            Self::Backward => u32::MAX - row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(direction: Direction, lists: &[&[u32]], rows: Range<u32>) -> Result<Vec<(u32, usize)>, Error> {
        let mut walk = Walk::new(direction);
        for (item, list) in lists.iter().enumerate() {
            walk.add(Rows::from(*list), &rows, item)?;
        }
        let mut found = Vec::new();
        while let Some(head) = walk.next()? {
            found.push(head);
        }
        Ok(found)
    }

    #[test]
    fn lists_are_merged_in_order_within_the_range() {
        let lists: [&[u32]; 3] = [&[1, 4, 9], &[], &[2, 4, 7]];
        let forward = walk(Direction::Forward, &lists, 2..9).unwrap();
        assert_eq!(forward, [(2, 2), (4, 0), (4, 2), (7, 2)]);
        let backward = walk(Direction::Backward, &lists, 0..8).unwrap();
        assert_eq!(backward, [(7, 2), (4, 0), (4, 2), (2, 2), (1, 0)]);
    }

    #[test]
    fn a_forged_list_ends_in_an_error() {
        for list in [&[3, 3, 4][..], &[0, 5, 2, 6]] {
            assert!(walk(Direction::Forward, &[list], 0..10).is_err());
            assert!(walk(Direction::Backward, &[list], 0..10).is_err());
        }
    }
}
