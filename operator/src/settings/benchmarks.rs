//! What benchmarks may use of the cluster.
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, civil::Time, tz::TimeZone};
use serde::{Deserialize, Deserializer, de};

/// Largest budget of a day: a thousand nodes, all day.
const MAX_NODE_HOURS: f64 = 24_000.0;

/// The budget of all benchmarks together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BenchmarkSettings {
    /// Benchmarks that run at the same time.
    pub max_concurrent: usize,
    /// When benchmarks may run; always, if there is none.
    pub window: Option<Window>,
    /// The time of nodes that benchmarks may use in 24 hours; no limit, if there is none.
    #[serde(rename = "nodeHoursPerDay", deserialize_with = "node_hours")]
    pub node_time_per_day: Option<Duration>,
}

impl Default for BenchmarkSettings {
    fn default() -> Self {
        Self {
            max_concurrent: 1,
            window: None,
            node_time_per_day: None,
        }
    }
}

/// A time of each day, which may go past midnight.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "RawWindow")]
pub struct Window {
    start: Time,
    end: Time,
    zone: TimeZone,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawWindow {
    start: String,
    end: String,
    #[serde(default)]
    time_zone: Option<String>,
}

impl TryFrom<RawWindow> for Window {
    type Error = String;

    fn try_from(raw: RawWindow) -> Result<Self, String> {
        let time = |name: &str, text: &str| {
            Time::strptime("%H:%M", text).map_err(|_| {
                format!("benchmarks.window.{name} {text:?} is not a time of day; write 22:00")
            })
        };
        let (start, end) = (time("start", &raw.start)?, time("end", &raw.end)?);
        if start == end {
            return Err(
                "benchmarks.window has the same start and end; leave the window out to allow benchmarks at any time"
                    .to_owned(),
            );
        }
        let zone = match raw.time_zone.as_deref() {
            None | Some("") => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| {
                format!(
                    "benchmarks.window.timeZone {name:?} is not known; use an IANA name such as Europe/Berlin"
                )
            })?,
        };
        Ok(Self { start, end, zone })
    }
}

impl Window {
    /// The first moment from `now` on at which something of this length fits into the window; `None` if the window is
    /// shorter than that.
    pub fn next(&self, now: Timestamp, length: Duration) -> Option<Timestamp> {
        let length = SignedDuration::try_from(length).ok()?;
        let mut day = now.to_zoned(self.zone.clone()).date().yesterday().ok()?;
        // The window of yesterday may be open still; on a day that the clock goes forward it is shorter than on others.
        for _ in 0..4 {
            let last = if self.end > self.start {
                day
            } else {
                day.tomorrow().ok()?
            };
            let moment = |date: jiff::civil::Date, time| {
                let moment = date.to_datetime(time).to_zoned(self.zone.clone());
                Some(moment.ok()?.timestamp())
            };
            let begin = moment(day, self.start)?.max(now);
            if begin + length <= moment(last, self.end)? {
                return Some(begin);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }
}

fn node_hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(hours) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if !(hours > 0.0 && hours <= MAX_NODE_HOURS) {
        return Err(de::Error::custom(format!(
            "benchmarks.nodeHoursPerDay is {hours}; it must be above 0 and at most {MAX_NODE_HOURS}; to stop all benchmarks, suspend them"
        )));
    }
    Ok(Some(Duration::from_secs_f64(3_600.0 * hours)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BenchmarkSettings, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    fn next(window: &str, now: &str, minutes: u64) -> Option<String> {
        let settings = parse(&format!("window: {window}")).unwrap();
        let window = settings.window.unwrap();
        let next = window.next(now.parse().unwrap(), Duration::from_mins(minutes));
        next.map(|next| next.to_string())
    }

    #[test]
    fn a_measurement_fits_into_the_window() {
        let night = "{start: '22:00', end: '06:00', timeZone: Europe/Berlin}";
        for (now, minutes, expected) in [
            // 22:00 in Berlin is 20:00 UTC in summer.
            ("2024-05-01T12:00:00Z", 30, "2024-05-01T20:00:00Z"),
            ("2024-05-01T20:00:00Z", 30, "2024-05-01T20:00:00Z"),
            ("2024-05-02T01:00:00Z", 30, "2024-05-02T01:00:00Z"),
            ("2024-05-02T03:30:00Z", 30, "2024-05-02T03:30:00Z"),
            ("2024-05-02T03:30:01Z", 30, "2024-05-02T20:00:00Z"),
            // The night in which the clock goes forward has an hour less.
            ("2024-03-30T20:00:00Z", 440, "2024-03-31T20:00:00Z"),
        ] {
            let found = next(night, now, minutes);
            assert_eq!(found.as_deref(), Some(expected), "{now} {minutes}");
        }
        assert_eq!(next(night, "2024-05-01T12:00:00Z", 481), None);
        let noon = "{start: '12:00', end: '13:00'}";
        assert_eq!(
            next(noon, "2024-05-01T12:30:00Z", 31).as_deref(),
            Some("2024-05-02T12:00:00Z")
        );
    }

    #[test]
    fn mistakes_name_the_setting() {
        for (text, message) in [
            ("window: {start: 22h, end: '06:00'}", "22:00"),
            ("window: {start: '22:00', end: '24:00'}", "window.end"),
            (
                "window: {start: '22:00', end: '22:00'}",
                "same start and end",
            ),
            (
                "window: {start: '22:00', end: '06:00', timeZone: Mars/Olympus}",
                "Europe/Berlin",
            ),
            ("window: {start: '22:00'}", "end"),
            ("nodeHoursPerDay: 0", "above 0"),
            ("nodeHoursPerDay: .nan", "above 0"),
            ("nodeHoursPerDay: 24000.1", "at most 24000"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
        let most = parse("nodeHoursPerDay: 24000").unwrap();
        assert_eq!(most.node_time_per_day, Some(Duration::from_hours(24_000)));
        assert_eq!(parse("maxConcurrent: 2").unwrap().node_time_per_day, None);
    }
}
