//! Connecting, playing and parting, as it should go.

use super::*;
use crate::client::{Reason, State};
use crate::server::SealError;

#[test]
fn a_token_makes_a_connection_and_payloads_flow_both_ways() {
    let mut world = World::new(config());
    let mut client = world.client(7);
    let connection = world.connect(&mut client, address(1)).unwrap();
    assert_eq!(client.state(), State::Connected);
    assert_eq!(world.server.client_id(connection), Some(7));
    assert_eq!(world.server.find(7), Some(connection));
    assert_eq!(world.server.address(connection), Some(address(1)));
    assert_eq!(world.server.user_data(connection), Some(&[9; 256]));
    for payload in [&[1][..], &[2; 1200], &[3; 1300]] {
        assert_eq!(
            world.send_up(&mut client, address(1), payload),
            Ok(payload.to_vec())
        );
        assert_eq!(world.send_down(connection, &mut client, payload), payload);
    }
}

#[test]
fn the_first_packet_of_a_connection_has_number_0_in_one_byte() {
    let mut world = World::new(config());
    let mut client = world.client(7);
    let request = world.say(&mut client).unwrap();
    let (challenge, _) = world.hear(address(1), &request).unwrap();
    let challenge = challenge.unwrap();
    assert_eq!(challenge[0], 0x82, "a challenge is numbered in eight bytes");
    assert!(challenge[8] >= 0x80, "from the upper half");
    assert!(world.tell(&mut client, &challenge));
    let response = world.say(&mut client).unwrap();
    let (keep_alive, _) = world.hear(address(1), &response).unwrap();
    assert_eq!(keep_alive.unwrap()[..2], [0x14, 0]);
}

#[test]
fn lost_packets_of_a_handshake_are_sent_again() {
    let mut world = World::new(config());
    let mut client = world.client(7);
    let request = world.say(&mut client).unwrap();
    world.hear(address(1), &request).unwrap();
    assert_eq!(
        world.say(&mut client),
        None,
        "not before the interval is over"
    );
    world.pass(100);
    let request = world.say(&mut client).unwrap();
    let (challenge, _) = world.hear(address(1), &request).unwrap();
    world.tell(&mut client, &challenge.unwrap());
    world.say(&mut client).unwrap();
    world.pass(100);
    let response = world.say(&mut client).unwrap();
    let (_, connection) = world.hear(address(1), &response).unwrap();
    // The keep-alive that answered is lost, and payloads do not tell the client anything.
    let connection = connection.unwrap();
    let mut packets = Vec::new();
    for _ in 0..12 {
        world.pass(10);
        packets.extend(world.poll().0);
        world.server.seal(connection, &[1], &mut [0; 64]).unwrap();
    }
    assert_eq!(packets.len(), 1);
    assert!(world.tell(&mut client, &packets[0].1));
    assert_eq!(client.state(), State::Connected);
}

#[test]
fn silence_is_filled_with_keep_alives_and_then_ends_the_connection() {
    let mut world = World::new(config());
    let mut client = world.client(7);
    let connection = world.connect(&mut client, address(1)).unwrap();
    for _ in 0..100 {
        world.pass(100);
        let packet = world.say(&mut client).unwrap();
        assert_eq!(
            world.hear(address(1), &packet),
            Ok((None, Some(connection)))
        );
        let (packets, ended) = world.poll();
        assert_eq!((packets.len(), ended.len()), (1, 0));
        assert!(world.tell(&mut client, &packets[0].1));
    }
    world.pass(5_000);
    assert!(world.poll().1.is_empty());
    world.pass(1);
    assert_eq!(world.poll().1, [(connection, LossReason::TimedOut)]);
    assert_eq!(world.server.counters().timed_out, 1);
    assert_eq!(world.say(&mut client), None);
    assert_eq!(client.state(), State::Disconnected(Reason::TimedOut));
    assert_eq!(
        world.server.seal(connection, &[1], &mut [0; 64]),
        Err(SealError::NotConnected)
    );
}

#[test]
fn any_of_a_clients_goodbyes_ends_the_connection() {
    let mut world = World::new(config());
    let mut client = world.client(7);
    let connection = world.connect(&mut client, address(1)).unwrap();
    client.disconnect();
    let goodbyes: Vec<_> = std::iter::from_fn(|| world.say(&mut client)).collect();
    assert_eq!(goodbyes.len(), 10);
    assert_eq!(
        world.hear(address(1), &goodbyes[9]),
        Ok((None, Some(connection)))
    );
    assert_eq!(
        world.hear(address(1), &goodbyes[3]),
        Err(Refusal::UnknownAddress)
    );
    assert_eq!(world.server.connected(), 0);
    assert_eq!(client.state(), State::Disconnected(Reason::Left));
}

