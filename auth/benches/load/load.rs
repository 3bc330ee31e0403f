//! Clients that do the same again and again.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::process::Process;
use crate::report::{Report, number, p99};

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Load {
    /// How long each call took.
    pub(crate) times: Vec<Duration>,
    /// How long all took.
    pub(crate) took: Duration,
    /// Seconds of CPU that each of the watched processes took.
    pub(crate) cpu: Vec<f64>,
}

impl Load {
    /// How many calls.
    pub(crate) fn calls(&self) -> f64 {
        f64::from(u32::try_from(self.times.len()).unwrap())
    }

    /// Calls in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.calls() / self.took.as_secs_f64()
    }

    /// Calls in a second of CPU of the first watched process.
    pub(crate) fn per_core(&self) -> f64 {
        self.calls() / self.cpu[0]
    }

    /// Microseconds of CPU for a call, of that watched process.
    pub(crate) fn micros(&self, index: usize) -> f64 {
        self.cpu[index] / self.calls() * 1e6
    }

    /// Tells rate, p99 and the CPU of the processes by their names.
    pub(crate) fn tell(&mut self, report: &mut Report, what: &str, names: &[&str]) {
        let slow = p99(&mut self.times);
        report.note(
            format!("{what}: by the clock"),
            format!("{}/s, p99 {} ms", number(self.rate()), number(slow)),
        );
        let shares: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(index, name)| format!("{name} {} µs", number(self.micros(index))))
            .collect();
        report.note(format!("{what}: CPU of a call"), shares.join(", "));
    }
}

/// Every client does it again and again for so long.
pub(crate) async fn drive<Client>(
    clients: &mut [Client],
    span: Duration,
    watched: &[Process],
    once: impl AsyncFn(&mut Client),
) -> Load {
    let before: Vec<f64> = watched.iter().map(|process| process.cpu()).collect();
    let began = Instant::now();
    let runs = clients.iter_mut().map(async |client| {
        let mut times = Vec::new();
        while began.elapsed() < span {
            let start = Instant::now();
            once(client).await;
            times.push(start.elapsed());
        }
        times
    });
    let times = join_all(runs).await.concat();
    let took = began.elapsed();
    let cpu = watched.iter().zip(before);
    let cpu = cpu
        .map(|(process, before)| process.cpu() - before)
        .collect();
    Load { times, took, cpu }
}
