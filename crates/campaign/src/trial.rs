//! An image, tried: opened for reading and for writing, checked, appended to, closed and opened again; and at the
//! moments of its recovery the power lost once more, and once more within the recovery of that.
//!
//! Invariant: the same image with the same promises is tried the same way. Recovery that is cut short comes to
//! the same end as recovery that is not: what the first opening found, every later one finds.

use annals::{
    Durability, Store,
    disk::{SimulatedDirectory, verify_on},
};
use annals_segment::CrashProfile;

use crate::{
    flaw::{Flaw, caught, ensure},
    images::{self, Made, PASSING, Width},
    oracle::{self, Torn},
    random::mix,
    script::Script,
    sent::{Found, Sent},
    tally::{Sort, Tally},
    workload::{Opening, append, options},
};

/// How deep and how often recoveries are cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Depth {
    /// One image in so many has its recovery cut short before each operation; 0 for none.
    pub(crate) first_every: u64,
    /// One in so many of those images has that recovery cut short too.
    pub(crate) second_every: u64,
    /// One recovery after a kill in so many is cut short before each operation.
    pub(crate) kills_every: u64,
    /// How many images are drawn at each operation of a recovery, beside none and all.
    pub(crate) drawn: u64,
}

/// What images are tried with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) script: &'a Script,
    pub(crate) opening: Opening,
    pub(crate) tally: &'a Tally,
    pub(crate) depth: Depth,
    pub(crate) seed: u64,
}

/// How deep within recoveries an image is from, and what those recoveries were to cut off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nest {
    depth: u64,
    torn: Vec<Torn>,
}

/// What opening an image found and did.
struct Opened {
    store: Store,
    found: Found,
    torn: Option<Torn>,
}

/// So much fewer recoveries after a kill are cut short where the kill was within a recovery.
const KILLS_WITHIN: u64 = 12;

/// The lives of a store in trials have numbers behind those of workloads.
const LIFE: u64 = 1000;
const LIVES_OF_A_TRIAL: u64 = 10;

