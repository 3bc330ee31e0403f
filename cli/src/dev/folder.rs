//! Folders of what keeps a database of its own: accounts and the lobby.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::args::Config;

/// What SQLite adds to the name of a database for the files beside it.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// Makes the folder of this name, for its owner alone, beside the data or in the instance's
/// directory `own`; there the database of an earlier run is removed.
pub(super) fn prepare(config: &Config, own: &Path, name: &str, database: &str) -> Result<PathBuf> {
    let folder = config.data.as_deref().unwrap_or(own).join(name);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("make the directory {}", folder.display()))?;
    if config.data.is_none() {
        forget(&folder, database)?;
    }
    Ok(folder)
}

/// Removes a database of an earlier run, and nothing else: the folder may be the user's.
fn forget(folder: &Path, database: &str) -> Result<()> {
    for end in BESIDE {
        let path = folder.join(format!("{database}{end}"));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where clients reach an address. `localhost` is a name that browsers trust without TLS, and
/// passkeys need one.
pub(super) fn url(address: SocketAddr) -> String {
    if address.ip().is_loopback() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}
