//! What auth's secrets are, beside credentials: keys.
//!
//! | name | what | rotates |
//! |---|---|---|
//! | `master.v1`, `master.v2`, ... | 32 bytes, raw or in base64: keys of columns, tokens and nonces are derived from them ([`keyring::Purpose`]) | by adding the next version |
//! | `master.current` | the version that seals and signs; the highest when absent | yes |
//! | `index.v1` | 32 bytes, from which the blind index's key and the pepper of passwords are derived | never |
//! | anything else | a credential: the password of the mail server, a provider's client secret | by replacing it |
//!
//! **`index.v1` must never change.** The hash by which an account is found and the pepper of its
//! password hang on it, and neither can be computed anew without what the owner types: when the
//! master key rotates they stay. A process that runs refuses another `index.v1`, and another key
//! under a version that it knows.
//!
//! **To rotate the master key without one refused call**, add `master.v2` with `master.current`
//! still naming `1`, wait until every replica has it (a minute on Kubernetes), then write `2`. A
//! replica that has not got a version yet cannot open what was sealed by it.

pub mod keyring;

/// Secrets that follow their source, with the keys among them.
pub type Secrets = storage::secrets::Secrets<keyring::Keyring>;

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use async_trait::async_trait;
    use futures::FutureExt as _;
    use storage::secrets::{Entries, Error, Source};

    use super::Secrets;
    use crate::secrets::keyring::fixtures::{bytes, keyring_of};

    /// A source that tests change at will.
    #[derive(Clone, Debug)]
    pub(crate) struct Scripted(Arc<Mutex<Entries>>);

    impl Scripted {
        /// What the secrets are from now on, once they [look](Secrets::look).
        pub(crate) fn set(&self, entries: Entries) {
            *self.0.lock().unwrap() = entries;
        }
    }

    #[async_trait]
    impl Source for Scripted {
        async fn read(&self) -> Result<Entries, Error> {
            Ok(self.0.lock().unwrap().clone())
        }

        fn place(&self, name: &str) -> String {
            format!("script/{name}")
        }

        fn interval(&self) -> Duration {
            Duration::from_secs(1)
        }
    }

    /// Secrets, and what changes them.
    pub(crate) fn scripted(entries: Entries) -> (Arc<Secrets>, Scripted) {
        let source = Scripted(Arc::new(Mutex::new(entries)));
        let loaded = Secrets::load(Arc::new(source.clone())).now_or_never();
        (Arc::new(loaded.unwrap().unwrap()), source)
    }

    /// Secrets that nothing changes.
    pub(crate) fn fixed(entries: Entries) -> Arc<Secrets> {
        scripted(entries).0
    }

    #[tokio::test]
    async fn other_keys_under_their_names_are_refused() {
        let (secrets, source) = scripted(keyring_of(&[1]));
        source.set(keyring_of(&[1, 2]));
        assert_eq!(secrets.look().await, Ok(true));
        assert_eq!(secrets.current().keys.current(), 2);

        let mut other_index = keyring_of(&[1, 2, 3]);
        other_index.insert("index.v1".to_owned(), bytes(9));
        let mut other_master = keyring_of(&[1, 2, 3]);
        other_master.insert("master.v2".to_owned(), bytes(9));
        for (bad, name) in [(other_index, "index.v1"), (other_master, "master.v2")] {
            source.set(bad);
            let refused = secrets.look().await.unwrap_err().to_string();
            let expected = format!(
                "use script/{name}: the key changed under its name; put the former one back"
            );
            assert_eq!(refused, expected);
            assert_eq!(secrets.current().keys.current(), 2);
        }
        // A version that is gone is no change of it.
        source.set(keyring_of(&[2, 3]));
        assert_eq!(secrets.look().await, Ok(true));
        assert_eq!(secrets.current().keys.current(), 3);
    }
}
