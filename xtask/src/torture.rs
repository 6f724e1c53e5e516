//! `torture`: a real program on real file systems is killed at its system calls, has them fail, runs out of
//! space, files and rights, and has its syncs fail; what it promised is there afterwards.
//!
//! The program is `annals-subject`: it says outside of itself what it sends and what it was promised, and checks a
//! directory against that. `kind` lists the kinds of faults, each module beside it makes the points of some:
//! `kills`, `errors`, `space`, `refusals`, `lost_sync`. `mount` mounts and undoes.
//!
//! Invariant: what was promised is recorded in this process. What the machine cannot do is skipped and told, and
//! never counts as passed. A store that fails is kept, and nothing else is left behind.

mod flaw;
mod mount;
mod trace;

mod bench;
mod kind;

mod errors;
mod kills;
mod lost_sync;
mod refusals;
mod space;

mod summary;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use self::{
    bench::{Bench, Place},
    flaw::Flaw,
    kind::{Found, KINDS, Kind, Point},
    mount::Mounted,
    summary::Row,
};
use crate::{crash::new_seed, failure::Failure, kill::built};

/// The most that all stores of a campaign take at a time.
const SCRATCH_BYTES: u64 = 4 << 30;

/// Between two lines that say how far it is.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// After so many broken promises of one kind no more is learned from it.
const BROKEN_MAX: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What random moments and workloads follow from. A new one each time by default
    #[arg(long, default_value_t = new_seed(), hide_default_value = true)]
    seed: u64,
    /// Only this kind of fault; the summary of a whole run names them
    #[arg(long, value_name = "KIND")]
    only: Option<String>,
    /// Only the point with this number, as a failure prints it
    #[arg(long, requires = "only")]
    point: Option<usize>,
    /// Some points of each kind, in less than a minute
    #[arg(long)]
    quick: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn kinds(&self) -> Result<Vec<&'static Kind>, Failure> {
        let is_chosen = |kind: &&Kind| self.only.as_ref().is_none_or(|name| name == kind.name);
        let kinds: Vec<_> = KINDS.iter().filter(is_chosen).collect();
        match &self.only {
            Some(name) if kinds.is_empty() => {
                let of = KINDS.iter().map(|kind| kind.name).collect();
                Err(Failure::NoPoint { name: format!("kind of fault `{name}`"), of })
            }
            _ => Ok(kinds),
        }
    }
}

/// Runs the campaign.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let kinds = arguments.kinds()?;
    let is_root = mount::is_root();
    if is_root && !mount::is_inside() {
        eprintln!("torture: seed {}", arguments.seed);
        return mount::enter_namespace(arguments.seed);
    }
    let program = built("--package annals-campaign --bin annals-subject")?;
    let name = format!("annals-torture-{}", process::id());
    let scratch = scratch_root().join(&name);
    let stop = |flaw: Flaw| Failure::Torture { what: flaw.what };
    // What all places lie on, and what goes with this process if it is killed.
    let mounted = if is_root { Some(Mounted::tmpfs(&scratch, SCRATCH_BYTES).map_err(stop)?) } else { None };
    let kept = env::temp_dir().join(format!("{name}-kept"));
    let bench = Bench { program, seed: arguments.seed, is_quick: arguments.quick, scratch, kept };
    let campaign = Campaign { bench, arguments, is_root };
    let mut rows = Vec::new();
    let mut count = 0;
    for kind in kinds {
        let (row, broken) = campaign.try_kind(kind)?;
        rows.push(row);
        count += broken;
    }
    drop(mounted);
    // Empty by now, or a tmpfs that was never there.
    let _gone = fs::remove_dir_all(&campaign.bench.scratch);
    let text = if arguments.json { summary::json } else { summary::text };
    println!("{}", text(&rows, arguments.seed));
    if count == 0 { Ok(()) } else { Err(Failure::Broken { count }) }
}

/// Where files are quick: only system calls count, not disks.
fn scratch_root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { env::temp_dir() }
}

/// All kinds of faults over one program.
struct Campaign<'a> {
    bench: Bench,
    arguments: &'a Arguments,
    is_root: bool,
}

/// How far a kind is, for all threads that try its points.
struct Course<'a> {
    points: Vec<(usize, &'a Point)>,
    next: AtomicUsize,
    row: Mutex<Row>,
    broken: AtomicUsize,
    told: Mutex<Instant>,
}

