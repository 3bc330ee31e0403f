//! Replays the committed corpus of the fuzz targets, through the functions that they run.
//!
//! The seeds in it come from fixed inputs, listed here; `UPDATE_CORPUS=1` writes them. Whatever
//! fuzzing finds is added beside them under a name of its own.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

#[path = "../fuzz/decoders.rs"]
mod decoders;

use std::fs;
use std::path::{Path, PathBuf};

use netcode::client::{Client, Output};
use netcode::server::Event;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

struct Seed {
    target: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
}

/// Good input of every kind, and some that is nearly good.
fn seeds() -> Vec<Seed> {
    let token = decoders::token();
    let standard = token.write_standard().unwrap().to_vec();
    let renet = token.write_renet(2).unwrap().to_vec();
    let private = private(&token);
    let user_data = decoders::user_data_sample().encode().to_vec();
    let [request, challenge, response, keep_alive, up, down, goodbye] = packets();
    let with = |bytes: &[u8], place: usize, value: u8| {
        let mut changed = bytes.to_vec();
        changed[place] = value;
        changed
    };
    let servers = 13 + 24 + 24 + 1024 + 4;
    // Created in 1970, and good for longer than any clock runs.
    let mut forever = standard.clone();
    forever[21..29].fill(0);
    forever[29..37].fill(255);
    let list = [
        ("connect_token", "standard", standard.clone()),
        (
            "connect_token",
            "standard-no-server",
            with(&standard, servers, 0),
        ),
        (
            "connect_token",
            "standard-33-servers",
            with(&standard, servers, 33),
        ),
        (
            "connect_token",
            "standard-bad-address",
            with(&standard, servers + 4, 3),
        ),
        (
            "connect_token",
            "standard-version",
            with(&standard, 11, b'1'),
        ),
        ("connect_token", "standard-forever", forever),
        ("connect_token", "standard-times", with(&standard, 28, 255)),
        ("connect_token", "standard-short", standard[..2047].to_vec()),
        (
            "connect_token",
            "renet-short",
            renet[..renet.len() - 1].to_vec(),
        ),
        ("connect_token", "renet", renet),
        ("private_token", "good", private.clone()),
        ("private_token", "no-server", with(&private, 12, 0)),
        ("private_token", "32-servers", with(&private, 12, 32)),
        ("private_token", "short", private[..200].to_vec()),
        ("packet", "request-version", with(&request, 5, 0)),
        ("packet", "request-protocol", with(&request, 14, 9)),
        ("packet", "request-expired", with(&request, 22, 0)),
        ("packet", "request-forged", with(&request, 60, 0)),
        ("packet", "request-short", request[..1077].to_vec()),
        ("packet", "request", request),
        ("packet", "challenge", challenge),
        ("packet", "response-no-number", with(&response, 0, 0x03)),
        ("packet", "response-nine-bytes", with(&response, 0, 0x93)),
        ("packet", "response", response),
        ("packet", "keep-alive", keep_alive),
        ("packet", "payload-up", up),
        ("packet", "payload-down", down),
        ("packet", "disconnect", goodbye),
        ("packet", "empty", Vec::new()),
        ("packet", "kind-7", vec![0x17; 40]),
        ("user_data", "version-2", with(&user_data, 0, 2)),
        ("user_data", "reserved", with(&user_data, 255, 1)),
        ("user_data", "short", user_data[..100].to_vec()),
        ("user_data", "good", user_data),
    ];
    list.into_iter()
        .map(|(target, name, bytes)| Seed {
            target,
            name,
            bytes,
        })
        .collect()
}

/// The private part of a token in the clear, as a server sees it once it is opened.
fn private(token: &netcode::ConnectToken) -> Vec<u8> {
    let mut bytes = 2_u64.to_le_bytes().to_vec();
    bytes.extend(5_i32.to_le_bytes());
    bytes.extend(2_u32.to_le_bytes());
    bytes.extend([1, 127, 0, 0, 1, 0x58, 0x1b]);
    bytes.push(2);
    bytes.extend([1, 0].repeat(8));
    bytes.extend([0x58, 0x1b]);
    bytes.extend(token.client_to_server.expose());
    bytes.extend(token.server_to_client.expose());
    bytes.extend(decoders::user_data_sample().encode());
    bytes.resize(1008, 0);
    bytes
}

/// The packets of a session in their order.
fn packets() -> [Vec<u8>; 7] {
    let now = decoders::NOW;
    let mut server = decoders::server();
    let mut client = Client::new(decoders::token(), now.monotonic).unwrap();
    let mut buffer = [0; 2048];
    let mut next = |client: &mut Client| match client.poll(now.monotonic, &mut buffer) {
        Some(Output::Transmit { packet, .. }) => packet.to_vec(),
        other => panic!("{other:?}"),
    };
    let request = next(&mut client);
    let mut packet = request.clone();
    let Event::Reply(challenge) = server.receive(now, decoders::address(), &mut packet) else {
        panic!("no challenge");
    };
    let challenge = challenge.to_vec();
    client.receive(now.monotonic, decoders::address(), &mut challenge.clone());
    let response = next(&mut client);
    let mut packet = response.clone();
    let Event::Connected {
        connection, reply, ..
    } = server.receive(now, decoders::address(), &mut packet)
    else {
        panic!("no connection");
    };
    let keep_alive = reply.to_vec();
    client.receive(now.monotonic, decoders::address(), &mut keep_alive.clone());
    let mut sealed = [0; 64];
    let length = client.seal(b"up", &mut sealed).unwrap();
    let up = sealed[..length].to_vec();
    let length = server.seal(connection, b"down", &mut sealed).unwrap();
    let down = sealed[..length].to_vec();
    client.disconnect();
    let goodbye = next(&mut client);
    [request, challenge, response, keep_alive, up, down, goodbye]
}

#[test]
fn the_seeds_in_the_corpus_are_what_the_codecs_write() {
    let is_update = std::env::var_os("UPDATE_CORPUS").is_some();
    for seed in seeds() {
        let path = folder(seed.target).join(seed.name);
        if is_update {
            fs::create_dir_all(folder(seed.target)).unwrap();
            fs::write(&path, &seed.bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap();
        assert!(kept == seed.bytes, "{} is stale", path.display());
    }
}

#[test]
fn the_corpus_passes() {
    for (target, _) in decoders::DECODERS {
        let mut count = 0;
        for entry in fs::read_dir(folder(target)).unwrap() {
            decoders::run(target, &fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 4, "{target} has {count} inputs");
    }
}
