//! Counts of requests, from the API server's own metrics.

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::cluster::Cluster;
use http::Request;

/// Name of the counter.
const REQUESTS: &str = "apiserver_request_total";

/// What a request was about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// Resource, with its subresource after a slash.
    pub(crate) resource: String,
    /// Verb, as the metrics name it.
    pub(crate) verb: String,
}

/// How often each kind was answered well.
pub(crate) type Counts = BTreeMap<Kind, u64>;

/// Reads the counts so far.
pub(crate) async fn counts(cluster: &Cluster) -> Result<Counts> {
    let request = Request::get("/metrics").body(Vec::new())?;
    Ok(parse(&cluster.client().request_text(request).await?))
}

/// What was added between two readings.
pub(crate) fn difference(before: &Counts, after: &Counts) -> Counts {
    let added = after.iter().map(|(kind, count)| {
        (
            kind.clone(),
            count.saturating_sub(before.get(kind).copied().unwrap_or_default()),
        )
    });
    added.filter(|(_, count)| *count > 0).collect()
}

fn parse(text: &str) -> Counts {
    let mut counts = Counts::new();
    for line in text.lines() {
        let Some(rest) = line
            .strip_prefix(REQUESTS)
            .and_then(|it| it.strip_prefix('{'))
        else {
            continue;
        };
        let Some((labels, value)) = rest.rsplit_once("} ") else {
            continue;
        };
        let label = |name: &str| {
            let found = labels
                .split(',')
                .find_map(|it| it.strip_prefix(name)?.strip_prefix("=\""));
            found.map_or("", |it| it.trim_end_matches('"'))
        };
        // Refused writes, such as lost races, change nothing; they are not in the budget.
        if !label("code").starts_with('2') {
            continue;
        }
        let resource = match label("subresource") {
            "" => label("resource").to_owned(),
            subresource => format!("{}/{subresource}", label("resource")),
        };
        // Counters are whole numbers, written with an exponent when they are great.
        let Ok(count) = value.trim().parse::<f64>() else {
            continue;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter"
        )]
        let count = count as u64;
        let kind = Kind {
            resource,
            verb: label("verb").to_owned(),
        };
        *counts.entry(kind).or_default() += count;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_resource_and_verb() {
        let text = r#"# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",resource="pods",subresource="status",verb="PATCH",version="v1"} 7
apiserver_request_total{code="201",component="apiserver",resource="pods",subresource="",verb="POST",version="v1"} 1.2e+03
apiserver_request_total{code="409",component="apiserver",resource="pods",subresource="",verb="POST",version="v1"} 5
apiserver_request_total{code="200",component="apiserver",resource="pods",subresource="",verb="POST",version="v1"} 3
other_total{code="200"} 1
"#;
        let counts = parse(text);
        let of = |resource: &str, verb: &str| {
            counts
                .get(&Kind {
                    resource: resource.to_owned(),
                    verb: verb.to_owned(),
                })
                .copied()
        };
        assert_eq!(of("pods/status", "PATCH"), Some(7));
        assert_eq!(of("pods", "POST"), Some(1203));
        assert_eq!(counts.len(), 2);

        let mut after = counts.clone();
        *after.values_mut().next().unwrap() += 4;
        let added: Vec<_> = difference(&counts, &after).into_values().collect();
        assert_eq!(added, [4]);
    }
}
