//! What the database says of auth's queries: their parameters and columns.
//!
//! The compiler checks each query against this, so that auth builds where there is no database. It
//! is asked of a PostgreSQL of our own with auth's migrations, which is gone in the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::repository;

/// Where the answers are committed.
pub(super) const OUTPUT: &str = "auth/.sqlx";

const MIGRATIONS: &str = "auth/migrations/postgres";

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// Writes one file per query.
pub(super) fn write(folder: &Path) -> Result<()> {
    let database = Database::start()?;
    let migrations = repository::root().join(MIGRATIONS);
    let mut files = Vec::new();
    for entry in fs::read_dir(&migrations)
        .with_context(|| format!("cannot read {}", migrations.display()))?
    {
        files.push(entry.context("cannot read the migrations")?.path());
    }
    // Their names begin with their numbers.
    files.sort();
    for file in &files {
        let sql =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        database.execute(&sql)?;
    }
    // The queries are asked about by the compiler, which must believe that there is something to do.
    let source = repository::root().join("auth/src/lib.rs");
    File::options()
        .append(true)
        .open(&source)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("cannot touch {}", source.display()))?;
    process::output(
        repository::cargo()
            .args(["check", "--quiet", "--package", "auth", "--lib"])
            .env("DATABASE_URL", database.url())
            .env("SQLX_OFFLINE", "false")
            .env("SQLX_OFFLINE_DIR", folder),
    )?;
    Ok(())
}

/// A PostgreSQL in a folder of its own, reached by a Unix socket there.
struct Database {
    folder: PathBuf,
    is_root: bool,
}

impl Database {
    fn start() -> Result<Self> {
        if !Path::new(BINARIES).join("postgres").is_file() {
            bail!("there is no {BINARIES}/postgres; run: apt-get install postgresql-15");
        }
        let is_root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
        // Short: the path of a socket may have 107 bytes.
        let folder = PathBuf::from(format!("/tmp/muster-codegen-pg-{}", std::process::id()));
        let this = Self { folder, is_root };
        process::output(this.command("/bin/mkdir").arg(&this.folder))?;
        process::output(
            this.command(&format!("{BINARIES}/initdb"))
                .arg("--pgdata")
                .arg(this.data())
                .args(["--auth=trust", "--username=muster", "--no-sync"])
                .args(["--encoding=UTF8", "--locale=C"]),
        )?;
        let settings = format!(
            "-k {} -c listen_addresses= -c fsync=off -c dynamic_shared_memory_type=mmap",
            this.folder.display()
        );
        process::output(
            this.control("start")
                .args(["-w", "-t", "60", "-o", &settings, "-l"])
                .arg(this.folder.join("log")),
        )?;
        Ok(this)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A program, as somebody who is not root: PostgreSQL insists.
    fn command(&self, program: &str) -> Command {
        let mut command = if self.is_root {
            let mut command = Command::new("chroot");
            command.args(["--userspec=postgres:postgres", "/", program]);
            command
        } else {
            Command::new(program)
        };
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/");
        command
    }

    fn control(&self, action: &str) -> Command {
        let mut command = self.command(&format!("{BINARIES}/pg_ctl"));
        command.arg(action).arg("-D").arg(self.data());
        command
    }

    fn url(&self) -> String {
        format!(
            "postgres://muster@localhost/postgres?host={}",
            self.folder.display()
        )
    }

    fn execute(&self, sql: &str) -> Result<()> {
        let mut command = self.command(&format!("{BINARIES}/psql"));
        command
            .args(["--no-psqlrc", "--quiet", "--single-transaction"])
            .args(["--set=ON_ERROR_STOP=1", "--file=-", &self.url()]);
        process::output_with_input(&mut command, sql)?;
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        process::succeeds(self.control("stop").args(["-m", "immediate"]));
        fs::remove_dir_all(&self.folder).ok();
    }
}
