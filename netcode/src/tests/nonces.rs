//! No pair of key and nonce ever seals two packets (invariant 7 of the architecture).

use super::handshake::copy;
use super::*;
use crate::aead::recorder;
use crate::server::KeyScope;

/// Plays a while in both directions, with keep-alives between the payloads.
fn play(world: &mut World, connection: Connection, client: &mut Client, from: SocketAddr) {
    for _ in 0..20 {
        world.send_up(client, from, &[1]).unwrap();
        world.send_down(connection, client, &[2]);
        world.pass(100);
        if let Some(packet) = world.say(client) {
            world.hear(from, &packet).unwrap();
        }
        for (_, packet) in world.poll().0 {
            world.tell(client, &packet);
        }
    }
}

/// Everything that a token can be tried for, on one server.
fn misuse(world: &mut World, token: ConnectToken) {
    let [second, third, fourth] = [(); 3].map(|()| copy(&token));
    // Denied first, because somebody else has the only place.
    let mut holder = world.client(1_000);
    let place = world.connect(&mut holder, address(1)).unwrap();
    let mut client = world.client_of(token);
    world.connect(&mut client, address(2)).unwrap_err();
    play(world, place, &mut holder, address(1));
    world.server.disconnect(place);
    while !world.poll().0.is_empty() {}

    // A handshake whose packets are repeated, and which succeeds.
    let mut client = world.client_of(second);
    let request = world.say(&mut client).unwrap();
    for _ in 0..3 {
        let (challenge, _) = world.hear(address(2), &request).unwrap();
        world.tell(&mut client, &challenge.unwrap());
    }
    let connection = world.connect(&mut client, address(2)).unwrap();
    play(world, connection, &mut client, address(2));
    client.disconnect();
    while let Some(packet) = world.say(&mut client) {
        world.hear(address(2), &packet).ok();
    }

    // The same token after the disconnect, and from elsewhere.
    for (host, token) in [(2, third), (3, fourth)] {
        let mut client = world.client_of(token);
        assert_eq!(
            world.connect(&mut client, address(host)),
            Err(Refusal::TokenUsed)
        );
    }
}

#[test]
fn no_key_and_nonce_pair_seals_twice() {
    let shared = ServerConfig {
        key_scope: KeyScope::Shared,
        longest_lifetime: Duration::from_secs(LIFETIME),
        max_clients: 1,
        ..config()
    };
    let mut world = World::new(shared.clone());
    world.pass(5_000);
    let token = world.token(7);
    let again = copy(&token);
    misuse(&mut world, token);

    // The same token after a restart, with the same key and with a new one.
    world.restart(shared.clone());
    let mut client = world.client_of(copy(&again));
    assert_eq!(
        world.connect(&mut client, address(2)),
        Err(Refusal::Predates)
    );
    world.restart(ServerConfig {
        key: key(2),
        key_scope: KeyScope::Process,
        ..shared
    });
    let mut client = world.client_of(again);
    assert_eq!(
        world.connect(&mut client, address(2)),
        Err(Refusal::TokenForged)
    );

    let (sealed, repeated) = recorder::recorded();
    assert!(sealed > 100, "only {sealed} packets were sealed");
    assert_eq!(repeated, []);
}

/// The recorder sees what it is for: the same number under the same key.
#[test]
fn the_recorder_finds_a_pair_that_seals_twice() {
    let packet_key = crate::aead::PacketKey::new(&key(5)).unwrap();
    packet_key.seal(3, &[], &mut [0; 20]).unwrap();
    packet_key.seal(4, &[], &mut [0; 20]).unwrap();
    assert_eq!(recorder::recorded(), (2, vec![]));
    packet_key.seal(3, &[], &mut [1; 20]).unwrap();
    assert_eq!(recorder::recorded(), (2, vec![3]));
}

#[test]
fn a_server_that_has_used_every_number_answers_no_request() {
    let mut world = World::new(config());
    let mut client = world.client(1);
    let request = world.say(&mut client).unwrap();
    world.server.exhaust_global_sequence();
    let (challenge, _) = world.hear(address(1), &request).unwrap();
    assert!(challenge.is_some(), "one number was left");
    assert_eq!(world.hear(address(1), &request), Err(Refusal::State));
    assert_eq!(recorder::recorded().1, []);
}

#[test]
fn a_connection_that_has_used_every_number_seals_nothing_more() {
    let mut world = World::new(config());
    let mut client = world.client(1);
    let connection = world.connect(&mut client, address(1)).unwrap();
    world.server.exhaust_sequence(connection);
    assert_eq!(world.send_down(connection, &mut client, &[1]), [1]);
    let sealed = world.server.seal(connection, &[1], &mut [0; 64]);
    assert_eq!(sealed, Err(crate::server::SealError::Buffer));
    assert_eq!(recorder::recorded().1, []);
}
