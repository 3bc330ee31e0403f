//! What the program does beside serving, done by the program over a real PostgreSQL and a real
//! Valkey: the drill of backups, keys that are replaced, accounts that are closed.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

mod commands {
    pub(crate) mod world;
}
#[path = "totp/app.rs"]
mod totp;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;

use commands::world::{PASSWORD, Replica, Tokens, World, until};

/// Sets an authenticator up; returns its secret.
async fn enroll(replica: &Replica, tokens: &Tokens) -> String {
    let bearer = Some(tokens.access.as_str());
    let body = json!({ "password": PASSWORD });
    let (status, enrolled) = replica.post("/totp", bearer, &body).await;
    assert!(status.is_success(), "{status} {enrolled}");
    let secret = enrolled["secret"].as_str().unwrap().to_owned();
    // The step before, so that the present one is left for the sign-in.
    let before = runtime::clock::now() - SignedDuration::from_secs(30);
    let body = json!({ "code": totp::code(&secret, before) });
    let (status, answer) = replica.post("/totp/confirm", bearer, &body).await;
    assert!(status.is_success(), "{status} {answer}");
    secret
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_go_on_after_both_databases_were_lost() {
    let mut world = World::start();
    let replica = world.replica().await;
    let (ada, bob) = ("ada@example.com", "bob@example.com");
    let tokens = replica.register(ada).await;
    let from_before = replica.refresh(&tokens.refresh).await.unwrap();
    let secret = enroll(&replica, &from_before).await;
    let of_bob = replica.register(bob).await;

    let place = world.archive();
    let said = world.good(&["backup", &place]).await;
    assert!(said.contains("Backup written"), "{said}");
    // What the backup does not know.
    let after = replica.refresh(&of_bob.refresh).await.unwrap();
    let carol = replica.register("carol@example.com").await;

    drop(replica);
    world.lose_databases();
    let said = world.good(&["restore", &place]).await;
    assert!(said.contains("Restored"), "{said}");
    // A second time it is in the way.
    let (is_good, said) = world.run(&["restore", &place]).await;
    assert!(!is_good && said.contains("is not empty"), "{said}");
    world.good(&["restore", &place, "--replace"]).await;

    let replica = world.replica().await;
    // The address is found, the password fits, and what was sealed opens.
    let (status, challenge) = replica.login(ada).await;
    assert!(status.is_success(), "{status} {challenge}");
    let code = totp::code(&secret, runtime::clock::now());
    let body = json!({ "challenge": challenge["challenge"], "code": code });
    let (status, entered) = replica.post("/login", None, &body).await;
    assert!(status.is_success(), "{status} {entered}");
    assert_eq!(entered["player_id"], tokens.player);
    // Tokens from before are good, access tokens too: the keys that signed them are there.
    assert!(replica.accepts(&from_before.access).await);
    let next = replica.refresh(&from_before.refresh).await.unwrap();
    assert_eq!(next.player, tokens.player);
    // One from after is refused, and its session left as it is.
    assert!(replica.refresh(&after.refresh).await.is_none());
    assert!(replica.refresh(&of_bob.refresh).await.is_some());
    assert!(replica.refresh(&carol.refresh).await.is_none());
    assert!(!replica.login("carol@example.com").await.0.is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_sqlite_is_refused() {
    let world = World::start();
    let folder = std::env::temp_dir().join(format!("muster-none-{}", Uuid::new_v4()));
    let file = folder.display().to_string();
    for command in ["backup", "restore"] {
        let words = ["--sqlite", &file, command, &world.archive()];
        let (is_good, said) = world.run(&words).await;
        assert!(!is_good && said.contains("copy its file"), "{said}");
    }
    assert!(!folder.exists());
}

/// The id of the key that signed a token.
fn signer(token: &str) -> String {
    let (header, _) = token.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_replaced_and_revoked_while_replicas_serve() {
    let world = World::start();
    let replica = world.replica().await;
    let first = replica.register("ada@example.com").await;
    let former = signer(&first.access);

    world.good(&["rotate-keys"]).await;
    until("a new key to sign", async || {
        signer(&replica.enter("ada@example.com").await.access) != former
    })
    .await;
    assert!(replica.keys().await.contains(&former));
    assert!(replica.accepts(&first.access).await, "nothing is void");

    world.good(&["rotate-keys", "--revoke", &former]).await;
    until("the former key to be refused", async || {
        !replica.accepts(&first.access).await
    })
    .await;
    assert!(!replica.keys().await.contains(&former));
    // Its session lives, and goes on with a key that is good.
    let next = replica.refresh(&first.refresh).await.unwrap();
    assert!(replica.accepts(&next.access).await);

    let (is_good, said) = world.run(&["rotate-keys", "--revoke", "none"]).await;
    assert!(
        !is_good && said.contains("there is no signing key"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_closed_and_opened_while_replicas_serve() {
    let world = World::start();
    let replica = world.replica().await;
    let email = "ada@example.com";
    let tokens = replica.register(email).await;

    world.good(&["disable", &tokens.player]).await;
    until("the session to end", async || {
        !replica.accepts(&tokens.access).await
    })
    .await;
    assert!(replica.refresh(&tokens.refresh).await.is_none());
    let (status, answer) = replica.login(email).await;
    assert!(!status.is_success(), "{answer}");

    world.good(&["enable", &tokens.player]).await;
    // Tokens know whole seconds: those of the one in which the account was closed are void, too.
    until("tokens to be good again", async || {
        replica.accepts(&replica.enter(email).await.access).await
    })
    .await;
    assert!(replica.refresh(&tokens.refresh).await.is_none());

    let nobody = Uuid::new_v4().to_string();
    for command in ["disable", "enable"] {
        let (is_good, said) = world.run(&[command, &nobody]).await;
        assert!(!is_good && said.contains("no such account"), "{said}");
        assert!(!said.contains("Changed"), "{said}");
    }
}
