//! The formats of texts that the API server checks in custom resources. It ignores all others,
//! such as `int32`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned, civil};
use regex::Regex;

use super::pattern;

/// A format that is checked.
#[derive(Debug)]
pub(super) struct Format {
    /// Name as the schema writes it, such as `date-time`.
    pub name: String,
    /// What CEL rules see instead of the text.
    pub meaning: Meaning,
    check: Check,
}

/// What a text in a format means to CEL rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The text itself.
    Text,
    /// A duration.
    Duration,
    /// A day.
    Date,
    /// A time.
    DateTime,
    /// Bytes.
    Bytes,
}

#[derive(Debug)]
enum Check {
    Nothing,
    Pattern(Regex),
    Function(fn(&str) -> bool),
}

const HOSTNAME: &str = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$";
const CREDIT_CARD: &str = r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$";
const BYTE: &str =
    r"^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/]{2}==|[A-Za-z0-9+\/]{3}=|[A-Za-z0-9+\/]{4})$";
const COLOR: &str = r"(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])";

impl Format {
    /// The format of that name; none if the API server does not check it.
    pub(super) fn named(name: &str) -> Result<Option<Self>, String> {
        let plain = name.replace('-', "");
        let check = match plain.as_str() {
            "password" => Check::Nothing,
            "date" => Check::Function(is_date),
            "datetime" => Check::Function(is_date_time),
            "duration" => Check::Function(|text| duration(text).is_some()),
            "byte" => pattern(BYTE)?,
            "ipv4" => Check::Function(|text| sloppy_ip(text).is_some() && text.contains('.')),
            "ipv6" => {
                Check::Function(|text| text.contains(':') && text.parse::<Ipv6Addr>().is_ok())
            }
            "cidr" => Check::Function(is_cidr),
            "mac" => Check::Function(is_mac),
            "uri" => Check::Function(is_request_uri),
            "email" => Check::Function(is_email),
            "hostname" => pattern(HOSTNAME)?,
            "uuid" => uuid("", "[0-9a-f]")?,
            "uuid3" => uuid("3", "[0-9a-f]")?,
            "uuid4" => uuid("4", "[89ab]")?,
            "uuid5" => uuid("5", "[89ab]")?,
            "isbn" => Check::Function(|text| is_isbn10(text) || is_isbn13(text)),
            "isbn10" => Check::Function(is_isbn10),
            "isbn13" => Check::Function(is_isbn13),
            "creditcard" => pattern(CREDIT_CARD)?,
            "ssn" => pattern(r"^\d{3}[- ]\d{2}[- ]\d{4}$")?,
            "hexcolor" => pattern("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$")?,
            "rgbcolor" => pattern(&format!(
                r"^rgb\(\s*{COLOR}\s*,\s*{COLOR}\s*,\s*{COLOR}\s*\)$"
            ))?,
            "bsonobjectid" => pattern("^[0-9a-fA-F]{24}$")?,
            "k8sshortname" => pattern("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")?,
            "k8slongname" => {
                pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")?
            }
            _ => return Ok(None),
        };
        let meaning = match name {
            "duration" => Meaning::Duration,
            "date" => Meaning::Date,
            "date-time" => Meaning::DateTime,
            "byte" => Meaning::Bytes,
            _ => Meaning::Text,
        };
        Ok(Some(Self {
            name: name.to_owned(),
            meaning,
            check,
        }))
    }

    /// Whether a text is in the format.
    pub(super) fn accepts(&self, text: &str) -> bool {
        match &self.check {
            Check::Nothing => true,
            Check::Pattern(regex) => match self.name.as_str() {
                "creditcard" | "credit-card" => is_credit_card(regex, text),
                "hostname" => {
                    let fits = text.len() <= 255 && text.split('.').all(|part| part.len() <= 63);
                    fits && regex.is_match(text)
                }
                "k8s-long-name" => text.len() <= 253 && regex.is_match(text),
                _ => regex.is_match(text),
            },
            Check::Function(function) => function(text),
        }
    }
}

fn pattern(text: &str) -> Result<Check, String> {
    pattern::compile(text).map(Check::Pattern)
}