impl Bench<'_> {
    /// Tries what a power loss now may make of `disk`, to the full `width`.
    pub(crate) fn lose_power(
        &self,
        disk: &SimulatedDirectory,
        sent: &Sent,
        width: Width,
    ) -> Result<(), Flaw> {
        let oracle = sent.digest();
        images::images(disk, width, self.seed, &mut |made, image| {
            self.explore(made.sort(), &image, sent, oracle, &Nest::default())
        })
    }

    /// Tries the files that a real process left: as an image, and as what a killed process left.
    pub(crate) fn try_left(&self, image: &SimulatedDirectory, sent: &Sent) -> Result<(), Flaw> {
        self.explore(Sort::Kill, image, sent, sent.digest(), &Nest::default())?;
        self.kill(image, sent, Sort::Kill, &Nest::default())
    }

    /// Tries an image unless it was tried before, and the moments of its recovery where it is its turn.
    fn explore(
        &self,
        sort: Sort,
        image: &SimulatedDirectory,
        sent: &Sent,
        oracle: u64,
        nest: &Nest,
    ) -> Result<(), Flaw> {
        let digest = image.digest_without(&PASSING);
        if !self.tally.is_new(sort, digest, oracle) {
            return Ok(());
        }
        let every = match nest.depth {
            0 => self.depth.first_every,
            1 => self.depth.second_every,
            _ => 0,
        };
        let is_watched = every > 0 && mix(digest).is_multiple_of(every);
        let (found, torn, moments) = caught(|| self.try_image(image, sent, digest, nest, is_watched))?;
        if !is_watched {
            return Ok(());
        }
        let mut promised = sent.clone();
        promised.settle(found);
        let mut nest = Nest { depth: nest.depth + 1, torn: nest.torn.clone() };
        nest.torn.extend(torn);
        self.cut_short(&moments, &promised, digest, &nest)
    }

    /// The power goes, or the process is killed, before each operation of a recovery.
    fn cut_short(
        &self,
        moments: &[SimulatedDirectory],
        sent: &Sent,
        seed: u64,
        nest: &Nest,
    ) -> Result<(), Flaw> {
        let sort = if nest.depth == 1 { Sort::Recovery1 } else { Sort::Recovery2 };
        let oracle = sent.digest();
        for (stop, moment) in moments.iter().enumerate() {
            let place =
                |flaw: Flaw| flaw.within(format_args!("again before operation {stop} of the recovery"));
            let seed = mix(seed.wrapping_add(stop as u64));
            images::few(moment, self.depth.drawn, seed, &mut |_, image| {
                self.explore(sort, &image, sent, oracle, nest)
            })
            .map_err(place)?;
            if seed.is_multiple_of(4) {
                self.kill(moment, sent, sort, nest).map_err(place)?;
            }
        }
        Ok(())
    }

    /// Kills the process: the system still has everything that was written. Whatever the next process then shows
    /// must outlive a power loss right after; and what was promised before, one at any moment of its recovery.
    pub(crate) fn kill(
        &self,
        disk: &SimulatedDirectory,
        sent: &Sent,
        sort: Sort,
        nest: &Nest,
    ) -> Result<(), Flaw> {
        let place = |flaw: Flaw| flaw.within("the process killed, and opened again");
        let (before, disk) = (disk.kill(), disk.kill());
        let seed = before.digest_without(&PASSING);
        let every = self.depth.kills_every * if nest.depth == 0 { 1 } else { KILLS_WITHIN };
        let is_watched = nest.depth < 2 && mix(seed).is_multiple_of(every);
        caught(|| {
            if is_watched {
                disk.remember();
            }
            let opened = self.open(&disk, &before, sent, LIFE - 1 - nest.depth)?;
            let torn: Vec<Torn> = nest.torn.iter().cloned().chain(opened.torn).collect();
            torn.iter().try_for_each(|torn| torn.check_kept(&disk))?;
            let mut promised = sent.clone();
            promised.settle(opened.found);
            // The store lives until the power is gone.
            let oracle = promised.digest();
            let last = Nest { depth: 2, torn };
            images::few(&disk, 2, seed, &mut |_, image| {
                self.explore(sort, &image, &promised, oracle, &last)
            })?;
            if is_watched {
                // What only the killed process had written may be lost, torn bytes with it.
                let nest = Nest { depth: nest.depth + 1, torn: nest.torn.clone() };
                self.cut_short(&disk.moments(), sent, seed, &nest)?;
            }
            Ok(())
        })
        .map_err(place)
    }

    /// Tries an image: whoever opens it finds what was promised, and life goes on.
    fn try_image(
        &self,
        image: &SimulatedDirectory,
        sent: &Sent,
        digest: u64,
        nest: &Nest,
        is_watched: bool,
    ) -> Result<(Found, Option<Torn>, Vec<SimulatedDirectory>), Flaw> {
        nest.torn.iter().try_for_each(|torn| torn.check_kept(image))?;
        let seen = self.look(image, sent, digest)?;
        let life = LIFE + nest.depth * LIVES_OF_A_TRIAL;
        let disk = image.kill();
        if is_watched {
            disk.remember();
        }
        let Opened { store, found, torn } = self.open(&disk, image, sent, life)?;
        let moments = if is_watched { disk.moments() } else { Vec::new() };
        ensure(seen.is_none_or(|seen| seen == found), || {
            format!("a reader saw {seen:?}, and the writer found {found:?}")
        })?;
        let mut after = sent.clone();
        after.settle(found);
        self.go_on(store, &disk, after, digest, life).map_err(|flaw| flaw.within("going on"))?;
        Ok((found, torn, moments))
    }

    /// Opens for reading only, which changes nothing; `None` where there is no store yet.
    fn look(&self, image: &SimulatedDirectory, sent: &Sent, digest: u64) -> Result<Option<Found>, Flaw> {
        let place = |flaw: Flaw| flaw.within("opened for reading only");
        // Every source gives the same answer.
        let derived = digest & 0x10 == 0;
        let options =
            options(self.script, 0).use_footers(derived).use_checkpoint(derived).use_runs(digest & 0x40 == 0);
        match options.maps(digest & 0x20 == 0).open_read_only_on(image.clone()) {
            Ok(store) => {
                let found = oracle::check(&store, sent).map_err(place)?;
                Torn::of(store.report(), image).map_err(place)?;
                drop(store);
                let is_same = image.digest_without(&PASSING) == digest && image.pending_count() == 0;
                ensure(is_same, || "a reader changed something".to_owned())?;
                Ok(Some(found))
            }
            Err(annals::Error::NotFound { .. }) if !sent.is_made => Ok(None),
            Err(error) => Err(place(Flaw::new(error.to_string()))),
        }
    }

    /// Opens `disk` for writing, which had the files of `before`, and checks what that found and did.
    fn open(
        &self,
        disk: &SimulatedDirectory,
        before: &SimulatedDirectory,
        sent: &Sent,
        life: u64,
    ) -> Result<Opened, Flaw> {
        let store = self.open_again(disk, life)?;
        let found = oracle::check(&store, sent)?;
        let torn = oracle::check_report(store.report(), sent, before, disk)?;
        Ok(Opened { store, found, torn })
    }

    fn open_again(&self, disk: &SimulatedDirectory, life: u64) -> Result<Store, Flaw> {
        (self.opening)(options(self.script, life), disk.clone())
            .map_err(|error| Flaw::new(format!("it does not open: {error}")))
    }

    /// Appends durably, closes and opens again; at times the power goes between.
    fn go_on(
        &self,
        mut store: Store,
        disk: &SimulatedDirectory,
        mut sent: Sent,
        digest: u64,
        life: u64,
    ) -> Result<(), Flaw> {
        let refused = |error| Flaw::new(format!("it does not go on: {error}"));
        append(&store, &mut sent, 2, 50, Durability::Durable, &mut |_| {})?.map_err(refused)?;
        let mut disk = disk.clone();
        if digest & 3 == 0 {
            disk = disk.crash(CrashProfile::StrictPosix, digest >> 2 & 1);
            drop(store);
            store = self.open_again(&disk, life + 1)?;
            oracle::check(&store, &sent).map_err(|flaw| flaw.within("the power lost after an append"))?;
        }
        store.close().map_err(refused)?;
        let store = self.open_again(&disk, life + 2)?;
        ensure(store.report().is_clean(), || {
            format!("after a close there is to tell: {:?}", store.report())
        })?;
        oracle::check(&store, &sent)?;
        drop(store);
        if digest & 0xc == 0 {
            let report = verify_on(disk, &mut |_| {}).map_err(refused)?;
            // A page of a footer that was torn is found when it is first asked for, and built again.
            let is_sound = report.damage.iter().all(|damage| damage.is_derived);
            ensure(is_sound, || format!("verify finds {:?}", report.damage))?;
        }
        Ok(())
    }

    /// Tries a few images of `disk` and a kill, after something that was no power loss.
    pub(crate) fn end(
        &self,
        disk: &SimulatedDirectory,
        sent: &Sent,
        sort: Sort,
        nest: &Nest,
    ) -> Result<(), Flaw> {
        let (oracle, seed) = (sent.digest(), self.seed);
        let nest = Nest { depth: 2, torn: nest.torn.clone() };
        images::few(disk, 1, seed, &mut |_: Made, image| self.explore(sort, &image, sent, oracle, &nest))?;
        self.kill(disk, sent, sort, &nest)
    }

    /// Opens an image and returns how much is there, what is cut off, and how many operations that took.
    pub(crate) fn measure(
        &self,
        image: &SimulatedDirectory,
        sent: &Sent,
    ) -> Result<(Found, Nest, u64), Flaw> {
        let disk = image.kill();
        let opened = self.open(&disk, image, sent, LIFE)?;
        let count = disk.operation_count();
        Ok((opened.found, Nest { depth: 2, torn: opened.torn.into_iter().collect() }, count))
    }
}
