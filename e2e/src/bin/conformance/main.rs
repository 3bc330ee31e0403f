//! Records what a real API server answers to the conformance suite, or checks that a server
//! answers the same.
#![expect(
    clippy::print_stdout,
    reason = "the account of the cases is this program's purpose"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use e2e::conformance::{InProcess, Server, Suite};
use e2e::program;

/// The conformance suite of the API server, against the cluster that KUBECONFIG names.
#[derive(Debug, Parser)]
#[command(name = "conformance", version)]
struct Args {
    #[command(subcommand)]
    task: Task,
    /// Only cases whose topic or name contains this.
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    case: String,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Writes down the answers. Only for a real API server.
    Record,
    /// Compares the answers with those that were recorded.
    Check(Target),
    /// Shows the answers.
    Show(Target),
    /// Counts the cases of each topic, and lists what is not compared.
    List,
}

/// Which server to ask.
#[derive(Debug, clap::Args)]
struct Target {
    /// Another server than that of KUBECONFIG.
    #[arg(long, value_name = "KUBECONFIG")]
    against: Option<PathBuf>,
    /// An embedded one, in this process.
    #[arg(long, conflicts_with = "against")]
    embedded: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    program::run(
        async { run(&args).await.map(|()| ExitCode::SUCCESS) },
        |error| println!("{error:#}"),
    )
}

async fn run(args: &Args) -> Result<()> {
    let suite = Suite::load(&args.case)?;
    match &args.task {
        Task::Record => {
            let told = suite.record(&Server::of_environment().await?).await?;
            report(&told)?;
            println!("recorded");
        }
        Task::Check(target) => {
            let told = on(target, async |server| suite.check(server).await).await?;
            report(&told)?;
            println!("every answer is as it was recorded");
        }
        Task::Show(target) => {
            for outcome in on(target, async |server| suite.run(server).await).await? {
                println!("{}: {}", outcome.topic, outcome.case);
                for answer in &outcome.answers {
                    println!("{answer:#}");
                }
                if let Some(failure) = &outcome.failure {
                    println!("{failure}");
                }
            }
        }
        Task::List => list(&suite),
    }
    Ok(())
}

/// Does something with a server.
async fn on<T>(target: &Target, work: impl AsyncFnOnce(&Server) -> Result<T>) -> Result<T> {
    if target.embedded {
        let embedded = InProcess::start().await?;
        let result = work(embedded.server()).await;
        let stopped = embedded.stop().await;
        return result.and_then(|value| stopped.map(|()| value));
    }
    let server = match &target.against {
        Some(file) => Server::of_file(file).await?,
        None => Server::of_environment().await?,
    };
    work(&server).await
}

fn report(told: &[String]) -> Result<()> {
    for one in told {
        println!("{one}\n");
    }
    if !told.is_empty() {
        bail!("{} cases are not as they should be", told.len());
    }
    Ok(())
}

fn list(suite: &Suite) {
    let mut total = 0;
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for topic in suite.topics() {
        println!("{:4}  {}", topic.cases.len(), topic.name);
        total += topic.cases.len();
        for case in &topic.cases {
            for ignored in case.ignored() {
                let place = format!("{}: {}: {}", topic.name, case.name, ignored.path);
                reasons.entry(&ignored.reason).or_default().push(place);
            }
        }
    }
    println!("{total:4}  cases");
    for (reason, places) in reasons {
        println!("\nNot compared: {reason}");
        for place in places {
            println!("  {place}");
        }
    }
}
