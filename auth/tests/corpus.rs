//! Replays the committed corpus of the fuzz targets, through the functions that they run.
//!
//! The seeds in it come from fixed inputs, listed here; `UPDATE_CORPUS=1` writes them. Whatever
//! fuzzing finds is added beside them under a name of its own.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

#[path = "../fuzz/decoders.rs"]
mod decoders;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use auth::http::decode;
use auth::ids::{FamilyId, PlayerId};
use auth::limits::address::Network;
use auth::passwords::phc::Phc;
use auth::tokens::mailed::Mailed;
use auth::tokens::reconnection::{Replica, Token};
use auth::tokens::refresh::RefreshToken;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

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

const PLAYER: PlayerId = PlayerId(Uuid::from_u128(7));

fn refresh_token() -> RefreshToken {
    RefreshToken {
        player: PLAYER,
        family: FamilyId(Uuid::from_u128(8)),
        generation: 9,
        binding: [10; 32],
    }
}

fn mailed() -> Mailed {
    Mailed::new(PLAYER, [11; 32])
}

fn reconnection_token() -> Token {
    Token::new(Replica(12), PLAYER, &Zeroizing::new([13; 32]))
}

const SCRYPT: &str = "$scrypt$ln=17,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const ARGON: &str = "$argon2id$v=19$m=19456,t=2,p=1,pepper=1$AAAAAAAAAAAAAAAAAAAAAA$\
                     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// One of each body that is good.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let token = refresh_token().write(decoders::VERSION, &decoders::key());
    let client = json!({
        "name": "Firefox on Linux", "device_id": "0123456789abcdef", "audiences": ["game"],
        "class": "default",
    });
    let json = [
        (
            "BeginElsewhereBody",
            json!({"return_to": "https://game.example.com", "client": client}),
        ),
        (
            "ChangePasswordBody",
            json!({"current": "one", "new": "two"}),
        ),
        ("CodeBody", json!({"code": "123456"})),
        ("ConfirmBody", json!({"password": "one"})),
        (
            "FinishElsewhereBody",
            json!({
                "handle": "h", "secret": "s", "code": "c", "iss": "https://id.example.com",
                "client": client,
            }),
        ),
        ("ForgotBody", json!({"email": "ada@example.com"})),
        (
            "LinkBody",
            json!({
                "provider": "steam", "ticket": "t", "handle": "h", "secret": "s", "code": "c",
                "iss": "https://id.example.com", "email": "ada@example.com", "token": "t",
                "new_password": "two", "password": "one", "second_step": "123456",
            }),
        ),
        (
            "LoginBody",
            json!({"email": "ada@example.com", "password": "one", "client": client, "captcha": "c"}),
        ),
        ("LogoutBody", json!({"refresh_token": token})),
        (
            "NewPasskeyBody",
            json!({"handle": "h", "name": "key", "response": {"id": "AA"}}),
        ),
        (
            "PasskeyLoginBody",
            json!({"handle": "h", "response": {"id": "AA"}, "client": client}),
        ),
        ("ReconnectBody", json!({"reconnection_token": "t"})),
        (
            "RefreshBody",
            json!({"refresh_token": token, "request_id": "one"}),
        ),
        (
            "RegisterBody",
            json!({"email": "ada@example.com", "password": "one", "client": client}),
        ),
        (
            "ResetBody",
            json!({"token": mailed().write(), "password": "two"}),
        ),
        (
            "ValidateBody",
            json!({"access_token": "a.b.c", "audience": "game"}),
        ),
        (
            "VerifyEmailBody",
            json!({"token": mailed().write(), "password": "one"}),
        ),
    ];
    let back = b"state=s&code=c&iss=https%3A%2F%2Fid.example.com".to_vec();
    json.into_iter()
        .map(|(name, body)| (name, body.to_string().into_bytes()))
        .chain([("Back", back)])
        .collect()
}

