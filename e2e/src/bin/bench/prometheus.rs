//! Counters in Prometheus' text format, and how they change.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use e2e::cluster::{Cluster, SYSTEM};

/// One series: its labels.
pub(crate) type Labels = BTreeMap<String, String>;

/// The series of one metric and their values.
pub(crate) type Series = BTreeMap<Labels, f64>;

/// Reads a metric of the API server.
pub(crate) async fn of_api_server(cluster: &Cluster, metric: &str) -> Result<Series> {
    read(cluster, "/metrics", metric).await
}

/// Reads a metric of one of Muster's pods, through the API server.
pub(crate) async fn of_pod(cluster: &Cluster, pod: &str, metric: &str) -> Result<Series> {
    let path = format!("/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics");
    read(cluster, &path, metric).await
}

async fn read(cluster: &Cluster, path: &str, metric: &str) -> Result<Series> {
    let request = http::Request::get(path).body(Vec::new())?;
    let text = cluster.client().request_text(request).await;
    let text = text.with_context(|| format!("reading {path}"))?;
    Ok(parse(&text, metric))
}

/// Finds the series of a metric in a text.
fn parse(text: &str, metric: &str) -> Series {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(metric)?;
            if let Some(labelled) = rest.strip_prefix('{') {
                let (labels, value) = labelled.rsplit_once('}')?;
                return Some((parse_labels(labels), value.trim().parse().ok()?));
            }
            let value = rest.strip_prefix(' ')?;
            Some((Labels::new(), value.trim().parse().ok()?))
        })
        .collect()
}

/// Reads `a="b",c="d"`; the values of the metrics that are read here hold no quotes.
fn parse_labels(text: &str) -> Labels {
    let pairs = text.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
        .collect()
}

/// What was added to each series since `before`; None if one went back, by a restart.
pub(crate) fn added(before: &Series, after: &Series) -> Option<Series> {
    let mut added = Series::new();
    for (labels, value) in after {
        let more = value - before.get(labels).copied().unwrap_or_default();
        if more < 0.0 {
            return None;
        }
        if more > 0.0 {
            added.insert(labels.clone(), more);
        }
    }
    Some(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_the_whole_name() {
        let text = "# TYPE a counter\na{x=\"1,2\",y=\"\"} 3\na 4\nab 5\na_total{x=\"1\"} 6\n";
        let labels = [("x", "1,2"), ("y", "")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = Series::from([(Labels::from(labels), 3.0), (Labels::new(), 4.0)]);
        assert_eq!(parse(text, "a"), expected);
    }

    #[test]
    fn only_what_grew_was_added() {
        let series = |value| Series::from([(Labels::new(), value)]);
        assert_eq!(added(&Series::new(), &series(2.0)), Some(series(2.0)));
        assert_eq!(added(&series(2.0), &series(5.0)), Some(series(3.0)));
        assert_eq!(added(&series(2.0), &series(2.0)), Some(Series::new()));
        assert_eq!(added(&series(2.0), &series(1.0)), None);
    }
}
