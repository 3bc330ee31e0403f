//! What must not work, and what it may cost.

use super::handshake::copy;
use super::*;
use crate::packet::REQUEST_BYTES;
use crate::rate::Rate;
use crate::server::KeyScope;

fn refusal(world: &mut World, host: u8, packet: &[u8]) -> Option<Refusal> {
    world.hear(address(host), packet).err()
}

fn request(world: &mut World, client_id: u64) -> Vec<u8> {
    let mut client = world.client(client_id);
    world.say(&mut client).unwrap()
}

#[test]
fn requests_are_refused_by_what_is_cheapest_to_see() {
    let mut world = World::new(config());
    let good = request(&mut world, 1);
    let mut check = |change: &dyn Fn(&mut Vec<u8>), expected| {
        let mut packet = good.clone();
        change(&mut packet);
        assert_eq!(refusal(&mut world, 1, &packet), expected);
    };
    check(&|packet| packet.truncate(0), Some(Refusal::Length));
    check(
        &|packet| packet.truncate(REQUEST_BYTES - 1),
        Some(Refusal::Length),
    );
    check(&|packet| packet.push(0), Some(Refusal::Length));
    check(&|packet| packet[0] = 0x10, Some(Refusal::Prefix));
    check(&|packet| packet[0] = 0x17, Some(Refusal::Prefix));
    check(&|packet| packet[11] = b'1', Some(Refusal::Version));
    check(&|packet| packet[14] ^= 1, Some(Refusal::Protocol));
    check(&|packet| packet[22..30].fill(0), Some(Refusal::Expired));
    check(&|packet| packet[22..30].fill(0xff), Some(Refusal::Lifetime));
    check(&|packet| packet[22] ^= 1, Some(Refusal::TokenForged));
    check(&|packet| packet[30] ^= 1, Some(Refusal::TokenForged));
    check(&|packet| packet[54] ^= 1, Some(Refusal::TokenForged));
    check(
        &|packet| packet[REQUEST_BYTES - 1] ^= 1,
        Some(Refusal::TokenForged),
    );
    check(&|_| {}, None);
}

#[test]
fn a_token_is_good_until_it_expires() {
    let mut world = World::new(config());
    let [early, late] = [1, 2].map(|id| request(&mut world, id));
    world.now.unix_seconds += LIFETIME - 1;
    assert_eq!(refusal(&mut world, 1, &early), None);
    world.now.unix_seconds += 1;
    assert_eq!(refusal(&mut world, 2, &late), Some(Refusal::Expired));
}

#[test]
fn a_token_makes_one_connection_ever() {
    let mut world = World::new(config());
    let token = world.token(7);
    let (second, third) = (copy(&token), copy(&token));
    let mut client = world.client_of(token);
    let connection = world.connect(&mut client, address(1)).unwrap();
    let mut thief = world.client_of(second);
    assert_eq!(
        world.connect(&mut thief, address(2)),
        Err(Refusal::TokenUsed)
    );
    world.server.disconnect(connection);
    let mut again = world.client_of(third);
    assert_eq!(
        world.connect(&mut again, address(1)),
        Err(Refusal::TokenUsed)
    );
}

#[test]
fn a_clock_that_steps_back_revives_no_token_and_drops_no_player() {
    let mut world = World::new(config());
    let token = world.token(7);
    let again = copy(&token);
    let mut client = world.client_of(token);
    let connection = world.connect(&mut client, address(1)).unwrap();
    let mut other = world.client(8);
    let mut buffer = [0; MAX_PACKET_BYTES];
    world.now.unix_seconds += 3_600;
    world.poll();
    assert_eq!(world.send_up(&mut client, address(1), &[1]), Ok(vec![1]));
    world.now.unix_seconds -= 3_600;
    world.server.disconnect(connection);
    world.poll();
    let mut thief = world.client_of(again);
    assert_eq!(
        world.connect(&mut thief, address(2)),
        Err(Refusal::Predates)
    );
    // Tokens of the same second are refused with it; the next second's are good.
    assert_eq!(
        world.connect(&mut other, address(3)),
        Err(Refusal::Predates)
    );
    world.pass(1_000);
    let mut later = world.client(9);
    let later = world.connect(&mut later, address(3)).unwrap();
    assert!(world.server.seal(later, &[1], &mut buffer).is_ok());
}

