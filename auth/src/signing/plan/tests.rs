//! The plan in tables, and in virtual time with replicas that lag and clocks that are apart.

use proptest::prelude::*;

use super::*;

const START: i64 = 1_700_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// Short times, so that little time shows much: ahead 100 + 200 + 60, keep 100 + 300 + 120.
fn policy() -> Policy {
    Policy {
        rotate_every: seconds(2000),
        cache_max_age: seconds(200),
        lag: seconds(100),
    }
}

fn key(id: &str, published: i64, activates: i64) -> SigningKey {
    SigningKey {
        id: id.to_owned(),
        public: Vec::new(),
        private: Vec::new(),
        published: at(published),
        activates: at(activates),
        revoked: None,
    }
}

fn revoked(key: SigningKey, second: i64) -> SigningKey {
    SigningKey {
        revoked: Some(at(second)),
        ..key
    }
}

/// The plan as one line.
fn show(second: i64, keys: &[SigningKey]) -> String {
    let plan = plan(at(second), &policy(), keys);
    let add = plan.add.map(|times| {
        let since = |time: Timestamp| time.as_second() - START;
        format!(
            " add {}..{}",
            since(times.published),
            since(times.activates)
        )
    });
    format!(
        "{} of {}{}",
        plan.current.as_deref().unwrap_or("-"),
        plan.published.join(" "),
        add.unwrap_or_default()
    )
}

#[test]
fn ninety_days_and_the_times_around_them() {
    let policy = Policy::default();
    assert_eq!(policy.rotate_every, SignedDuration::from_hours(2160));
    assert_eq!(policy.ahead(), seconds(2 * 60 + 5 * 60 + 60));
    assert_eq!(policy.keep(), seconds(2 * 60 + 5 * 60 + 60 + 60));
}

#[test]
fn the_first_key_signs_at_once() {
    assert_eq!(show(0, &[]), "- of  add 0..0");
    let first = [key("a", 0, 0)];
    assert_eq!(show(0, &first), "a of a");
    // On a replica whose clock is behind too.
    assert_eq!(show(-60, &first), "a of a");
    assert_eq!(show(-61, &first), "- of a add -61..-61");
}

#[test]
fn the_next_key_is_published_before_it_signs_and_the_old_one_is_kept_after() {
    let mut keys = vec![key("a", 0, 0)];
    assert_eq!(show(1639, &keys), "a of a");
    assert_eq!(show(1640, &keys), "a of a add 1640..2000");
    // Nobody looked for a while: no shorter notice for that.
    assert_eq!(show(5000, &keys), "a of a add 5000..5360");
    keys.push(key("b", 1640, 2000));
    assert_eq!(show(1641, &keys), "a of a b");
    assert_eq!(show(1999, &keys), "a of a b");
    assert_eq!(show(2000, &keys), "b of a b");
    assert_eq!(show(2519, &keys), "b of a b");
    assert_eq!(show(2520, &keys), "b of b");
}

#[test]
fn a_key_at_once_takes_over_and_the_schedule_goes_on() {
    let keys = [key("a", 0, 0), key("b", 100, 100)];
    assert_eq!(show(100, &keys), "b of a b");
    assert_eq!(show(620, &keys), "b of b");
    assert_eq!(show(1739, &keys), "b of b");
    assert_eq!(show(1740, &keys), "b of b add 1740..2100");
    // While the next one waits for its time.
    let keys = [key("a", 0, 0), key("c", 1700, 1700), key("b", 1640, 2000)];
    assert_eq!(show(1700, &keys), "c of a b c");
    assert_eq!(show(2000, &keys), "b of a b c");
    assert_eq!(show(2220, &keys), "b of b c");
}

#[test]
fn a_key_at_once_comes_after_one_of_a_clock_that_is_ahead() {
    let ahead = key("a", 30, 30);
    let times = at_once(at(0), std::slice::from_ref(&ahead));
    assert_eq!(times.published, at(0));
    let next = SigningKey {
        activates: times.activates,
        ..key("0", 0, 0)
    };
    assert_eq!(show(31, &[ahead, next]), "0 of 0 a");
    let waiting = key("b", 0, 300);
    assert_eq!(at_once(at(0), &[waiting]).activates, at(0));
}

