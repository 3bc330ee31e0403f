//! What can go wrong with a call or a watch, as data and as text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::call::{Call, Pattern, Verb};

/// Text that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct ParseError {
    expected: &'static str,
    found: String,
}

impl ParseError {
    /// Says what was expected instead of the text.
    pub fn new(expected: &'static str, found: &str) -> Self {
        Self {
            expected,
            found: found.to_owned(),
        }
    }
}

/// What happens to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered with an error, and not executed. `fail CODE`, `fail 429 retry SECONDS`.
    Fail {
        /// HTTP status.
        code: u16,
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// The connection breaks before the request is executed. `disconnect`.
    Disconnect,
    /// Executed, and answered with 504. `commit-timeout`.
    CommitThenTimeout,
    /// Executed, and the connection breaks. `commit-disconnect`.
    CommitThenDisconnect,
    /// Executed, and never answered. `commit-hang`.
    CommitThenHang,
    /// Never answered; executed after this time even if its sender is gone. `late 12s`.
    Late(Duration),
    /// Waits before it is executed. `delay 1.5s`.
    Delay(Duration),
    /// Executed, and answered after this time. `delay-answer 3s`.
    DelayAnswer(Duration),
    /// A list answered as it was this many changes ago, if that is still kept. Counts only lists in
    /// pages, as those ask who fill a cache. `stale 10`.
    Stale(u64),
    /// A fault of the stream of a watch.
    Watch(WatchFault),
}

/// What happens to the stream of a watch. Events are counted from one; bookmarks do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchFault {
    /// Ends after so many events. `drop 3`.
    Drop(u64),
    /// Ends after so many events with the error that its version is no longer kept. `expire 0`.
    Expire(u64),
    /// Delivers nothing for a time after so many events. `stall 2 20s`.
    Stall(u64, Duration),
    /// Stays so many events behind, each for at most a time. `lag 5 10s`.
    Lag(usize, Duration),
    /// Delivers this event twice. `duplicate 2`.
    Duplicate(u64),
    /// Delivers this event after the next one, if that is about another object. `swap 2`.
    Swap(u64),
}

/// When which fault happens: the n-th call of a pattern, counted from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which calls are counted.
    pub pattern: Pattern,
    /// Which of them is meant.
    pub nth: u64,
    /// What happens to it.
    pub fault: Fault,
}

impl Rule {
    /// Whether a call is counted.
    pub(super) fn fits(&self, call: &Call) -> bool {
        let can_be_stale = call.verb == Verb::List && call.is_paged;
        self.pattern.fits(call) && (can_be_stale || !matches!(self.fault, Fault::Stale(_)))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Seconds;
        match self {
            Self::Fail {
                code,
                retry_after: None,
            } => write!(formatter, "fail {code}"),
            Self::Fail {
                code,
                retry_after: Some(seconds),
            } => write!(formatter, "fail {code} retry {seconds}"),
            Self::Disconnect => formatter.write_str("disconnect"),
            Self::CommitThenTimeout => formatter.write_str("commit-timeout"),
            Self::CommitThenDisconnect => formatter.write_str("commit-disconnect"),
            Self::CommitThenHang => formatter.write_str("commit-hang"),
            Self::Late(by) => write!(formatter, "late {}", time(*by)),
            Self::Delay(by) => write!(formatter, "delay {}", time(*by)),
            Self::DelayAnswer(by) => write!(formatter, "delay-answer {}", time(*by)),
            Self::Stale(by) => write!(formatter, "stale {by}"),
            Self::Watch(WatchFault::Drop(after)) => write!(formatter, "drop {after}"),
            Self::Watch(WatchFault::Expire(after)) => write!(formatter, "expire {after}"),
            Self::Watch(WatchFault::Stall(after, by)) => {
                write!(formatter, "stall {after} {}", time(*by))
            }
            Self::Watch(WatchFault::Lag(events, by)) => {
                write!(formatter, "lag {events} {}", time(*by))
            }
            Self::Watch(WatchFault::Duplicate(nth)) => write!(formatter, "duplicate {nth}"),
            Self::Watch(WatchFault::Swap(nth)) => write!(formatter, "swap {nth}"),
        }
    }
}

