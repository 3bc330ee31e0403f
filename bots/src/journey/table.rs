//! How long each step of the journey took: a table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::record::Times;

/// The steps, in the order in which a player takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Made an account.
    Register,
    /// Has a session with the lobby, and has measured its regions.
    Connect,
    /// Is in a party.
    Party,
    /// From the ticket to the connect token.
    Ticket,
    /// From the connect token to the first snapshot.
    Join,
    /// From the first step to the first snapshot.
    Playing,
    /// From a message of the chat to its answer; everybody hears it later.
    Chat,
    /// From the end of a blackout to the next snapshot.
    Blackout,
    /// From the start of the new program to the first snapshot with a new token.
    Rejoin,
    /// From the end of the match to its result with ratings.
    Result,
}

impl Step {
    /// All of them with their names, in order.
    const ALL: [(Self, &'static str); 10] = [
        (Self::Register, "register with auth"),
        (Self::Connect, "connect to the lobby"),
        (Self::Party, "form a party"),
        (Self::Ticket, "ticket -> connect token"),
        (Self::Join, "connect token -> first snapshot"),
        (Self::Playing, "register -> playing"),
        (Self::Chat, "chat message"),
        (Self::Blackout, "network back -> playing"),
        (Self::Rejoin, "program starts again -> playing"),
        (Self::Result, "end of match -> result and rating"),
    ];
}

/// Times of the steps.
#[derive(Clone, Debug, Default)]
pub struct Steps([Times; Step::ALL.len()]);

impl Steps {
    /// Adds one time.
    pub fn record(&mut self, step: Step, time: Duration) {
        self.0[step as usize].record(time);
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.add(other);
        }
    }

    /// How often a step was taken.
    pub fn count(&self, step: Step) -> u64 {
        self.0[step as usize].count()
    }

    /// The table as Markdown; steps that nobody took are left out.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| step | players | p50 ms | p99 ms |\n|---|---:|---:|---:|\n");
        for ((_, name), times) in Step::ALL.iter().zip(&self.0) {
            if let Some(summary) = times.summary() {
                // Writing to a text does not fail.
                writeln!(
                    text,
                    "| {name} | {} | {:.1} | {:.1} |",
                    summary.count, summary.p50_ms, summary.p99_ms
                )
                .ok();
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_were_taken_are_in_the_table() {
        let mut steps = Steps::default();
        steps.record(Step::Register, Duration::from_millis(10));
        let mut others = Steps::default();
        others.record(Step::Register, Duration::from_millis(10));
        others.record(Step::Result, Duration::from_millis(500));
        steps.add(&others);
        assert_eq!(steps.count(Step::Register), 2);
        let text = steps.markdown();
        assert!(text.contains("| register with auth | 2 | 10.0 |"), "{text}");
        assert!(
            text.contains("| end of match -> result and rating | 1 |"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
