//! The command line: the commands, and what all of them take.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    append::Append,
    backup::{Backup, Restore},
    cursors::Cursors,
    demo::Demo,
    export::Export,
    get::Get,
    groups::Groups,
    hide::Hide,
    import::Import,
    inspect::Inspect,
    read::Read,
    streams::Streams,
    tail::Tail,
};

const EXAMPLES: &str = "\
Examples:
  export ANNALS_STORE=history
  zcat events.ndjson.gz | annals import
  annals streams
  annals read --scope shop/eu --entity order:42
  annals tail -f --kind order.placed
  annals export --kind order.placed --limit 10
  annals verify
  annals backup /mnt/backup/history

Exit codes:
  0  done
  1  refused: a conflict, not found, bad input, or the system failed
  2  wrong usage
  3  damage found
  4  another process is writing the store
  5  no space left

Reading commands work while another process writes the store, and change nothing
in it.";

/// An embedded, append-only, hash-chained event store in one directory
#[derive(Debug, Parser)]
#[command(name = "annals", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    /// The directory of the store
    #[arg(long, global = true, env = "ANNALS_STORE", value_name = "DIR", hide_env_values = true)]
    pub(crate) store: Option<PathBuf>,

    /// Print JSON, one object per line, for programs to read
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Import(Import),
    Export(Export),
    Append(Append),
    Get(Get),
    Read(Read),
    Tail(Tail),
    Streams(Streams),
    Cursors(Cursors),
    Groups(Groups),
    /// Show what the store holds, and what opening it found
    Stat,
    /// Check every checksum, hash and chain, and all that is derived from the events against them
    ///
    /// Needs no lock and changes nothing. The incomplete end that a crash leaves is said and is no error: the
    /// next command that writes cuts it off. Damage is listed, with the exit code 3.
    Verify,
    Inspect(Inspect),
    Backup(Backup),
    Restore(Restore),
    Hide(Hide),
    /// Write a checkpoint now, so that the next open has nothing to read again
    Checkpoint,
    Demo(Demo),
}

/// How durable an event is when it counts as appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// On the disk: survives a power loss
    Durable,
    /// With the operating system: survives the end of this program
    Written,
    /// In this program's buffer: lost where the program is killed
    Queued,
}

impl From<Durability> for annals::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Durable => Self::Durable,
            Durability::Written => Self::Written,
            Durability::Queued => Self::Queued,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
