//! TimescaleDB, or PostgreSQL alone: one row per block.
//!
//! One connection, made when it is needed and given up after any failure. A write is one statement,
//! and a block that is there already stays as it is, so that one whose answer got lost is simply
//! written again. No error shows the password.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use simulation::tick::Tick;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::history::block::{Block, MOST_PAYLOAD, MatchId};
use crate::history::store::{Archive, Damage, Error, Range, Store, Summary};

/// Makes the table.
const MIGRATION: &str = include_str!("../../migrations/0001_arena_history.sql");

const IS_THERE: &str = "SELECT to_regclass('arena_history') IS NOT NULL";

const INSERT: &str = "\
    INSERT INTO arena_history (match_id, taken_at, start_tick, ticks, format, payload) \
    SELECT match_id::uuid, 'epoch'::timestamptz + micros::float8 * '1 microsecond'::interval, \
        start_tick, ticks, format, payload \
    FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::smallint[], $5::smallint[], \
        $6::bytea[]) AS block (match_id, micros, start_tick, ticks, format, payload) \
    ON CONFLICT DO NOTHING";

const MATCHES: &str = "\
    SELECT match_id::text, \
        (extract(epoch FROM min(taken_at)) * 1000000)::bigint, \
        (extract(epoch FROM max(taken_at)) * 1000000)::bigint, \
        sum(ticks)::bigint, sum(octet_length(payload))::bigint \
    FROM arena_history \
    WHERE match_id IN (SELECT match_id FROM arena_history \
        WHERE taken_at >= 'epoch'::timestamptz + $1::bigint::float8 * '1 microsecond'::interval) \
    GROUP BY match_id ORDER BY min(taken_at) DESC, match_id DESC LIMIT $2";

const BLOCKS: &str = "\
    SELECT (extract(epoch FROM taken_at) * 1000000)::bigint, start_tick, ticks, format, payload \
    FROM arena_history \
    WHERE match_id = $1::text::uuid AND (taken_at, start_tick) > \
            ('epoch'::timestamptz + $2::bigint::float8 * '1 microsecond'::interval, $3::bigint) \
        AND start_tick <= $5 AND start_tick + ticks > $4 AND octet_length(payload) <= $6 \
    ORDER BY taken_at, start_tick LIMIT 64";

/// Longest wait for an answer of a reader.
const READ_LIMIT: Duration = Duration::from_mins(1);

/// The address of a database with everything that is needed to enter it. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Zeroizing<String>);

impl DatabaseUrl {
    /// Reads the URL from a file; white space around it does not count.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|source| Error::File {
                path: path.to_owned(),
                source,
            })?;
        text.parse()
    }

    fn options(&self) -> Result<PgConnectOptions, Error> {
        let is_postgres = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| self.0.starts_with(scheme));
        // What is wrong with it could be a part of it.
        let options: PgConnectOptions = self.0.parse().map_err(|_| Error::Url)?;
        if !is_postgres {
            return Err(Error::Url);
        }
        Ok(options
            .application_name("muster-arena-history")
            .disable_statement_logging())
    }
}

impl FromStr for DatabaseUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let url = Self(Zeroizing::new(text.trim().to_owned()));
        url.options()?;
        Ok(url)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseUrl(…)")
    }
}

/// The database. Not to be used on a thread that runs an event loop of its own.
pub struct Database {
    options: PgConnectOptions,
    runtime: Runtime,
    connection: Option<PgConnection>,
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Connects when it is needed.
    pub fn new(url: &DatabaseUrl) -> Result<Self, Error> {
        Ok(Self {
            options: url.options()?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Error::Runtime)?,
            connection: None,
        })
    }

    /// Does something on the connection within a time. After a failure there is none.
    fn perform<Output>(
        &mut self,
        limit: Duration,
        connected: Connected,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<Output>,
    ) -> Result<Output, Error> {
        let (options, open) = (&self.options, self.connection.take());
        let task = async {
            let mut connection = match open {
                Some(connection) => connection,
                None => connect(options, connected).await?,
            };
            let output = work(&mut connection).await?;
            Ok((connection, output))
        };
        let (connection, output) = within(&self.runtime, limit, task)?;
        self.connection = Some(connection);
        Ok(output)
    }
}

/// What is done with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connected {
    /// The table is made if it is not there.
    Migrate,
    /// Nothing: whoever reads changes nothing.
    Leave,
}

fn within<Output>(
    runtime: &Runtime,
    limit: Duration,
    task: impl Future<Output = sqlx::Result<Output>>,
) -> Result<Output, Error> {
    runtime
        .block_on(async { tokio::time::timeout(limit, task).await })
        .map_err(|_| Error::TimedOut)?
        .map_err(Error::Database)
}

