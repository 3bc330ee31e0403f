//! Tables of [`super`]: what is decided for which input.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::StreamExt;

use super::*;

/// A directory that goes with the test, and a clock that counts seconds.
struct Place {
    directory: PathBuf,
    seconds: Arc<AtomicI64>,
}

impl Place {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("muster-logs-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self {
            directory,
            seconds: Arc::default(),
        }
    }

    fn log(&self, limit: u64) -> Log {
        let seconds = self.seconds.clone();
        let clock: Clock =
            Arc::new(move || Timestamp::from_second(seconds.load(Ordering::Relaxed)).unwrap());
        Log::with_limit(path(&self.directory, 0), clock, limit).unwrap()
    }

    fn note(log: &Log, text: &str) {
        log.write("stdout", 'F', text.as_bytes()).unwrap();
    }

    fn set(&self, second: i64) -> &Self {
        self.seconds.store(second, Ordering::Relaxed);
        self
    }

    async fn read(&self, query: LogQuery) -> String {
        let now = Timestamp::from_second(self.seconds.load(Ordering::Relaxed)).unwrap();
        let stream = stream(&path(&self.directory, 0), &query, now, None).unwrap();
        let parts: Vec<Bytes> = stream.collect().await;
        String::from_utf8(parts.concat()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

fn query() -> LogQuery {
    LogQuery::default()
}

#[tokio::test]
async fn lines_are_stamped_and_read_back() {
    let place = Place::new("stamped");
    let log = place.log(LIMIT);
    log.copy("stdout", &b"one\ntwo\n\nlast"[..]).await;
    log.copy("stderr", &b"bad\n"[..]).await;
    let raw = std::fs::read_to_string(path(&place.directory, 0)).unwrap();
    assert_eq!(
        raw,
        "1970-01-01T00:00:00.000000000Z stdout F one\n\
         1970-01-01T00:00:00.000000000Z stdout F two\n\
         1970-01-01T00:00:00.000000000Z stdout F \n\
         1970-01-01T00:00:00.000000000Z stdout F last\n\
         1970-01-01T00:00:00.000000000Z stderr F bad\n"
    );
    assert_eq!(place.read(query()).await, "one\ntwo\n\nlast\nbad\n");
}

#[tokio::test]
async fn a_query_picks_lines() {
    let place = Place::new("picks");
    let log = place.log(LIMIT);
    for second in 0..5 {
        place.set(second);
        Place::note(&log, &format!("line {second}"));
    }
    let tail = |lines| LogQuery {
        tail_lines: Some(lines),
        ..query()
    };
    assert_eq!(place.read(tail(0)).await, "");
    assert_eq!(place.read(tail(2)).await, "line 3\nline 4\n");
    assert_eq!(place.read(tail(9)).await.lines().count(), 5);
    let since = LogQuery {
        since_seconds: Some(1),
        timestamps: true,
        ..query()
    };
    assert_eq!(
        place.read(since).await,
        "1970-01-01T00:00:03.000000000Z line 3\n1970-01-01T00:00:04.000000000Z line 4\n"
    );
    let limit = LogQuery {
        limit_bytes: Some(9),
        ..query()
    };
    assert_eq!(place.read(limit).await, "line 0\nli");
    assert_eq!(log.tail(2, 100), "line 3\nline 4\n");
    assert_eq!(log.tail(2, 5), "ne 4\n");
}

#[tokio::test]
async fn long_lines_are_split_and_joined() {
    let place = Place::new("long");
    let log = place.log(LIMIT);
    let endless = "x".repeat(LONGEST_LINE * 2 + 10);
    log.copy("stdout", format!("{endless}\nshort\n").as_bytes())
        .await;
    let raw = std::fs::read_to_string(path(&place.directory, 0)).unwrap();
    assert!(raw.lines().count() >= 2);
    assert_eq!(place.read(query()).await, format!("{endless}\nshort\n"));
}

#[tokio::test]
async fn a_log_keeps_two_files() {
    let place = Place::new("two");
    let log = place.log(200);
    for number in 0..20 {
        Place::note(&log, &format!("line {number:02}"));
    }
    let files = std::fs::read_dir(&place.directory).unwrap().count();
    assert_eq!(files, 2);
    let text = place.read(query()).await;
    assert!(text.ends_with("line 18\nline 19\n"), "{text}");
    assert!(text.lines().count() <= 8, "{text}");
    let tail = LogQuery {
        tail_lines: Some(5),
        ..query()
    };
    // The last lines may lie in both files.
    let last: Vec<_> = (15..20).map(|number| format!("line {number}\n")).collect();
    assert_eq!(place.read(tail).await, last.concat());
}

#[tokio::test]
async fn who_follows_sees_every_line_until_the_end() {
    let place = Place::new("follow");
    let log = place.log(400);
    Place::note(&log, "before");
    let follow = LogQuery {
        follow: true,
        ..query()
    };
    let progress = log.subscribe();
    let file = path(&place.directory, 0);
    let mut stream =
        Box::pin(stream(&file, &follow, Timestamp::UNIX_EPOCH, Some(progress)).unwrap());
    let mut text = String::new();
    for number in 0..30 {
        let expected = if number == 0 { "before\n" } else { &text };
        let bytes = stream.next().await.unwrap();
        assert_eq!(bytes, expected.as_bytes());
        text = format!("line {number}\n");
        Place::note(&log, text.trim_end());
    }
    assert_eq!(stream.next().await.unwrap(), text.as_bytes());
    drop(log);
    assert_eq!(stream.next().await, None);
}
