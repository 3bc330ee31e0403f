//! Looks through every line that a process of tests logs for what no log may hold, as it is written.
//!
//! Tests run beside one another in one process, so that one which did nothing wrong may be the one
//! that tells: the line is in its message.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// Part of the address of every database that tests start.
pub(crate) const DATABASE_PASSWORD: &str = "nobody-reads-this-of-a-database";

/// What no line may hold: how tokens, proofs, passwords, addresses and secrets of tests look.
const SECRETS: [&str; 7] = [
    // Refresh tokens; access tokens, proofs and tokens of providers.
    "mrt1.",
    "eyJ",
    // Players and their passwords.
    "@example.com",
    "violet an",
    // Of services, providers and databases.
    "a-service-of-ours",
    "s3cret",
    DATABASE_PASSWORD,
];

/// Lines that held something.
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many were looked through.
static LINES: AtomicU64 = AtomicU64::new(0);

/// Where lines are written to; each by one call.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(line);
        if is_leak(&text) {
            LEAKS.lock().unwrap().push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_leak(line: &str) -> bool {
    SECRETS.iter().any(|secret| line.contains(secret))
}

/// Fails at its end, if anything secret was logged until then.
pub(crate) struct Watched(());

/// From now on every line is looked through.
pub(crate) fn watch() -> Watched {
    static SUBSCRIBED: OnceLock<()> = OnceLock::new();
    SUBSCRIBED.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(|| Lines)
            .init();
    });
    Watched(())
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The first failure says more.
        if !std::thread::panicking() {
            let leaks = LEAKS.lock().unwrap();
            assert!(leaks.is_empty(), "something secret was logged: {leaks:?}");
        }
    }
}

#[test]
fn lines_are_looked_through() {
    let _watched = watch();
    let before = LINES.load(Ordering::Relaxed);
    tracing::debug!("A line");
    assert!(LINES.load(Ordering::Relaxed) > before);
    assert!(!is_leak("a line"));
    for secret in SECRETS {
        assert!(is_leak(&format!("address=redis://:{secret}@127.0.0.1")));
    }
}