#[test]
fn a_revoked_key_is_replaced_at_once_and_no_older_one_comes_back() {
    let stolen = revoked(key("b", 100, 100), 700);
    let keys = [key("a", 0, 0), stolen.clone()];
    assert_eq!(show(700, &keys), "- of  add 700..700");
    let keys = [key("a", 0, 0), stolen, key("c", 700, 700)];
    assert_eq!(show(700, &keys), "c of c");
    // The one before the stolen one still verifies what it signed.
    let keys = [
        key("a", 0, 0),
        revoked(key("b", 100, 100), 200),
        key("c", 200, 200),
    ];
    assert_eq!(show(200, &keys), "c of a c");
    assert_eq!(show(620, &keys), "c of c");
}

#[test]
fn a_key_that_is_revoked_before_it_signs_leaves_the_line() {
    let keys = [key("a", 0, 0), revoked(key("b", 1640, 2000), 1700)];
    assert_eq!(show(1700, &keys), "a of a add 1700..2060");
    let keys = [keys[0].clone(), keys[1].clone(), key("c", 1700, 2060)];
    assert_eq!(show(2010, &keys), "a of a c");
    assert_eq!(show(2060, &keys), "c of a c");
}

/// What happens in the model.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Time passes.
    Pass(i64),
    /// A replica refreshes.
    Refresh(usize),
    /// An administrator wants another key now.
    Rotate(usize),
    /// The key that signs, or another, is revoked.
    Revoke(usize),
    /// A replica signs.
    Sign(usize),
    /// A verifier fetches its keys from a replica.
    Fetch(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..40_i64).prop_map(Step::Pass),
        3 => (0..3_usize).prop_map(Step::Refresh),
        8 => (0..3_usize).prop_map(Step::Sign),
        3 => (0..3_usize, 0..3_usize).prop_map(|(verifier, replica)| Step::Fetch(verifier, replica)),
        1 => prop_oneof![
            4 => (0..3_usize).prop_map(Step::Rotate),
            1 => (0..9_usize).prop_map(Step::Revoke),
        ],
    ]
}

/// A replica: what it knows, since when, and how far its clock is off.
struct Replica {
    keys: Vec<SigningKey>,
    read: i64,
    offset: i64,
}

/// A verifier: what it knows and since when.
struct Verifier {
    known: Vec<String>,
    fetched: i64,
}

struct World {
    time: i64,
    truth: Vec<SigningKey>,
    replicas: Vec<Replica>,
    verifiers: Vec<Verifier>,
    /// The key of each live token, and until when it lives.
    tokens: Vec<(String, i64)>,
    checked: usize,
}

impl World {
    fn new(offsets: [i64; 3]) -> Self {
        let replica = |offset| Replica {
            keys: Vec::new(),
            read: 0,
            offset,
        };
        let mut world = Self {
            time: 0,
            truth: Vec::new(),
            replicas: offsets.map(replica).into(),
            verifiers: Vec::new(),
            tokens: Vec::new(),
            checked: 0,
        };
        for index in 0..3 {
            world.refresh(index);
        }
        for replica in 0..3 {
            let known = world.jwks(replica);
            world.verifiers.push(Verifier { known, fetched: 0 });
        }
        world
    }

    fn now(&self, replica: usize) -> Timestamp {
        at(self.time + self.replicas[replica].offset)
    }

    fn add(&mut self, times: Times) {
        let id = format!("{:03}", self.truth.len());
        self.truth.push(SigningKey {
            published: times.published,
            activates: times.activates,
            ..key(&id, 0, 0)
        });
    }

