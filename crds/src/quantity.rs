//! Kubernetes quantities (`250m`, `1.5`, `256Mi`) as people write them and as numbers.
use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

/// A quantity as written in a manifest: a number or a string with a suffix.
///
/// It keeps what was written; [`Quantity::milli`] and [`Quantity::bytes`] give the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(String);

/// Why a text is not a quantity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity: write a number with an optional suffix, as in 250m, 2 or 512Mi")]
pub struct NotAQuantity(pub String);

impl Quantity {
    /// The quantity that `text` stands for.
    pub fn parse(text: &str) -> Result<Self, NotAQuantity> {
        nano(text)
            .map(|_| Self(text.to_owned()))
            .ok_or_else(|| NotAQuantity(text.to_owned()))
    }

    /// `value` thousandths, for CPU: `Quantity::from_milli(250)` is `250m`.
    pub fn from_milli(value: u64) -> Self {
        Self(if value.is_multiple_of(1_000) {
            (value / 1_000).to_string()
        } else {
            format!("{value}m")
        })
    }

    /// `value` bytes, rounded up to whole mebibytes, for memory.
    pub fn from_bytes_in_mebi(value: u64) -> Self {
        Self(format!("{}Mi", value.div_ceil(1 << 20)))
    }

    /// Thousandths, rounded up as Kubernetes rounds: 1 500 for `1.5` and for `1500m`.
    pub fn milli(&self) -> u64 {
        self.in_units_of(1_000_000)
    }

    /// Whole units, rounded up: bytes for memory.
    pub fn bytes(&self) -> u64 {
        self.in_units_of(1_000_000_000)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn in_units_of(&self, nanos: i128) -> u64 {
        // Parsed at construction, so the fallback is never taken.
        let value = nano(&self.0).unwrap_or(0);
        u64::try_from(value.div_euclid(nanos) + i128::from(value.rem_euclid(nanos) != 0))
            .unwrap_or(u64::MAX)
    }
}

/// Whether two texts stand for the same quantity (`1` and `1000m`); `false` if one is none.
pub fn same(a: &str, b: &str) -> bool {
    matches!((nano(a), nano(b)), (Some(a), Some(b)) if a == b)
}

/// Billionths, after the grammar of `k8s.io/apimachinery/pkg/api/resource.Quantity`.
///
/// What is below a billionth is rounded up, as there; `None` for what that grammar refuses, for
/// negative values and for values past 2^63, which no resource has.
fn nano(text: &str) -> Option<i128> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    // mantissa / 10^fraction.len() * scale, all in billionths
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (multiply, divide) = scale(suffix)?;
    let numerator = mantissa.checked_mul(multiply)?.checked_mul(1_000_000_000)?;
    let denominator = divisor.checked_mul(divide)?;
    let value =
        numerator.div_euclid(denominator) + i128::from(numerator.rem_euclid(denominator) != 0);
    (value <= i128::from(i64::MAX) * 1_000_000_000).then_some(value)
}

/// What a suffix multiplies and divides by.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "" => (1, 1),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            let power: i32 = digits.parse().ok()?;
            let magnitude = 10_i128.checked_pow(power.unsigned_abs().min(30))?;
            if power < 0 {
                (1, magnitude)
            } else {
                (magnitude, 1)
            }
        }
    })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "write a whole number of at least 0, or a quantity in quotes, as in 2, \"0.5\" or \"512Mi\""
        )]
        enum Written {
            Integer(u64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Integer(value) => value.to_string(),
            Written::Text(text) => text,
        };
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// `cpu: 2` and `cpu: "2"` are both written, so an integer is accepted beside a string. Admission
    /// refuses what [`Quantity::parse`] would refuse, so that every stored object can be decoded.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 32,
            "pattern": r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$",
            // The pattern does not apply to integers, and does not bound exponents.
            "x-kubernetes-validations": [{
                "rule": "isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0')) && quantity(string(self)).isLessThan(quantity('8Ei'))",
                "message": "must be a quantity that is not negative and below 8Ei, such as 500m, 2 or 512Mi",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    #[test]
    fn values_are_those_of_kubernetes() {
        assert_eq!(quantity("250m").milli(), 250);
        assert_eq!(quantity("1.5").milli(), 1_500);
        assert_eq!(quantity(".5").milli(), 500);
        assert_eq!(
            quantity("0.0001").milli(),
            1,
            "rounded up, as Kubernetes does"
        );
        assert_eq!(quantity("1Ki").bytes(), 1_024);
        assert_eq!(quantity("1.5Gi").bytes(), 1_610_612_736);
        assert_eq!(quantity("1e3").bytes(), 1_000);
        assert_eq!(quantity("2E3").bytes(), 2_000);
        assert_eq!(quantity("1E").bytes(), 1_000_000_000_000_000_000);
    }

    #[test]
    fn spelling_does_not_matter_for_sameness() {
        assert!(same("1", "1000m"));
        assert!(same("1Gi", "1024Mi"));
        assert!(!same("1Gi", "1G"));
        assert!(!same("server", "server"));
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_a_hint() {
        for text in ["", "m", "1x", "1.2.3", "-1", "1 Gi", "1gi", "99E99"] {
            let error = Quantity::parse(text).unwrap_err();
            assert!(error.to_string().contains("512Mi"), "{error}");
        }
    }

    #[test]
    fn numbers_and_strings_are_read() {
        let read = |json: &str| serde_json::from_str::<Quantity>(json);
        assert_eq!(read("2").unwrap().milli(), 2_000);
        assert_eq!(read("\"2\"").unwrap().milli(), 2_000);
        assert!(read("\"two\"").is_err());
    }

    #[test]
    fn computed_quantities_are_written_in_canonical_form() {
        assert_eq!(Quantity::from_milli(2_000).as_str(), "2");
        assert_eq!(Quantity::from_milli(250).as_str(), "250m");
        assert_eq!(
            Quantity::from_bytes_in_mebi((100 << 20) + 1).as_str(),
            "101Mi"
        );
    }
}
