//! The audit log, and whether there is anybody.

use std::time::Duration;

use lobby::store::{AuditLine, Store};

use super::{Shared, at, line};

async fn forget(store: &dyn Store, now: i64, age: Duration, limit: usize) -> usize {
    store.forget_audit(at(now), age, limit).await.unwrap()
}

pub(super) async fn the_audit_log_is_forgotten_by_age(store: Shared) {
    for seconds in 0..5 {
        store.audit(&line(seconds)).await.unwrap();
    }
    // Lines that say the same are two.
    let line = AuditLine {
        actor: None,
        ..line(0)
    };
    store.audit(&line).await.unwrap();
    store.audit(&line).await.unwrap();
    let minute = Duration::from_mins(1);
    assert_eq!(forget(&*store, 60, minute, 9).await, 0);
    assert_eq!(forget(&*store, 61, minute, 9).await, 3);
    assert_eq!(forget(&*store, 70, minute, 3).await, 3);
    assert_eq!(forget(&*store, 70, Duration::MAX, 9).await, 0);
    assert_eq!(forget(&*store, 70, minute, 9).await, 1);
    assert_eq!(forget(&*store, 70, minute, 9).await, 0);
}

pub(super) async fn it_answers(store: Shared) {
    store.ping().await.unwrap();
}
