//! The law of dependencies between our crates (ARCHITECTURE.md, map of the repository).

use crate::repository::Package;

/// Crates that everybody may use, and that use nothing of ours.
const FOUNDATIONS: [&str; 5] = ["crds", "proto", "netcode", "runtime", "simulation"];

/// What services share on top of the foundations.
const SHARED: [&str; 2] = ["access", "storage"];

/// Services use the foundations and what is shared, and never each other.
pub(super) const SERVICES: [&str; 6] = [
    "operator",
    "sdk-server",
    "allocator",
    "gameserver",
    "auth",
    "lobby",
];

/// Starts databases for tests and tools. What is released does without it.
const SERVERS: &str = "testing";

/// The only crates that may know the Kubernetes client.
const KUBERNETES: [&str; 5] = ["operator", "allocator", "embedded", "cli", "e2e"];

/// The parts of the client that the definitions of custom resources need.
const DEFINITION_PARTS: [&str; 2] = ["kube-core", "kube-derive"];

/// Which of ours a crate may use; `None` for what has no rule.
fn allowed(package: &str) -> Option<Vec<&'static str>> {
    if FOUNDATIONS.contains(&package) {
        return Some(Vec::new());
    }
    if SERVICES.contains(&package) {
        let mut foundations = FOUNDATIONS.to_vec();
        foundations.extend(SHARED);
        return Some(foundations);
    }
    match package {
        "access" => Some(vec!["proto", "runtime"]),
        "storage" => Some(vec!["runtime"]),
        "embedded" => Some(vec!["crds"]),
        "client" => Some(vec!["netcode", "simulation"]),
        "bots" => Some(vec!["client", "netcode", "proto", "runtime", "simulation"]),
        "xtask" => Some(vec![SERVERS]),
        "cli" | "e2e" => None,
        // A new crate is a foundation until somebody decides otherwise here.
        _ => Some(Vec::new()),
    }
}

/// What the tests of a crate may use besides: databases of their own, and bots play against the
/// server in the same process.
fn allowed_in_tests(package: &str) -> &'static [&'static str] {
    match package {
        "bots" => &["gameserver", SERVERS],
        _ => &[SERVERS],
    }
}

/// Names every dependency that the law forbids.
pub(super) fn violations(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let own = package.name.as_str();
        for dependency in &package.dependencies {
            let used = dependency.name.as_str();
            let is_ours = packages.iter().any(|other| other.name == used);
            let is_for_tests =
                dependency.kind.as_deref() == Some("dev") && allowed_in_tests(own).contains(&used);
            if is_ours
                && used != own
                && !is_for_tests
                && allowed(own).is_some_and(|allowed| !allowed.contains(&used))
            {
                found.push(format!("{own}/Cargo.toml: {own} must not depend on {used}"));
            }
            let is_client = used == "kube" || used.starts_with("kube-");
            let may_know =
                KUBERNETES.contains(&own) || (own == "crds" && DEFINITION_PARTS.contains(&used));
            if is_client && !may_know {
                found.push(format!(
                    "{own}/Cargo.toml: {own} must not depend on {used}; only {} may",
                    KUBERNETES.join(", ")
                ));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Dependency;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            dependencies: dependencies
                .iter()
                .map(|name| Dependency {
                    name: (*name).to_owned(),
                    kind: None,
                })
                .collect(),
        }
    }

    #[test]
    fn the_lawful_workspace_passes() {
        let packages = [
            package("crds", &["kube-core", "kube-derive", "serde"]),
            package("runtime", &["tokio"]),
            package("storage", &["runtime"]),
            package("operator", &["crds", "runtime", "kube"]),
            package("allocator", &["crds", "kube"]),
            package("auth", &["storage"]),
            package("e2e", &["operator", "allocator", "kube"]),
        ];
        assert_eq!(violations(&packages), Vec::<String>::new());
    }

    #[test]
    fn a_server_is_for_the_tests_of_bots_alone() {
        let mut bots = package("bots", &["client", "gameserver"]);
        let packages = |bots| {
            [
                bots,
                package("client", &["netcode"]),
                package("gameserver", &[]),
            ]
        };
        bots.dependencies[1].kind = Some("dev".to_owned());
        assert_eq!(violations(&packages(bots)), Vec::<String>::new());
        let bots = package("bots", &["client", "gameserver"]);
        assert_eq!(
            violations(&packages(bots)),
            ["bots/Cargo.toml: bots must not depend on gameserver"]
        );
    }

    #[test]
    fn databases_are_for_tests_and_tools_alone() {
        let mut auth = package("auth", &["testing"]);
        let packages = |auth| {
            [
                auth,
                package("testing", &[]),
                package("xtask", &["testing"]),
            ]
        };
        auth.dependencies[0].kind = Some("dev".to_owned());
        assert_eq!(violations(&packages(auth)), Vec::<String>::new());
        assert_eq!(
            violations(&packages(package("auth", &["testing"]))),
            ["auth/Cargo.toml: auth must not depend on testing"]
        );
    }

    #[test]
    fn every_breach_is_named() {
        let packages = [
            package("crds", &["kube", "runtime"]),
            package("runtime", &["kube-client"]),
            package("operator", &["allocator"]),
            package("allocator", &[]),
            package("sdk-server", &["kube"]),
            package("storage", &["crds"]),
        ];
        let clients = "operator, allocator, embedded, cli, e2e";
        assert_eq!(
            violations(&packages),
            [
                format!("crds/Cargo.toml: crds must not depend on kube; only {clients} may"),
                "crds/Cargo.toml: crds must not depend on runtime".to_owned(),
                "operator/Cargo.toml: operator must not depend on allocator".to_owned(),
                format!(
                    "runtime/Cargo.toml: runtime must not depend on kube-client; only {clients} may"
                ),
                format!(
                    "sdk-server/Cargo.toml: sdk-server must not depend on kube; only {clients} may"
                ),
                "storage/Cargo.toml: storage must not depend on crds".to_owned(),
            ]
        );
    }
}
