//! Numbers that other parts count for themselves: read when somebody asks for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, MetricFamily};
use prometheus::{IntCounter, PullingGauge, Registry};

/// Reads a number.
type Read = Box<dyn Fn() -> u64 + Send + Sync>;

/// A number that only grows.
struct Growing {
    /// Never counts: it knows how such a number is written.
    shape: IntCounter,
    read: Read,
}

impl Collector for Growing {
    fn desc(&self) -> Vec<&Desc> {
        self.shape.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.shape.collect();
        let mut counter = Counter::default();
        counter.set_value(as_float((self.read)()));
        for family in &mut families {
            for metric in family.mut_metric() {
                metric.set_counter(counter.clone());
            }
        }
        families
    }
}

/// Exports a number that only grows.
pub fn growing(
    registry: &Registry,
    name: &str,
    help: &str,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    registry.register(Box::new(Growing {
        shape: IntCounter::new(name, help)?,
        read: Box::new(read),
    }))
}

/// A counter of a part: its name, what it is, and where.
pub type Counted<Counters> = (&'static str, &'static str, fn(&Counters) -> &AtomicU64);

/// Exports the counters of a part that `owner` leads to; the registry keeps the owner then.
pub fn growing_all<Owner, Counters: 'static>(
    registry: &Registry,
    owner: &Owner,
    counters: fn(&Owner) -> &Counters,
    numbers: &[Counted<Counters>],
) -> Result<(), prometheus::Error>
where
    Owner: Clone + Send + Sync + 'static,
{
    for &(name, help, number) in numbers {
        let owner = owner.clone();
        growing(registry, name, help, move || {
            number(counters(&owner)).load(Ordering::Relaxed)
        })?;
    }
    Ok(())
}

/// Exports a number that comes and goes.
pub fn passing(
    registry: &Registry,
    name: &str,
    help: &str,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    let read = Box::new(move || as_float(read()));
    registry.register(Box::new(PullingGauge::new(name, help, read)?))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats: beyond 2^53 the last digits do not matter"
)]
const fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn numbers_are_read_when_they_are_asked_for() {
        let registry = Registry::new();
        let number = Arc::new(AtomicU64::new(1));
        let read = || {
            let number = Arc::clone(&number);
            move || number.load(Ordering::Relaxed)
        };
        growing(&registry, "done_total", "Done", read()).unwrap();
        passing(&registry, "waiting", "Waiting", read()).unwrap();
        number.store(7, Ordering::Relaxed);
        let encoder = prometheus::TextEncoder::new();
        let text = encoder.encode_to_string(&registry.gather()).unwrap();
        expect_test::expect![[r#"
            # HELP done_total Done
            # TYPE done_total counter
            done_total 7
            # HELP waiting Waiting
            # TYPE waiting gauge
            waiting 7
        "#]]
        .assert_eq(&text);
    }
}