    fn refresh(&mut self, index: usize) {
        let now = self.now(index);
        if let Some(times) = plan(now, &policy(), &self.truth).add {
            self.add(times);
            // Idempotence: the plan of its own result is empty.
            assert_eq!(plan(now, &policy(), &self.truth).add, None);
        }
        self.replicas[index].keys = self.truth.clone();
        self.replicas[index].read = self.time;
    }

    fn jwks(&self, replica: usize) -> Vec<String> {
        plan(self.now(replica), &policy(), &self.replicas[replica].keys).published
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Pass(more) => self.pass(more),
            Step::Refresh(replica) => self.refresh(replica),
            Step::Rotate(replica) => {
                self.add(at_once(self.now(replica), &self.truth));
                // The key signs on a replica that knows it; the others lag.
                self.refresh(replica);
            }
            Step::Revoke(back) => {
                if let Some(index) = self.truth.len().checked_sub(back + 1) {
                    let now = at(self.time);
                    self.truth[index].revoked.get_or_insert(now);
                }
            }
            Step::Sign(replica) => {
                let now = self.now(replica);
                if let Some(key) = current(now, &self.replicas[replica].keys) {
                    self.tokens.push((key.id.clone(), self.time + 300));
                }
            }
            Step::Fetch(verifier, replica) => {
                self.verifiers[verifier] = Verifier {
                    known: self.jwks(replica),
                    fetched: self.time,
                };
            }
        }
        self.check();
    }

    /// Time passes; nobody lags more than the policy allows.
    fn pass(&mut self, more: i64) {
        self.time += more;
        for index in 0..3 {
            if self.time - self.replicas[index].read > policy().lag.as_secs() - 40 {
                self.refresh(index);
            }
        }
        for index in 0..3 {
            if self.time - self.verifiers[index].fetched > policy().cache_max_age.as_secs() - 40 {
                self.run(Step::Fetch(index, (index + 1) % 3));
            }
        }
        let time = self.time;
        self.tokens.retain(|(_, until)| *until > time);
    }

    /// Every live token is accepted by every verifier.
    fn check(&mut self) {
        for (id, _) in &self.tokens {
            let key = self.truth.iter().find(|key| key.id == *id).unwrap();
            // A key at once is pushed; a verifier that polls knows it after the notice that any
            // other key gives.
            let has_notice = later(key.published, policy().ahead()) <= key.activates
                || at(self.time) >= later(key.published, policy().ahead());
            if key.revoked.is_some() || !has_notice {
                continue;
            }
            for verifier in &self.verifiers {
                assert!(
                    verifier.known.contains(id),
                    "{id} is unknown at {} to a verifier of {}; keys {:?}",
                    self.time,
                    verifier.fetched,
                    self.truth
                );
                self.checked += 1;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_valid_token_is_ever_refused(
        offsets in [-30..30_i64, -30..30_i64, -30..30_i64],
        steps in prop::collection::vec(step(), 300..900),
    ) {
        let mut world = World::new(offsets);
        for step in steps {
            world.run(step);
        }
        prop_assert!(world.checked > 0);
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter(
        times in prop::collection::vec((0..3000_i64, 0..500_i64, prop::option::of(0..4000_i64)), 0..6),
        now in 0..4000_i64,
        seed in any::<prop::sample::Index>(),
    ) {
        let keys: Vec<SigningKey> = times
            .iter()
            .enumerate()
            .map(|(index, (published, ahead, end))| {
                let key = key(&index.to_string(), *published, published + ahead);
                SigningKey { revoked: end.map(at), ..key }
            })
            .collect();
        let mut turned = keys.clone();
        if !turned.is_empty() {
            turned.rotate_left(seed.index(keys.len()));
            turned.reverse();
        }
        prop_assert_eq!(show(now, &keys), show(now, &turned));
        let plan = plan(at(now), &policy(), &keys);
        if let Some(current) = &plan.current {
            prop_assert!(plan.published.contains(current));
        }
        prop_assert!(plan.current.is_some() || plan.add == Some(at_once(at(now), &keys)));
    }
}
