//! Resource quantities such as `500m` and `1.5Gi`: reading, comparing, and the one form in which
//! the API server writes each.

use std::cmp::Ordering;

/// Why a text is no quantity.
pub(crate) const SYNTAX: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Thousand-millionths: what one unit counts.
const NANO: i128 = 1_000_000_000;
/// A thousandth.
const MILLI: i128 = 1_000_000;

/// How a quantity was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

/// An amount of something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity {
    /// In thousand-millionths.
    nanos: i128,
    form: Form,
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

const DECIMAL: [(&str, i32); 9] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
];
const EXA: (&str, i32) = ("E", 18);
const BINARY: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];

impl Quantity {
    /// Reads a quantity; none if the text is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let digits_end = unsigned
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(digits_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let (form, binary, decimal) = parse_suffix(suffix)?;
        // More digits than this are beyond every limit, in front or behind.
        let fraction = &fraction[..fraction.len().min(18)];
        let mantissa: i128 = format!("{whole}{fraction}")
            .parse()
            .ok()
            .or_else(|| (whole.len() > 20).then_some(i128::from(i64::MAX)))?;
        let exponent = 9 + decimal - i32::try_from(fraction.len()).ok()?;
        let mantissa = mantissa.checked_mul(1_i128 << binary).unwrap_or(i128::MAX);
        let nanos = scale_up(mantissa, exponent).min(i128::from(i64::MAX) * NANO);
        let negative = text.starts_with('-');
        Some(Self {
            nanos: if negative { -nanos } else { nanos },
            form,
        })
    }

    /// Rounded up to thousandths, as all amounts of resources are.
    pub(crate) fn rounded_to_milli(self) -> Self {
        Self {
            nanos: ceil(self.nanos, MILLI) * MILLI,
            ..self
        }
    }

    /// In thousandths, rounded up; the most that can be told if it is more.
    pub(crate) fn thousandths(self) -> i64 {
        told(ceil(self.nanos, MILLI))
    }

    /// In whole units, rounded up; the most that can be told if it is more.
    pub(crate) fn units(self) -> i64 {
        told(ceil(self.nanos, NANO))
    }

    /// The sum of two, in the form of the first.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_add(other.nanos),
            ..self
        }
    }

    /// Whether it is below zero.
    pub(crate) fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether it is zero.
    pub(crate) fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is a whole number.
    pub(crate) fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    /// The form in which the API server writes it.
    pub(crate) fn canonical(self) -> String {
        let small = self.nanos.abs() < 1024 * NANO;
        match self.form {
            Form::Binary if !small => {
                let mut value = ceil(self.nanos, NANO);
                let mut suffix = "";
                for (next, _) in BINARY {
                    if value % 1024 != 0 {
                        break;
                    }
                    value /= 1024;
                    suffix = next;
                }
                format!("{value}{suffix}")
            }
            Form::Exponent => {
                let (value, exponent) = thousands(self.nanos);
                if exponent == 0 {
                    value.to_string()
                } else {
                    format!("{value}e{exponent}")
                }
            }
            Form::Binary | Form::Decimal => {
                let (value, exponent) = thousands(self.nanos);
                let suffix = DECIMAL
                    .iter()
                    .chain([&EXA])
                    .find(|(_, known)| *known == exponent)
                    .map_or("", |(suffix, _)| *suffix);
                format!("{value}{suffix}")
            }
        }
    }
}

/// Form, power of two and power of ten of a suffix.
fn parse_suffix(suffix: &str) -> Option<(Form, u32, i32)> {
    if let Some((_, power)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        return Some((Form::Binary, *power, 0));
    }
    let decimal = DECIMAL.iter().chain([&EXA]);
    if let Some((_, power)) = decimal.into_iter().find(|(known, _)| *known == suffix) {
        return Some((Form::Decimal, 0, *power));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (-30..=30)
        .contains(&exponent)
        .then_some((Form::Exponent, 0, exponent))
}

/// `mantissa * 10^exponent`, rounded away from zero.
fn scale_up(mantissa: i128, exponent: i32) -> i128 {
    let power = 10_i128.checked_pow(exponent.unsigned_abs());
    match (power, exponent >= 0) {
        (Some(power), true) => mantissa.checked_mul(power).unwrap_or(i128::MAX),
        (Some(power), false) => ceil(mantissa, power),
        (None, true) => i128::MAX,
        (None, false) => 1,
    }
}

/// Division that rounds away from zero.
fn told(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

fn ceil(value: i128, by: i128) -> i128 {
    let quotient = value / by;
    if value % by == 0 {
        quotient
    } else {
        quotient + value.signum()
    }
}

/// A number of nanos without its factors of a thousand, and the power of ten left out.
fn thousands(nanos: i128) -> (i128, i32) {
    if nanos == 0 {
        return (0, 0);
    }
    let (mut value, mut exponent) = (nanos, -9);
    while value % 1000 == 0 && exponent < 18 {
        value /= 1000;
        exponent += 3;
    }
    (value, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_amount_has_one_form() {
        for (text, canonical) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("512Ki", "512Ki"),
            ("0.5Ki", "512"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("1e3", "1e3"),
            ("12E2", "1200"),
            ("-1500m", "-1500m"),
            ("+3", "3"),
            ("0.0000000001", "1n"),
            ("10E", "9223372036854775807"),
            ("64M", "64M"),
            (".5", "500m"),
            ("5.", "5"),
        ] {
            let quantity = Quantity::parse(text).expect(text);
            assert_eq!(quantity.canonical(), canonical, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "abc", "1Kib", "1.2.3", "m", "1e", "--1", "1 Gi", "."] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }
}
