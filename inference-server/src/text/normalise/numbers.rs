//! Numbers as English says them.

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const THOUSANDS: [&str; 6] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
];
/// More digits than this are read one by one: nobody hears a quintillion.
const LONGEST_CARDINAL: usize = 18;

fn below_hundred(number: usize, words: &mut Vec<String>) {
    if number < 20 {
        words.push(ONES[number].to_owned());
    } else {
        words.push(TENS[number / 10].to_owned());
        if !number.is_multiple_of(10) {
            words.push(ONES[number % 10].to_owned());
        }
    }
}

fn below_thousand(number: usize, words: &mut Vec<String>) {
    if number >= 100 {
        words.push(ONES[number / 100].to_owned());
        words.push("hundred".to_owned());
    }
    if !number.is_multiple_of(100) || number == 0 {
        below_hundred(number % 100, words);
    }
}

/// The digits one by one ("four oh two" is not said here: zero is "zero"). Other characters are passed over.
pub fn digits(text: &str) -> Vec<String> {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(|digit| ONES[usize::from(digit - b'0')].to_owned())
        .collect()
}

/// A whole number out of its digits: "1905" is one thousand nine hundred five. Leading zeros are said.
pub fn cardinal(text: &str) -> Vec<String> {
    let leading_zeros = text.len() > 1 && text.starts_with('0');
    if leading_zeros || text.len() > LONGEST_CARDINAL {
        return digits(text);
    }
    let Ok(number) = text.parse::<u64>() else {
        return digits(text);
    };
    if number == 0 {
        return vec![ONES[0].to_owned()];
    }
    let mut words = Vec::new();
    for (power, name) in THOUSANDS.iter().enumerate().rev() {
        let group = number / 1000_u64.pow(u32::try_from(power).unwrap_or(0)) % 1000;
        if group > 0 {
            below_thousand(usize::try_from(group).unwrap_or(0), &mut words);
            if !name.is_empty() {
                words.push((*name).to_owned());
            }
        }
    }
    words
}

/// A number with a fraction: "3.14" is three point one four.
pub fn decimal(whole: &str, fraction: &str) -> Vec<String> {
    let mut words = if whole.is_empty() {
        vec![ONES[0].to_owned()]
    } else {
        cardinal(whole)
    };
    words.push("point".to_owned());
    words.extend(digits(fraction));
    words
}

/// "21" as twenty first.
pub fn ordinal(text: &str) -> Vec<String> {
    let mut words = cardinal(text);
    if let Some(last) = words.last_mut() {
        *last = match last.as_str() {
            "one" => "first".to_owned(),
            "two" => "second".to_owned(),
            "three" => "third".to_owned(),
            "five" => "fifth".to_owned(),
            "eight" => "eighth".to_owned(),
            "nine" => "ninth".to_owned(),
            "twelve" => "twelfth".to_owned(),
            other => match other.strip_suffix('y') {
                Some(tens) => format!("{tens}ieth"),
                None => format!("{other}th"),
            },
        };
    }
    words
}

/// A year of four digits: nineteen eighty four, nineteen oh five, nineteen hundred, two thousand, two thousand nine,
/// twenty twenty six. Other lengths are cardinals.
pub fn year(text: &str) -> Vec<String> {
    let Some((century, rest)) = text.split_at_checked(2).filter(|_| text.len() == 4) else {
        return cardinal(text);
    };
    let (Ok(first), Ok(last)) = (century.parse::<usize>(), rest.parse::<usize>()) else {
        return digits(text);
    };
    if first < 10 || first.is_multiple_of(10) && last < 10 {
        return cardinal(text);
    }
    let mut words = Vec::new();
    below_hundred(first, &mut words);
    match last {
        0 => words.push("hundred".to_owned()),
        1..10 => {
            words.push("oh".to_owned());
            below_hundred(last, &mut words);
        }
        _ => below_hundred(last, &mut words),
    }
    words
}

/// A fraction: "1/2" one half, "3/4" three quarters, "2/5" two fifths.
pub fn fraction(above: &str, below: &str) -> Vec<String> {
    let one = above == "1";
    let mut words = cardinal(above);
    match below {
        "2" => words.push(if one { "half" } else { "halves" }.to_owned()),
        "4" => words.push(if one { "quarter" } else { "quarters" }.to_owned()),
        _ => {
            let mut parts = ordinal(below);
            if !one && let Some(last) = parts.last_mut() {
                last.push('s');
            }
            words.extend(parts);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_in_full() {
        for (digits, words) in [
            ("0", "zero"),
            ("7", "seven"),
            ("13", "thirteen"),
            ("40", "forty"),
            ("99", "ninety nine"),
            ("100", "one hundred"),
            ("1005", "one thousand five"),
            (
                "1234567",
                "one million two hundred thirty four thousand five hundred sixty seven",
            ),
            ("1000000000", "one billion"),
            ("007", "zero zero seven"),
            (
                "999999999999999999",
                "nine hundred ninety nine quadrillion nine hundred ninety nine trillion nine hundred ninety nine billion nine hundred ninety nine million nine hundred ninety nine thousand nine hundred ninety nine",
            ),
        ] {
            assert_eq!(cardinal(digits).join(" "), words);
        }
        assert_eq!(cardinal("1234567890123456789").len(), 19);
    }

    #[test]
    fn ordinals_years_and_fractions() {
        for (digits, words) in [
            ("1", "first"),
            ("2", "second"),
            ("12", "twelfth"),
            ("20", "twentieth"),
            ("23", "twenty third"),
            ("100", "one hundredth"),
        ] {
            assert_eq!(ordinal(digits).join(" "), words);
        }
        for (digits, words) in [
            ("1984", "nineteen eighty four"),
            ("1905", "nineteen oh five"),
            ("1900", "nineteen hundred"),
            ("2000", "two thousand"),
            ("2009", "two thousand nine"),
            ("2026", "twenty twenty six"),
            ("0042", "zero zero four two"),
        ] {
            assert_eq!(year(digits).join(" "), words);
        }
        assert_eq!(fraction("1", "2").join(" "), "one half");
        assert_eq!(fraction("2", "3").join(" "), "two thirds");
        assert_eq!(decimal("3", "14").join(" "), "three point one four");
    }
}
