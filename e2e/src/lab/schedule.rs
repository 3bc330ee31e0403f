//! What goes wrong in a run, as a list and as text, one line each.
//!
//! ```text
//! operator-0 patch gameservers #2: commit-timeout
//! operator-0 after 7 writes: crash
//! operator-0 after 7 writes: pause 30s
//! operator-1 at 12s: pause 20s
//! allocator-2 at 3s: cut
//! server at 10s: compact
//! ```
//!
//! Calls, writes and times are counted from the moment at which the scenario's setup is done.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use embedded::faults::{ParseError, Rule, Seconds};

/// Everything that goes wrong in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<Mishap>);

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// A call of a replica goes wrong.
    Call {
        /// Such as `operator-0`.
        replica: String,
        /// Which call, and how.
        rule: Rule,
    },
    /// A replica ends without warning after so many of its writes, and is started anew.
    Crash {
        /// Such as `operator-0`.
        replica: String,
        /// Writes from the beginning.
        writes: u64,
    },
    /// A replica stands still after so many of its writes.
    Pause {
        /// Such as `operator-0`.
        replica: String,
        /// Writes from the beginning.
        writes: u64,
        /// For how long.
        by: Duration,
    },
    /// Something happens at a time.
    At {
        /// Such as `operator-0`, or [`SERVER`].
        replica: String,
        /// Time from the beginning.
        time: Duration,
        /// What happens.
        event: Event,
    },
}

/// What can happen at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The replica ends without warning, and is started anew. `crash`.
    Crash,
    /// The replica stands still for this long, and goes on as if nothing had been. `pause 20s`.
    Pause(Duration),
    /// Every watch of the replica ends. `cut`.
    Cut,
    /// The API server forgets what was. `compact`.
    Compact,
}

/// The API server, where a replica is named.
pub const SERVER: &str = "server";

impl Mishap {
    /// Whom it concerns.
    pub fn replica(&self) -> &str {
        match self {
            Self::Call { replica, .. }
            | Self::Crash { replica, .. }
            | Self::Pause { replica, .. }
            | Self::At { replica, .. } => replica,
        }
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { replica, rule } => write!(formatter, "{replica} {rule}"),
            Self::Crash { replica, writes } => {
                write!(formatter, "{replica} after {writes} writes: crash")
            }
            Self::Pause {
                replica,
                writes,
                by,
            } => {
                let by = Seconds(*by);
                write!(formatter, "{replica} after {writes} writes: pause {by}")
            }
            Self::At {
                replica,
                time,
                event,
            } => {
                write!(formatter, "{replica} at {}: ", Seconds(*time))?;
                match event {
                    Event::Crash => formatter.write_str("crash"),
                    Event::Pause(by) => write!(formatter, "pause {}", Seconds(*by)),
                    Event::Cut => formatter.write_str("cut"),
                    Event::Compact => formatter.write_str("compact"),
                }
            }
        }
    }
}

impl FromStr for Mishap {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("REPLICA, WHEN and WHAT", line);
        let (replica, rest) = line.split_once(' ').ok_or_else(wrong)?;
        let replica = replica.to_owned();
        let Some((when, what)) = rest.split_once(": ") else {
            return Err(wrong());
        };
        if let Some(time) = when.strip_prefix("at ") {
            let Seconds(time) = time.parse()?;
            let event = match what.split_once(' ') {
                None if what == "crash" => Event::Crash,
                None if what == "cut" => Event::Cut,
                None if what == "compact" => Event::Compact,
                Some(("pause", by)) => {
                    let Seconds(by) = by.parse()?;
                    Event::Pause(by)
                }
                _ => return Err(wrong()),
            };
            return Ok(Self::At {
                replica,
                time,
                event,
            });
        }
        if let Some(writes) = when.strip_prefix("after ") {
            let writes = writes.strip_suffix(" writes").ok_or_else(wrong)?;
            let writes = writes.parse().map_err(|_| wrong())?;
            return match what.split_once(' ') {
                None if what == "crash" => Ok(Self::Crash { replica, writes }),
                Some(("pause", by)) => {
                    let Seconds(by) = by.parse()?;
                    Ok(Self::Pause {
                        replica,
                        writes,
                        by,
                    })
                }
                _ => Err(wrong()),
            };
        }
        Ok(Self::Call {
            replica,
            rule: rest.parse()?,
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mishap in &self.0 {
            writeln!(formatter, "{mishap}")?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_round_trip() {
        let text = "operator-0 patch gameservers #2: commit-timeout\n\
            operator-0 after 7 writes: crash\n\
            operator-0 after 7 writes: pause 30s\n\
            operator-1 at 12.5s: pause 20s\n\
            allocator-2 at 3s: cut\n\
            operator-0 watch pods #1: lag 3 5s\n\
            server at 10s: compact\n";
        assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        for wrong in [
            "operator-0",
            "operator-0 at 3: crash",
            "operator-0 at 3s: sing",
            "operator-0 after x writes: crash",
            "operator-0 after 7 writes: cut",
        ] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }
}
