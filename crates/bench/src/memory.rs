//! What the process holds in memory, as the system and its allocator count it.
//!
//! Every allocation of the program is counted, whatever is measured, so that all bear the same cost.

use std::{alloc::System, fs};

use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What the process holds, in bytes; `None` where the system does not say.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// All that is in memory and mapped: the program, its heap and stacks, and the files' pages that it touched.
    pub(crate) resident: Option<u64>,
    /// Of that what belongs to no file: heap and stacks.
    pub(crate) anonymous: Option<u64>,
    /// The most that was resident.
    pub(crate) resident_max: Option<u64>,
    /// What Rust code has allocated; C code is not counted.
    pub(crate) heap: u64,
}

impl Memory {
    /// What is held now.
    pub(crate) fn now() -> Self {
        let stats = ALLOCATOR.stats();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            resident: field(&status, "VmRSS:"),
            anonymous: field(&status, "RssAnon:"),
            resident_max: field(&status, "VmHWM:"),
            heap: stats.bytes_allocated.saturating_sub(stats.bytes_deallocated) as u64,
        }
    }
}

/// The bytes in the line of `status` that begins with `name`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_systems_is_found() {
        let status = "Name:\tx\nVmHWM:\t    9 kB\nVmRSS:\t   12 kB\nRssAnon:\t 4 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(12 << 10));
        assert_eq!(field(status, "RssFile:"), None);
    }

    #[test]
    fn what_is_allocated_is_counted() {
        // Far more than what other tests of this process allocate or give back meanwhile.
        const LEN: usize = 256 << 20;
        let before = Memory::now().heap;
        let bytes: Vec<u8> = Vec::with_capacity(LEN);
        let during = Memory::now().heap;
        assert!(
            during - before >= LEN as u64 / 2,
            "{before} before and {during} with {} bytes",
            bytes.capacity()
        );
    }
}
