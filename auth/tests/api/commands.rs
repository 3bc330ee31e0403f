//! What operators do by the command line, beside the service.

use proto::muster::auth::v1 as wire;
use serde_json::json;

use crate::grpc::service;
use crate::world::{PASSWORD, SOON, World};

#[tokio::test]
async fn other_keys_than_those_of_the_accounts_are_refused_at_the_start() {
    let world = World::new().await;
    for name in ["index.v1", "master.v1"] {
        let former = world.secret(name);
        world.put_secret(name, "another key of thirty-two bytes!");
        let refused = world.command(&["rotate-keys"]).await.unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains(name), "{refused}");
        world.put_secret(name, &former);
    }
    world.put_secret("master.v2", "another key of thirty-two bytes!");
    world.command(&["rotate-keys"]).await.unwrap();
}

#[tokio::test]
async fn a_new_master_key_seals_what_the_former_one_did() {
    let world = World::new().await;
    world.player("ada@example.com").await;
    let versions = async || {
        let rows: Vec<(Vec<u8>,)> = world
            .rows("SELECT email FROM users UNION ALL SELECT label FROM identities")
            .await;
        rows.into_iter()
            .map(|(sealed,)| sealed[4])
            .collect::<Vec<_>>()
    };
    assert_eq!(versions().await, [1, 1]);
    world.put_secret("master.v2", "another key of thirty-two bytes!");
    // By the clock of the wall: that of the service runs ahead.
    let began = std::time::Instant::now();
    while versions().await != [2, 2] {
        assert!(began.elapsed() < SOON, "{:?}", versions().await);
        world.pass(std::time::Duration::from_mins(5)).await;
    }
    let tokens = world.login("ada@example.com", PASSWORD).send().await;
    let token = tokens.tokens().access_token;
    let me = world.get("/me").bearer(&token).send().await;
    assert_eq!(me.good()["email"], "ada@example.com");
}

#[tokio::test]
async fn an_operator_gives_roles_and_data() {
    let world = World::new().await;
    let guest = world.guest("a device of nobody").await;
    let player = &*guest.player_id;
    let set = ["set-player", player, "--roles", "moderator,tester"];
    world.command(&set).await.unwrap();
    let data = r#"{"level":7}"#;
    let set = ["set-player", player, "--data", data];
    world.command(&set).await.unwrap();
    let me = world.get("/me").bearer(&guest.access_token).send().await;
    assert_eq!(me.good()["roles"], json!(["moderator", "tester"]));
    // The audit log of it is written when the command has ended.
    let request = wire::ListAuditRequest {
        player_id: player.to_owned(),
        ..Default::default()
    };
    let lines = service(&world).list_audit(request).await.unwrap();
    let lines = lines.into_inner().lines;
    let changes = lines.iter().filter(|line| line.event == "account_changed");
    assert_eq!(changes.count(), 2);
    world
        .command(&["set-player", player, "--roles", ""])
        .await
        .unwrap();
    let me = world.get("/me").bearer(&guest.access_token).send().await;
    assert_eq!(me.good()["roles"], json!([]));
    let server = "203.0.113.7:7012".to_owned();
    let assign = wire::AssignServerRequest {
        player_id: player.to_owned(),
        session_id: guest.session_id.clone(),
        game_server: server.clone(),
    };
    let mut service = service(&world);
    service.assign_server(assign).await.unwrap();
    let known = wire::ValidateSessionRequest {
        player_id: player.to_owned(),
        session_key: guest.session_id.clone(),
        game_server: server,
    };
    let known = service.validate_session(known).await.unwrap().into_inner();
    assert_eq!(known.player_data, data);

    let nobody = uuid::Uuid::new_v4().to_string();
    let refused = world
        .command(&["set-player", &nobody, "--roles", "a"])
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.starts_with("not_found"), "{refused}");
}
