//! The faults of single requests: which of them are answered by the proxy, and at which one the operator is killed.
use super::record::Write;

/// Kills a process at one of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The number of the write, see [`Write::number`].
    pub number: usize,
    pub moment: Moment,
    pub pid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The API server does not get the request.
    Before,
    /// The API server has answered, and the process does not get the answer.
    After,
}

/// Answers that the proxy gives instead of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errors {
    pub status: u16,
    /// Every request if 1, half of them if 2.
    pub one_in: u64,
}

#[derive(Debug, Default)]
pub struct Faults {
    kill: Option<Kill>,
    killed_at: Option<Write>,
    errors: Option<Errors>,
    /// Requests that came since the errors began.
    requests: u64,
}

impl Faults {
    pub fn set_kill(&mut self, kill: Kill) {
        self.kill = Some(kill);
        self.killed_at = None;
    }

    /// The process to kill at this moment of the write of this number. It is killed once.
    pub fn due(&mut self, number: Option<usize>, moment: Moment) -> Option<u32> {
        self.kill
            .take_if(|kill| Some(kill.number) == number && kill.moment == moment)
            .map(|kill| kill.pid)
    }

    pub fn set_killed_at(&mut self, write: Write) {
        self.killed_at = Some(write);
    }

    pub fn killed_at(&self) -> Option<&Write> {
        self.killed_at.as_ref()
    }

    pub fn set_errors(&mut self, errors: Option<Errors>) {
        self.errors = errors;
        self.requests = 0;
    }

    /// The status with which the proxy answers the request that came now.
    pub fn error(&mut self) -> Option<u16> {
        let errors = self.errors?;
        self.requests += 1;
        scattered(self.requests)
            .is_multiple_of(errors.one_in)
            .then_some(errors.status)
    }
}

/// A number without a pattern for each number, the same in every run: if every second request failed, it could be the
/// same one of a retried pair each time. This is the finalizer of `SplitMix64`.
fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_killed_once() {
        let mut faults = Faults::default();
        faults.set_kill(Kill {
            number: 2,
            moment: Moment::After,
            pid: 7,
        });
        assert_eq!(faults.due(Some(1), Moment::After), None);
        assert_eq!(faults.due(None, Moment::After), None);
        assert_eq!(faults.due(Some(2), Moment::Before), None);
        assert_eq!(faults.due(Some(2), Moment::After), Some(7));
        assert_eq!(faults.due(Some(2), Moment::After), None);
    }

    #[test]
    fn a_share_of_the_requests_fails_until_the_errors_end() {
        let mut faults = Faults::default();
        assert_eq!(faults.error(), None);
        faults.set_errors(Some(Errors {
            status: 500,
            one_in: 2,
        }));
        let failed = (0..1000).filter_map(|_| faults.error()).count();
        assert!((450..550).contains(&failed), "{failed}");
        faults.set_errors(Some(Errors {
            status: 429,
            one_in: 1,
        }));
        assert!((0..10).all(|_| faults.error() == Some(429)));
        faults.set_errors(None);
        assert_eq!(faults.error(), None);
    }
}
