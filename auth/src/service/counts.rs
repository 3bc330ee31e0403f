//! What passwords and mails count for themselves, among the numbers for operators.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::Registry;

use crate::metrics::counted::{growing, passing};
use crate::notify::outbox;
use crate::passwords::{self, pool};
use crate::service::Service;

/// A number of passwords: its name, what it is, and where.
type OfPasswords = (
    &'static str,
    &'static str,
    fn(&passwords::Counters) -> &AtomicU64,
);

/// The same of the pool in which they are hashed.
type OfPool = (
    &'static str,
    &'static str,
    fn(&pool::Counters) -> &AtomicU64,
);

/// The same of mails.
type OfMails = (
    &'static str,
    &'static str,
    fn(&outbox::Counters) -> &AtomicU64,
);

const PASSWORDS: [OfPasswords; 4] = [
    (
        "muster_auth_passwords_weak_total",
        "New passwords that were refused because they are guessed early",
        |counters| &counters.weak,
    ),
    (
        "muster_auth_passwords_breached_total",
        "New passwords that were refused because they are known from a breach",
        |counters| &counters.breached,
    ),
    (
        "muster_auth_passwords_breach_unknown_total",
        "New passwords that were accepted without an answer about breaches",
        |counters| &counters.breach_unknown,
    ),
    (
        "muster_auth_passwords_rehashed_total",
        "Passwords that were stored anew at a login",
        |counters| &counters.rehashed,
    ),
];

const POOL: [OfPool; 5] = [
    (
        "muster_auth_passwords_hashed_total",
        "Work on passwords that was done: hashes and checks of new ones",
        |counters| &counters.done,
    ),
    (
        "muster_auth_passwords_refused_full_total",
        "Work on passwords that was refused: too much was waiting",
        |counters| &counters.refused_full,
    ),
    (
        "muster_auth_passwords_refused_late_total",
        "Work on passwords that was refused: it waited too long",
        |counters| &counters.refused_late,
    ),
    (
        "muster_auth_passwords_abandoned_total",
        "Work on passwords that was not done: its caller had gone",
        |counters| &counters.abandoned,
    ),
    (
        "muster_auth_passwords_busy_microseconds_total",
        "Time of all work on passwords",
        |counters| &counters.busy_micros,
    ),
];

const MAILS: [OfMails; 4] = [
    (
        "muster_auth_mails_delivered_total",
        "Mails that were delivered",
        |counters| &counters.delivered,
    ),
    (
        "muster_auth_mails_retried_total",
        "Attempts to deliver a mail once more",
        |counters| &counters.retried,
    ),
    (
        "muster_auth_mails_failed_total",
        "Mails that were given up",
        |counters| &counters.failed,
    ),
    (
        "muster_auth_mails_dropped_total",
        "Mails that were dropped: the queue was full",
        |counters| &counters.dropped,
    ),
];

impl Service {
    /// Exports them; the registry keeps the service then.
    pub fn export(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        for (name, help, number) in PASSWORDS {
            let service = self.clone();
            growing(registry, name, help, move || {
                number(service.parts().passwords.counters()).load(Ordering::Relaxed)
            })?;
        }
        for (name, help, number) in POOL {
            let service = self.clone();
            growing(registry, name, help, move || {
                number(service.parts().passwords.pool().counters()).load(Ordering::Relaxed)
            })?;
        }
        for (name, help, number) in MAILS {
            let service = self.clone();
            growing(registry, name, help, move || {
                number(service.parts().outbox.counters()).load(Ordering::Relaxed)
            })?;
        }
        let service = self.clone();
        let (name, help) = (
            "muster_auth_passwords_waiting",
            "Work on passwords that waits now",
        );
        passing(registry, name, help, move || {
            let counters = service.parts().passwords.pool().counters();
            u64::try_from(counters.waiting.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
        })
    }
}
