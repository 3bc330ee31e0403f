//! What passwords and mails count for themselves, among the numbers for operators.

use std::sync::atomic::Ordering;

use prometheus::Registry;

use crate::metrics::counted::{Counted, growing_all, passing};
use crate::notify::outbox;
use crate::passwords::{self, pool};
use crate::service::Service;

const PASSWORDS: [Counted<passwords::Counters>; 4] = [
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

const POOL: [Counted<pool::Counters>; 5] = [
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

const MAILS: [Counted<outbox::Counters>; 4] = [
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
        growing_all(
            registry,
            self,
            |it| it.parts().passwords.counters(),
            &PASSWORDS,
        )?;
        growing_all(
            registry,
            self,
            |it| it.parts().passwords.pool().counters(),
            &POOL,
        )?;
        growing_all(registry, self, |it| it.parts().outbox.counters(), &MAILS)?;
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
