//! The history of matches, for later: what everybody did, in every tick, to be played back.
//!
//! ```text
//!  thread that ticks            packer                 writer
//!  Recorder ──a second──▶ block: columns, XOR,  ──▶ queue ──▶ store: directory or database
//!           ◀──buffers──  zstd (history::block)    bounded     retried, limited
//! ```
//!
//! The thread that ticks only copies, into memory that it has already: it never waits, whatever
//! disk or database do. A second that nobody could take in time is gone, and counted. What is
//! packed waits in a queue that is bounded in blocks, bytes and age; the oldest goes first.
//!
//! Start reading at [`block`], then [`writer`].

pub mod block;
pub mod database;
pub mod directory;
pub mod metrics;
pub mod queue;
pub mod recorder;
pub mod replay;
pub mod store;
pub mod writer;

pub use self::recorder::Recorder;
pub use self::store::Place;
pub use self::writer::{Limits, OpenError, Writing, open, start};
