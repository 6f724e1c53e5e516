//! The rows of many keys in one allocation: most streams have few, and nothing is taken or given back for each.
//!
//! Invariant: a list of one row is that row itself. A longer one lies in a block of four rows, or of the next power
//! of two that holds it; one that outgrows its block is copied behind all others. What it leaves is not used again,
//! so that all blocks together have under four times the rows that are listed.

/// The fewest rows of a block.
const BLOCK_COUNT_MIN: u32 = 4;

/// One key's rows, at least one, in the [`Lists`] that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    /// Where they begin; the row itself where there is one.
    start: u32,
    count: u32,
}

impl List {
    /// A list of one row.
    pub(crate) fn of(row: u32) -> Self {
        Self { start: row, count: 1 }
    }

    pub(crate) fn count(self) -> usize {
        self.count as usize
    }

    fn is_full(self) -> bool {
        self.count.is_power_of_two() && (self.count == 1 || self.count >= BLOCK_COUNT_MIN)
    }
}

/// The rows of lists.
#[derive(Debug, Default)]
pub(crate) struct Lists(Vec<u32>);

impl Lists {
    /// Adds a row to the end of a list.
    pub(crate) fn push(&mut self, list: &mut List, row: u32) {
        if list.is_full() {
            self.move_to_larger(list);
        }
        let end = list.start as usize + list.count();
        *self.0.get_mut(end).expect("a block has room until it is full") = row;
        list.count += 1;
    }

    fn move_to_larger(&mut self, list: &mut List) {
        let start = self.0.len();
        if list.count == 1 {
            self.0.push(list.start);
        } else {
            let old = list.start as usize;
            self.0.extend_from_within(old..old + list.count());
        }
        let block = (list.count * 2).max(BLOCK_COUNT_MIN);
        self.0.resize(start + block as usize, 0);
        list.start = u32::try_from(start).expect("under four times ROW_COUNT_MAX");
    }

    /// The rows of a list.
    pub(crate) fn rows<'a>(&'a self, list: &'a List) -> &'a [u32] {
        if list.count == 1 {
            return std::slice::from_ref(&list.start);
        }
        let start = list.start as usize;
        self.0.get(start..start + list.count()).expect("a list of these")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_what_was_pushed_to_it() {
        let mut lists = Lists::default();
        // The n-th list gets every row that n divides.
        let mut found: Vec<List> = (1..=50).map(|_| List::of(0)).collect();
        for row in 1..1_000 {
            for (n, list) in (1..).zip(&mut found).filter(|(n, _)| row % n == 0) {
                lists.push(list, row);
                assert_eq!(lists.rows(list).last(), Some(&row), "list {n}");
            }
        }
        for (n, list) in (1..).zip(&found) {
            let expected: Vec<u32> = (0..1_000).step_by(n).collect();
            assert_eq!(lists.rows(list), expected, "list {n}");
            assert_eq!(list.count(), expected.len());
        }
    }

    #[test]
    fn blocks_have_under_four_times_the_rows() {
        for count in [2, 3, 5, 9, 17, 1_025, 65_537] {
            let (mut lists, mut list) = (Lists::default(), List::of(0));
            (1..count).for_each(|row| lists.push(&mut list, row));
            assert!(lists.0.len() < 4 * count as usize, "{} for {count}", lists.0.len());
        }
    }
}
