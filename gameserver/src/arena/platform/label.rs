//! The label that says whether a match has places for more players, by which matchmakers choose.
//!
//! It is written beside everything else that the platform is told: a platform that is slow with it,
//! or never takes it, keeps nobody from hearing of players and results. What changes while it is on
//! its way waits, so that players who come and go cost a slow platform no more than the last state.
//! Only the end of a match waits for it, and not for long.

use std::time::Duration;

use runtime::backoff::Backoff;
use tokio::sync::watch;
use tonic::Status;

use crate::sdk::Sdk;

/// Its name; the platform puts its prefix for labels of games before it.
const NAME: &str = "open";

/// Waits between attempts. A platform that always refuses it is asked seldom.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    cap: Duration::from_mins(5),
};

/// Longest time that the end of a match waits for the label.
const SETTLE: Duration = Duration::from_secs(2);

/// What the label is to say.
#[derive(Debug)]
pub(super) struct Label {
    wanted: watch::Sender<bool>,
    settled: watch::Receiver<Option<bool>>,
}

/// Writes the label.
#[derive(Debug)]
pub(super) struct Writer {
    wanted: watch::Receiver<bool>,
    /// What it says, or was last refused to say; none while that is on its way.
    settled: watch::Sender<Option<bool>>,
}

/// A label that says what the platform takes for granted before a server's first match: no places.
pub(super) fn new() -> (Label, Writer) {
    let (wanted, what) = watch::channel(false);
    let (settled, known) = watch::channel(Some(false));
    let label = Label {
        wanted,
        settled: known,
    };
    let writer = Writer {
        wanted: what,
        settled,
    };
    (label, writer)
}

/// Writes it through the SDK.
pub(super) async fn write(sdk: &mut Sdk, is_open: bool) -> Result<(), Status> {
    sdk.set_label(NAME.to_owned(), is_open.to_string()).await
}

impl Label {
    /// Has it say this from now on.
    pub(super) fn set(&self, is_open: bool) {
        self.wanted.send_replace(is_open);
    }

    /// Waits until the platform has the last state or has refused it, but not for long.
    pub(super) async fn settle(&mut self) {
        let wanted = *self.wanted.borrow();
        let settled = self.settled.wait_for(|settled| *settled == Some(wanted));
        if tokio::time::timeout(SETTLE, settled).await.is_err() {
            tracing::warn!(wanted, "Platform may have an old label");
        }
    }
}

impl Writer {
    /// Writes every state that is the last one when its turn comes, and again until it is taken.
    /// Ends with its [`Label`].
    pub(super) async fn run(mut self, mut write: impl AsyncFnMut(bool) -> Result<(), Status>) {
        let mut known = Some(false);
        let mut failures = 0_u32;
        loop {
            let wanted = *self.wanted.borrow_and_update();
            if known == Some(wanted) {
                self.settled.send_replace(known);
                if self.wanted.changed().await.is_err() {
                    return;
                }
                continue;
            }
            self.settled.send_replace(None);
            let Err(status) = write(wanted).await else {
                known = Some(wanted);
                failures = 0;
                continue;
            };
            tracing::warn!(error = %status, failures, "Label was not written");
            // It may have arrived all the same.
            known = None;
            if super::is_final(&status) {
                self.settled.send_replace(Some(wanted));
            }
            let wait = tokio::time::sleep(BACKOFF.bound(failures));
            failures = failures.saturating_add(1);
            tokio::select! {
                () = wait => {}
                changed = self.wanted.changed() => if changed.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    /// Runs a label against a platform until `told` is.
    async fn with(
        writer: Writer,
        write: impl AsyncFnMut(bool) -> Result<(), Status>,
        told: impl Future<Output = ()>,
    ) {
        tokio::select! {
            // Who yields lets the writer go on.
            biased;
            () = writer.run(write) => {}
            () = told => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_until_nothing_else_is_on_its_way() {
        let (mut label, writer) = new();
        let told = RefCell::new(Vec::new());
        let slow = async |is_open| {
            tokio::time::sleep(Duration::from_millis(300)).await;
            told.borrow_mut().push(is_open);
            Ok(())
        };
        with(writer, slow, async {
            label.set(true);
            tokio::time::sleep(Duration::from_millis(100)).await;
            // The first word is under way still, and what came between is not worth one.
            for is_open in [false, true, false] {
                label.set(is_open);
            }
            label.settle().await;
        })
        .await;
        assert_eq!(*told.borrow(), [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_ever_holds_nothing_back_and_is_asked_ever_less() {
        let (mut label, writer) = new();
        let asked = Cell::new(0);
        let refuse = async |_| {
            asked.set(asked.get() + 1);
            Err(Status::invalid_argument("no such label"))
        };
        with(writer, refuse, async {
            label.set(true);
            tokio::time::sleep(Duration::from_hours(1)).await;
            // Eleven until the longest wait of five minutes.
            assert!((20..25).contains(&asked.get()), "{}", asked.get());
            let begin = Instant::now();
            label.set(false);
            label.settle().await;
            assert_eq!(begin.elapsed(), Duration::ZERO);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_a_while_is_told_in_the_end() {
        let (mut label, writer) = new();
        let asked = Cell::new(0);
        let fail = async |is_open: bool| {
            asked.set(asked.get() + 1);
            assert!(is_open);
            match asked.get() {
                1..=3 => Err(Status::unavailable("the hub is away")),
                _ => Ok(()),
            }
        };
        with(writer, fail, async {
            label.set(true);
            label.settle().await;
        })
        .await;
        assert_eq!(asked.get(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_platform_that_does_not_answer_holds_the_end_back_for_a_moment_only() {
        let (mut label, writer) = new();
        with(writer, async |_| pending().await, async {
            label.set(true);
            tokio::task::yield_now().await;
            let begin = Instant::now();
            label.set(false);
            label.settle().await;
            assert_eq!(begin.elapsed(), SETTLE);
        })
        .await;
    }
}
