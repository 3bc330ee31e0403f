//! Signing with keys that other replicas share, in memory.

use std::sync::Mutex;

use access::claims::Claims;
use access::{PlayerId, SessionId, Verifier};
use jiff::SignedDuration;
use uuid::Uuid;

use super::*;

/// The keys in memory, and what happened to them.
#[derive(Clone, Debug, Default)]
struct Memory {
    keys: Arc<Mutex<Vec<SigningKey>>>,
    announced: Arc<Mutex<u32>>,
    /// Another replica adds a key before ours, so many times.
    races: Arc<Mutex<u32>>,
    is_away: Arc<Mutex<bool>>,
}

#[async_trait]
impl Backing for Memory {
    async fn keys(&self) -> Result<Vec<SigningKey>, store::Error> {
        // Everybody reads before anybody writes.
        tokio::task::yield_now().await;
        if *self.is_away.lock().unwrap() {
            return Err(store::Error::Unavailable("away".to_owned()));
        }
        Ok(self.keys.lock().unwrap().clone())
    }

    async fn add(&self, key: &SigningKey, expected: &[String]) -> Result<bool, store::Error> {
        tokio::task::yield_now().await;
        let mut races = self.races.lock().unwrap();
        let mut keys = self.keys.lock().unwrap();
        let mut ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
        ids.sort();
        if *races > 0 {
            *races -= 1;
            return Ok(false);
        }
        if ids != expected {
            return Ok(false);
        }
        keys.push(key.clone());
        Ok(true)
    }

    async fn revoke(&self, id: &str, at: Timestamp) -> Result<bool, store::Error> {
        let mut keys = self.keys.lock().unwrap();
        let found = keys.iter_mut().find(|key| key.id == id);
        Ok(found.map(|key| key.revoked = Some(at)).is_some())
    }

    async fn announce(&self) {
        *self.announced.lock().unwrap() += 1;
    }
}

/// Turns every bit and remembers the context.
#[derive(Debug)]
struct Turned;

impl Seal for Turned {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let turned = plain.iter().map(|byte| !byte);
        Ok(context.iter().copied().chain(turned).collect())
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let turned = sealed
            .strip_prefix(context)
            .ok_or_else(|| SealError("another context".to_owned()))?;
        Ok(Zeroizing::new(turned.iter().map(|byte| !byte).collect()))
    }
}

const NOW: i64 = 1_700_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn claims(now: Timestamp) -> Claims {
    Claims {
        iss: "auth".to_owned(),
        sub: PlayerId(Uuid::from_u128(1)),
        aud: vec!["game".to_owned()],
        exp: now.as_second() + 300,
        iat: now.as_second(),
        jti: Uuid::from_u128(3),
        sid: SessionId(Uuid::from_u128(2)),
        cnf: None,
        roles: Vec::new(),
    }
}

async fn load(memory: &Memory, now: Timestamp) -> Result<Signing, Error> {
    let backing = Box::new(memory.clone());
    Signing::load(now, backing, Box::new(Turned), Policy::default()).await
}

fn is_accepted(signing: &Signing, now: Timestamp, token: &str) -> bool {
    let verifier = Verifier::new("auth", "game");
    verifier.set_keys(signing.published().borrow().clone());
    verifier.verify(now, token, None).is_ok()
}

fn ids(signing: &Signing) -> Vec<String> {
    let published = signing.published();
    let keys = published.borrow();
    keys.ids().map(str::to_owned).collect()
}

#[tokio::test]
async fn replicas_that_start_at_once_make_one_key() {
    let memory = Memory::default();
    let now = at(NOW);
    let (first, second, third) =
        tokio::join!(load(&memory, now), load(&memory, now), load(&memory, now));
    let replicas = [first.unwrap(), second.unwrap(), third.unwrap()];
    assert_eq!(memory.keys.lock().unwrap().len(), 1);
    assert_eq!(*memory.announced.lock().unwrap(), 1);
    for signer in &replicas {
        let token = signer.sign(now, &claims(now)).unwrap();
        for verifier in &replicas {
            assert!(is_accepted(verifier, now, &token));
        }
    }
}

#[tokio::test]
async fn races_are_lost_only_so_often() {
    let memory = Memory::default();
    *memory.races.lock().unwrap() = 3;
    // Three races, one key, and no reading left to see it.
    assert!(matches!(load(&memory, at(NOW)).await, Err(Error::Races)));
    assert!(load(&memory, at(NOW)).await.is_ok());
    *memory.races.lock().unwrap() = 4;
    let signing = load(&memory, at(NOW)).await.unwrap();
    assert!(matches!(signing.rotate(at(NOW)).await, Err(Error::Races)));
}

#[tokio::test]
async fn a_private_half_is_sealed_for_its_own_key() {
    let memory = Memory::default();
    let signing = load(&memory, at(NOW)).await.unwrap();
    let key = memory.keys.lock().unwrap()[0].clone();
    let context = context(&key.id);
    assert!(key.private.starts_with(&context));
    let private = Turned.open(&context, &key.private).unwrap();
    assert_eq!(Signer::from_pkcs8(&private).unwrap().id(), key.id);
    signing.rotate(at(NOW + 1)).await.unwrap();
    // The halves of two keys change places.
    {
        let mut keys = memory.keys.lock().unwrap();
        let other = keys[0].private.clone();
        keys[1].private = other;
    }
    let moved = load(&memory, at(NOW + 1)).await;
    assert!(matches!(moved, Err(Error::Seal(_))), "{moved:?}");
    memory.keys.lock().unwrap()[0].public = vec![7; 32];
    let changed = load(&memory, at(NOW + 1)).await;
    assert!(matches!(changed, Err(Error::Corrupt(_))), "{changed:?}");
}

