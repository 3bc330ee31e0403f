//! The database, by PostgreSQL's own programs of the server's major version.
//!
//! The password goes by the child's environment, because arguments are for everybody to see.

use std::fmt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use storage::Confidential;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use url::Url;

use super::archive::Sink;
use super::{Error, Wal};

/// How much is kept of what a program says.
const SAID: usize = 4 * 1024;

/// How long the server may take to a question.
const QUESTION: Duration = Duration::from_secs(10);

/// A database and how it is saved.
#[derive(Clone)]
pub struct Database {
    options: PgConnectOptions,
    environment: Vec<(&'static str, Confidential)>,
    programs: Option<PathBuf>,
    limit: Duration,
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Database")
            .field("host", &self.options.get_host())
            .field("database", &self.options.get_database())
            .field("programs", &self.programs)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// A database by its URL, as sqlx takes it. `programs` is the folder of `pg_dump` and
    /// `pg_restore`; without it they are looked for on the path. `limit` is for each of them.
    pub fn new(
        url: &Confidential,
        programs: Option<PathBuf>,
        limit: Duration,
    ) -> Result<Self, Error> {
        // Not the error's text: it may quote the address.
        let invalid = || Error::Invalid("the database's URL", "see its form".into());
        let options = url.expose().parse().map_err(|_error| invalid())?;
        Ok(Self {
            options,
            environment: environment(url.expose()).ok_or_else(invalid)?,
            programs,
            limit,
        })
    }

    async fn connect(&self) -> Result<PgConnection, Error> {
        tokio::time::timeout(QUESTION, self.options.connect())
            .await
            .map_err(|_elapsed| Error::TimeLimit(QUESTION))?
            .map_err(Error::from)
    }

    /// A program, if it is of the server's version.
    async fn program(&self, name: &'static str, server: u32) -> Result<Command, Error> {
        let path = match &self.programs {
            Some(folder) => folder.join(name),
            None => PathBuf::from(name),
        };
        let problem = |problem: String| Error::Program {
            program: name,
            server,
            problem,
        };
        let asked = Command::new(&path)
            .arg("--version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let asked = tokio::time::timeout(QUESTION, asked)
            .await
            .map_err(|_elapsed| Error::TimeLimit(QUESTION))?;
        let Output { stdout, .. } = asked.map_err(|error| problem(error.to_string()))?;
        let version = major(&String::from_utf8_lossy(&stdout));
        if version != Some(server) {
            let version = version.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
            return Err(problem(format!("its version is {version}")));
        }
        let mut command = Command::new(path);
        command
            .kill_on_drop(true)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        for (name, value) in &self.environment {
            command.env(name, value.expose());
        }
        Ok(command)
    }

    /// Dumps everything; returns the server's major version and the position of the dump.
    pub(super) async fn dump(&self, sink: &mut Sink) -> Result<(u32, Wal), Error> {
        let mut connection = self.connect().await?;
        let server = server_version(&mut connection).await?;
        let mut command = self.program("pg_dump", server).await?;
        let from = position(&mut connection).await?;
        command
            .args([
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                "--no-password",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn("pg_dump", &mut command)?;
        let output = child.stdout.take();
        let copy = async {
            let Some(mut output) = output else {
                return Ok(());
            };
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = output.read(&mut buffer).await;
                let read = read.map_err(|error| Error::Io("the output of pg_dump", error))?;
                match buffer.get(..read) {
                    None | Some([]) => return Ok(()),
                    Some(bytes) => sink.write(bytes).await?,
                }
            }
        };
        self.finish("pg_dump", child, copy).await?;
        let to = position(&mut connection).await?;
        connection.close().await?;
        Ok((server, Wal { from, to }))
    }

    /// How many tables and the like there are.
    pub(super) async fn relations(&self) -> Result<i64, Error> {
        let mut connection = self.connect().await?;
        let count = sqlx::query_scalar(
            "SELECT count(*) FROM pg_class AS class \
             JOIN pg_namespace AS schema ON schema.oid = class.relnamespace \
             WHERE class.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
             AND schema.nspname <> 'information_schema' AND schema.nspname NOT LIKE 'pg\\_%'",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(count)
    }

    /// Restores a dump in one transaction; first removes what it would replace, if told so.
    pub(super) async fn restore(&self, dump: &std::path::Path, replace: bool) -> Result<(), Error> {
        let mut connection = self.connect().await?;
        let server = server_version(&mut connection).await?;
        connection.close().await?;
        let mut command = self.program("pg_restore", server).await?;
        command
            .args(["--single-transaction", "--exit-on-error", "--no-owner"])
            .args(["--no-privileges", "--no-password"]);
        if replace {
            command.args(["--clean", "--if-exists"]);
        }
        // pg_restore takes the database from nowhere but its arguments.
        let database = self.options.get_database().unwrap_or("postgres");
        command
            .arg(format!("--dbname={database}"))
            .arg(dump)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = spawn("pg_restore", &mut command)?;
        self.finish("pg_restore", child, async { Ok(()) }).await
    }

    /// Waits for a program while its output is worked on.
    async fn finish(
        &self,
        program: &'static str,
        mut child: Child,
        work: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let errors = child.stderr.take();
        let waited = async {
            let (worked, said) = tokio::join!(work, last_words(errors));
            if worked.is_err() {
                // It would wait for us to read on.
                child.start_kill().ok();
            }
            let status = child.wait().await;
            let status = status.map_err(|error| Error::Io("waiting for a program", error))?;
            worked?;
            if status.success() {
                return Ok(());
            }
            Err(Error::Failed {
                program,
                status: status.to_string(),
                text: said,
            })
        };
        tokio::time::timeout(self.limit, waited)
            .await
            .map_err(|_elapsed| Error::TimeLimit(self.limit))?
    }
}

fn spawn(program: &'static str, command: &mut Command) -> Result<Child, Error> {
    command.spawn().map_err(|error| Error::Failed {
        program,
        status: "not started".into(),
        text: error.to_string(),
    })
}

/// The end of what a program says; reads on whatever comes, so that the program never waits.
async fn last_words(errors: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut errors) = errors else {
        return String::new();
    };
    let mut said = Vec::new();
    let mut buffer = vec![0; SAID];
    while let Ok(read) = errors.read(&mut buffer).await {
        match buffer.get(..read) {
            None | Some([]) => break,
            Some(bytes) => said.extend_from_slice(bytes),
        }
        let excess = said.len().saturating_sub(SAID);
        said.drain(..excess);
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// The major version of `pg_dump (PostgreSQL) 15.10 (Debian 15.10-0+deb12u1)`.
fn major(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits = version.find(|letter: char| !letter.is_ascii_digit());
    version.get(..digits.unwrap_or(version.len()))?.parse().ok()
}

async fn server_version(connection: &mut PgConnection) -> Result<u32, Error> {
    let version = "SELECT current_setting('server_version_num')::integer / 10000";
    let version: i32 = sqlx::query_scalar(version).fetch_one(connection).await?;
    u32::try_from(version)
        .map_err(|_error| Error::Invalid("the server's version", version.to_string()))
}

/// The position of the write-ahead log, on a primary or a replica.
async fn position(connection: &mut PgConnection) -> Result<String, Error> {
    let position = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                    ELSE pg_current_wal_lsn() END::text";
    Ok(sqlx::query_scalar(position).fetch_one(connection).await?)
}

/// What PostgreSQL's programs take from the environment.
fn environment(url: &str) -> Option<Vec<(&'static str, Confidential)>> {
    let url = Url::parse(url).ok()?;
    let mut all = Vec::new();
    let mut set = |name: &'static str, value: String| all.push((name, Confidential::new(value)));
    let decode = |text: &str| {
        // Outside of a query these two stand for themselves.
        let text = text.replace('+', "%2B").replace('&', "%26");
        let pair = format!("x={text}");
        let pairs = url::form_urlencoded::parse(pair.as_bytes());
        pairs
            .map(|(_, value)| value.into_owned())
            .collect::<String>()
    };
    if let Some(host) = url.host_str() {
        set(
            "PGHOST",
            host.trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
        );
    }
    if let Some(port) = url.port() {
        set("PGPORT", port.to_string());
    }
    if !url.username().is_empty() {
        set("PGUSER", decode(url.username()));
    }
    if let Some(password) = url.password() {
        set("PGPASSWORD", decode(password));
    }
    let database = decode(url.path().trim_start_matches('/'));
    if !database.is_empty() {
        set("PGDATABASE", database);
    }
    for (name, value) in url.query_pairs() {
        let name = match &*name {
            "host" => "PGHOST",
            "hostaddr" => "PGHOSTADDR",
            "port" => "PGPORT",
            "user" => "PGUSER",
            "password" => "PGPASSWORD",
            "dbname" => "PGDATABASE",
            "sslmode" | "ssl-mode" => "PGSSLMODE",
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "PGSSLROOTCERT",
            "sslcert" | "ssl-cert" => "PGSSLCERT",
            "sslkey" | "ssl-key" => "PGSSLKEY",
            _ => continue,
        };
        set(name, value.into_owned());
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, version) in [
            (
                "pg_dump (PostgreSQL) 15.10 (Debian 15.10-0+deb12u1)\n",
                Some(15),
            ),
            ("pg_restore (PostgreSQL) 18beta1", Some(18)),
            ("pg_dump (PostgreSQL) 17", Some(17)),
            ("pg_dump (EnterpriseDB) 17", None),
            ("", None),
        ] {
            assert_eq!(major(text), version, "{text}");
        }
    }

    #[test]
    fn the_programs_are_told_the_same_as_sqlx() {
        let url = "postgres://us%20er:p%40s&s+w@db.example:6432/au%2Fth\
                   ?sslmode=verify-full&sslrootcert=/ca.pem&statement-cache-capacity=0";
        let all = environment(url).unwrap();
        let all: Vec<_> = all
            .iter()
            .map(|(name, value)| (*name, value.expose()))
            .collect();
        let expected = [
            ("PGHOST", "db.example"),
            ("PGPORT", "6432"),
            ("PGUSER", "us er"),
            ("PGPASSWORD", "p@s&s+w"),
            ("PGDATABASE", "au/th"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
        ];
        assert_eq!(all, expected);
        let socket = environment("postgres://muster@localhost/postgres?host=/tmp/x").unwrap();
        // The later of two of the same name counts.
        assert_eq!(socket.last().unwrap().1.expose(), "/tmp/x");
        assert_eq!(environment("nonsense"), None);
    }
}
