//! `mutants`: every call, assignment and comparison that a promise rests on is switched off, one at a time, and
//! something must fail.
//!
//! The sites are found in the libraries' sources by their syntax (`find`), by the tables in `words`. A copy of
//! the repository is instrumented (`site`, `crate::copy`) and built once; a variable of the environment says at run time
//! which site is off. `suite` runs the crash campaign and the tests until the first failure.
//!
//! Invariant: the sources of the product know nothing of this. A survivor is a missing test or a needless call.

mod exempt;
mod find;
mod outcome;
mod programs;
mod site;
mod suite;
mod words;

use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

pub(crate) use self::{
    exempt::{EXEMPTIONS, Exemption},
    find::{Found, find},
    words::{Word, is_searched, stale, words},
};
use self::{outcome::Tried, site::Site, suite::Suite};
use crate::{command::root, copy, failure::Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the sites and run nothing
    #[arg(long)]
    list: bool,
    /// Only the sites with these numbers, as the list has them
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    only: Vec<usize>,
    /// Without the tests that take longest: a first look, of which only what is caught is certain
    #[arg(long)]
    quick: bool,
    /// Print what came of each site as JSON
    #[arg(long)]
    json: bool,
    /// How many sites are tried at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
}

/// Tries all sites, or those that were asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let sites = sites()?;
    let chosen: Vec<_> = (1..).zip(&sites).filter(|(number, _)| arguments.is_chosen(*number)).collect();
    if arguments.list {
        chosen.iter().for_each(|(number, site)| println!("{}", outcome::listed(*number, site)));
        return Ok(());
    }
    let directory = root().join("target").join("mutants");
    copy::write(&directory, |path, text| instrumented(path, text, &sites))?;
    let scratch = emptied(directory.join("scratch"))?;
    let programs = programs::build(&copy::place(&directory), &directory.join("build"))?;
    let suite = Suite::measure(&programs, &scratch, arguments.quick)?;
    let tried = try_all(&suite, &chosen, arguments.jobs)?;
    emptied(scratch)?;
    if arguments.json {
        println!("{}", outcome::json(&tried));
    } else {
        print!("{}", outcome::table(&tried));
    }
    match tried.iter().filter(|tried| tried.caught.is_none()).count() {
        0 => Ok(()),
        count => Err(Failure::Survived { count, of: tried.len() }),
    }
}

impl Arguments {
    fn is_chosen(&self, number: usize) -> bool {
        self.only.is_empty() || self.only.contains(&number)
    }
}

/// All sites that are to be switched off, in order of path and place.
fn sites() -> Result<Vec<Site>, Failure> {
    let mut sites = Vec::new();
    for path in copy::listed()?.into_iter().filter(|path| is_searched(path)) {
        let text = copy::text(&path)?;
        let found = find(&path, &text).map_err(|error| Failure::Syntax { path, what: error.to_string() })?;
        let is_exempt = |site: &Site| EXEMPTIONS.iter().any(|exemption| exemption.covers_site(site));
        sites.extend(found.sites.into_iter().filter(|site| !is_exempt(site)));
    }
    Ok(sites)
}

/// The crate that all others stand on: the choice of the site is made there.
const LOWEST: &str = "crates/wire/src/lib.rs";

/// The `text` of the file at `path` with all of its sites, numbered from 1, made switchable.
fn instrumented(path: &str, text: String, sites: &[Site]) -> String {
    if path == LOWEST {
        return text + site::CHOICE;
    }
    let numbered = (1..).zip(sites).filter(|(_, site)| site.path == path);
    site::instrument(&text, numbered)
}

/// An empty directory at `path`: what a killed test leaves in it is nobody's.
fn emptied(path: PathBuf) -> Result<PathBuf, Failure> {
    if path.exists() {
        fs::remove_dir_all(&path).map_err(|source| Failure::Write { path: path.clone(), source })?;
    }
    fs::create_dir_all(&path).map_err(|source| Failure::Write { path: path.clone(), source })?;
    Ok(path)
}

/// Tries the chosen sites, `jobs` at once, and says of each what came of it.
fn try_all<'s>(suite: &Suite, chosen: &[(usize, &'s Site)], jobs: u32) -> Result<Vec<Tried<'s>>, Failure> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((number, site)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let caught = suite.catch(*number)?;
            let tried = Tried { number: *number, site, caught, duration: started.elapsed() };
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push(tried);
            let count = done.len();
            let Some(tried) = done.last() else { continue };
            let (seconds, words) = (tried.duration.as_secs_f64(), tried.words());
            eprintln!("mutants: {count}/{}: {number} {} {seconds:.1} s: {words}", chosen.len(), site.kind);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("a worker does not panic"));
        joined.collect::<Result<(), _>>()
    })?;
    let mut tried = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    tried.sort_by_key(|tried| tried.number);
    Ok(tried)
}
