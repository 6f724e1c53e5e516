//! Files.
mod map;
mod directory;
pub use directory::{Access, CrashProfile, Directory, DiskDirectory, Entry, File, Lock, MemoryDirectory, SimulatedDirectory};
pub use map::Region;
