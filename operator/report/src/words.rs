//! Numbers in sentences and tables.

/// What stands where nothing was measured.
pub(crate) const ABSENT: &str = "not measured";

/// Three significant digits, without zeros at the end.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return ABSENT.to_owned();
    }
    let size = value.abs();
    let digits: usize = match size {
        _ if size >= 99.95 || size == 0.0 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ if size >= 0.09995 => 3,
        _ if size >= 0.009_995 => 4,
        _ => 5,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A time: milliseconds below 10 s.
pub(crate) fn time(seconds: f64) -> String {
    if !seconds.is_finite() {
        ABSENT.to_owned()
    } else if seconds < 10.0 {
        format!("{} ms", number(1000.0 * seconds))
    } else {
        format!("{} s", number(seconds))
    }
}

/// A share of 1.
pub(crate) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent > 0.0 && percent < 0.05 {
        return "less than 0.1 %".to_owned();
    }
    if percent != 0.0 && percent.abs() < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// A ratio, such as `1.31x`.
pub(crate) fn ratio(value: f64) -> String {
    format!("{}x", number(value))
}

/// `1 pod`, `4 pods`.
pub(crate) fn count(value: u32, noun: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{value} {noun}{plural}")
}

/// `1 core`, `0.5 cores`.
pub(crate) fn cores(value: f64) -> String {
    let plural = if (value - 1.0).abs() < 1e-9 { "" } else { "s" };
    format!("{} core{plural}", number(value))
}

/// A shape of a pod: `2 cores, 1 thread`.
pub(crate) fn shape(cpu: f64, threads: u32) -> String {
    format!("{}, {}", cores(cpu), count(threads, "thread"))
}

/// The number, or that there is none.
pub(crate) fn or_absent(value: Option<f64>, text: fn(f64) -> String) -> String {
    value.map_or_else(|| ABSENT.to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [148.127, 20.5, 1.3114, 0.5, 0.0067, 0.0, f64::NAN].map(number);
        assert_eq!(
            shown,
            ["148", "20.5", "1.31", "0.5", "0.0067", "0", "not measured"]
        );
        assert_eq!(time(0.0427), "42.7 ms");
        assert_eq!(percent(0.17), "17 %");
        assert_eq!(shape(1.0, 2), "1 core, 2 threads");
    }
}
