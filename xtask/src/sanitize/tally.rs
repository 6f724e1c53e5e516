//! What the test harness says of a run.

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed(Tally),
    Failed {
        /// The command that runs it again.
        again: String,
    },
    /// The machine lacks the tool.
    Skipped,
}

/// How many tests passed, and how many were left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) left_out: u64,
}

impl Tally {
    /// Adds what `line` of a test program's output counts, where it is the line that does.
    pub(super) fn take_in(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ok. ") else { return };
        for count in counts.split("; ") {
            let (number, what) = count.split_once(' ').unwrap_or_default();
            let number: u64 = number.parse().unwrap_or_default();
            match what {
                "passed" => self.passed += number,
                "ignored" | "filtered out" => self.left_out += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_and_left_out_tests_are_counted_over_all_programs_of_a_run() {
        let mut tally = Tally::default();
        for line in [
            "running 7 tests",
            "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 54.27s",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            tally.take_in(line);
        }
        assert_eq!(tally, Tally { passed: 9, left_out: 4 });
    }
}
