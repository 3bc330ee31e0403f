//! Secrets that change, in a source that tests hold.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A source that tests change at will.
#[derive(Debug)]
struct Scripted(Mutex<Result<Entries, Error>>);

#[async_trait]
impl Source for Scripted {
    async fn read(&self) -> Result<Entries, Error> {
        self.0.lock().unwrap().clone()
    }

    fn place(&self, name: &str) -> String {
        format!("script/{name}")
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// A number that never goes back.
#[derive(Debug)]
struct Number(u32);

impl Keys for Number {
    fn parse(entries: &Entries, place: &dyn Fn(&str) -> String) -> Result<Self, Error> {
        let number = entries.get("number").and_then(Secret::text);
        let number = number.and_then(|text| text.parse().ok());
        number.map(Self).ok_or_else(|| Error::Unusable {
            place: place("number"),
            problem: "want a number".to_owned(),
        })
    }

    fn may_follow(&self, former: &Self, place: &dyn Fn(&str) -> String) -> Result<(), Error> {
        if self.0 >= former.0 {
            return Ok(());
        }
        Err(Error::Unusable {
            place: place("number"),
            problem: "goes back".to_owned(),
        })
    }
}

fn entries(texts: &[(&str, &str)]) -> Entries {
    let entry = |(name, text): &(&str, &str)| {
        let secret = Secret::new(text.as_bytes().to_vec());
        ((*name).to_owned(), secret)
    };
    texts.iter().map(entry).collect()
}

fn scripted(texts: &[(&str, &str)]) -> Arc<Scripted> {
    Arc::new(Scripted(Mutex::new(Ok(entries(texts)))))
}

#[tokio::test]
async fn a_secret_is_not_shown() {
    let secret = Secret::new(b"hunter2\n".to_vec());
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    assert_eq!(secret.text(), Some("hunter2"));
    let source = Arc::new(files::Files::new("/nowhere"));
    let secrets: Secrets = Secrets {
        source,
        current: watch::Sender::new(Arc::new(Loaded {
            keys: (),
            entries: entries(&[("password", "hunter2")]),
        })),
    };
    let shown = format!("{secrets:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn changes_arrive_and_bad_ones_leave_the_last_good_secrets() {
    let source = scripted(&[("number", "1")]);
    let secrets: Arc<Secrets<Number>> =
        Arc::new(Secrets::load(Arc::clone(&source) as _).await.unwrap());
    let mut changes = secrets.subscribe();
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let (secrets, stop) = (Arc::clone(&secrets), stop.clone());
        async move { secrets.follow(stop).await }
    });

    *source.0.lock().unwrap() = Ok(entries(&[("number", "2")]));
    changes.changed().await.unwrap();
    assert_eq!(secrets.current().keys.0, 2);

    let gone = Err(Error::Read {
        place: "script".to_owned(),
        problem: "gone".to_owned(),
    });
    let bad = [
        Ok(entries(&[("number", "1")])),
        Ok(entries(&[("number", "none")])),
        Ok(Entries::new()),
        gone,
    ];
    for bad in bad {
        *source.0.lock().unwrap() = bad;
        let waited = tokio::time::timeout(Duration::from_mins(1), changes.changed()).await;
        assert!(waited.is_err(), "nothing was put in place");
        assert_eq!(secrets.current().keys.0, 2);
    }

    let next = entries(&[("number", "3"), ("smtp.password", " s3cret\n")]);
    *source.0.lock().unwrap() = Ok(next);
    changes.changed().await.unwrap();
    assert_eq!(secrets.current().keys.0, 3);
    assert_eq!(secrets.current().text("smtp.password"), Some("s3cret"));
    assert_eq!(secrets.current().text("other"), None);
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_first_load_must_be_good() {
    let source = scripted(&[]);
    let error = Secrets::<Number>::load(source).await.unwrap_err();
    assert_eq!(error.to_string(), "use script/number: want a number");
}

#[tokio::test]
async fn only_a_change_of_its_own_secrets_renews() {
    let source = scripted(&[("database.url", "one")]);
    let secrets: Secrets = Secrets::load(Arc::clone(&source) as _).await.unwrap();
    let stop = CancellationToken::new();
    let renewals = AtomicU32::new(0);
    let renew = || {
        renewals.fetch_add(1, Ordering::Relaxed);
        // What cannot be used does not end it.
        Err("unusable")
    };
    let names = ["database.url", "database.replica-url"];
    let following = secrets.on_change(&names, "PostgreSQL", renew, &stop);
    let changing = async {
        let changes: [&[(&str, &str)]; 4] = [
            // Another's, and blanks.
            &[("database.url", " one\n"), ("smtp.password", "x")],
            &[("database.url", "two")],
            &[("database.url", "two"), ("database.replica-url", "three")],
            &[
                ("database.url", "two"),
                ("database.replica-url", "three"),
                ("other", "y"),
            ],
        ];
        let mut counts = Vec::new();
        for change in changes {
            *source.0.lock().unwrap() = Ok(entries(change));
            assert_eq!(secrets.look().await, Ok(true));
            // Whoever follows has its turn.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            counts.push(renewals.load(Ordering::Relaxed));
        }
        stop.cancel();
        counts
    };
    let ((), counts) = tokio::join!(following, changing);
    assert_eq!(counts, [0, 1, 2, 2]);
}
