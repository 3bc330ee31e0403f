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

/// The words of a statement: names with what they are of, operators, and parentheses.
fn words(sql: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in sql.chars() {
        let is_word = letter.is_alphanumeric() || "_.=<>$".contains(letter);
        if is_word && let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase());
        } else {
            if letter == '(' || letter == ')' {
                words.push(letter.to_string());
            }
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words
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
    let mut seen = 0;
    for sql in &statements() {
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

/// What is asked of every shard, and why it may be.
const ABOUT_ALL: [(&str, &str); 8] = [
    (
        "(SELECT 'email' AS \"name!\", user_id",
        "what a former master key sealed is sealed anew, whosever it is",
    ),
    (
        "SELECT user_id, revocation_id, session_id, revoked_at FROM revocations WHERE",
        "every verifier wants the revocations of all players",
    ),
    (
        "DELETE FROM revocations WHERE (user_id, revocation_id) IN (",
        "purges what nobody needs any more",
    ),
    (
        "DELETE FROM one_time_secrets WHERE (user_id, purpose) IN (",
        "purges what has lapsed",
    ),
    (
        "DELETE FROM audit_log WHERE (user_id, audit_id) IN (",
        "purges what is too old",
    ),
    (
        "DELETE FROM sessions AS session USING (SELECT user_id, session_id",
        "purges what has ended",
    ),
    (
        "UPDATE users SET returned = true FROM UNNEST(",
        "notes whose sessions were purged",
    ),
    (
        "SELECT user_id FROM users AS player WHERE created_at < $1",
        "finds whom nobody came back to",
    ),
];

/// The statements as they are committed, on one line each.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let data: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sql = data["query"].as_str().unwrap();
        let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        line.replace("( ", "(")
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

/// The tables that a statement reads or changes, by the names that it gives them.
fn tables(words: &[String]) -> BTreeMap<String, String> {
    let is_end = |word: &str| {
        let ends = [
            "where",
            "set",
            "on",
            "returning",
            "order",
            "for",
            ")",
            "values",
        ];
        ends.contains(&word)
    };
    let mut found = BTreeMap::new();
    let mut is_list = false;
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_str();
        if ["from", "join", "update", "into"].contains(&word) {
            is_list = true;
        } else if is_end(word) {
            is_list = false;
        } else if is_list && word != "(" && !word.starts_with('$') {
            let is_renamed = words.get(at + 1).is_some_and(|next| next == "as");
            let name = if is_renamed {
                &words[at + 2]
            } else {
                &words[at]
            };
            found.insert(name.clone(), word.to_owned());
            at += if is_renamed { 2 } else { 0 };
        }
        at += 1;
    }
    found
}

/// The columns that have one value in all rows that a statement is about: those that are compared
/// with a parameter, and those that are compared with them.
fn fixed(words: &[String]) -> BTreeSet<String> {
    let conditions = words
        .iter()
        .position(|word| word == "where" || word == "on")
        .map_or(&[][..], |start| &words[start..]);
    let mut depth = 0;
    for word in conditions {
        depth += i32::from(word == "(") - i32::from(word == ")");
        // Either of two conditions: neither holds for all rows.
        if word == "or" && depth <= 0 {
            return BTreeSet::new();
        }
    }
    let equal: Vec<_> = conditions
        .windows(3)
        .filter(|three| three[1] == "=")
        .map(|three| (&three[0], &three[2]))
        .collect();
    let is_given = |word: &str| word.starts_with('$') || word == "any";
    let mut fixed = BTreeSet::new();
    let mut before = None;
    while before != Some(fixed.len()) {
        before = Some(fixed.len());
        for (left, right) in &equal {
            if is_given(right) || fixed.contains(*right) {
                fixed.insert((*left).clone());
            }
            if fixed.contains(*left) {
                fixed.insert((*right).clone());
            }
        }
    }
    fixed
}

/// The distributed tables that a statement is about without saying which shard.
fn unrouted(plan: &BTreeMap<String, Option<String>>, sql: &str) -> BTreeSet<String> {
    let words = words(sql);
    let column = |table: &str| plan.get(table).cloned().flatten();
    if words[0] == "insert" {
        let end = words.iter().position(|word| word == ")").unwrap();
        let named = column(&words[2]).is_none_or(|column| words[..end].contains(&column));
        return (!named).then(|| words[2].clone()).into_iter().collect();
    }
    let (tables, fixed) = (tables(&words), fixed(&words));
    let is_alone = tables.len() == 1;
    let is_unrouted = |(name, table): (&String, &String)| {
        let column = column(table)?;
        let is_fixed =
            fixed.contains(&format!("{name}.{column}")) || is_alone && fixed.contains(&column);
        (!is_fixed).then(|| table.clone())
    };
    tables.iter().filter_map(is_unrouted).collect()
}

#[test]
fn a_statement_that_names_no_player_is_seen() {
    let plan = plan();
    for (sql, expected) in [
        ("SELECT status FROM users WHERE user_id = $1", &[][..]),
        ("SELECT user_id FROM users WHERE email = $1", &["users"]),
        ("SELECT user_id FROM users", &["users"]),
        (
            "SELECT user_id FROM users WHERE user_id > $1 LIMIT $2",
            &["users"],
        ),
        ("SELECT user_id FROM users WHERE user_id >= $1", &["users"]),
        (
            "SELECT email FROM users WHERE user_id = $1 OR email = $2",
            &["users"],
        ),
        ("UPDATE users SET user_id = $1 WHERE email = $2", &["users"]),
        (
            "UPDATE users SET email = $2 WHERE email = $1 RETURNING user_id",
            &["users"],
        ),
        ("DELETE FROM sessions WHERE session_id = $1", &["sessions"]),
        (
            "DELETE FROM identities WHERE identity_hash = ANY($1) AND user_id = $2",
            &[],
        ),
        ("DELETE FROM identities WHERE user_id = $1", &["identities"]),
        ("INSERT INTO users (email) VALUES ($1)", &["users"]),
        (
            "INSERT INTO users (user_id) SELECT * FROM UNNEST($1::uuid[])",
            &[],
        ),
        ("SELECT 1 FROM signing_keys", &[]),
        (
            "SELECT a.ip FROM sessions AS a JOIN users AS b ON b.user_id = a.user_id \
             WHERE a.user_id = $1",
            &[],
        ),
        (
            "SELECT a.ip FROM sessions AS a JOIN users AS b ON b.user_id = a.user_id \
             WHERE a.session_id = $1",
            &["sessions", "users"],
        ),
        (
            "SELECT a.ip FROM sessions AS a JOIN users AS b ON b.email = a.ip \
             WHERE a.user_id = $1",
            &["users"],
        ),
        (
            "UPDATE sessions AS a SET ip = $2 FROM users AS b, devices AS c \
             WHERE a.user_id = $1 AND b.user_id = a.user_id",
            &["devices"],
        ),
    ] {
        let expected = expected.iter().map(|&table| table.to_owned()).collect();
        assert_eq!(unrouted(&plan, sql), expected, "{sql}");
    }
}

#[test]
fn every_statement_of_a_player_names_the_player() {
    // What does not is asked of every shard.
    let plan = plan();
    let statements = statements();
    let is_about_all = |sql: &String| {
        ABOUT_ALL
            .iter()
            .any(|(beginning, _)| sql.starts_with(beginning))
    };
    for sql in statements.iter().filter(|sql| !is_about_all(sql)) {
        assert_eq!(unrouted(&plan, sql), BTreeSet::new(), "{sql}");
    }
    for (beginning, why) in ABOUT_ALL {
        let exempt = statements.iter().filter(|sql| sql.starts_with(beginning));
        assert_eq!(exempt.count(), 1, "{beginning}: {why}");
    }
}
