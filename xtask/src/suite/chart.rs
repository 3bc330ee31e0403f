//! The chart: it lints, renders with several sets of values, refuses what cannot work, and renders
//! what its parts promise.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, progress};
use crate::{install, kubernetes, repository};

/// Values that the chart must render with, besides its defaults and `charts/muster/ci/*.yaml`.
const VALUE_SETS: [&[&str]; 2] = [
    &["--set", "allocator.tls.enabled=true"],
    &[
        "--set",
        "allocator.tls.enabled=true",
        "--set",
        "allocator.mtls.enabled=true",
    ],
];

/// The least values by which auth renders.
const AUTH: [&str; 8] = [
    "--set",
    "auth.enabled=true",
    "--set",
    "auth.issuer=https://auth.example.com",
    "--set",
    "auth.config.mail.url=smtp://mail.example.com",
    "--set",
    "auth.config.sessionSeconds=7776000",
];

/// More values beside these, and what is said to them.
const REFUSED: [(&[&str], &str); 11] = [
    (&["auth.issuer="], "auth.issuer is missing"),
    (&["auth.issuer=https://example.com/auth"], "auth/issuer"),
    (&["auth.config.mail=null"], "auth.config.mail is missing"),
    (
        &["auth.mtls.enabled=true"],
        "auth.mtls.enabled needs auth.tls.enabled",
    ),
    (&["auth.replicas=2"], "must be less than the replicas"),
    (
        &[
            "auth.autoscaling.enabled=true",
            "auth.autoscaling.maxReplicas=2",
        ],
        "must not be greater than maxReplicas",
    ),
    (
        &["auth.backup.enabled=true"],
        "auth.backup.destination is missing",
    ),
    (
        &[
            "auth.backup.enabled=true",
            "auth.backup.destination=file:///backups",
        ],
        "with a persistentVolumeClaim",
    ),
    (&["lobby.enabled=true"], "lobby.url is missing"),
    (
        &["lobby.enabled=true", "lobby.url=https://example.com/lobby"],
        "lobby/url",
    ),
    (
        &[
            "lobby.enabled=true",
            "lobby.url=https://lobby.example.com",
            "allocator.tls.enabled=true",
        ],
        "lobby.upstream.caSecretName is missing",
    ),
];

/// More arguments beside those of [`AUTH`], an object that they render, lines that it has, and
/// lines that it has not.
type Promise = (
    &'static [&'static str],
    (&'static str, &'static str),
    &'static [&'static str],
    &'static [&'static str],
);

const AUTOSCALING: [&str; 2] = ["--set", "auth.autoscaling.enabled=true"];
const ADAPTER: [&str; 4] = [
    "--set",
    "auth.autoscaling.enabled=true",
    "--api-versions",
    "custom.metrics.k8s.io/v1beta1",
];
const LATENCY: &str = "name: muster_token_validation_latency_p99";

const TRACES: [&str; 2] = [
    "--set",
    "telemetry.otlpEndpoint=http://collector.observability:4317",
];
const TRACED: [&str; 4] = [
    "value: \"http://collector.observability:4317\"",
    "value: \"parentbased_traceidratio\"",
    "- name: OTEL_TRACES_SAMPLER_ARG",
    "- name: OTEL_RESOURCE_ATTRIBUTES",
];

const PROMISES: [Promise; 13] = [
    (
        &[],
        ("Deployment", "muster-auth"),
        &[
            "replicas: 3",
            "automountServiceAccountToken: false",
            "readOnlyRootFilesystem: true",
            "runAsNonRoot: true",
            "type: RuntimeDefault",
            "mountPath: /etc/muster-auth/secrets",
            "secretName: muster-auth",
            "- --config=/etc/muster-auth/config/auth.json",
        ],
        // Secrets are files.
        &["secretKeyRef:", "env:"],
    ),
    // Numbers stay whole: the file's reader takes no exponents.
    (
        &[],
        ("ConfigMap", "muster-auth"),
        &["\"sessionSeconds\": 7776000"],
        &[],
    ),
    (
        &[],
        ("PodDisruptionBudget", "muster-auth"),
        &["minAvailable: 2"],
        &[],
    ),
    // Whoever scales it decides: each upgrade would set them back.
    (
        &AUTOSCALING,
        ("Deployment", "muster-auth"),
        &[],
        &["replicas: 3"],
    ),
    (
        &AUTOSCALING,
        ("HorizontalPodAutoscaler", "muster-auth"),
        &["minReplicas: 3", "name: cpu"],
        &[LATENCY],
    ),
    (
        &ADAPTER,
        ("HorizontalPodAutoscaler", "muster-auth"),
        &["name: cpu", LATENCY],
        &[],
    ),
    (
        &["--set", "networkPolicy.enabled=true"],
        ("NetworkPolicy", "muster-auth"),
        &[
            "policyTypes: [Ingress, Egress]",
            "- port: 53",
            "- port: 5432",
            "- port: 6379",
            "- port: 443",
        ],
        &[],
    ),
    (
        &[
            "--set",
            "auth.backup.enabled=true",
            "--set",
            "auth.backup.destination=s3://bucket/auth",
        ],
        ("CronJob", "muster-auth-backup"),
        &[
            "- backup",
            "- s3://bucket/auth",
            "concurrencyPolicy: Forbid",
            "automountServiceAccountToken: false",
            "readOnlyRootFilesystem: true",
        ],
        &["secretKeyRef:"],
    ),
    // Traces, everywhere or nowhere.
    (&TRACES, ("Deployment", "muster-auth"), &TRACED, &[]),
    (&TRACES, ("Deployment", "muster-allocator"), &TRACED, &[]),
    (&TRACES, ("Deployment", "muster-operator"), &TRACED, &[]),
    (
        &[
            "--set",
            "networkPolicy.enabled=true",
            "--set",
            "telemetry.otlpEndpoint=http://collector.observability:4317",
        ],
        ("NetworkPolicy", "muster-auth"),
        &["- port: 4317"],
        &[],
    ),
    // What the others need stays.
    (
        &[],
        ("Deployment", "muster-operator"),
        &["automountServiceAccountToken: true"],
        &[],
    ),
];

