//! Where the history of the world goes.

use simulation::frame::WorldFrame;

/// Takes the frames of a match. Called in every tick, so it never blocks: what it cannot take it
/// drops and counts.
pub trait HistorySink: Send {
    /// A match begins; what follows is its history.
    fn begin(&mut self, match_id: [u8; 16]);

    /// The frame of a tick.
    fn offer(&mut self, frame: &WorldFrame);

    /// The match is over: what was taken shall be written out.
    fn end(&mut self);
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHistory;

impl HistorySink for NoHistory {
    fn begin(&mut self, _match_id: [u8; 16]) {}

    fn offer(&mut self, _frame: &WorldFrame) {}

    fn end(&mut self) {}
}