#[tokio::test]
async fn a_rotation_at_once_voids_nothing() {
    let memory = Memory::default();
    let now = at(NOW);
    let (first, second) = (
        load(&memory, now).await.unwrap(),
        load(&memory, now).await.unwrap(),
    );
    let mut published = second.published();
    let old = first.sign(now, &claims(now)).unwrap();
    let now = at(NOW + 1);
    first.rotate(now).await.unwrap();
    let new = first.sign(now, &claims(now)).unwrap();
    assert!(is_accepted(&first, now, &old) && is_accepted(&first, now, &new));
    assert!(!is_accepted(&second, now, &new));
    published.mark_unchanged();
    second.refresh(now).await.unwrap();
    assert!(published.has_changed().unwrap());
    assert!(is_accepted(&second, now, &old) && is_accepted(&second, now, &new));
    published.mark_unchanged();
    second.refresh(now).await.unwrap();
    assert!(!published.has_changed().unwrap());
}

#[tokio::test]
async fn a_revoked_key_is_gone_and_another_one_signs() {
    let memory = Memory::default();
    let now = at(NOW);
    let signing = load(&memory, now).await.unwrap();
    let stolen = signing.sign(now, &claims(now)).unwrap();
    let [id] = ids(&signing).try_into().unwrap();
    assert!(!signing.revoke(now, "nobody's").await.unwrap());
    assert!(signing.revoke(now, &id).await.unwrap());
    assert!(!ids(&signing).contains(&id));
    assert!(!is_accepted(&signing, now, &stolen));
    let token = signing.sign(now, &claims(now)).unwrap();
    assert!(is_accepted(&signing, now, &token));
    // The first key, the second, and the revocation.
    assert_eq!(*memory.announced.lock().unwrap(), 3);
}

#[tokio::test]
async fn a_replica_that_cannot_read_the_keys_stops_to_sign() {
    let memory = Memory::default();
    let now = at(NOW);
    let signing = load(&memory, now).await.unwrap();
    *memory.is_away.lock().unwrap() = true;
    let later = at(NOW + 120);
    assert!(matches!(signing.refresh(later).await, Err(Error::Store(_))));
    assert!(signing.sign(later, &claims(later)).is_ok());
    let stale = at(NOW + 121);
    assert!(!signing.is_current(stale));
    let refused = signing.sign(stale, &claims(stale)).unwrap_err();
    assert!(matches!(refused, Error::Stale));
    assert_eq!(Failure::from(refused).code, crate::Code::Unavailable);
    assert_eq!(ids(&signing).len(), 1);
}

#[tokio::test]
async fn ninety_days_later_the_next_key_signs() {
    let memory = Memory::default();
    let mut now = at(NOW);
    let signing = load(&memory, now).await.unwrap();
    let mut signers = Vec::new();
    let mut most = 0;
    // Half an hour around the change, in steps of half a minute.
    now += SignedDuration::from_hours(90 * 24) - SignedDuration::from_mins(10);
    for _ in 0..60 {
        signing.refresh(now).await.unwrap();
        most = most.max(ids(&signing).len());
        let token = signing.sign(now, &claims(now)).unwrap();
        assert!(is_accepted(&signing, now, &token));
        let header = token.split('.').next().unwrap().to_owned();
        if signers.last() != Some(&header) {
            signers.push(header);
        }
        now += SignedDuration::from_secs(30);
    }
    assert_eq!(signers.len(), 2);
    assert_eq!((most, ids(&signing).len()), (2, 1));
    assert_eq!(memory.keys.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_follows_news_and_the_clock() {
    let limit = Duration::from_mins(10);
    let _clock = runtime::clock::virtual_time(at(NOW));
    let memory = Memory::default();
    let ours = Arc::new(load(&memory, runtime::clock::now()).await.unwrap());
    let theirs = load(&memory, runtime::clock::now()).await.unwrap();
    let (news, receiver) = broadcast::channel(4);
    let stop = CancellationToken::new();
    let running = {
        let (ours, stop) = (Arc::clone(&ours), stop.clone());
        tokio::spawn(async move { ours.run(receiver, stop).await })
    };
    let mut published = ours.published();
    let is_of = |count: usize| move |keys: &KeySet| keys.ids().count() == count;

    // Without news, within half a second.
    tokio::time::sleep(Duration::from_millis(100)).await;
    theirs.rotate(runtime::clock::now()).await.unwrap();
    let before = tokio::time::Instant::now();
    let waiting = tokio::time::timeout(limit, published.wait_for(is_of(2)));
    assert!(waiting.await.unwrap().is_ok());
    assert_eq!(before.elapsed().as_millis(), 400);

    // With news, at once; and when news may have been missed.
    for (count, told) in [(3, News::KeysChanged), (4, News::Missed)] {
        theirs.rotate(runtime::clock::now()).await.unwrap();
        let before = tokio::time::Instant::now();
        news.send(told).unwrap();
        let waiting = tokio::time::timeout(limit, published.wait_for(is_of(count)));
        assert!(waiting.await.unwrap().is_ok());
        assert_eq!(before.elapsed().as_millis(), 0);
    }

    // The news end; the clock does not.
    drop(news);
    theirs.rotate(runtime::clock::now()).await.unwrap();
    let waiting = tokio::time::timeout(limit, published.wait_for(is_of(5)));
    assert!(waiting.await.unwrap().is_ok());

    stop.cancel();
    tokio::time::timeout(limit, running).await.unwrap().unwrap();
}
