//! The sealed UDP layer between game clients and game servers: netcode 1.02, without sockets,
//! clocks, threads or randomness of its own. It uses nothing else of ours.
//!
//! # The protocol in short
//!
//! 1. A backend makes a [`ConnectToken`] for a player: fresh keys for both directions, and a part
//!    that only the server can open, sealed with XChaCha20-Poly1305 under the server's [`Key`].
//! 2. The client sends that part in a *request* (1078 bytes). The server opens it and answers with
//!    a *challenge*, which is shorter, so that nobody can use it to flood a third party.
//! 3. The client returns the challenge in a *response*, which proves that it holds its address and
//!    the keys. The server's first *keep-alive* tells it that it is connected.
//! 4. *Payloads* and keep-alives flow, each sealed with ChaCha20-Poly1305 under its own number;
//!    a window over the last 256 numbers drops what was replayed.
//! 5. Either side ends it by some *disconnect* packets, or by silence.
//!
//! Source: netcode 1.02 STANDARD.md, by the author of the protocol.
//!
//! # What it does that the published Rust server does not
//!
//! - **No nonce is used twice.** Challenges and denials count from above 2^63, never meeting the
//!   packets of a connection that share their key. A token makes one connection, ever: its tag is
//!   kept until it expires. A token that may be older than the process is refused, see
//!   [`KeyScope`](server::KeyScope).
//! - **Work is bounded.** Clients are found by address and by id in one step; packets of clients
//!   allocate nothing; every table has a limit, and every refusal a counter. Requests are checked
//!   in the order of cost and rated before anything is opened.
//! - **Others understand it.** Number 0 takes one byte, as the standard wants; the token comes in
//!   the standard's form and in renet's; goodbyes are repeated.
//! - **Keys change.** Two keys may be alive, and a process may have its own ([`keys`]).
//! - **Players come back.** A newer token takes over the place of its client at once, instead of
//!   waiting for the old connection to time out.
//!
//! # Rules for callers
//!
//! Packets are taken from the address they came from and from nowhere else: a client whose address
//! changes connects again with a new token. One token, one [`Client`]. Start reading at
//! [`server::Server`] and [`client::Client`].

mod aead;
mod bytes;
pub mod client;
mod counters;
mod hash;
pub mod keys;
pub mod packet;
mod protocol_id;
pub mod random;
mod rate;
mod replay;
pub mod server;
#[cfg(test)]
mod tests;
mod time;
pub mod token;
pub mod user_data;

pub use aead::{TAG_BYTES, TOKEN_NONCE_BYTES};
pub use client::Client;
pub use counters::{Counters, Refusal, Refused};
pub use keys::{Key, MasterKey, MasterKeys};
pub use packet::{MAX_PACKET_BYTES, MAX_PAYLOAD_BYTES, STANDARD_PAYLOAD_BYTES};
pub use protocol_id::{ProtocolId, ProtocolIdError};
pub use random::{RandomSource, SystemRandom};
pub use rate::{Bucket, Rate};
pub use replay::{ReplayWindow, WINDOW};
pub use server::{Connection, Server, ServerConfig};
pub use time::Now;
pub use token::{ConnectToken, Grant, PrivateToken};
pub use user_data::{USER_DATA_BYTES, UserData};

const VERSION_BYTES: usize = 13;

/// Stands in every request and token, and under every seal.
const VERSION: [u8; VERSION_BYTES] = *b"NETCODE 1.02\0";