async fn connect(options: &PgConnectOptions, connected: Connected) -> sqlx::Result<PgConnection> {
    let mut connection = options.connect().await?;
    if connected == Connected::Migrate {
        let row = sqlx::query(IS_THERE).fetch_one(&mut connection).await?;
        if !row.try_get::<bool, _>(0)? {
            sqlx::raw_sql(MIGRATION).execute(&mut connection).await?;
            tracing::info!("Table of the history was made");
        }
    }
    Ok(connection)
}

impl Store for Database {
    fn write(&mut self, blocks: &[&Block], limit: Duration) -> Result<usize, Error> {
        let signed = |number: u16| i16::try_from(number).unwrap_or(i16::MAX);
        let ids: Vec<_> = blocks
            .iter()
            .map(|block| block.match_id.to_string())
            .collect();
        let micros: Vec<_> = blocks.iter().map(|block| block.taken_at).collect();
        let starts: Vec<_> = blocks
            .iter()
            .map(|block| i64::from(block.start.0))
            .collect();
        let ticks: Vec<_> = blocks.iter().map(|block| signed(block.ticks)).collect();
        let formats: Vec<_> = blocks.iter().map(|block| signed(block.format)).collect();
        let payloads: Vec<_> = blocks
            .iter()
            .map(|block| block.payload.as_slice())
            .collect();
        self.perform(limit, Connected::Migrate, async |connection| {
            sqlx::query(INSERT)
                .bind(ids)
                .bind(micros)
                .bind(starts)
                .bind(ticks)
                .bind(formats)
                .bind(payloads)
                .execute(connection)
                .await
        })?;
        Ok(blocks.len())
    }
}

impl Archive for Database {
    fn matches(&mut self, since: Option<Timestamp>, most: usize) -> Result<Vec<Summary>, Error> {
        let since = since.map_or(0, Timestamp::as_microsecond);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.perform(READ_LIMIT, Connected::Leave, async |connection| {
            sqlx::query(MATCHES)
                .bind(since)
                .bind(most)
                .fetch_all(connection)
                .await
        })?;
        Ok(rows.iter().map(summary).collect::<Result<_, _>>()?)
    }

    fn visit(
        &mut self,
        match_id: MatchId,
        range: Range,
        visit: &mut dyn FnMut(&Block) -> ControlFlow<()>,
    ) -> Result<Option<Damage>, Error> {
        let longest = i64::try_from(MOST_PAYLOAD).unwrap_or(i64::MAX);
        let mut after = (0, -1);
        loop {
            let rows = self.perform(READ_LIMIT, Connected::Leave, async |connection| {
                sqlx::query(BLOCKS)
                    .bind(match_id.to_string())
                    .bind(after.0)
                    .bind(after.1)
                    .bind(i64::from(range.from.0))
                    .bind(i64::from(range.to.0))
                    .bind(longest)
                    .fetch_all(connection)
                    .await
            })?;
            if rows.is_empty() {
                return Ok(None);
            }
            for row in &rows {
                let block = block(match_id, row)?;
                after = (block.taken_at, i64::from(block.start.0));
                if visit(&block).is_break() {
                    return Ok(None);
                }
            }
        }
    }
}

fn summary(row: &PgRow) -> sqlx::Result<Summary> {
    let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
    let time = |column: usize| {
        let micros = row.try_get(column)?;
        Timestamp::from_microsecond(micros).map_err(|error| decode(error.into()))
    };
    let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    Ok(Summary {
        match_id: row
            .try_get::<&str, _>(0)?
            .parse()
            .map_err(|error: crate::history::block::NotAMatch| decode(error.into()))?,
        first: time(1)?,
        last: time(2)?,
        ticks: number(3)?,
        bytes: number(4)?,
    })
}

fn block(match_id: MatchId, row: &PgRow) -> sqlx::Result<Block> {
    Ok(Block {
        match_id,
        taken_at: row.try_get(0)?,
        // What does not fit was not written by us, and fails its checksum.
        start: Tick(u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or(u32::MAX)),
        ticks: row.try_get::<i16, _>(2)?.cast_unsigned(),
        format: row.try_get::<i16, _>(3)?.cast_unsigned(),
        payload: row.try_get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_url_is_never_shown() {
        let url: DatabaseUrl = " postgres://muster:s3cret@localhost/history\n"
            .parse()
            .unwrap();
        assert_eq!(format!("{url:?}"), "DatabaseUrl(…)");
        let database = Database::new(&url).unwrap();
        assert!(!format!("{database:?}").contains("s3cret"));
        for bad in [
            "mysql://muster:s3cret@localhost/history",
            "postgres://muster:s3cret@localhost:s3cret/history",
            "s3cret",
        ] {
            let error = bad.parse::<DatabaseUrl>().unwrap_err();
            assert!(matches!(error, Error::Url), "{error:?}");
            assert!(error.source().is_none());
            assert!(!format!("{error} {error:?}").contains("s3cret"));
        }
    }
}
