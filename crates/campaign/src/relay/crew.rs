//! All of them: begun, killed and begun again, and at last what they came to.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use annals::Store;

use super::{PRODUCERS, check, options, work};
use crate::{Flaw, random::Random};

const WORKERS: usize = 2;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the store is made; the directory must not be there
    #[arg(long)]
    store: PathBuf,
    /// How long it goes on
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// What the moments follow from
    #[arg(long)]
    seed: u64,
}

/// A process that is begun again whenever it was killed.
struct Member {
    role: Role,
    child: Child,
    lives: u64,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Producer(usize),
    Worker,
}

pub(super) fn run(arguments: &Arguments) -> Result<String, Flaw> {
    let store = &arguments.store;
    if store.exists() {
        return Err(Flaw::new(format!("{} is there already", store.display())));
    }
    let again = |flaw: Flaw| {
        let seed = arguments.seed;
        flaw.within(format_args!("seed {seed}; the store is kept in {}", store.display()))
    };
    let kills = disturb(arguments).map_err(again)?;
    let opened = options().open(store).map_err(super::failed("the store is opened at last"));
    let opened: Store = opened.map_err(again)?;
    work::finish(&opened).map_err(again)?;
    let found = check::check(&opened).map_err(again)?;
    opened.close().map_err(super::failed("the store is closed at last")).map_err(again)?;
    Ok(format!("{kills} lives of {} producers and {WORKERS} worker processes; {found}", PRODUCERS.len()))
}

/// Kills one after the other, at random, for as long as is asked; returns how many.
fn disturb(arguments: &Arguments) -> Result<u64, Flaw> {
    let mut random = Random::new(arguments.seed, 0);
    let roles = (0..PRODUCERS.len()).map(Role::Producer).chain([Role::Worker; WORKERS]);
    let mut members = Vec::new();
    for role in roles {
        members.push(Member { role, child: spawn(&arguments.store, role, random.next())?, lives: 1 });
    }
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let outcome = disturb_until(end, &arguments.store, &mut members, &mut random);
    for member in &mut members {
        drop((member.child.kill(), member.child.wait()));
    }
    let lives: u64 = members.iter().map(|member| member.lives).sum();
    outcome.map(|()| lives)
}

fn disturb_until(
    end: Instant,
    store: &Path,
    members: &mut [Member],
    random: &mut Random,
) -> Result<(), Flaw> {
    while Instant::now() < end {
        // The moment of the next kill.
        thread::sleep(Duration::from_millis(random.below(150)));
        let place = usize::try_from(random.below(members.len() as u64)).unwrap_or(0);
        let Some(member) = members.get_mut(place) else { continue };
        if let Some(status) = member.child.try_wait().map_err(|error| Flaw::new(error.to_string()))? {
            return Err(Flaw::new(format!("{:?} ended by itself, with {status}", member.role)));
        }
        member.child.kill().map_err(|error| Flaw::new(error.to_string()))?;
        member.child.wait().map_err(|error| Flaw::new(error.to_string()))?;
        member.child = spawn(store, member.role, random.next())?;
        member.lives += 1;
    }
    Ok(())
}

fn spawn(store: &Path, role: Role, seed: u64) -> Result<Child, Flaw> {
    let program = env::current_exe().map_err(|error| Flaw::new(error.to_string()))?;
    let mut command = Command::new(program);
    match role {
        Role::Producer(number) => command.args(["produce", "--number", &number.to_string()]),
        Role::Worker => command.arg("work"),
    };
    command.arg("--store").arg(store).args(["--seed", &seed.to_string()]).stdin(Stdio::null());
    command.spawn().map_err(|error| Flaw::new(format!("a process was not begun: {error}")))
}
