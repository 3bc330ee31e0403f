//! What each fuzz target does with its input. `tests/corpus.rs` runs the same functions.
//!
//! A MAC cannot be guessed, so `refresh` and `reconnection` also seal what they are given.
#![expect(clippy::unwrap_used, reason = "a failed step is a finding")]
use auth::Code;
use auth::http::decode;
use auth::ids::PlayerId;
use auth::limits::address::Network;
use auth::passwords::phc::Phc;
use auth::tokens::mailed::Mailed;
use auth::tokens::reconnection::{Keys, Replica, Token};
use auth::tokens::refresh::RefreshToken;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

type Decoder = fn(&[u8]);

/// The targets and what they do.
pub(crate) const DECODERS: [(&str, Decoder); 7] = [
    ("body", body),
    ("question", question),
    ("refresh", refresh),
    ("reconnection", reconnection),
    ("mailed", mailed),
    ("phc", phc),
    ("network", network),
];

/// Runs one target on one input.
pub(crate) fn run(target: &str, bytes: &[u8]) {
    let (_, decode) = DECODERS.iter().find(|(name, _)| *name == target).unwrap();
    decode(bytes);
}

/// The version of the keys, which are the same for everybody: a corpus must mean the same tomorrow.
pub(crate) const VERSION: u32 = 1;

pub(crate) fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
}

pub(crate) fn keys() -> Keys {
    Keys::new((VERSION, &[8; 32]), [])
}

/// A refusal has the code for it, a short message, and nothing that nobody may see.
fn is_plain(refused: Result<(), auth::Failure>) {
    if let Err(failure) = refused {
        assert_eq!(failure.code, Code::InvalidRequest);
        assert!(failure.retry_after.is_none());
    }
}

/// The bytes as the body of every operation.
fn body(bytes: &[u8]) {
    for (_, read) in decode::BODIES {
        is_plain(read(bytes));
    }
}

fn question(bytes: &[u8]) {
    is_plain(decode::question(bytes));
}

/// A text that is read is the only one for what it says.
fn refresh(bytes: &[u8]) {
    let read = |text: &str| {
        let of = |version| (version == VERSION).then(key);
        RefreshToken::read(text, of)
    };
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(token) = read(text)
    {
        assert_eq!(token.write(VERSION, &key()), text);
    }
    // With the MAC that it lacks.
    let mac = hmac::sign(&key(), bytes);
    let sealed = [bytes, mac.as_ref()].concat();
    let text = format!("mrt1.{}", URL_SAFE_NO_PAD.encode(sealed));
    let says_version = bytes.first_chunk() == Some(&VERSION.to_be_bytes());
    let fits = says_version && bytes.len() == 4 + 16 + 16 + 4 + 32;
    assert_eq!(read(&text).is_ok(), fits);
}

/// A token that is opened is sealed to the same text, and one of any bytes comes back.
fn reconnection(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(token) = Token::open(text, &keys())
    {
        assert_eq!(*token.seal(&keys()).unwrap(), text);
    }
    if let Some((random, rest)) = bytes.split_first_chunk::<32>()
        && let Some((player, rest)) = rest.split_first_chunk::<16>()
        && let Some((replica, _)) = rest.split_first_chunk::<8>()
    {
        let player = PlayerId(Uuid::from_bytes(*player));
        let replica = Replica(u64::from_be_bytes(*replica));
        let token = Token::new(replica, player, &Zeroizing::new(*random));
        let text = token.seal(&keys()).unwrap();
        let opened = Token::open(&text, &keys()).unwrap();
        assert_eq!(opened.seal(&keys()).unwrap(), text);
        let same = (opened.player, opened.replica, opened.id);
        assert_eq!(same, (token.player, token.replica, token.id));
    }
}

/// A text that is read is the only one for what it says.
fn mailed(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Some(mailed) = Mailed::read(text)
    {
        assert_eq!(mailed.write(), text);
    }
}

/// A stored password that is read costs no more than we allow, and is written alike.
fn phc(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(phc) = Phc::parse(text)
    {
        assert!(phc.profile.bounded().is_ok());
        assert_eq!(Phc::parse(&phc.to_string()), Ok(phc));
    }
}

/// A network that is read is written and read again alike, and has its own first address in it.
fn network(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(network) = text.parse::<Network>()
    {
        let shown = network.to_string();
        assert_eq!(shown.parse(), Ok(network));
        let (first, _) = shown.split_once('/').unwrap();
        assert!(network.contains(first.parse().unwrap()));
    }
}
