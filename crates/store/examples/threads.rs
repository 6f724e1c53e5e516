//! Sixteen threads append durably, one event at a time, and share writes and syncs:
//! `strace -f -c -e trace=fdatasync,pwrite64 cargo run --release -p annals --example threads`.

use std::{error::Error, path::PathBuf, thread, time::Instant};

use annals::{Coordinate, NewEvent, Store};

const THREADS: usize = 16;
const EVENTS_PER_THREAD: usize = 250;

fn main() -> Result<(), Box<dyn Error>> {
    let path =
        std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("annals-threads"), PathBuf::from);
    let store = Store::open(&path)?;
    let kind = store.kind("tick")?;
    let start = Instant::now();
    thread::scope(|scope| {
        let append = |thread: usize| -> Result<(), annals::Error> {
            let coordinate = Coordinate::new(&format!("thread:{thread}"), "example")?;
            for _ in 0..EVENTS_PER_THREAD {
                store.append(&NewEvent::new(&coordinate, kind, b"tick"))?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || append(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })?;
    let count = THREADS * EVENTS_PER_THREAD;
    writeln(&format!("{count} durable events in {:?}, in {}", start.elapsed(), path.display()))?;
    store.close()?;
    Ok(())
}

fn writeln(line: &str) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}")
}
