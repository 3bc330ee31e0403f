//! A limit that widens with the time that a ticket has waited.

use serde::{Deserialize, Serialize};

/// Steps of one limit at most.
pub const MAX_STEPS: usize = 16;

/// How far something may go: at first, and from certain times on.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// From the beginning.
    pub value: f64,
    /// Later, each wider than the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// From when on a limit is wider.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Seconds since the ticket was put in.
    pub after_seconds: u32,
    /// The limit from then on.
    pub value: f64,
}

impl Limit {
    /// A limit that never widens.
    pub const fn fixed(value: f64) -> Self {
        Self {
            value,
            steps: Vec::new(),
        }
    }

    /// The limit of who has waited so many milliseconds.
    pub fn at(&self, waited: u64) -> f64 {
        let mut reached = self.steps.iter().rev();
        reached
            .find(|step| step.milliseconds() <= waited)
            .map_or(self.value, |step| step.value)
    }

    /// When the limit widens next: milliseconds of waiting.
    pub fn next(&self, waited: u64) -> Option<u64> {
        let mut moments = self.steps.iter().map(Step::milliseconds);
        moments.find(|moment| *moment > waited)
    }

    /// When it widens for the last time: milliseconds of waiting.
    pub fn settled(&self) -> u64 {
        self.steps.last().map_or(0, Step::milliseconds)
    }

    /// What is wrong with it, as a path within the limit and a reason.
    pub(super) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !(self.value.is_finite() && self.value >= 0.0) {
            problems.push(("value".to_owned(), "must be 0 or more".to_owned()));
        }
        if self.steps.len() > MAX_STEPS {
            let problem = format!("has {} steps, of at most {MAX_STEPS}", self.steps.len());
            problems.push(("steps".to_owned(), problem));
        }
        let (mut after, mut value) = (0, self.value);
        for (index, step) in self.steps.iter().enumerate() {
            if step.after_seconds <= after {
                let problem = format!("must be more than {after}, as of the step before");
                problems.push((format!("steps[{index}].afterSeconds"), problem));
            }
            if !(step.value.is_finite() && step.value > value) {
                let problem = format!("must be more than {value}: a limit only widens");
                problems.push((format!("steps[{index}].value"), problem));
            }
            (after, value) = (step.after_seconds, step.value);
        }
        problems
    }
}

impl Step {
    fn milliseconds(&self) -> u64 {
        u64::from(self.after_seconds) * 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widening() -> Limit {
        serde_json::from_str(
            r#"{"value": 50, "steps": [
                {"afterSeconds": 10, "value": 100}, {"afterSeconds": 30, "value": 400}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn it_widens_when_its_steps_say_so() {
        let limit = widening();
        let at = [0, 9_999, 10_000, 29_999, 30_000, u64::MAX].map(|waited| limit.at(waited));
        assert_eq!(
            format!("{at:?}"),
            "[50.0, 50.0, 100.0, 100.0, 400.0, 400.0]"
        );
        assert_eq!(limit.next(0), Some(10_000));
        assert_eq!(limit.next(10_000), Some(30_000));
        assert_eq!(limit.next(30_000), None);
        assert_eq!(limit.settled(), 30_000);
    }

    #[test]
    fn what_narrows_or_goes_back_in_time_is_refused_by_its_path() {
        assert_eq!(widening().problems(), []);
        let mut limit = widening();
        limit.steps[1] = Step {
            after_seconds: 10,
            value: 80.0,
        };
        let paths: Vec<String> = limit.problems().into_iter().map(|it| it.0).collect();
        assert_eq!(paths, ["steps[1].afterSeconds", "steps[1].value"]);
        let paths = Limit::fixed(f64::NAN).problems();
        assert_eq!(paths[0].0, "value");
    }
}
