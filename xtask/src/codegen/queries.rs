//! What the database says of the queries of services: their parameters and columns.
//!
//! The compiler checks each query against this, so that a service builds where there is no
//! database. It is asked of a PostgreSQL of our own with the service's migrations, which is gone in
//! the end.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use testing::postgres::Server;

use crate::process;
use crate::repository;

/// A service that keeps something in PostgreSQL.
pub(super) struct Service {
    /// Its package, which is called as its folder.
    pub(super) package: &'static str,
    /// Where the answers are committed.
    pub(super) output: &'static str,
    migrations: &'static str,
}

/// Those that do.
pub(super) const SERVICES: [Service; 2] = [
    Service {
        package: "auth",
        output: "auth/.sqlx",
        migrations: "auth/migrations/postgres",
    },
    Service {
        package: "lobby",
        output: "lobby/.sqlx",
        migrations: "lobby/migrations/postgres",
    },
];

/// The one that every server has.
const DATABASE: &str = "postgres";

impl Service {
    /// Writes one file per query.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let database = Server::start()?;
        let migrations = repository::root().join(self.migrations);
        let mut files = Vec::new();
        for entry in fs::read_dir(&migrations)
            .with_context(|| format!("cannot read {}", migrations.display()))?
        {
            files.push(entry.context("cannot read the migrations")?.path());
        }
        // Their names begin with their numbers.
        files.sort();
        for file in &files {
            let sql = fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            database
                .execute(DATABASE, &sql)
                .with_context(|| format!("cannot execute {}", file.display()))?;
        }
        // The queries are asked about by the compiler, which must believe that there is something
        // to do.
        let source = repository::root().join(self.package).join("src/lib.rs");
        File::options()
            .append(true)
            .open(&source)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .with_context(|| format!("cannot touch {}", source.display()))?;
        process::output(
            repository::cargo()
                .args(["check", "--quiet", "--package", self.package, "--lib"])
                .env("DATABASE_URL", database.url(DATABASE))
                .env("SQLX_OFFLINE", "false")
                .env("SQLX_OFFLINE_DIR", folder),
        )?;
        Ok(())
    }
}
