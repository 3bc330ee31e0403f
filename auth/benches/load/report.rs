//! What was measured, as a Markdown table with goals.

use std::time::Duration;

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    measured: String,
    goal: Option<Goal>,
}

#[derive(Debug)]
struct Goal {
    text: String,
    is_met: bool,
}

impl Report {
    /// A figure without a goal.
    pub(crate) fn note(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        self.push(what.into(), measured.into(), None);
    }

    /// A rate per second that should be at least so much.
    pub(crate) fn at_least(&mut self, what: impl Into<String>, measured: f64, goal: f64) {
        let goal = Goal {
            text: format!("≥ {}", number(goal)),
            is_met: measured >= goal,
        };
        self.push(what.into(), number(measured), Some(goal));
    }

    /// Something that should be at most so much, in this unit.
    pub(crate) fn at_most(
        &mut self,
        what: impl Into<String>,
        measured: f64,
        goal: f64,
        unit: &str,
    ) {
        let goal = Goal {
            text: format!("≤ {} {unit}", number(goal)),
            is_met: measured <= goal,
        };
        self.push(
            what.into(),
            format!("{} {unit}", number(measured)),
            Some(goal),
        );
    }

    /// Something that should be so.
    pub(crate) fn holds(
        &mut self,
        what: impl Into<String>,
        measured: impl Into<String>,
        goal: &str,
        is_met: bool,
    ) {
        let goal = Goal {
            text: goal.to_owned(),
            is_met,
        };
        self.push(what.into(), measured.into(), Some(goal));
    }

    fn push(&mut self, what: String, measured: String, goal: Option<Goal>) {
        eprintln!("{what}: {measured}");
        self.rows.push(Row {
            what,
            measured,
            goal,
        });
    }

    /// Whether every goal was met.
    pub(crate) fn is_met(&self) -> bool {
        let mut goals = self.rows.iter().filter_map(|row| row.goal.as_ref());
        goals.all(|goal| goal.is_met)
    }

    /// Everything.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            "| what | measured | goal | |".to_owned(),
            "|---|---|---|---|".to_owned(),
        ];
        lines.extend(self.rows.iter().map(|row| {
            let (goal, verdict) = match &row.goal {
                Some(goal) if goal.is_met => (goal.text.as_str(), "met"),
                Some(goal) => (goal.text.as_str(), "**missed**"),
                None => ("", ""),
            };
            format!("| {} | {} | {goal} | {verdict} |", row.what, row.measured)
        }));
        lines.join("\n")
    }
}

/// With as many digits as help.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let text = format!("{value:.0}");
            let (sign, digits) = text
                .strip_prefix('-')
                .map_or(("", text.as_str()), |rest| ("-", rest));
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap())
                .collect();
            format!("{sign}{}", groups.join(","))
        }
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The time that 99 of 100 do not exceed (nearest rank), in milliseconds.
pub(crate) fn p99(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let rank = (times.len() * 99).div_ceil(100).max(1);
    milliseconds(times.get(rank - 1).copied().unwrap_or_default())
}

/// Milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