#[test]
fn tokens_that_may_be_older_than_the_process_are_refused_under_a_shared_key() {
    let shared = ServerConfig {
        key_scope: KeyScope::Shared,
        longest_lifetime: Duration::from_secs(LIFETIME),
        ..config()
    };
    let mut world = World::new(shared.clone());
    world.pass(5_000);
    let [used, unused] = [1, 2].map(|id| world.token(id));
    let again = copy(&used);
    let mut client = world.client_of(used);
    world.connect(&mut client, address(1)).unwrap();
    world.pass(2_000);
    world.restart(shared);
    for (host, token) in [(1, again), (2, unused)] {
        let mut client = world.client_of(token);
        assert_eq!(
            world.connect(&mut client, address(host)),
            Err(Refusal::Predates)
        );
    }
    world.pass(1_000);
    let mut fresh = world.client(3);
    world.connect(&mut fresh, address(3)).unwrap();
}

#[test]
fn a_process_with_its_own_key_takes_no_token_of_its_predecessor() {
    let mut world = World::new(config());
    let token = world.token(1);
    world.restart(ServerConfig {
        key: key(2),
        ..config()
    });
    let mut client = world.client_of(token);
    assert_eq!(
        world.connect(&mut client, address(1)),
        Err(Refusal::TokenForged)
    );
    let fresh = world.token_for(2, &key(2), &[server_address()], LIFETIME);
    let mut client = world.client_of(fresh);
    world.connect(&mut client, address(1)).unwrap();
}

#[test]
fn a_token_for_another_server_is_refused() {
    let mut world = World::new(config());
    let other: SocketAddr = "203.0.113.9:7012".parse().unwrap();
    for servers in [vec![other], vec![server_address(), other]] {
        let token = world.token_for(1, &key(1), &servers, LIFETIME);
        let mut client = world.client_of(token);
        assert_eq!(
            world.connect(&mut client, address(1)),
            Err(Refusal::WrongServer)
        );
    }
    assert!(
        Server::new(
            ServerConfig {
                addresses: Vec::new(),
                key_scope: KeyScope::Shared,
                ..config()
            },
            world.now,
            &mut Seeded::new(1)
        )
        .is_err()
    );
}

#[test]
fn one_network_cannot_ask_more_often_than_its_rate() {
    let mut world = World::new(ServerConfig {
        prefix_rate: Rate {
            per_second: 10,
            burst: 3,
        },
        ..config()
    });
    let mut junk = request(&mut world, 1);
    junk[100] ^= 1;
    let mut seen = Vec::new();
    for host in 1..=5 {
        seen.push(refusal(&mut world, host, &junk).unwrap());
    }
    assert_eq!(seen[..3], [Refusal::TokenForged; 3]);
    assert_eq!(seen[3..], [Refusal::PrefixRate; 2]);
    let elsewhere: SocketAddr = "192.0.2.1:5000".parse().unwrap();
    assert_eq!(world.hear(elsewhere, &junk), Err(Refusal::TokenForged));
    world.pass(100);
    assert_eq!(refusal(&mut world, 9, &junk), Some(Refusal::TokenForged));
}

#[test]
fn the_whole_world_cannot_have_more_tokens_opened_than_the_total_rate() {
    let mut world = World::new(ServerConfig {
        total_rate: Rate {
            per_second: 1,
            burst: 20,
        },
        ..config()
    });
    let mut client = world.client(1);
    let connection = world.connect(&mut client, address(1)).unwrap();
    let mut junk = request(&mut world, 2);
    junk[100] ^= 1;
    for network in 0..200 {
        let from = SocketAddr::from(([10, network, 0, 1], 5000));
        world.hear(from, &junk).unwrap_err();
    }
    let refused = world.server.counters().refused;
    assert_eq!(refused.count(Refusal::TokenForged), 19);
    assert_eq!(refused.count(Refusal::TotalRate), 181);
    assert_eq!(world.send_down(connection, &mut client, &[5]), [5]);
}

#[test]
fn the_tables_of_handshakes_and_of_spent_tokens_are_bounded() {
    let mut world = World::new(ServerConfig {
        max_pending: 2,
        max_spent_tokens: 3,
        ..config()
    });
    let requests = [1, 2, 3].map(|id| request(&mut world, id));
    assert_eq!(refusal(&mut world, 1, &requests[0]), None);
    assert_eq!(refusal(&mut world, 2, &requests[1]), None);
    assert_eq!(
        refusal(&mut world, 3, &requests[2]),
        Some(Refusal::PendingTable)
    );
    assert_eq!(world.server.pending(), 2);
    world.pass(5_000);
    world.poll();
    assert_eq!(
        (world.server.pending(), world.server.counters().lapsed),
        (0, 2)
    );
    assert_eq!(refusal(&mut world, 3, &requests[2]), None);

    for id in 10..13 {
        let mut client = world.client(id);
        world.connect(&mut client, address(9)).unwrap();
    }
    let mut client = world.client(13);
    assert_eq!(
        world.connect(&mut client, address(9)),
        Err(Refusal::TokenTable)
    );
    world.pass(LIFETIME * 1_000);
    world.poll();
    let mut client = world.client(14);
    world.connect(&mut client, address(9)).unwrap();
}

