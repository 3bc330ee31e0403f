//! The crate as a whole: against a fake hub in virtual time, and over real sockets.

mod cluster;
mod fake_hub;
mod sockets;
mod tls;

use std::path::PathBuf;

use proto::agones::dev::sdk::{GameServer, game_server};

/// A file that is removed at the end of its test.
pub(crate) struct TestFile(pub(crate) PathBuf);

impl TestFile {
    pub(crate) fn new(content: &str) -> Self {
        let name = format!("sdk-server-test-{:x}", crate::random::number());
        let file = Self(std::env::temp_dir().join(name));
        file.write(content);
        file
    }

    pub(crate) fn write(&self, content: &str) {
        std::fs::write(&self.0, content).unwrap();
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

pub(crate) fn game_server(state: &str) -> GameServer {
    let health = game_server::spec::Health {
        disabled: false,
        period_seconds: 5,
        failure_threshold: 3,
        initial_delay_seconds: 5,
    };
    GameServer {
        object_meta: Some(game_server::ObjectMeta {
            name: "gs-1".into(),
            namespace: "games".into(),
            uid: "uid-1".into(),
            ..Default::default()
        }),
        spec: Some(game_server::Spec {
            health: Some(health),
        }),
        status: Some(game_server::Status {
            state: state.into(),
            ..Default::default()
        }),
    }
}
