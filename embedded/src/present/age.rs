//! How long ago something was, in the words of kubectl.

use jiff::Timestamp;

/// The time since an instant in RFC 3339, such as `5m` or `2d3h`.
pub(crate) fn since(now: Timestamp, instant: &str) -> String {
    if instant.is_empty() {
        return "<unknown>".to_owned();
    }
    match instant.parse::<Timestamp>() {
        Ok(instant) => human(now.duration_since(instant).as_millis()),
        Err(_) => "<invalid>".to_owned(),
    }
}

/// A duration in one or two units.
fn human(milliseconds: i128) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let years = days / 365;
    let two = |large: i128, unit: &str, small: i128, small_unit: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{small_unit}")
        }
    };
    match () {
        // Clocks differ by a second or two.
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if years < 2 => format!("{days}d"),
        () if years < 8 => two(years, "y", days % 365, "d"),
        () => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_at_most_two_units() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (8 * 3600 + 60, "8h"),
            (47 * 3600, "47h"),
            (49 * 3600, "2d1h"),
            (8 * 86400, "8d"),
            (729 * 86400, "729d"),
            (731 * 86400, "2y1d"),
            (365 * 9 * 86400, "9y"),
        ] {
            assert_eq!(human(seconds * 1000), text, "{seconds}");
        }
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().expect("a time");
        assert_eq!(since(now, "2026-01-01T00:00:00Z"), "10m");
        assert_eq!(since(now, ""), "<unknown>");
    }
}
