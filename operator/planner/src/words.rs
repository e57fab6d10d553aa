//! Numbers and counts in sentences.

use std::fmt;

/// A time in milliseconds, in seconds from 10 s on.
pub(crate) struct Time(pub f64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 10.0 {
            write!(f, "{:.0} ms", 1000.0 * self.0)
        } else {
            write!(f, "{} s", Number(self.0))
        }
    }
}

/// With two decimals below 100, more where it would be nothing, and no zeros at the end.
pub(crate) struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        let digits: usize = match size {
            _ if size >= 100.0 => 0,
            _ if size >= 0.1 || size == 0.0 => 2,
            _ if size >= 0.01 => 3,
            _ => 5,
        };
        let text = format!("{:.digits$}", self.0);
        let short = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        f.write_str(short)
    }
}

/// A price: two decimals, more where that would be nothing.
pub(crate) struct Price(pub f64);

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 0.1 {
            write!(f, "{:.2}", self.0)
        } else {
            write!(f, "{}", Number(self.0))
        }
    }
}

/// A share in percent: whole from 10 % on, else with one decimal.
pub(crate) struct Percent(pub f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.0;
        if percent > 0.0 && percent < 0.1 {
            return f.write_str("less than 0.1 %");
        }
        if percent >= 9.95 || (percent - percent.round()).abs() < 0.05 {
            write!(f, "{percent:.0} %")
        } else {
            write!(f, "{percent:.1} %")
        }
    }
}

/// `1 pod`, `4 pods`.
pub(crate) struct Count<N>(pub N, pub &'static str);

impl<N: fmt::Display + PartialEq + From<u8>> fmt::Display for Count<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == N::from(1) { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., end] => format!("{} {last} {end}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_need_to_be() {
        let shown =
            [20.0, 5.0237, 0.53, 0.0053, 123.4, 0.0, 1.5].map(|number| Number(number).to_string());
        assert_eq!(shown, ["20", "5.02", "0.53", "0.0053", "123", "0", "1.5"]);
        assert_eq!(Time(0.4).to_string(), "400 ms");
        assert_eq!(Time(12.0).to_string(), "12 s");
        assert_eq!(
            (Percent(0.049).to_string(), Percent(0.05).to_string()),
            ("4.9 %".into(), "5 %".into())
        );
        assert_eq!(Percent(0.531).to_string(), "53 %");
        assert_eq!(Percent(1e-6).to_string(), "less than 0.1 %");
        assert_eq!(
            (Price(1.7).to_string(), Price(0.0053).to_string()),
            ("1.70".into(), "0.0053".into())
        );
        assert_eq!(
            (Count(1, "pod").to_string(), Count(4, "pod").to_string()),
            ("1 pod".into(), "4 pods".into())
        );
        assert_eq!(Count(2.1, "core").to_string(), "2.1 cores");
    }

    #[test]
    fn lists_end_with_a_word() {
        let words = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(list(&words, "or"), "a, b or c");
        assert_eq!(list(&words[..1], "or"), "a");
        assert_eq!(list(&[], "or"), "");
    }
}
