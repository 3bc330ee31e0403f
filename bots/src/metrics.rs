//! What a server says about itself: its metrics, read over HTTP on the same host.

use std::io::{Error, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::report::ServerReport;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes of an answer.
const MOST_BYTES: u64 = 1 << 20;

/// The name of the histogram of the work of ticks, and of the counters.
const TICKS: &str = "muster_arena_tick_seconds_bucket";
const DEBT: &str = "muster_arena_tick_debt_dropped_total";
const KICKED: &str = "muster_arena_kicked_total";
const REFUSED: &str = "muster_arena_packets_refused_total";
const DROPPED: &str = "muster_arena_datagrams_dropped_total";

/// Metrics at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Ticks by the work that they did not exceed, in seconds, ascending.
    ticks: Vec<(f64, u64)>,
    debt: u64,
    kicked: u64,
    refused: u64,
    dropped: u64,
}

impl Sample {
    /// Asks a server.
    pub fn fetch(address: SocketAddr) -> Result<Self, Error> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.take(MOST_BYTES).read_to_string(&mut answer)?;
        Ok(Self::parse(&answer))
    }

    fn parse(text: &str) -> Self {
        let mut sample = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let (family, labels) = name.split_once('{').unwrap_or((name, ""));
            let Ok(count) = value.parse::<u64>() else {
                continue;
            };
            match family {
                TICKS => {
                    let bound = labels.split('"').nth(1).unwrap_or_default();
                    let bound = bound.replace("+Inf", "inf");
                    sample
                        .ticks
                        .push((bound.parse().unwrap_or(f64::INFINITY), count));
                }
                DEBT => sample.debt = count,
                KICKED => sample.kicked = count,
                REFUSED => sample.refused += count,
                DROPPED => sample.dropped = count,
                _ => {}
            }
        }
        sample
    }

    /// What happened since an earlier moment.
    pub fn since(&self, earlier: &Self) -> ServerReport {
        let before = |index: usize| earlier.ticks.get(index).map_or(0, |(_, count)| *count);
        let ticks: Vec<_> = self
            .ticks
            .iter()
            .enumerate()
            .map(|(index, (bound, count))| (*bound, count.saturating_sub(before(index))))
            .collect();
        ServerReport {
            ticks: ticks.last().map_or(0, |(_, count)| *count),
            tick_p99_ms: 1_000.0 * quantile(&ticks, 0.99),
            quiet_tick_p99_ms: None,
            debt_dropped: self.debt.saturating_sub(earlier.debt),
            kicked: self.kicked.saturating_sub(earlier.kicked),
            refused: self.refused.saturating_sub(earlier.refused),
            dropped: self.dropped.saturating_sub(earlier.dropped),
        }
    }
}

/// A quantile of a histogram with cumulative counts: as if each part were filled evenly.
#[expect(clippy::cast_precision_loss, reason = "far below 52 bits")]
fn quantile(buckets: &[(f64, u64)], part: f64) -> f64 {
    let total = buckets.last().map_or(0, |(_, count)| *count);
    let rank = part * total as f64;
    let mut below = (0.0, 0);
    for (bound, count) in buckets {
        if *count as f64 >= rank && *count > below.1 {
            if bound.is_infinite() {
                return below.0;
            }
            let share = (rank - below.1 as f64) / (count - below.1) as f64;
            return below.0 + share * (bound - below.0);
        }
        below = (*bound, *count);
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(counts: [u64; 3], kicked: u64) -> String {
        let [one, two, all] = counts;
        format!(
            "HTTP/1.1 200 OK\r\n\r\n# HELP x y\n\
             muster_arena_tick_seconds_bucket{{le=\"0.001\"}} {one}\n\
             muster_arena_tick_seconds_bucket{{le=\"0.002\"}} {two}\n\
             muster_arena_tick_seconds_bucket{{le=\"+Inf\"}} {all}\n\
             muster_arena_kicked_total {kicked}\n\
             muster_arena_datagrams_dropped_total {one}\n\
             muster_arena_packets_refused_total{{reason=\"length\"}} 3\n\
             muster_arena_packets_refused_total{{reason=\"forged\"}} 4\n"
        )
    }

    #[test]
    fn what_happened_is_the_difference_of_two_samples() {
        let before = Sample::parse(&text([100, 100, 100], 1));
        let after = Sample::parse(&text([150, 200, 200], 1));
        let report = after.since(&before);
        assert_eq!((report.ticks, report.kicked), (100, 0));
        assert_eq!(report.dropped, 50);
        assert!((report.tick_p99_ms - 1.98).abs() < 1e-9, "{report:?}");
        assert_eq!(after.refused, 7);
        let report = Sample::default().since(&Sample::default());
        assert!(report.tick_p99_ms.abs() < 1e-9);
    }
}