#[test]
fn the_server_says_goodbye_once_in_each_of_ten_rounds() {
    let mut world = World::new(config());
    let mut clients = [world.client(7), world.client(8)];
    for (client, host) in clients.iter_mut().zip([1, 2]) {
        world.connect(client, address(host)).unwrap();
    }
    world.server.disconnect_all();
    assert_eq!(world.server.connected(), 0);
    for _ in 0..10 {
        let to: Vec<_> = world.poll().0.into_iter().map(|(to, _)| to).collect();
        assert_eq!(to, [address(1), address(2)]);
    }
    assert_eq!(world.poll().0, []);

    let connection = world.client(9);
    let mut client = connection;
    let connection = world.connect(&mut client, address(3)).unwrap();
    assert!(world.server.disconnect(connection));
    assert!(!world.server.disconnect(connection));
    let (packets, _) = world.poll();
    assert!(world.tell(&mut client, &packets[0].1));
    assert_eq!(client.state(), State::Disconnected(Reason::ByServer));
}

#[test]
fn a_full_server_denies_and_the_token_stays_good() {
    let mut world = World::new(ServerConfig {
        max_clients: 1,
        ..config()
    });
    let mut first = world.client(1);
    let connection = world.connect(&mut first, address(1)).unwrap();
    let token = world.token(2);
    let again = copy(&token);
    let mut second = world.client_of(token);
    assert_eq!(world.connect(&mut second, address(2)), Err(Refusal::Full));
    assert_eq!(second.state(), State::Disconnected(Reason::Denied));
    assert_eq!(world.server.counters().denied, 1);
    world.server.disconnect(connection);
    let mut second = world.client_of(again);
    world.connect(&mut second, address(2)).unwrap();
}

#[test]
fn two_handshakes_for_the_last_place_end_in_one_connection() {
    let mut world = World::new(ServerConfig {
        max_clients: 1,
        ..config()
    });
    let mut clients = [world.client(1), world.client(2)];
    let responses = [1, 2].map(|host| {
        let client = &mut clients[usize::from(host) - 1];
        let request = world.say(client).unwrap();
        let (challenge, _) = world.hear(address(host), &request).unwrap();
        world.tell(client, &challenge.unwrap());
        world.say(client).unwrap()
    });
    assert!(matches!(
        world.hear(address(1), &responses[0]),
        Ok((_, Some(_)))
    ));
    let (denial, connection) = world.hear(address(2), &responses[1]).unwrap();
    assert_eq!(connection, None);
    assert!(world.tell(&mut clients[1], &denial.unwrap()));
    assert_eq!(clients[1].state(), State::Disconnected(Reason::Denied));
}

#[test]
fn a_draining_server_denies_and_keeps_its_clients() {
    let mut world = World::new(config());
    let mut client = world.client(1);
    world.connect(&mut client, address(1)).unwrap();
    world.server.set_accepting(false);
    let mut late = world.client(2);
    world.connect(&mut late, address(2)).unwrap_err();
    assert_eq!(late.state(), State::Disconnected(Reason::Denied));
    assert_eq!(world.server.counters().refused.count(Refusal::Draining), 1);
    assert_eq!(world.send_up(&mut client, address(1), &[1]), Ok(vec![1]));
}

#[test]
fn a_newer_token_takes_over_from_a_new_address() {
    let mut world = World::new(ServerConfig {
        max_clients: 1,
        ..config()
    });
    let mut before = world.client(7);
    let old = world.connect(&mut before, address(1)).unwrap();
    world.pass(2_000);
    let mut after = world.client(7);
    let new = world.connect(&mut after, address(2)).unwrap();
    assert_ne!(old, new);
    assert_eq!(old.slot(), new.slot());
    assert_eq!(world.server.find(7), Some(new));
    assert_eq!(
        world.send_up(&mut before, address(1), &[1]),
        Err(Refusal::UnknownAddress)
    );
    assert_eq!(world.send_up(&mut after, address(2), &[2]), Ok(vec![2]));
    let reasons = world.server.counters();
    assert_eq!((reasons.replaced, reasons.timed_out), (1, 0));
    let (packets, ended) = world.poll();
    assert_eq!(ended, [(old, LossReason::Replaced)]);
    assert!(world.tell(&mut before, &packets[0].1));
    assert_eq!(before.state(), State::Disconnected(Reason::ByServer));
}

