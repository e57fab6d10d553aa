//! The order of service: which requests a worker takes next. Nothing else decides it.
//!
//! Requests take turns: each speaks one chunk and goes back to the end, so that a short text does not wait for the whole of a
//! long one. A request that paused for its client goes on ahead of all others: its audio is being played. A worker takes the
//! first request, and with it those that can share its run.

use std::{collections::VecDeque, sync::Arc};

use super::Job;

/// Why a request enters the queue.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    New,
    /// It spoke a chunk.
    TurnOver,
    /// Its client reads again.
    Resumed,
    /// It was taken for a run that it cannot share.
    NotServed,
}

pub fn enter(queue: &mut VecDeque<Job>, job: Job, entry: Entry) {
    match entry {
        Entry::New | Entry::TurnOver => queue.push_back(job),
        Entry::Resumed | Entry::NotServed => queue.push_front(job),
    }
}

/// Takes the first request, and in their order those that can share a run with it: of the same voice, with a next chunk of the
/// same bucket as far as that is known.
pub fn next(queue: &mut VecDeque<Job>) -> Vec<Job> {
    let Some(first) = queue.pop_front() else {
        return Vec::new();
    };
    let most = first.voice.family.largest_batch();
    let mut taken = vec![first];
    let mut place = 0;
    while taken.len() < most
        && let Some(job) = queue.get(place)
    {
        if may_share(&taken[0], job)
            && let Some(job) = queue.remove(place)
        {
            taken.push(job);
        } else {
            place += 1;
        }
    }
    taken
}

/// Whether two requests may share a run.
pub fn may_share(one: &Job, other: &Job) -> bool {
    let buckets = (one.bucket(), other.bucket());
    Arc::ptr_eq(&one.voice, &other.voice)
        && !matches!(buckets, (Some(one), Some(other)) if one != other)
}
