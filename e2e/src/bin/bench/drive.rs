//! Closed-loop load: so many workers share so much work, each with one call in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::measure::Sorted;
use tokio::task::JoinSet;

use crate::processes;

/// Whose CPU time is reported, by process name.
const OBSERVED: [&str; 3] = ["allocator", "kube-apiserver", "etcd"];

/// What a run of load showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) failures: Vec<String>,
    pub(crate) took: Duration,
    /// CPU time of [`OBSERVED`]; None where it cannot be seen.
    cpu: [Option<Duration>; 3],
}

impl Outcome {
    /// Adds another run of the same load.
    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failures.extend(other.failures);
        self.took += other.took;
        for (sum, more) in self.cpu.iter_mut().zip(other.cpu) {
            *sum = more.map(|more| sum.unwrap_or_default() + more);
        }
    }

    /// Successes per second.
    pub(crate) fn rate(&self) -> f64 {
        let count = u32::try_from(self.latencies.len()).unwrap_or(u32::MAX);
        f64::from(count) / self.took.as_secs_f64().max(f64::EPSILON)
    }

    pub(crate) fn sorted(&self) -> Sorted {
        Sorted::new(self.latencies.clone())
    }

    /// CPU time per success of allocator, API server and etcd.
    pub(crate) fn cpu_each(&self) -> [String; 3] {
        let count = u32::try_from(self.latencies.len().max(1)).unwrap_or(u32::MAX);
        self.cpu.map(|cpu| match cpu {
            Some(cpu) => format!("{:.2} ms", (cpu / count).as_secs_f64() * 1000.0),
            None => "not visible".to_owned(),
        })
    }
}

/// Lets `workers` do `count` pieces of work. `prepare` makes what a worker keeps, such as its
/// connection; `work` gets it with the number of the piece.
pub(crate) async fn drive<W, P, F>(
    workers: usize,
    count: usize,
    prepare: P,
    work: F,
) -> Result<Outcome>
where
    W: Send + 'static,
    P: AsyncFn() -> Result<W>,
    F: Fn(W, usize) -> futures::future::BoxFuture<'static, (W, Result<(), String>)>
        + Send
        + Sync
        + 'static,
{
    let mut prepared = Vec::new();
    for _ in 0..workers {
        prepared.push(prepare().await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let work = Arc::new(work);
    let before = OBSERVED.map(processes::cpu);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for mut worker in prepared {
        let (next, work) = (Arc::clone(&next), Arc::clone(&work));
        tasks.spawn(async move {
            let (mut latencies, mut failures) = (Vec::new(), Vec::new());
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= count {
                    return (latencies, failures);
                }
                let began = Instant::now();
                let (kept, result) = work(worker, piece).await;
                worker = kept;
                match result {
                    Ok(()) => latencies.push(began.elapsed()),
                    Err(failure) => failures.push(failure),
                }
            }
        });
    }
    let mut outcome = Outcome::default();
    while let Some(ended) = tasks.join_next().await {
        let (latencies, failures) = ended?;
        outcome.latencies.extend(latencies);
        outcome.failures.extend(failures);
    }
    outcome.took = began.elapsed();
    for ((cpu, before), name) in outcome.cpu.iter_mut().zip(before).zip(OBSERVED) {
        let after = processes::cpu(name);
        *cpu = before
            .zip(after)
            .map(|(before, after)| after.saturating_sub(before));
    }
    Ok(outcome)
}
