//! The times of a schedule.
use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};
use tts_crds::v1alpha1::Schedule;

/// The times around a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The last one at or before the moment.
    pub last: Timestamp,
    /// The next one after it.
    pub next: Timestamp,
}

/// The times of a schedule around `now`.
///
/// # Errors
/// In words, if the expression or the time zone is not known, or never comes.
pub fn times(schedule: &Schedule, now: Timestamp) -> Result<Times, String> {
    let zone = match &schedule.time_zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name).map_err(|_| {
            format!("spec.schedule.timeZone {name:?} is not known; use an IANA name such as Europe/Berlin")
        })?,
    };
    let wrong = |error: &dyn std::fmt::Display| {
        format!(
            "spec.schedule.cron {:?} does not parse: {error}; write five fields (minute hour day month weekday) such as \"0 3 * * *\"",
            schedule.cron
        )
    };
    if schedule.cron.split_whitespace().count() != 5 {
        return Err(wrong(&"it does not have five fields"));
    }
    let cron: Cron = schedule
        .cron
        .parse()
        .map_err(|error: croner::errors::CronError| wrong(&error))?;
    let now = now.to_zoned(zone);
    let last = cron
        .find_previous_occurrence(&now, true)
        .map_err(|error| wrong(&error))?;
    let next = cron
        .find_next_occurrence(&now, false)
        .map_err(|error| wrong(&error))?;
    Ok(Times {
        last: last.timestamp(),
        next: next.timestamp(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(cron: &str, zone: Option<&str>) -> Schedule {
        Schedule {
            cron: cron.to_owned(),
            time_zone: zone.map(str::to_owned),
        }
    }

    fn at(cron: &str, zone: Option<&str>, now: &str) -> (String, String) {
        let times = times(&schedule(cron, zone), now.parse().unwrap()).unwrap();
        (times.last.to_string(), times.next.to_string())
    }

    #[test]
    fn times_are_of_the_time_zone() {
        let times = |last: &str, next: &str| (last.to_owned(), next.to_owned());
        assert_eq!(
            at("0 3 * * *", None, "2024-05-01T10:00:00Z"),
            times("2024-05-01T03:00:00Z", "2024-05-02T03:00:00Z")
        );
        // The clock goes forward on 31 March: three o'clock is an hour earlier from then on.
        assert_eq!(
            at("0 3 * * *", Some("Europe/Berlin"), "2024-03-30T12:00:00Z"),
            times("2024-03-30T02:00:00Z", "2024-03-31T01:00:00Z")
        );
        // At the moment itself it is due.
        assert_eq!(
            at("0 3 * * *", None, "2024-05-01T03:00:00Z").0,
            "2024-05-01T03:00:00Z"
        );
    }

    #[test]
    fn what_does_not_parse_is_said() {
        let error =
            |cron: &str, zone| times(&schedule(cron, zone), Timestamp::UNIX_EPOCH).unwrap_err();
        for cron in [
            "",
            "nightly",
            "61 3 * * *",
            "0 3 * *",
            "0 0 3 * * *",
            "* * 31 2 *",
        ] {
            let error = error(cron, None);
            assert!(error.contains("five fields"), "{cron}: {error}");
        }
        assert!(error("0 3 * * *", Some("Mars/Olympus")).contains("Europe/Berlin"));
    }
}
