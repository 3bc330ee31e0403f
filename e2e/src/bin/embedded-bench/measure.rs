//! Wall time, CPU time and memory of this process.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::measure::{Table, seconds};

/// Length of a clock tick in `/proc/self/stat`: USER_HZ is 100 on every architecture of ours.
const TICK: Duration = Duration::from_millis(10);

/// A measurement that runs.
pub(crate) struct Watch {
    begun: Instant,
    cpu: Duration,
}

impl Watch {
    /// Begins.
    pub(crate) fn start() -> Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            cpu: cpu()?,
        })
    }

    /// Ends, and adds a row.
    pub(crate) fn stop(self, table: &mut Table, what: &str, count: usize) -> Result<()> {
        let wall = self.begun.elapsed();
        let cpu = cpu()?.saturating_sub(self.cpu);
        table.row([
            what.to_owned(),
            count.to_string(),
            seconds(wall),
            seconds(cpu),
            rate(count, wall),
            rate(count, cpu),
        ]);
        eprintln!("{what}: {} CPU", seconds(cpu));
        Ok(())
    }
}

fn rate(count: usize, time: Duration) -> String {
    let count = u32::try_from(count).map_or(f64::INFINITY, f64::from);
    format!("{:.0}", count / time.as_secs_f64())
}

/// CPU time that this process has used, by itself and in the kernel.
fn cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat is cut")?;
    let mut ticks = 0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<u32>()?;
    }
    Ok(TICK * ticks)
}

/// Resident memory in MiB.
pub(crate) fn resident() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kibibytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("/proc/self/status has no VmRSS")?
        .parse()?;
    Ok(format!("{} MiB", kibibytes / 1024))
}
