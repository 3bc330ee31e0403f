//! The arena: what server, clients and replays must agree on.
//!
//! Everything here is pure and deterministic: no clock, no sockets, no randomness but from a seed,
//! no iteration in the order of a hash map. The server steps an `Arena` with the inputs of a tick;
//! a client runs the same `mover` over its own inputs before the server has answered. What goes
//! over the wire is quantized once per tick into a [`frame::WorldFrame`], and encoded for each
//! client against what it has acknowledged.
//!
//! Start reading at [`input`] and [`frame`]: they are the two ends of a tick.

#[cfg(feature = "world")]
pub mod arena;
pub mod bits;
#[cfg(feature = "channels")]
pub mod channels;
pub mod clock;
pub mod codec;
pub mod combat;
pub mod compression;
pub mod entity;
pub mod frame;
pub mod history;
pub mod input;
pub mod inputs;
pub mod interest;
pub mod interpolation;
pub mod level;
pub mod message;
pub mod mover;
pub mod payload;
pub mod plausibility;
pub mod prediction;
#[cfg(feature = "world")]
pub mod props;
#[cfg(feature = "world")]
pub mod replay;
pub mod rules;
pub mod seeded;
pub mod snapshot;
pub mod tick;
