//! Memory: at rest with few objects, and after the first minute of many.
//!
//! Run it alone (`--only memory`): what the other measurements freed is still resident.

use anyhow::Result;
use e2e::measure::Table;

use crate::connection::Way;
use crate::measure::resident;
use crate::objects::Kind;
use crate::writes::{Write, each};
use crate::{Args, start};

/// Writes that each object sees in its first minute.
const WRITES: usize = 7;

/// Measures.
pub(crate) async fn run(args: &Args, table: &mut Table) -> Result<()> {
    if !"memory".contains(&args.only) {
        return Ok(());
    }
    for objects in [10, args.objects] {
        let server = start().await?;
        for kind in [Kind::GameServer, Kind::Pod] {
            each(&server, Way::Process, 1, objects, Write::Create(kind)).await?;
        }
        for turn in 1..WRITES {
            for kind in [Kind::GameServer, Kind::Pod] {
                let write = Write::Patch(kind, turn);
                each(&server, Way::Process, 1, objects, write).await?;
            }
        }
        table.row([
            format!("{objects} GameServers and {objects} Pods, {WRITES} writes each"),
            resident()?,
        ]);
        server.embedded.stop().await;
    }
    Ok(())
}
