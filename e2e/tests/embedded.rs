//! What was written for a cluster, against the API server in the process.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::crd_cases;
use embedded::Embedded;
use embedded::access::{MASTERS, User};

#[tokio::test]
async fn bad_manifests_are_refused_by_field_and_message() -> Result<()> {
    let clock = Arc::new(runtime::clock::now);
    let uids = Arc::new(|| "00000000-0000-4000-8000-000000000001".to_owned());
    let api = Embedded::builder(clock, uids).start()?;
    let client = api.client(User::authenticated("tester", &[MASTERS]));
    let wrong = crd_cases::check(&client, "default").await?;
    ensure!(
        wrong.is_empty(),
        "{} cases differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    api.stop().await;
    Ok(())
}