fn seeds() -> Vec<Seed> {
    let session = json!({
        "type": "validate_session", "id": 2, "player_id": PLAYER, "session_key": PLAYER,
        "game_server": "203.0.113.7:7012",
    });
    let question = json!({"type": "validate_token", "id": 1, "access_token": "a.b.c"});
    let refresh = refresh_token().write(decoders::VERSION, &decoders::key());
    let reconnection = reconnection_token().seal(&decoders::keys()).unwrap();
    let mailed = mailed().write();
    let unsigned = {
        let mut bytes = decoders::VERSION.to_be_bytes().to_vec();
        bytes.extend([1; 68]);
        bytes
    };
    let texts = [
        (
            "body",
            "unknown-field",
            r#"{"email":"a","pasword":"b"}"#.to_owned(),
        ),
        ("body", "twice", r#"{"code":"1","code":"2"}"#.to_owned()),
        ("body", "null", "null".to_owned()),
        ("body", "deep", "[".repeat(500)),
        ("body", "surrogate", r#"{"code":"\ud800"}"#.to_owned()),
        (
            "body",
            "number-huge",
            format!(r#"{{"code":1{}}}"#, "0".repeat(400)),
        ),
        ("body", "form-bad-escape", "state=%zz&state=%".to_owned()),
        ("body", "form-twice", "state=a&state=b".to_owned()),
        ("question", "token", question.to_string()),
        ("question", "session", session.to_string()),
        ("question", "no-type", r#"{"id":1}"#.to_owned()),
        (
            "question",
            "type-last",
            r#"{"id":1,"access_token":"a","type":"validate_token"}"#.to_owned(),
        ),
        (
            "question",
            "id-negative",
            r#"{"type":"validate_token","id":-1}"#.to_owned(),
        ),
        ("refresh", "good", refresh.clone()),
        ("refresh", "padded", format!("{refresh}=")),
        ("refresh", "short", refresh[..80].to_owned()),
        ("refresh", "prefix", refresh.replace("mrt1.", "mrt2.")),
        ("reconnection", "good", reconnection.to_string()),
        ("reconnection", "long", format!("{}A", *reconnection)),
        ("reconnection", "forged", reconnection.replace('A', "B")),
        ("mailed", "good", mailed.clone()),
        ("mailed", "short", mailed[1..].to_owned()),
        ("mailed", "padded", format!("{mailed}==")),
        ("mailed", "empty", String::new()),
        ("phc", "scrypt", SCRYPT.to_owned()),
        ("phc", "argon", ARGON.to_owned()),
        ("phc", "cost", SCRYPT.replace("ln=17", "ln=63")),
        ("phc", "order", SCRYPT.replace("ln=17,r=8", "r=8,ln=17")),
        ("phc", "more", format!("{SCRYPT}$AA")),
        ("network", "four", "10.0.0.0/8".to_owned()),
        ("network", "six", "fd00::/8".to_owned()),
        ("network", "address", "203.0.113.7".to_owned()),
        ("network", "mapped", "::ffff:10.0.0.0/104".to_owned()),
        ("network", "host-bits", "10.0.0.1/8".to_owned()),
        ("network", "all", "::/0".to_owned()),
        ("network", "length", "10.0.0.0/+8".to_owned()),
    ];
    let texts = texts.map(|(target, name, text)| (target, name, text.into_bytes()));
    let bytes = [
        ("body", "no-text", vec![0xff, 0xfe, 0x00]),
        ("refresh", "unsigned", unsigned),
        ("reconnection", "unsealed", (0..56).collect()),
    ];
    let bodies = bodies()
        .into_iter()
        .map(|(name, body)| ("body", name, body));
    texts
        .into_iter()
        .chain(bytes)
        .chain(bodies)
        .map(|(target, name, bytes)| Seed {
            target,
            name,
            bytes,
        })
        .collect()
}

#[test]
fn the_seeds_in_the_corpus_are_as_they_are_made() {
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

/// The names of the schemas below a value of the description.
fn schemas(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let (_, name) = reference.rsplit_once('/').unwrap();
                names.insert(name.to_owned());
            }
            members.values().for_each(|value| schemas(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| schemas(value, names)),
        _ => {}
    }
}

#[test]
fn every_body_of_every_operation_is_decoded() {
    let document: Value = serde_json::from_str(include_str!("../openapi/openapi.json")).unwrap();
    let mut described = BTreeSet::new();
    for path in document["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            schemas(&operation["requestBody"], &mut described);
        }
    }
    let decoded: BTreeSet<String> = decode::BODIES
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(decoded, described);
}

#[test]
fn the_good_seeds_are_good() {
    for (name, read) in decode::BODIES {
        let body = fs::read(folder("body").join(name)).unwrap();
        assert!(read(&body).is_ok(), "{name}");
        let unknown = fs::read(folder("body").join("unknown-field")).unwrap();
        assert!(read(&unknown).is_err() || name == "Back", "{name}");
    }
    for name in ["token", "session"] {
        let question = fs::read(folder("question").join(name)).unwrap();
        assert!(decode::question(&question).is_ok(), "{name}");
    }
    let text = |target: &str, name: &str| fs::read_to_string(folder(target).join(name)).unwrap();
    let refresh = RefreshToken::read(&text("refresh", "good"), |_| Some(decoders::key()));
    assert_eq!(refresh, Ok(refresh_token()));
    let opened = Token::open(&text("reconnection", "good"), &decoders::keys()).unwrap();
    assert_eq!(opened.id, reconnection_token().id);
    let read = Mailed::read(&text("mailed", "good")).unwrap();
    assert_eq!(read.hash(), mailed().hash());
    assert!(!Phc::parse(&text("phc", "scrypt")).unwrap().peppered);
    assert!(Phc::parse(&text("phc", "argon")).unwrap().peppered);
    for name in ["four", "six", "address", "all"] {
        assert!(text("network", name).parse::<Network>().is_ok(), "{name}");
    }
    for name in ["mapped", "host-bits"] {
        assert!(text("network", name).parse::<Network>().is_err(), "{name}");
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
