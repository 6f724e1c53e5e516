//! Killing: before every system call of a workload and of a recovery, and at random moments of a long workload.

use std::{fs, sync::Arc, time::Instant};

use super::{
    bench::{Bench, End, Place, Ran},
    flaw::Flaw,
    kind::{Found, Point},
    trace::{Call, calls_between},
};

/// How many long workloads are killed.
const RANDOM_COUNT: u64 = 240;
const RANDOM_STEPS: &str = "300";

/// The names of the fixed workloads.
pub(super) fn scripts(bench: &Bench) -> Result<Vec<String>, Flaw> {
    let mut command = std::process::Command::new(&bench.program);
    let output = command.arg("scripts").output().map_err(Flaw::system("start", &bench.program))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// The calls of a run that nothing disturbs, between two of its words.
pub(super) fn calls(
    bench: &Bench,
    place: &mut Place,
    arguments: &[&str],
    [from, to]: [&str; 2],
) -> Result<Vec<Call>, Flaw> {
    let listing = place.listing();
    let strace = ["strace", "-y", "-o"].map(str::to_owned).into_iter();
    let wrapper: Vec<_> = strace.chain([listing.display().to_string(), "--".to_owned()]).collect();
    let ran = bench.write(place, arguments, &wrapper)?;
    if ran.end != End::Done {
        return Err(Flaw::new(format!("undisturbed, it ended with {:?}: {}", ran.end, ran.said)));
    }
    let text = fs::read_to_string(&listing).map_err(Flaw::system("read", &listing))?;
    Ok(calls_between(&text, from, to))
}

/// strace, which does `what` at `call`.
pub(super) fn strace(place: &Place, call: &Call, what: &str, is_for_good: bool) -> Vec<String> {
    let Call { name, number, .. } = call;
    let on = if is_for_good { "+" } else { "" };
    let inject = format!("inject={name}:{what}:when={number}{on}");
    let words =
        ["strace", "-y", "-o", &place.listing().display().to_string(), "-e", &format!("trace={name},write")];
    words.iter().copied().chain(["-e", &inject, "--"]).map(str::to_owned).collect()
}

fn kill(bench: &Bench, place: &mut Place, arguments: &[&str], call: &Call) -> Result<Ran, Flaw> {
    let wrapper = strace(place, call, "signal=SIGKILL", false);
    bench.write(place, arguments, &wrapper)
}

fn checked(bench: &Bench, place: &Place, ran: &Ran) -> Result<Found, Flaw> {
    let kept = bench.check(place, &[])?;
    Ok(Found { has_landed: ran.end == End::Killed, has_failed: false, promised: kept.promised })
}

/// Before each call of each workload.
pub(super) fn at_calls(bench: &Bench, place: &mut Place) -> Result<Vec<Point>, Flaw> {
    let mut points = Vec::new();
    for script in scripts(bench)? {
        *place = Place::new(place.directory.clone())?;
        for call in calls(bench, place, &["--script", &script], ["opening", "done"])? {
            let name = format!("{script}, before {} {}", call.name, call.number);
            let script = script.clone();
            let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
                let ran = kill(bench, place, &["--script", &script], &call)?;
                checked(bench, place, &ran)
            });
            points.push(Point { name, attempt });
        }
    }
    Ok(points)
}

/// Stores that need a recovery: a workload is killed before the sync of an append, and the end is torn or not.
const RECOVERIES: [(&str, bool); 4] =
    [("batches", true), ("drops and rotations", false), ("everything", true), ("rotations", true)];

/// What a recovery is made to go on with.
pub(super) const AFTERWARDS: &[&str] = &["--script", "appends"];

/// The stores that need a recovery, each in a place of its own.
pub(super) fn unclean(bench: &Bench) -> Result<Vec<(String, Arc<Place>)>, Flaw> {
    let place = |number: usize| Place::new(bench.scratch.join(format!("unclean-{number}")));
    let mut stores = Vec::new();
    for (number, (script, is_torn)) in RECOVERIES.into_iter().enumerate() {
        let all = calls(bench, &mut place(number)?, &["--script", script], ["opening", "done"])?;
        let promised = all.iter().rposition(|call| call.says("appended durable")).unwrap_or_default();
        let sync = all.iter().take(promised).rfind(|call| call.name == "fdatasync");
        let sync = sync.ok_or_else(|| Flaw::new(format!("{script} syncs nothing")))?;
        let mut place = place(number)?;
        kill(bench, &mut place, &["--script", script], sync)?;
        if is_torn {
            tear(&place)?;
        }
        let end = if is_torn { "torn" } else { "killed" };
        stores.push((format!("{script}, {end}"), Arc::new(place)));
    }
    Ok(stores)
}

/// Spoils the last bytes of the newest segment, which nobody was told are durable.
fn tear(place: &Place) -> Result<(), Flaw> {
    let failed = || Flaw::system("tear a segment of", &place.store);
    let entries = fs::read_dir(&place.store).map_err(failed())?;
    let segments = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let newest = segments.filter(|path| path.extension().is_some_and(|end| end == "seg")).max();
    let newest = newest.ok_or_else(|| Flaw::new("there is no segment to tear"))?;
    let mut bytes = fs::read(&newest).map_err(failed())?;
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
    for byte in bytes.iter_mut().take(end + 1).skip(end.saturating_sub(4)) {
        *byte ^= 0xa5;
    }
    fs::write(&newest, bytes).map_err(failed())
}

/// Before each call of a recovery.
pub(super) fn in_recoveries(bench: &Bench, place: &mut Place) -> Result<Vec<Point>, Flaw> {
    let mut points = Vec::new();
    for (store, left) in unclean(bench)? {
        *place = Place::new(place.directory.clone())?;
        place.take_from(&left)?;
        for call in calls(bench, place, AFTERWARDS, ["opening", "opened"])? {
            let name = format!("{store}, before {} {}", call.name, call.number);
            let left = Arc::clone(&left);
            let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
                place.take_from(&left)?;
                let ran = kill(bench, place, AFTERWARDS, &call)?;
                checked(bench, place, &ran)
            });
            points.push(Point { name, attempt });
        }
    }
    Ok(points)
}

/// Long workloads with the store's own thread, each killed, gone on with, and killed again.
pub(super) fn at_random(bench: &Bench, place: &mut Place) -> Result<Vec<Point>, Flaw> {
    let started = Instant::now();
    let seed = bench.seed.to_string();
    bench.write(place, &["--seed", &seed, "--steps", RANDOM_STEPS, "--thread"], &[])?;
    let duration = started.elapsed();
    let point = |number: u64| {
        let seed = bench.seed.wrapping_add(number);
        // Spread over the duration, and moved by the seed within its part of it.
        let part = (number * 1000 + seed % 1000) / RANDOM_COUNT;
        let moment = duration * u32::try_from(part).unwrap_or_default() / 1000;
        let name = format!("seed {seed}, killed after {:.1} ms", moment.as_secs_f64() * 1000.0);
        let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
            let words = |seed: u64| {
                ["--seed", &seed.to_string(), "--steps", RANDOM_STEPS, "--thread"].map(str::to_owned)
            };
            let mut landed = false;
            for (seed, moment) in [(seed, moment), (!seed, moment / 2)] {
                let words = words(seed);
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                landed |= bench.write_killed(place, &words, moment)?.end == End::Killed;
            }
            let kept = bench.check(place, &[])?;
            Ok(Found { has_landed: landed, has_failed: false, promised: kept.promised })
        });
        Point { name, attempt }
    };
    Ok((0..RANDOM_COUNT).map(point).collect())
}
