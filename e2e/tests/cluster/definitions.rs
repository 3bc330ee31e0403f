//! The API server enforces the schemas: every case of `e2e/crd-cases`, by dry run.

use anyhow::ensure;
use e2e::crd_cases::check;

use crate::harness::definitions_only;

#[test]
fn the_api_server_refuses_bad_manifests_by_field_and_message() {
    definitions_only("definitions", async |test| {
        let wrong = check(&test.cluster.client(), &test.namespace).await?;
        ensure!(
            wrong.is_empty(),
            "{} cases differ:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        Ok(())
    });
}
