//! Watch events per second, and lists.

use anyhow::{Context as _, Result};
use e2e::measure::Table;
use futures::future::try_join_all;
use http::Method;

use crate::connection::{Connection, Server, Way};
use crate::measure::Watch;
use crate::objects::Kind;
use crate::writes::{Write, each};
use crate::{Args, start};

/// Measures.
pub(crate) async fn run(args: &Args, table: &mut Table) -> Result<()> {
    for kind in [Kind::ConfigMap, Kind::GameServer] {
        let server = start().await?;
        each(&server, Way::Process, 1, args.objects, Write::Create(kind)).await?;
        for (way, words) in [(Way::Process, "in process"), (Way::Http, "HTTP")] {
            for watchers in [1, 10, 50] {
                let what = format!("watch {}, {words}, {watchers} watchers", kind.name());
                if what.contains(&args.only) {
                    // Fresh events, so that no watcher finds their JSON made.
                    let from = server.embedded.revision();
                    each(
                        &server,
                        Way::Process,
                        1,
                        args.objects,
                        Write::Patch(kind, usize::try_from(from)?),
                    )
                    .await?;
                    let watch = Watch::start()?;
                    watch_all(&server, way, watchers, kind, (from, args.objects)).await?;
                    watch.stop(table, &what, watchers * args.objects)?;
                }
            }
            let what = format!("list {} {}, {words}", args.objects, kind.name());
            if what.contains(&args.only) {
                let mut connection = Connection::open(&server, way).await?;
                let watch = Watch::start()?;
                connection
                    .ask(Method::GET, kind.path(), "application/json", Vec::new())
                    .await?;
                watch.stop(table, &what, 1)?;
            }
        }
        server.embedded.stop().await;
    }
    Ok(())
}

/// Watches from a version until everybody has that many events.
async fn watch_all(
    server: &Server,
    way: Way,
    watchers: usize,
    kind: Kind,
    (from, events): (u64, usize),
) -> Result<()> {
    let path = format!("{}?watch=true&resourceVersion={from}", kind.path());
    let watcher = async |_| {
        let mut connection = Connection::open(server, way).await?;
        let mut answer = connection
            .send(Method::GET, &path, "application/json", Vec::new())
            .await?;
        let mut seen = 0;
        while seen < events {
            let bytes = answer.next().await?.context("the watch ended")?;
            // An event ends with a line.
            seen += bytes.split(|byte| *byte == b'\n').count() - 1;
        }
        anyhow::Ok(())
    };
    try_join_all((0..watchers).map(watcher)).await?;
    Ok(())
}
