//! Writes per second: creates and merge patches, in the process and over HTTP.

use anyhow::Result;
use e2e::measure::Table;
use futures::future::try_join_all;
use http::Method;

use crate::connection::{Connection, Server, Way};
use crate::measure::Watch;
use crate::objects::Kind;
use crate::{Args, start};

/// Ways and numbers of clients.
const CLIENTS: [(Way, usize, &str); 3] = [
    (Way::Process, 1, "in process, 1 client"),
    (Way::Http, 1, "HTTP, 1 client"),
    (Way::Http, 8, "HTTP, 8 clients"),
];

/// Measures.
pub(crate) async fn run(args: &Args, table: &mut Table) -> Result<()> {
    for kind in [Kind::ConfigMap, Kind::GameServer] {
        for (way, clients, words) in CLIENTS {
            let what = |verb: &str| format!("{verb} {}, {words}", kind.name());
            if !what("create").contains(&args.only) && !what("patch").contains(&args.only) {
                continue;
            }
            let server = start().await?;
            let watch = Watch::start()?;
            each(&server, way, clients, args.objects, Write::Create(kind)).await?;
            watch.stop(table, &what("create"), args.objects)?;
            let watch = Watch::start()?;
            each(&server, way, clients, args.objects, Write::Patch(kind, 1)).await?;
            watch.stop(table, &what("patch"), args.objects)?;
            server.embedded.stop().await;
        }
    }
    Ok(())
}

/// What is done to each object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Write {
    Create(Kind),
    /// With a number that must differ from the one before.
    Patch(Kind, usize),
}

/// Writes objects that are numbered, divided among clients.
pub(crate) async fn each(
    server: &Server,
    way: Way,
    clients: usize,
    objects: usize,
    write: Write,
) -> Result<()> {
    let client = async |first: usize| {
        let mut connection = Connection::open(server, way).await?;
        for number in (first..objects).step_by(clients) {
            let name = name(number);
            match write {
                Write::Create(kind) => {
                    let body = serde_json::to_vec(&kind.object(&name))?;
                    connection
                        .ask(Method::POST, kind.path(), "application/json", body)
                        .await?;
                }
                Write::Patch(kind, turn) => {
                    let body = serde_json::to_vec(&kind.patch(turn))?;
                    let path = format!("{}/{name}", kind.path());
                    let content_type = "application/merge-patch+json";
                    connection
                        .ask(Method::PATCH, &path, content_type, body)
                        .await?;
                }
            }
        }
        anyhow::Ok(())
    };
    try_join_all((0..clients).map(client)).await?;
    Ok(())
}

fn name(number: usize) -> String {
    format!("object-{number:06}")
}