#[test]
fn a_copied_request_helps_nobody_elsewhere() {
    let mut world = World::new(config());
    let mut client = world.client(1);
    let request = world.say(&mut client).unwrap();
    let (challenge, _) = world.hear(address(1), &request).unwrap();
    assert_eq!(
        refusal(&mut world, 2, &request),
        Some(Refusal::TokenElsewhere)
    );
    world.tell(&mut client, &challenge.unwrap());
    let response = world.say(&mut client).unwrap();
    assert_eq!(
        refusal(&mut world, 2, &response),
        Some(Refusal::UnknownAddress)
    );

    // After the first handshake lapsed the copy is challenged, but not with what the client returns.
    world.pass(5_000);
    world.poll();
    assert_eq!(refusal(&mut world, 2, &request), None);
    assert_eq!(refusal(&mut world, 2, &response), Some(Refusal::Challenge));
    assert_eq!(world.server.connected(), 0);
}

#[test]
fn replayed_changed_and_readdressed_packets_reach_nobody() {
    let mut world = World::new(config());
    let mut client = world.client(1);
    let connection = world.connect(&mut client, address(1)).unwrap();
    let mut buffer = [0; MAX_PACKET_BYTES];
    let length = client.seal(&[7; 100], &mut buffer).unwrap();
    let packet = buffer[..length].to_vec();
    assert_eq!(
        refusal(&mut world, 2, &packet),
        Some(Refusal::UnknownAddress)
    );
    for place in [0, 1, 2, length / 2, length - 1] {
        let mut changed = packet.clone();
        changed[place] ^= 0x01;
        assert!(refusal(&mut world, 1, &changed).is_some(), "{place}");
    }
    assert!(refusal(&mut world, 1, &packet[..length - 1]).is_some());
    assert_eq!(
        world.hear(address(1), &packet),
        Ok((None, Some(connection)))
    );
    assert_eq!(refusal(&mut world, 1, &packet), Some(Refusal::Replayed));
    assert_eq!(world.server.counters().opened, 1);
}

#[test]
fn packets_may_overtake_each_other_within_the_window() {
    let mut world = World::new(config());
    let mut client = world.client(1);
    world.connect(&mut client, address(1)).unwrap();
    let mut sealed = Vec::new();
    for _ in 0..300 {
        let mut buffer = [0; 64];
        let length = client.seal(&[1], &mut buffer).unwrap();
        sealed.push(buffer[..length].to_vec());
    }
    for (place, packet) in sealed.iter().enumerate().rev() {
        let expected = (place < 300 - 256).then_some(Refusal::Replayed);
        assert_eq!(refusal(&mut world, 1, packet), expected, "{place}");
    }
}

#[test]
fn a_client_takes_packets_of_its_server_alone_and_once() {
    let mut world = World::new(config());
    let mut client = world.client(1);
    let connection = world.connect(&mut client, address(1)).unwrap();
    let mut buffer = [0; MAX_PACKET_BYTES];
    let length = world.server.seal(connection, &[1], &mut buffer).unwrap();
    let packet = buffer[..length].to_vec();
    let now = world.now.monotonic;
    let mut receive = |from, packet: &[u8]| {
        let mut packet = packet.to_vec();
        match client.receive(now, from, &mut packet) {
            client::Event::Refused(refusal) => Some(refusal),
            _ => None,
        }
    };
    assert_eq!(receive(address(9), &packet), Some(Refusal::UnknownAddress));
    assert_eq!(receive(server_address(), &packet), None);
    assert_eq!(receive(server_address(), &packet), Some(Refusal::Replayed));
    let mut denial = packet.clone();
    denial[0] = 0x11;
    denial.truncate(18);
    assert_eq!(receive(server_address(), &denial), Some(Refusal::State));
}

#[test]
fn a_caller_that_never_polls_cannot_make_the_event_queue_grow() {
    let mut world = World::new(ServerConfig {
        max_clients: 2,
        ..config()
    });
    let mut refused = None;
    for _ in 0..10 {
        let mut client = world.client(1);
        refused = world.connect(&mut client, address(1)).err();
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused, Some(Refusal::EventQueue));
    assert_eq!(world.poll().1.len(), 3);
    let mut client = world.client(1);
    world.connect(&mut client, address(1)).unwrap();
}
