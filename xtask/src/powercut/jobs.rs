//! Work that is done by several threads at once.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// What `work` makes of each job, in their order; it is told which worker it is. After the first failure no job
/// is begun.
pub(super) fn each<T: Sync, R: Send, E: Send>(
    jobs: &[T],
    workers: usize,
    work: impl Fn(usize, &T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::new());
    let run = |worker| {
        while !has_failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(number) else { break };
            let outcome = work(worker, job);
            has_failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, outcome));
        }
    };
    thread::scope(|scope| {
        (0..workers).for_each(|worker| drop(scope.spawn(move || run(worker))));
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_the_jobs_is_in_their_order() {
        let jobs: Vec<_> = (0..100).collect();
        let doubled = each(&jobs, 3, |worker, job| if worker < 3 { Ok(job * 2) } else { Err(()) });
        assert_eq!(doubled, Ok(jobs.iter().map(|job| job * 2).collect()));
    }

    #[test]
    fn a_failure_is_told_and_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let work = |_, job: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *job == 3 { Err(*job) } else { Ok(()) }
        };
        assert_eq!(each(&(0..100).collect::<Vec<_>>(), 1, work), Err(3));
        assert_eq!(begun.into_inner(), 4);
    }
}
