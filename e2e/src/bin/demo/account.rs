//! The account of the steps: what is done, what came of it, how long it took.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::LocalBoxFuture;

/// A step that takes longer says so each time this has passed.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Prints the steps as they are done.
pub(crate) struct Account {
    began: Instant,
    steps: usize,
}

impl Account {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            steps: 0,
        }
    }

    /// Time since the first step.
    pub(crate) fn total(&self) -> Duration {
        self.began.elapsed()
    }

    /// Does a step and prints its time.
    pub(crate) fn step<'a, T: 'a>(
        &'a mut self,
        name: &'static str,
        work: impl Future<Output = Result<T>> + 'a,
    ) -> LocalBoxFuture<'a, Result<T>> {
        self.steps += 1;
        let number = self.steps;
        let mut work = Box::pin(work);
        Box::pin(async move {
            let began = Instant::now();
            let mut beats = tokio::time::interval(HEARTBEAT);
            beats.reset();
            let result = loop {
                tokio::select! {
                    result = &mut work => break result,
                    _ = beats.tick() => {
                        println!("    … {name}: {:.0} s so far", began.elapsed().as_secs_f64());
                    }
                }
            };
            let mark = if result.is_ok() { "✓" } else { "✗" };
            let seconds = began.elapsed().as_secs_f64();
            println!("{number:>2}. {mark} {name:<44} {seconds:>7.3} s");
            result.context(name)
        })
    }
}

/// Prints a detail of the current step.
pub(crate) fn detail(text: &str) {
    println!("      {text}");
}