fn uuid(version: &str, variant: &str) -> Result<Check, String> {
    let third = if version.is_empty() {
        "[0-9a-f]{4}".to_owned()
    } else {
        format!("{version}[0-9a-f]{{3}}")
    };
    pattern(&format!(
        "(?i)^[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{third}-?{variant}[0-9a-f]{{3}}-?[0-9a-f]{{12}}$"
    ))
}

/// A day such as `2026-01-31`.
pub(super) fn date(text: &str) -> Option<Zoned> {
    let shape = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    if !shape {
        return None;
    }
    let day: civil::Date = text.parse().ok()?;
    day.to_zoned(TimeZone::UTC).ok()
}

fn is_date(text: &str) -> bool {
    date(text).is_some()
}

/// Whether a text has the form of RFC 3339; letters can be lower case.
fn is_date_time(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((day, rest)) = lower.split_once('t') else {
        return false;
    };
    let bytes = rest.as_bytes();
    let two = |at: usize| -> Option<u8> {
        let (tens, ones) = (*bytes.get(at)?, *bytes.get(at + 1)?);
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
    };
    let is_clock = two(0).is_some_and(|hours| hours <= 23)
        && bytes.get(2) == Some(&b':')
        && two(3).is_some_and(|minutes| minutes <= 59)
        && bytes.get(5) == Some(&b':')
        && two(6).is_some_and(|seconds| seconds <= 59);
    if !is_date(day) || !is_clock {
        return false;
    }
    let mut zone = &bytes[8..];
    // Any letter may stand before the fraction: the API server's pattern has a bare dot there.
    if zone.len() > 1 && zone[0] != b'+' && zone[0] != b'-' && zone[1].is_ascii_digit() {
        let digits = zone[1..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        zone = &zone[1 + digits..];
    }
    match zone {
        [b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// A time as CEL rules read it: RFC 3339, with or without a zone; the epoch if empty.
pub(super) fn date_time(text: &str) -> Option<Zoned> {
    let utc = |time: Timestamp| time.to_zoned(TimeZone::UTC);
    if text.is_empty() {
        return Some(utc(Timestamp::UNIX_EPOCH));
    }
    let bytes = text.as_bytes();
    if bytes.get(10) != Some(&b'T') || text.ends_with('z') {
        return None;
    }
    if is_date_time(text) {
        let time: Timestamp = text.parse().ok()?;
        return Some(time.to_zoned(zone(text)));
    }
    let in_utc = format!("{text}Z");
    let time = is_date_time(&in_utc).then(|| in_utc.parse().ok());
    time.flatten().map(utc)
}

/// The zone at the end of a time.
fn zone(text: &str) -> TimeZone {
    let start = text.len().saturating_sub(6);
    let offset = text.get(start..).and_then(|zone| {
        let (hours, minutes) = zone.split_once(':')?;
        let hours: i32 = hours.parse().ok()?;
        let minutes: i32 = minutes.parse().ok()?;
        let sign = if zone.starts_with('-') { -1 } else { 1 };
        Offset::from_seconds(hours * 3600 + sign * minutes * 60).ok()
    });
    offset.map_or(TimeZone::UTC, TimeZone::fixed)
}

/// Nanoseconds of a duration as Go writes it (`1h30m`), or in words (`2 days`).
pub(super) fn duration(text: &str) -> Option<i64> {
    go_duration(text).or_else(|| worded_duration(text))
}

/// Nanoseconds of a duration as Go writes it, such as `-1.5h` or `1m30s`.
pub(super) fn go_duration(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (whole, fraction) = rest[..end].split_once('.').unwrap_or((&rest[..end], ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        rest = &rest[end..];
        let end = rest
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(rest.len());
        let scale: i128 = match &rest[..end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        rest = &rest[end..];
        if !whole.is_empty() {
            total = total.checked_add(whole.parse::<i128>().ok()?.checked_mul(scale)?)?;
        }
        let mut place = scale;
        for digit in fraction.bytes() {
            place /= 10;
            total += i128::from(digit - b'0') * place;
        }
    }
    i64::try_from(if is_negative { -total } else { total }).ok()
}

fn worded_duration(text: &str) -> Option<i64> {
    const UNITS: [(&[&str], i64); 8] = [
        (&["ns", "nano"], 1),
        (&["us", "µs", "micro"], 1_000),
        (&["ms", "milli"], 1_000_000),
        (&["s", "sec"], 1_000_000_000),
        (&["m", "min"], 60_000_000_000),
        (&["h", "hr", "hour"], 3_600_000_000_000),
        (&["d", "day"], 86_400_000_000_000),
        (&["w", "wk", "week"], 604_800_000_000_000),
    ];
    let mut total: i64 = 0;
    let mut is_any = false;
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        rest = &rest[start..];
        let end = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(rest.len());
        let number = &rest[..end];
        rest = rest[end..].trim_start_matches(|letter: char| letter.is_ascii_whitespace());
        let end = rest
            .find(|letter: char| !letter.is_ascii_alphabetic() && letter != 'µ')
            .unwrap_or(rest.len());
        if end == 0 {
            continue;
        }
        let unit = rest[..end].to_lowercase();
        rest = &rest[end..];
        let count: i64 = number.parse().ok()?;
        for (names, scale) in UNITS {
            for (index, name) in names.iter().enumerate() {
                // The last name of a unit may be a beginning: `days`.
                let is_last = index + 1 == names.len();
                if unit == *name || (is_last && unit.starts_with(name)) {
                    is_any = true;
                    total = total.wrapping_add(count.wrapping_mul(scale));
                }
            }
        }
    }
    is_any.then_some(total)
}

/// An address as old versions of Go read it: numbers can begin with zeros.
fn sloppy_ip(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let parts: Vec<&str> = text.split('.').collect();
    let [first, second, third, fourth] = parts.as_slice() else {
        return None;
    };
    let part = |text: &str| -> Option<u8> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number
            .then(|| text.parse::<u32>().ok())
            .flatten()
            .and_then(|number| u8::try_from(number).ok())
    };
    Some(IpAddr::V4(Ipv4Addr::new(
        part(first)?,
        part(second)?,
        part(third)?,
        part(fourth)?,
    )))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match sloppy_ip(address) {
        Some(IpAddr::V4(_)) => 32,
        Some(IpAddr::V6(_)) => 128,
        None => return false,
    };
    let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
}

fn is_mac(text: &str) -> bool {
    let is_hex =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());
    let of = |separator: char, len: usize, counts: [usize; 3]| {
        let parts: Vec<&str> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|part| is_hex(part, len))
    };
    of(':', 2, [6, 8, 20]) || of('-', 2, [6, 8, 20]) || of('.', 4, [3, 4, 10])
}

/// Close to Go's `url.ParseRequestURI`: absolute, or a path from the root.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_control()) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let scheme_end = text
        .find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '+' | '-' | '.'));
    let (has_scheme, rest) = match scheme_end {
        Some(0) => (false, text),
        Some(end) if text[end..].starts_with(':') => {
            if !text.as_bytes()[0].is_ascii_alphabetic() {
                return false;
            }
            (true, &text[end + 1..])
        }
        _ => (false, text),
    };
    if !rest.starts_with('/') {
        return has_scheme;
    }
    let mut path = rest;
    if has_scheme && let Some(after) = rest.strip_prefix("//") {
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let host = after[..end].rsplit('@').next().unwrap_or_default();
        let port = match host.strip_prefix('[') {
            Some(inside) => match inside.split_once(']') {
                Some((_, port)) => port.strip_prefix(':').unwrap_or(port),
                None => return false,
            },
            None => host.split_once(':').map_or("", |(_, port)| port),
        };
        // Only bytes beyond ASCII may be escaped in a host.
        let is_escaped_well = host.match_indices('%').all(|(at, _)| {
            let code = host.get(at + 1..at + 3).unwrap_or_default();
            code == "25" || u8::from_str_radix(code, 16).is_ok_and(|byte| byte >= 0x80)
        });
        if !is_escaped_well
            || host.contains([' ', '<', '>', '"', '\\', '^', '`', '{', '|', '}'])
            || !port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return false;
        }
        path = &after[end..];
    }
    let path = path.split('?').next().unwrap_or_default();
    path.match_indices('%').all(|(at, _)| {
        path.as_bytes()
            .get(at + 1..at + 3)
            .is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Close to Go's `mail.ParseAddress`: an address, or a name and an address in angle brackets.
fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(rest) => match rest.rsplit_once('<') {
            Some((_, address)) => address,
            None => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let is_atom = |part: &str| {
        !part.is_empty()
            && part.chars().all(|letter| {
                letter.is_ascii_alphanumeric()
                    || !letter.is_ascii()
                    || "!#$%&'*+-/=?^_`{|}~".contains(letter)
            })
    };
    let is_quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    (is_quoted || local.split('.').all(is_atom)) && domain.split('.').all(is_atom)
}

fn is_isbn10(text: &str) -> bool {
    let plain = without_separators(text);
    let bytes = plain.as_bytes();
    if bytes.len() != 10 || !bytes[..9].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let last = match bytes[9] {
        b'X' => 10,
        digit if digit.is_ascii_digit() => u32::from(digit - b'0'),
        _ => return false,
    };
    let sum: u32 = (1..)
        .zip(&bytes[..9])
        .map(|(factor, digit)| factor * u32::from(digit - b'0'))
        .sum();
    (sum + 10 * last).is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let plain = without_separators(text);
    if plain.len() != 13 || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = plain
        .bytes()
        .zip([1, 3].into_iter().cycle())
        .map(|(digit, factor)| u32::from(digit - b'0') * factor)
        .sum();
    sum.is_multiple_of(10)
}

fn without_separators(text: &str) -> String {
    text.chars()
        .filter(|letter| *letter != '-' && !letter.is_ascii_whitespace())
        .collect()
}

/// The pattern and the checksum of Luhn.
fn is_credit_card(regex: &Regex, text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let number = u32::from(digit - b'0') * if index % 2 == 1 { 2 } else { 1 };
            number / 10 + number % 10
        })
        .sum();
    regex.is_match(&digits) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::{Format, date_time, duration};

    #[test]
    fn each_format_accepts_and_refuses() {
        for (name, good, bad) in [
            ("date-time", "2026-01-31T10:00:00Z", "2026-01-31 10:00:00Z"),
            (
                "date-time",
                "2026-01-31t10:00:00.5+01:00",
                "2026-01-31T24:00:00Z",
            ),
            ("date", "2026-02-28", "2026-02-30"),
            ("duration", "1h30m", "soon"),
            ("duration", "2 days", "2 years"),
            ("byte", "aGk=", "aGk"),
            ("ipv4", "010.0.0.1", "10.0.0"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "01:23:45:67:89:ab", "01:23:45:67:89"),
            ("mac", "0123.4567.89ab", "0123.4567.89a"),
            ("uri", "https://a.example/b%20c?d", "https://a.example/%2"),
            ("uri", "/path", "path"),
            ("email", "A <a.b@c.example>", "a.b"),
            ("hostname", "game-1.example", "game_1"),
            ("uuid", "6BA7B810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810"),
            (
                "uuid4",
                "57b73598-8764-4ad0-a76a-679bb6640eb1",
                "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            ),
            ("isbn", "978-0321751041", "978-0321751042"),
            ("isbn10", "0321751043", "0321751044"),
            ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
            ("ssn", "111-22-3333", "111-22-333"),
            ("hexcolor", "#ffF", "#ffff"),
            ("rgbcolor", "rgb(0, 10,255)", "rgb(0,10,256)"),
            ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
            ("k8s-short-name", "a-b", "a.b"),
            ("k8s-long-name", "a-b.c", "a-.c"),
        ] {
            let format = Format::named(name).unwrap().unwrap();
            assert!(format.accepts(good), "{name} {good}");
            assert!(!format.accepts(bad), "{name} {bad}");
        }
        for name in ["int32", "int64", "double", "quantity"] {
            assert!(Format::named(name).unwrap().is_none(), "{name}");
        }
    }

    #[test]
    fn durations_and_times_have_a_value() {
        assert_eq!(duration("-1.5h"), Some(-5_400_000_000_000));
        assert_eq!(duration("1m0.5s"), Some(60_500_000_000));
        assert_eq!(duration("1 week"), Some(604_800_000_000_000));
        assert_eq!(duration(""), None);
        let time = |text: &str| date_time(text).map(|time| time.timestamp().to_string());
        assert_eq!(time("").as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(
            time("2026-01-31T10:00:00+01:00").as_deref(),
            Some("2026-01-31T09:00:00Z")
        );
        assert_eq!(
            time("2026-01-31T10:00:00").as_deref(),
            Some("2026-01-31T10:00:00Z")
        );
        assert_eq!(time("2026-01-31"), None);
    }
}
