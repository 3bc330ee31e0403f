//! The rules of Citus, applied to the tables as they stand and to the queries as they are committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sqlx::Row as _;

use crate::cluster::Cluster;

/// The distribution column of each table; none for one that is everywhere.
fn plan() -> BTreeMap<String, Option<String>> {
    let sql = include_str!("../../migrations/citus.sql");
    let mut plan = BTreeMap::new();
    for line in sql.lines().filter(|line| line.starts_with("SELECT ")) {
        let words: Vec<&str> = line.split('\'').collect();
        let column = match words[0] {
            "SELECT create_distributed_table(" => Some(words[3].to_owned()),
            "SELECT create_reference_table(" => None,
            _ => panic!("what is this? {line}"),
        };
        assert!(plan.insert(words[1].to_owned(), column).is_none(), "{line}");
    }
    plan
}

#[tokio::test]
async fn the_tables_can_be_distributed() {
    let cluster = Cluster::start();
    cluster.migrate("auth").await;
    let plan = plan();

    let tables = cluster
        .query(
            "auth",
            "SELECT relname::text FROM pg_class WHERE relkind = 'r' \
                AND relnamespace = 'public'::regnamespace AND relname <> '_sqlx_migrations'",
        )
        .await;
    let tables: BTreeSet<String> = tables.iter().map(|row| row.get(0)).collect();
    assert_eq!(tables, plan.keys().cloned().collect(), "named in citus.sql");

    let uniques = cluster
        .query(
            "auth",
            "SELECT class.relname::text, keys.relname::text, array_agg(attname::text) \
            FROM pg_index JOIN pg_class AS class ON class.oid = indrelid \
                JOIN pg_class AS keys ON keys.oid = indexrelid \
                JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey) \
            WHERE indisunique AND class.relnamespace = 'public'::regnamespace \
                AND class.relname <> '_sqlx_migrations' \
            GROUP BY 1, 2",
        )
        .await;
    assert!(uniques.len() >= tables.len(), "every table has a key");
    for row in &uniques {
        let (table, index): (&str, &str) = (row.get(0), row.get(1));
        let columns: Vec<String> = row.get(2);
        if let Some(column) = &plan[table] {
            assert!(columns.contains(column), "{index} of {table}: {columns:?}");
        }
    }

    let references = cluster
        .query(
            "auth",
            "SELECT constraints.conname::text, own.relname::text, other.relname::text, \
                (SELECT array_agg(mine.attname::text || '=' || theirs.attname::text) \
                FROM unnest(conkey, confkey) AS pair (mine, theirs) \
                    JOIN pg_attribute AS mine \
                        ON mine.attrelid = conrelid AND mine.attnum = pair.mine \
                    JOIN pg_attribute AS theirs \
                        ON theirs.attrelid = confrelid AND theirs.attnum = pair.theirs) \
            FROM pg_constraint AS constraints JOIN pg_class AS own ON own.oid = conrelid \
                JOIN pg_class AS other ON other.oid = confrelid \
            WHERE contype = 'f'",
        )
        .await;
    assert!(!references.is_empty());
    for row in &references {
        let (name, own, other): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let pairs: Vec<String> = row.get(3);
        let (Some(mine), Some(theirs)) = (&plan[own], &plan[other]) else {
            assert_eq!(plan[other], None, "{name}: from everywhere to somewhere");
            continue;
        };
        assert!(
            pairs.contains(&format!("{mine}={theirs}")),
            "{name}: {pairs:?}"
        );
    }
}

/// The words of a statement, without what joins them.
fn words(sql: &str) -> Vec<String> {
    sql.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '='))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The table that a statement updates, and the columns that it sets.
fn updates(sql: &str) -> Option<(String, BTreeSet<String>)> {
    let words = words(sql);
    let table = match words[0].as_str() {
        "update" => words[1].clone(),
        "insert" if words.windows(2).any(|pair| pair == ["do", "update"]) => words[2].clone(),
        _ => return None,
    };
    let start = words.iter().position(|word| word == "set")?;
    let end = words[start..]
        .iter()
        .position(|word| matches!(word.as_str(), "where" | "from" | "returning"))
        .map_or(words.len(), |end| start + end);
    let set = words[start..end].windows(2).filter(|pair| pair[1] == "=");
    Some((table, set.map(|pair| pair[0].clone()).collect()))
}

#[test]
fn what_a_statement_sets_is_seen() {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for (sql, table, set) in [
        (
            "UPDATE users SET email = $3, status = 'x' WHERE user_id = $1",
            "users",
            columns(&["email", "status"]),
        ),
        (
            "UPDATE a AS b SET n = b.n + 1 FROM c WHERE b.id = c.id",
            "a",
            columns(&["n"]),
        ),
        (
            "INSERT INTO a (b) VALUES ($1) ON CONFLICT (b) DO UPDATE SET b = excluded.b",
            "a",
            columns(&["b"]),
        ),
    ] {
        assert_eq!(updates(sql), Some((table.to_owned(), set)), "{sql}");
    }
}

#[test]
fn no_query_moves_a_row() {
    let plan = plan();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let data: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sql = data["query"].as_str().unwrap();
        if let Some((table, columns)) = updates(sql) {
            seen += 1;
            assert!(!columns.is_empty(), "{sql}");
            if let Some(column) = &plan[&table] {
                assert!(!columns.contains(column), "{sql}");
            }
        }
    }
    assert!(seen > 10, "only {seen} updates");
}

#[test]
fn every_statement_of_a_player_names_the_player() {
    // What names no distribution column is asked of every shard. Only what is about all players
    // may be: purges, and the revocations that all verifiers want.
    let plan = plan();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let data: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sql = data["query"].as_str().unwrap();
        let words = words(sql);
        let named = plan
            .iter()
            .filter(|(table, column)| column.is_some() && words.contains(table));
        let is_about_all =
            sql.contains("LIMIT $2") || sql.contains("WHERE (revoked_at, revocation_id)");
        for (table, column) in named {
            let column = column.as_ref().unwrap();
            assert!(is_about_all || words.contains(column), "{table}: {sql}");
        }
    }
}
