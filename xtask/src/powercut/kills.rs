//! Machines whose power is cut while a workload runs: what their page cache had is lost.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use super::{
    Campaign,
    file_system::FileSystem,
    finds::Find,
    init,
    jobs::each,
    machine::Machine,
    record::{DISK_LEN, empty},
    replay::check,
    subject::{Kept, killed},
    tally::Tally,
    trouble::{Trouble, finished},
};
use crate::kill::random;

/// A machine is killed when it has said up to so many lines of its transcript.
const LINES_MAX: u64 = 1500;

/// And up to so much later.
const LATER_MAX_MICROS: u64 = 20_000;

/// What kills came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Killed {
    /// How many came while the workload ran.
    pub(super) landed_count: usize,
    pub(super) tally: Tally,
}

impl Killed {
    fn and(self, other: Self) -> Self {
        Self { landed_count: self.landed_count + other.landed_count, tally: self.tally.and(other.tally) }
    }
}

/// When to kill one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    number: u64,
    /// What the workload follows from.
    seed: u64,
    /// How many lines it is to have said.
    lines: usize,
    /// And how long it still runs.
    later: Duration,
}

impl Moment {
    fn new(number: u64, seed: u64) -> Self {
        let random = |place| random(random(seed, number), place);
        Self {
            number,
            seed: random(0),
            lines: usize::try_from(1 + random(1) % LINES_MAX).expect("the lines are few"),
            later: Duration::from_micros(random(2) % LATER_MAX_MICROS),
        }
    }
}

/// Kills `count` machines at moments of `seed`, and checks what each leaves.
pub(super) fn kills(
    campaign: &Campaign,
    file_system: FileSystem,
    count: u64,
    seed: u64,
) -> Result<Killed, Trouble> {
    let moments: Vec<_> = (0..count).map(|number| Moment::new(number, seed)).collect();
    let killed = each(&moments, campaign.workers, |_, moment| kill(campaign, file_system, *moment))?;
    Ok(killed.into_iter().fold(Killed::default(), Killed::and))
}

fn kill(campaign: &Campaign, file_system: FileSystem, moment: Moment) -> Result<Killed, Trouble> {
    let directory = campaign.directory.join(format!("kill-{}", moment.number));
    fs::create_dir_all(&directory).map_err(Trouble::file("make", &directory))?;
    let [disk, image, place] = ["disk", "image", "mounted"].map(|name| directory.join(name));
    empty(&disk, DISK_LEN)?;
    let workload = killed(moment.seed);
    let init = init::script(file_system, &campaign.subject, &workload, None);
    let mut machine = Machine::start(&directory, &init, &[&disk])?;
    let has_landed = machine.wait_for_lines(moment.lines)?;
    // The moment is the seed's: this wait is what the campaign tries, and no test's.
    thread::sleep(moment.later);
    machine.kill()?;
    // Mounting and checking change the image; what is kept is the disk.
    copy(&disk, &image)?;
    let transcript = directory.join("transcript");
    let verdict = check(campaign, file_system, &image, &place, (&transcript, None))?;
    let name =
        format!("{}, killed {} us after {} lines", workload.name, moment.later.as_micros(), moment.lines);
    let promised = verdict.promised_count;
    eprintln!("powercut: {}, {name}: {promised} events were promised", file_system.name());
    if verdict.kept != Kept::Yes {
        let find = Find { file_system, name, kept: verdict.kept.clone(), until: None };
        campaign.finds.add(&find, &campaign.subject, &transcript, |image| copy(&disk, image))?;
    }
    fs::remove_dir_all(&directory).map_err(Trouble::file("remove", &directory))?;
    Ok(Killed { landed_count: usize::from(has_landed), tally: Tally::of(&verdict) })
}

fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    finished(Command::new("cp").arg("--sparse=always").arg(from).arg(to)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_when_machines_are_killed() {
        let moments = |seed| (0..50).map(|number| Moment::new(number, seed)).collect::<Vec<_>>();
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        assert!(moments(7).iter().all(|moment| (1..=1500).contains(&moment.lines)));
        assert!(moments(7).iter().all(|moment| moment.later < Duration::from_millis(20)));
    }
}
