//! The system calls of a program, as strace lists them.
//!
//! Invariant: a call has the number that strace's `when` counts, from 1, among those of its name.

use std::collections::BTreeMap;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// Which of its name it is.
    pub(super) number: u32,
    /// The line that lists it.
    line: String,
}

impl Call {
    /// Whether it says `word` on standard output.
    pub(super) fn says(&self, word: &str) -> bool {
        self.name == "write" && self.line.starts_with("write(1") && self.line.contains(&format!("\"{word}"))
    }

    /// Whether it is about a file or a directory of the store, and not memory or what is said.
    pub(super) fn is_of_store(&self) -> bool {
        match self.name.as_str() {
            "mmap" => !self.line.contains("MAP_ANONYMOUS"),
            // A failed close of a directory is no error that a system gives; the standard library panics.
            "close" => self.line.contains(".seg>") || self.line.contains("MANIFEST>"),
            _ => true,
        }
    }
}

/// The calls in `listing`, in order.
fn calls(listing: &str) -> Vec<Call> {
    let mut counts = BTreeMap::new();
    let call = |line: &str| {
        let (name, _) = line.split_once('(')?;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let number: &mut u32 = counts.entry(name.to_owned()).or_default();
        *number += u32::from(is_name);
        is_name.then(|| Call { name: name.to_owned(), number: *number, line: line.to_owned() })
    };
    listing.lines().filter_map(call).collect()
}

/// The calls in `listing` from the one that first says `from` up to the first behind it that says `to`.
pub(super) fn calls_between(listing: &str, from: &str, to: &str) -> Vec<Call> {
    let rest = calls(listing).into_iter().skip_while(|call| !call.says(from));
    rest.take_while(|call| !call.says(to)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "execve(\"/a\", ...) = 0\nopenat(AT_FDCWD, \"/lib\") = 3\nwrite(1<pipe:[7]>, \"opening\\n\", 8) = 8\n\
        openat(AT_FDCWD, \"/s\") = 3\nmmap(NULL, 8, PROT_READ, MAP_ANONYMOUS, -1, 0) = 0x7\nclose(3</s>) = 0\n\
        close(4</s/000001.seg>) = 0\nwrite(1<pipe:[7]>, \"done\\n\", 5) = 5\nclose(4) = 0\n+++ exited with 0 +++\n";

    #[test]
    fn calls_are_numbered_among_those_of_their_name_from_the_start_on() {
        let calls = calls_between(LISTING, "opening", "done");
        let names: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.number)).collect();
        assert_eq!(names, [("write", 1), ("openat", 2), ("mmap", 1), ("close", 1), ("close", 2)]);
    }

    #[test]
    fn memory_and_directories_are_not_of_the_store() {
        let calls = calls_between(LISTING, "opening", "done");
        let of_store: Vec<_> = calls.iter().map(Call::is_of_store).collect();
        assert_eq!(of_store, [true, true, false, false, true]);
    }
}
