//! A PostgreSQL that ends connections, stops, refuses, or is another one.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, query_scalar};
use storage::postgres::{Config, Database};
use storage::sql::Error;
use testing::postgres::Server;

/// The longest wait for anything that must happen at some time.
const LIMIT: Duration = Duration::from_mins(1);

/// Short limits, and few connections.
fn impatient(server: &Server) -> Config {
    Config {
        connections: 2,
        acquire_timeout: Duration::from_millis(300),
        statement_timeout: Duration::from_millis(300),
        call_timeout: Duration::from_millis(600),
        ..Config::new(server.url("postgres").parse().unwrap())
    }
}

fn database(config: Config) -> Database {
    Database::new("muster-test", config).unwrap()
}

async fn ask(database: &Database, question: &'static str) -> Result<i64, Error> {
    database
        .call(|pool| query_scalar(question).fetch_one(pool))
        .await
}

async fn answers(database: &Database) {
    let asked = async { while ask(database, "SELECT 1::int8").await.is_err() {} };
    tokio::time::timeout(LIMIT, asked)
        .await
        .expect("it answers again");
}

#[tokio::test]
async fn a_connection_that_ended_while_it_was_idle_is_not_used() {
    let server = Server::start().unwrap();
    let database = database(Config::new(server.url("postgres").parse().unwrap()));
    assert_eq!(ask(&database, "SELECT 1::int8").await, Ok(1));
    // Nobody uses it for longer than it is believed to be as it was.
    let end = "SELECT pg_terminate_backend(pid), pg_sleep(1.1) FROM pg_stat_activity \
        WHERE application_name = 'muster-test'";
    server.execute("postgres", end).unwrap();
    assert_eq!(ask(&database, "SELECT 2::int8").await, Ok(2));
}

#[tokio::test]
async fn a_database_that_stops_costs_a_bounded_time() {
    let server = Server::start().unwrap();
    let database = database(impatient(&server));
    answers(&database).await;
    server.pause();
    // More often than there are connections: each of them hangs by then.
    for _ in 0..4 {
        let asked = ask(&database, "SELECT 1::int8");
        let asked = tokio::time::timeout(Duration::from_secs(5), asked).await;
        let error = asked.expect("it ends in time").unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
    // None of them is waited for: if the database were gone for good, another could be asked.
    let given_up = async {
        while !format!("{database:?}").contains("connections: 0") {
            tokio::task::yield_now().await;
        }
    };
    let given_up = tokio::time::timeout(LIMIT, given_up).await;
    given_up.expect("connections that hang are given up");
    server.resume();
    answers(&database).await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up() {
    let server = Server::start().unwrap();
    let database = database(impatient(&server));
    let commits = database
        .call(|pool| query_scalar::<_, String>("SHOW synchronous_commit").fetch_one(pool))
        .await;
    assert_eq!(commits.as_deref(), Ok("on"));
    let slow = "SELECT 1::int8 FROM pg_sleep(60)";
    let error = ask(&database, slow).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(cause) if cause.contains("57014")),
        "{error:?}"
    );
    assert_eq!(ask(&database, "SELECT 1::int8").await, Ok(1));
}

#[tokio::test]
async fn what_is_urgent_does_not_wait_behind_calls() {
    let server = Server::start().unwrap();
    let database = database(Config {
        statement_timeout: LIMIT,
        call_timeout: LIMIT,
        ..impatient(&server)
    });
    let mut holder = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    let hold = "BEGIN; SELECT pg_advisory_xact_lock(7)";
    sqlx::raw_sql(hold).execute(&mut holder).await.unwrap();
    // They take every connection.
    let wait = "SELECT 1::int8 FROM pg_advisory_xact_lock(7)";
    let calls = async { futures::join!(ask(&database, wait), ask(&database, wait)) };
    let meanwhile = async {
        while ask(&database, "SELECT 1::int8").await.is_ok() {}
        let question = "SELECT 3::int8";
        let told = database
            .call_urgently(|pool| query_scalar::<_, i64>(question).fetch_one(pool))
            .await;
        holder.close().await.unwrap();
        told
    };
    let (calls, told) = futures::join!(calls, meanwhile);
    assert_eq!((calls, told), ((Ok(1), Ok(1)), Ok(3)));
}

#[tokio::test]
async fn a_transaction_that_was_taken_back_is_tried_again() {
    let server = Server::start().unwrap();
    let database = database(impatient(&server));
    // A sequence counts what is taken back, too.
    let collide = "CREATE SEQUENCE tries; \
        CREATE FUNCTION collide() RETURNS int8 LANGUAGE plpgsql AS $$ BEGIN \
            IF nextval('tries') % 10 < 3 THEN \
                RAISE EXCEPTION 'collided' USING ERRCODE = '40001'; \
            END IF; \
            RETURN 1; \
        END $$";
    server.execute("postgres", collide).unwrap();
    assert_eq!(ask(&database, "SELECT collide()").await, Ok(1));
    // But not forever.
    server
        .execute("postgres", "SELECT setval('tries', 9)")
        .unwrap();
    let error = ask(&database, "SELECT collide()").await;
    assert!(matches!(error, Err(Error::Unavailable(_))), "{error:?}");
    let tries = ask(&database, "SELECT last_value FROM tries").await;
    assert_eq!(tries, Ok(12));
}

#[tokio::test]
async fn a_new_address_is_used_without_a_restart() {
    let server = Server::start().unwrap();
    let nowhere = server.url("another").parse().unwrap();
    let database = database(Config::new(nowhere));
    let error = ask(&database, "SELECT 1::int8").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let there = server.url("postgres").parse().unwrap();
    database.renew(&there, None).unwrap();
    assert_eq!(ask(&database, "SELECT 1::int8").await, Ok(1));
}
