//! The npm package `@google-cloud/agones-sdk`, unmodified.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::server::{ALL, start};

/// Enough to install the package and to run the client on a busy machine.
const LONGEST: Duration = Duration::from_mins(3);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk-clients/node")
}

async fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{:?}", command.as_std());
    let output = tokio::time::timeout(LONGEST, command.kill_on_drop(true).output())
        .await
        .with_context(|| format!("{shown} took more than {LONGEST:?}"))?
        .with_context(|| format!("{shown} cannot be run: Node.js 18 or later is needed"))?;
    ensure!(
        output.status.success(),
        "{shown} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(())
}

#[tokio::test]
async fn every_core_call_works_with_the_node_client() -> Result<()> {
    let installed = folder().join("node_modules/@google-cloud/agones-sdk/package.json");
    if !installed.exists() {
        let mut install = Command::new("npm");
        install
            .args(["ci", "--ignore-scripts", "--no-progress"])
            .current_dir(folder());
        run(&mut install).await?;
    }
    let server = start(ALL).await?;
    let mut client = Command::new("node");
    client
        .arg("client.js")
        .current_dir(folder())
        .env("AGONES_SDK_GRPC_PORT", server.grpc.to_string());
    run(&mut client).await?;
    server.finish().await
}