/// Lints the chart and renders it with several sets of values.
pub(super) fn check() -> Result<()> {
    let mut sets: Vec<Vec<String>> = vec![Vec::new()];
    sets.extend(VALUE_SETS.iter().map(|set| owned(set)));
    for file in value_files()? {
        sets.push(vec!["--values".to_owned(), file.display().to_string()]);
    }
    for set in &sets {
        let what = if set.is_empty() {
            "its defaults".to_owned()
        } else {
            set.join(" ")
        };
        process::output(
            kubernetes::helm(None)?
                .args(["lint", "--strict", install::CHART])
                .args(set),
        )
        .with_context(|| format!("the chart with {what}"))?;
        let rendered = install::render(set).with_context(|| format!("the chart with {what}"))?;
        ensure!(
            rendered.contains("kind: Deployment"),
            "the chart with {what} is empty"
        );
    }
    check_refusals()?;
    check_promises()?;
    progress(&format!(
        "the chart renders with {} sets of values",
        sets.len() + PROMISES.len()
    ));
    Ok(())
}

fn check_refusals() -> Result<()> {
    for (values, said) in REFUSED {
        let mut arguments = owned(&AUTH);
        for value in values {
            arguments.extend(owned(&["--set", value]));
        }
        let what = values.join(" ");
        let Err(error) = install::render(&arguments) else {
            bail!("the chart renders auth with {what}");
        };
        let text = format!("{error:#}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(
            text.contains(said),
            "the chart with {what} says not {said:?} but: {text}"
        );
    }
    Ok(())
}

fn check_promises() -> Result<()> {
    let off = install::render(&[])?;
    ensure!(
        !off.contains("muster-auth"),
        "the chart renders parts of auth that nobody asked for"
    );
    for (more, (kind, name), present, absent) in PROMISES {
        let mut arguments = owned(&AUTH);
        arguments.extend(owned(more));
        let rendered = install::render(&arguments)?;
        let what = format!("{kind} {name} with {}", more.join(" "));
        let object =
            object(&rendered, kind, name).with_context(|| format!("there is no {what}"))?;
        for line in present {
            ensure!(has_line(object, line), "{what} lacks {line:?}:\n{object}");
        }
        for line in absent {
            ensure!(!has_line(object, line), "{what} has {line:?}:\n{object}");
        }
    }
    Ok(())
}

/// An object of a rendered chart.
fn object<'text>(rendered: &'text str, kind: &str, name: &str) -> Option<&'text str> {
    let (kind, name) = (format!("kind: {kind}"), format!("  name: {name}"));
    rendered
        .split("\n---\n")
        // The first names are those of the kind and of the object itself.
        .find(|text| {
            text.lines().any(|line| line == kind)
                && text
                    .lines()
                    .find(|line| line.starts_with("  name: "))
                    .is_some_and(|line| line == name)
        })
}

/// Whether an object has this line, at any depth.
fn has_line(object: &str, wanted: &str) -> bool {
    object
        .lines()
        .any(|line| line.trim().trim_end_matches(',') == wanted)
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn value_files() -> Result<Vec<PathBuf>> {
    let folder = repository::root().join(install::CHART).join("ci");
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("cannot read {}", folder.display()))?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDERED: &str = "---
# Source: one
kind: Service
metadata:
  name: auth
---
# Source: two
kind: Deployment
metadata:
  name: other
spec:
  containers:
    - name: auth
---
# Source: three
kind: Deployment
metadata:
  name: auth
spec:
  replicas: 3
";

    #[test]
    fn an_object_is_found_by_kind_and_its_own_name() {
        let found = object(RENDERED, "Deployment", "auth").unwrap();
        assert!(found.starts_with("# Source: three"), "{found}");
        assert_eq!(object(RENDERED, "Service", "other"), None);
    }

    #[test]
    fn lines_are_whole_and_at_any_depth() {
        let found = object(RENDERED, "Deployment", "auth").unwrap();
        assert!(has_line(found, "replicas: 3"));
        assert!(!has_line(found, "replicas: 30"));
        assert!(!has_line(found, "replicas:"));
    }
}