impl Campaign<'_> {
    /// Tries a kind; returns its row and how many promises were not kept.
    fn try_kind(&self, kind: &Kind) -> Result<(Row, usize), Failure> {
        let mut row = Row::new(kind.name, kind.what);
        row.skipped = kind.needs.iter().find_map(|need| need.missing(self.is_root));
        if row.skipped.is_some() {
            return Ok((row, 0));
        }
        let started = Instant::now();
        let stop = |flaw: Flaw| Failure::Torture { what: format!("{}: {flaw}", kind.name) };
        let mut place = Place::new(self.bench.scratch.join("survey")).map_err(stop)?;
        let points = (kind.points)(&self.bench, &mut place).map_err(stop)?;
        let course = Course {
            points: self.chosen(kind, &points)?,
            next: AtomicUsize::new(0),
            row: Mutex::new(row),
            broken: AtomicUsize::new(0),
            told: Mutex::new(started),
        };
        eprintln!("torture: {}, {}: {} points", kind.name, kind.what, course.points.len());
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for number in 0..threads {
                let course = &course;
                scope.spawn(move || self.work(kind, course, number));
            }
        });
        let mut row = course.row.into_inner().unwrap_or_else(PoisonError::into_inner);
        row.duration = started.elapsed();
        Ok((row, course.broken.into_inner()))
    }

    /// The points to try, with their numbers.
    fn chosen<'p>(&self, kind: &Kind, points: &'p [Point]) -> Result<Vec<(usize, &'p Point)>, Failure> {
        let every = if self.bench.is_quick { kind.quick_every } else { 1 };
        let all = points.iter().enumerate();
        match self.arguments.point {
            None => Ok(all.filter(|(number, _)| number % every == 0).collect()),
            Some(point) => match points.get(point) {
                Some(found) => Ok(vec![(point, found)]),
                None => {
                    let name = format!("point {point} of {}, which has {}", kind.name, points.len());
                    Err(Failure::NoPoint { name, of: vec![kind.name] })
                }
            },
        }
    }

    /// Tries one point after another, until there is none left.
    fn work(&self, kind: &Kind, course: &Course<'_>, worker: usize) {
        let directory = self.bench.scratch.join(format!("place-{worker}"));
        while course.broken.load(Ordering::Relaxed) < BROKEN_MAX
            && let Some((number, point)) = course.points.get(course.next.fetch_add(1, Ordering::Relaxed))
        {
            let outcome = self.attempt(kind, *number, point, directory.clone());
            if outcome.is_err() {
                course.broken.fetch_add(1, Ordering::Relaxed);
            }
            course.row.lock().unwrap_or_else(PoisonError::into_inner).add(&outcome);
            course.tell(kind);
        }
    }

    fn attempt(&self, kind: &Kind, number: usize, point: &Point, directory: PathBuf) -> Result<Found, Flaw> {
        let mut place = Place::new(directory)?;
        let outcome = (point.attempt)(&self.bench, &mut place);
        if let Err(flaw) = &outcome {
            let kept = self.bench.keep(&place, &format!("{}-{number}", kind.name));
            eprintln!("torture: {}, point {number}, {}: {flaw}", kind.name, point.name);
            eprintln!("what was left, and what was said, is kept in {}", kept.display());
            let (seed, kind) = (self.bench.seed, kind.name);
            eprintln!("to run it again: cargo xtask torture --seed {seed} --only {kind} --point {number}");
        }
        outcome
    }
}

impl Course<'_> {
    /// Says now and then how far it is.
    fn tell(&self, kind: &Kind) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= LINE_EVERY {
            *told = Instant::now();
            let done = self.next.load(Ordering::Relaxed).min(self.points.len());
            eprintln!("torture: {}: {done} of {} points", kind.name, self.points.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_chosen_by_its_name() {
        let arguments = |only: Option<&str>| Arguments {
            seed: 1,
            only: only.map(str::to_owned),
            point: None,
            quick: true,
            json: false,
        };
        assert_eq!(arguments(None).kinds().unwrap().len(), KINDS.len());
        assert_eq!(arguments(Some("read-only")).kinds().unwrap().len(), 1);
        assert!(matches!(arguments(Some("x")).kinds(), Err(Failure::NoPoint { .. })));
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        use kind::Need;
        assert!(Need::Root.missing(false).is_some() && Need::Root.missing(true).is_none());
        let missing = Need::Program("annals-no-such-program", "x").missing(true);
        assert_eq!(missing.as_deref(), Some("no annals-no-such-program: apt-get install x"));
    }
}
