//! Crash images of a record: made, mounted, checked, appended to and opened again.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    Campaign,
    choice::{Choice, Chosen, choose},
    file_system::FileSystem,
    finds::Find,
    history::History,
    jobs::each,
    mount::Mounted,
    record::{DISK_LEN, Record, empty},
    subject::{self, Kept, Verdict, Workload},
    tally::Tally,
    trouble::Trouble,
};

/// Between two lines of progress.
const SAY_EVERY: usize = 50;

/// What a record's images came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Replayed {
    /// Workloads, each with a log of its own.
    pub(super) log_count: usize,
    pub(super) write_count: usize,
    pub(super) promise_count: u64,
    /// How many prefixes there are.
    pub(super) prefix_total: usize,
    /// How many were tried.
    pub(super) prefix_count: usize,
    pub(super) subset_count: usize,
    /// How many different disks were tried.
    pub(super) distinct_count: usize,
    pub(super) tally: Tally,
}

impl Replayed {
    pub(super) fn tried_count(&self) -> usize {
        self.prefix_count + self.subset_count
    }

    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            log_count: self.log_count + other.log_count,
            write_count: self.write_count + other.write_count,
            promise_count: self.promise_count + other.promise_count,
            prefix_total: self.prefix_total + other.prefix_total,
            prefix_count: self.prefix_count + other.prefix_count,
            subset_count: self.subset_count + other.subset_count,
            distinct_count: self.distinct_count + other.distinct_count,
            tally: self.tally.and(other.tally),
        }
    }
}

/// A record whose images are tried.
struct Replay<'a> {
    campaign: &'a Campaign,
    file_system: FileSystem,
    workload: &'a Workload,
    record: &'a Record,
    history: History<'a>,
    tried: AtomicUsize,
}

/// Runs `workload` and tries `count` of the images that it may leave, chosen by `seed`.
pub(super) fn replay(
    campaign: &Campaign,
    file_system: FileSystem,
    workload: &Workload,
    (count, seed): (usize, u64),
) -> Result<Replayed, Trouble> {
    let directory = campaign.directory.join("record");
    let record = Record::make(campaign, file_system, workload, &directory)?;
    let history = History::new(&record.entries)?;
    let Chosen { choices, distinct_count, prefix_total } = choose(&history, count, seed);
    let tried = AtomicUsize::new(0);
    let replay = Replay { campaign, file_system, workload, record: &record, history, tried };
    let (name, writes) = (file_system.name(), replay.history.write_count());
    eprintln!("powercut: {name}, {}: {writes} writes, {} images", workload.name, choices.len());
    let workers = file_system.workers(campaign.workers);
    let tallies = each(&choices, workers, |worker, choice| replay.run(worker, choice, choices.len()))?;
    let prefix_count = choices.iter().filter(|choice| choice.is_prefix()).count();
    Ok(Replayed {
        log_count: 1,
        write_count: writes,
        promise_count: replay.history.promised(record.entries.len()),
        prefix_total,
        prefix_count,
        subset_count: choices.len() - prefix_count,
        distinct_count,
        tally: tallies.into_iter().fold(Tally::default(), Tally::and),
    })
}

impl Replay<'_> {
    fn run(&self, worker: usize, choice: &Choice, count: usize) -> Result<Tally, Trouble> {
        let verdict = self.verdict(worker, choice)?;
        if verdict.kept != Kept::Yes {
            self.keep(choice, verdict.kept.clone())?;
        }
        let tried = self.tried.fetch_add(1, Ordering::Relaxed) + 1;
        if tried.is_multiple_of(SAY_EVERY) {
            let (file_system, name) = (self.file_system.name(), &self.workload.name);
            eprintln!("powercut: {file_system}, {name}: {tried} of {count} images");
        }
        Ok(Tally::of(&verdict))
    }

    fn verdict(&self, worker: usize, choice: &Choice) -> Result<Verdict, Trouble> {
        let directory = self.campaign.directory.join(format!("image-{worker}"));
        let image = directory.with_extension("disk");
        self.write(choice, &image)?;
        let until = self.history.promised(choice.cut());
        check(self.campaign, self.file_system, &image, &directory, (&self.record.transcript, Some(until)))
    }

    fn write(&self, choice: &Choice, image: &Path) -> Result<(), Trouble> {
        let mut file = empty(image, DISK_LEN)?;
        choice.disk(&self.history).write(&mut file).map_err(Trouble::file("write", image))
    }

    fn keep(&self, choice: &Choice, kept: Kept) -> Result<(), Trouble> {
        let until = self.history.promised(choice.cut());
        let name = format!("{}, {choice}", self.workload.name);
        let find = Find { file_system: self.file_system, name, kept, until: Some(until) };
        let Campaign { finds, subject, .. } = self.campaign;
        finds.add(&find, subject, &self.record.transcript, |image| self.write(choice, image))
    }
}

/// Mounts `image` on `directory` and checks the store on it against a transcript, up to a promise or as a whole.
pub(super) fn check(
    campaign: &Campaign,
    file_system: FileSystem,
    image: &Path,
    directory: &Path,
    (transcript, until): (&Path, Option<u64>),
) -> Result<Verdict, Trouble> {
    let mounted = match Mounted::new(file_system, image, directory) {
        Ok(mounted) => mounted,
        Err(Trouble::Exit { words, .. }) => {
            let kept = Kept::Unmounted(words.trim_end().to_owned());
            return Ok(Verdict { kept, promised_count: 0, lost_count: 0, torn_bytes: 0 });
        }
        Err(trouble) => return Err(trouble),
    };
    let store = mounted.directory().join(super::init::STORE);
    let verdict = subject::verdict(&mut campaign.subject.check_command(&store, transcript, until))?;
    mounted.unmount()?;
    Ok(verdict)
}