impl FromStr for Fault {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split(' ').collect();
        let watch = |fault| Ok(Self::Watch(fault));
        match words.as_slice() {
            ["fail", code] => Ok(Self::Fail {
                code: number(code)?,
                retry_after: None,
            }),
            ["fail", code, "retry", seconds] => Ok(Self::Fail {
                code: number(code)?,
                retry_after: Some(number(seconds)?),
            }),
            ["disconnect"] => Ok(Self::Disconnect),
            ["commit-timeout"] => Ok(Self::CommitThenTimeout),
            ["commit-disconnect"] => Ok(Self::CommitThenDisconnect),
            ["commit-hang"] => Ok(Self::CommitThenHang),
            ["late", by] => Ok(Self::Late(duration(by)?)),
            ["delay", by] => Ok(Self::Delay(duration(by)?)),
            ["delay-answer", by] => Ok(Self::DelayAnswer(duration(by)?)),
            ["stale", by] => Ok(Self::Stale(number(by)?)),
            ["drop", after] => watch(WatchFault::Drop(number(after)?)),
            ["expire", after] => watch(WatchFault::Expire(number(after)?)),
            ["stall", after, by] => watch(WatchFault::Stall(number(after)?, duration(by)?)),
            ["lag", events, by] => watch(WatchFault::Lag(number(events)?, duration(by)?)),
            ["duplicate", nth] => watch(WatchFault::Duplicate(number(nth)?)),
            ["swap", nth] => watch(WatchFault::Swap(number(nth)?)),
            _ => Err(ParseError::new("a fault", text)),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pattern,
            nth,
            fault,
        } = self;
        write!(formatter, "{pattern} #{nth}: {fault}")
    }
}

impl FromStr for Rule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseError::new("VERB RESOURCE #N: FAULT", text);
        let (call, fault) = text.split_once(": ").ok_or_else(wrong)?;
        let (pattern, nth) = call.split_once(" #").ok_or_else(wrong)?;
        Ok(Self {
            pattern: pattern.parse()?,
            nth: number(nth)?,
            fault: fault.parse()?,
        })
    }
}

/// A duration as text: seconds, with at most three digits after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, milliseconds) = (self.0.as_secs(), self.0.subsec_millis());
        if milliseconds == 0 {
            write!(formatter, "{seconds}s")
        } else {
            let digits = format!("{milliseconds:03}");
            write!(formatter, "{seconds}.{}s", digits.trim_end_matches('0'))
        }
    }
}

impl FromStr for Seconds {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseError::new("seconds, such as 1.5s", text);
        let number = text.strip_suffix('s').ok_or_else(wrong)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if part.len() > 3 {
            return Err(wrong());
        }
        let seconds: u32 = whole.parse().map_err(|_| wrong())?;
        let milliseconds: u64 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
        Ok(Self(
            Duration::from_secs(u64::from(seconds)) + Duration::from_millis(milliseconds),
        ))
    }
}

fn duration(text: &str) -> Result<Duration, ParseError> {
    text.parse().map(|Seconds(duration)| duration)
}

fn number<T: FromStr>(text: &str) -> Result<T, ParseError> {
    text.parse().map_err(|_| ParseError::new("a number", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_round_trip() {
        for text in [
            "create gameservers #3: fail 500",
            "write * #1: fail 429 retry 3",
            "* * #12: disconnect",
            "patch gameservers #2: commit-timeout",
            "patch gameservers #2: commit-disconnect",
            "delete pods #2: commit-hang",
            "create gameservers #1: late 12s",
            "get nodes #1: delay 0.25s",
            "list pods #1: delay-answer 1.5s",
            "list fleets #1: stale 10",
            "watch pods #1: drop 3",
            "watch pods #1: expire 0",
            "watch pods #2: stall 2 20s",
            "watch gameservers #1: lag 5 10s",
            "watch gameservers #1: duplicate 2",
            "watch gameservers #1: swap 2",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for wrong in [
            "create gameservers: fail 500",
            "create gameservers #x: fail 500",
            "create gameservers #1: explode",
            "create gameservers #1: late 12",
            "create gameservers #1: late 1.2345s",
        ] {
            assert!(wrong.parse::<Rule>().is_err(), "{wrong}");
        }
    }
}