#[test]
fn an_older_token_does_not_take_over() {
    let mut world = World::new(config());
    let mut older = world.client(7);
    world.pass(2_000);
    let mut newer = world.client(7);
    world.connect(&mut newer, address(1)).unwrap();
    world.connect(&mut older, address(2)).unwrap_err();
    assert_eq!(older.state(), State::Disconnected(Reason::Denied));
    assert_eq!(
        world.server.counters().refused.count(Refusal::OlderToken),
        1
    );
    assert_eq!(world.send_up(&mut newer, address(1), &[1]), Ok(vec![1]));
}

#[test]
fn a_client_that_starts_anew_behind_its_address_replaces_itself() {
    let mut world = World::new(config());
    let mut before = world.client(7);
    let old = world.connect(&mut before, address(1)).unwrap();
    let mut after = world.client(8);
    let new = world.connect(&mut after, address(1)).unwrap();
    assert_eq!(world.poll(), (vec![], vec![(old, LossReason::Replaced)]));
    assert_eq!(world.server.address(new), Some(address(1)));
    assert_eq!(world.server.connected(), 1);
}

#[test]
fn two_keys_open_tokens_and_a_third_does_not() {
    let mut world = World::new(ServerConfig {
        other_key: Some(key(2)),
        ..config()
    });
    for (host, expected) in [(1, Ok(())), (2, Ok(())), (3, Err(Refusal::TokenForged))] {
        let token = world.token_for(host.into(), &key(host), &[server_address()], LIFETIME);
        let mut client = world.client_of(token);
        let connected = world.connect(&mut client, address(host)).map(drop);
        assert_eq!(connected, expected, "key {host}");
    }
}

#[test]
fn a_client_tries_the_servers_of_its_token_in_turn() {
    let mut world = World::new(config());
    let other: SocketAddr = "203.0.113.8:7012".parse().unwrap();
    let token = world.token_for(7, &key(1), &[other, server_address()], LIFETIME);
    let mut client = world.client_of(token);
    assert_eq!(client.server(), other);
    world.say(&mut client).unwrap();
    world.pass(5_001);
    world.say(&mut client).unwrap();
    assert_eq!(client.server(), server_address());
    world.pass(5_001);
    assert_eq!(world.say(&mut client), None);
    assert_eq!(client.state(), State::Disconnected(Reason::RequestTimedOut));
}

#[test]
fn a_client_gives_up_when_its_token_expires() {
    let mut world = World::new(config());
    let token = world.token_for(7, &key(1), &[server_address()], 3);
    let mut client = world.client_of(token);
    world.say(&mut client).unwrap();
    world.pass(3_000);
    let mut buffer = [0; MAX_PACKET_BYTES];
    assert_eq!(
        client.poll(world.now.monotonic, &mut buffer),
        Some(client::Output::Disconnected(Reason::TokenExpired))
    );
    assert_eq!(client.poll(world.now.monotonic, &mut buffer), None);
}

#[test]
fn slots_are_used_again_but_connections_are_not() {
    let mut world = World::new(config());
    let mut seen = Vec::new();
    for id in 0..20 {
        let mut client = world.client(id);
        let connection = world.connect(&mut client, address(1)).unwrap();
        assert!(!seen.contains(&connection));
        seen.push(connection);
        world.server.disconnect(connection);
        assert_eq!(world.server.client_id(connection), None);
        world.pass(100);
    }
}

/// A second token with the same keys, which callers cannot make.
pub(super) fn copy(token: &ConnectToken) -> ConnectToken {
    ConnectToken::read_standard(token.write_standard().unwrap().as_slice()).unwrap()
}

#[test]
fn an_attempt_that_timed_out_goes_on_with_the_same_token_and_new_numbers() {
    let mut world = World::new(config());
    let mut client = world.client(7);
    assert!(!client.retry(world.now.monotonic), "it has not failed yet");
    let request = world.say(&mut client).unwrap();
    let (challenge, _) = world.hear(address(1), &request).unwrap();
    world.tell(&mut client, &challenge.unwrap());
    let first = world.say(&mut client).unwrap();
    // Then the network is gone for longer than either side waits.
    world.pass(6_000);
    while world.say(&mut client).is_some() {}
    assert_eq!(
        client.state(),
        State::Disconnected(Reason::ResponseTimedOut)
    );
    world.poll();
    assert!(client.retry(world.now.monotonic));
    let request = world.say(&mut client).unwrap();
    let (challenge, _) = world.hear(address(1), &request).unwrap();
    world.tell(&mut client, &challenge.unwrap());
    let second = world.say(&mut client).unwrap();
    assert_ne!(first[..2], second[..2], "no number is used twice");
    let (keep_alive, connection) = world.hear(address(1), &second).unwrap();
    assert!(connection.is_some());
    world.tell(&mut client, &keep_alive.unwrap());
    assert_eq!(client.state(), State::Connected);
    assert!(!client.retry(world.now.monotonic));
}
