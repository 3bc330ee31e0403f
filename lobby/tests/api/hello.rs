//! How a socket begins.

use std::time::Duration;

use access::Revocation;
use lobby::socket::close;
use lobby::socket::codec::Codec;
use proto::muster::lobby::v1 as wire;
use wire::answer::Answer;
use wire::call::Call;

use crate::client::{Client, hello, open};
use crate::world::{World, bound_token, claims, player, proof, token, token_of};

#[tokio::test]
async fn players_sign_in_and_call_in_both_forms() {
    let world = World::new().await;
    for (number, codec) in [(1, Codec::Json), (2, Codec::Proto)] {
        let mut client = Client::new(&world, codec).await;
        let welcome = client.sign_in(hello(&token(number))).await;
        assert_eq!(welcome.player_id, player(number).to_string());
        assert!(!welcome.is_resumed);
        assert!(welcome.state.is_some());
        // 128 bits.
        assert_eq!(welcome.resume_token.len(), 22);
        let regions = client.ask(Call::ListMatches(wire::ListMatches::default()));
        let wanted = Answer::Matches(wire::Matches::default());
        assert_eq!(regions.await, Ok(wanted));
    }
    assert_eq!(world.service.parts().sessions.count(), 2);
    assert!(world.metric(r#"muster_lobby_calls_total{call="list_matches",outcome="ok"}"#) > 1.0);
    world.stop().await;
}

#[tokio::test]
async fn a_socket_needs_one_of_the_subprotocols() {
    let world = World::new().await;
    for protocols in [None, Some("chat"), Some("muster.lobby.v2.json")] {
        assert_eq!(open(&world, protocols).await.unwrap_err(), 400);
    }
    let both = "chat, muster.lobby.v1.json, muster.lobby.v1.proto";
    assert!(open(&world, Some(both)).await.is_ok());
    let plain = reqwest::get(format!("http://{}/v1/socket", world.address)).await;
    assert_eq!(plain.unwrap().status(), 400);
}

#[tokio::test]
async fn nobody_is_heard_without_a_good_hello() {
    let world = World::new().await;
    let mut expired = claims(1);
    (expired.iat, expired.exp) = (expired.iat - 900, expired.exp - 900);
    let mut elsewhere = claims(1);
    elsewhere.aud = vec!["game".to_owned()];
    for (call, code) in [
        (Call::ListRegions(wire::ListRegions {}), "sign_in_first"),
        (Call::Hello(wire::Hello::default()), "invalid_token"),
        (Call::Hello(hello("a.b.c")), "invalid_token"),
        (Call::Hello(hello(&token_of(&expired))), "invalid_token"),
        (Call::Hello(hello(&token_of(&elsewhere))), "invalid_token"),
        (Call::Hello(hello(&bound_token(1))), "invalid_token"),
    ] {
        let mut client = Client::new(&world, Codec::Json).await;
        assert_eq!(client.ask(call).await.unwrap_err().code, code);
        assert_eq!(client.end().await, Some(close::SIGN_IN.code));
    }
    assert_eq!(world.service.parts().sessions.count(), 0);
}

#[tokio::test]
async fn who_says_nothing_is_sent_away() {
    let world = World::with(|config| config.limits.hello = Duration::from_millis(50)).await;
    let mut client = Client::new(&world, Codec::Proto).await;
    assert_eq!(client.end().await, Some(close::SIGN_IN.code));
}

#[tokio::test]
async fn a_bound_token_needs_a_proof_that_is_good_once() {
    let world = World::new().await;
    let token = bound_token(1);
    let hello = wire::Hello {
        dpop_proof: proof(&token, "GET", "/v1/socket"),
        ..hello(&token)
    };
    let mut client = Client::new(&world, Codec::Proto).await;
    client.sign_in(hello.clone()).await;
    let mut thief = Client::new(&world, Codec::Proto).await;
    let refused = thief.ask(Call::Hello(hello)).await.unwrap_err();
    assert_eq!(refused.code, "invalid_token");
    for (method, path) in [("POST", "/v1/socket"), ("GET", "/v1/echo")] {
        let hello = wire::Hello {
            dpop_proof: proof(&token, method, path),
            ..crate::client::hello(&token)
        };
        let mut client = Client::new(&world, Codec::Proto).await;
        let refused = client.ask(Call::Hello(hello)).await.unwrap_err();
        assert_eq!(refused.code, "invalid_token");
    }
}

#[tokio::test]
async fn who_is_revoked_is_not_heard_any_more() {
    let world = World::new().await;
    let (mut client, _) = Client::of(&world, 1).await;
    let now = jiff::Timestamp::now();
    let revocation = Revocation {
        player: player(1),
        session: Some(claims(1).sid),
        at: now,
    };
    world.service.parts().verifier.revoke(now, revocation);
    client.call(Call::ListRegions(wire::ListRegions {})).await;
    assert_eq!(client.end().await, Some(close::REVOKED.code));
    // A silent one is found by the next heartbeat.
    let (mut silent, _) = Client::of(&world, 2).await;
    let revocation = Revocation {
        player: player(2),
        session: None,
        at: jiff::Timestamp::now() + Duration::from_secs(1),
    };
    world.service.parts().verifier.revoke(now, revocation);
    lobby::sessions::keep::round(&world.service).await;
    assert_eq!(silent.end().await, Some(close::REVOKED.code));
}
