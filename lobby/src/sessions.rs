//! Sockets of this process.

/// Every session that has a socket here, or had one a moment ago.
#[derive(Clone, Debug, Default)]
pub struct Sessions {}

impl Sessions {
    /// The session of a player.
    pub fn of(&self, _player: crate::ids::PlayerId) -> Option<()> {
        Some(())
    }

    /// Hears.
    pub async fn hear(
        &self,
        _player: crate::ids::PlayerId,
        _channel: crate::live::Channel,
    ) -> Result<(), crate::live::Error> {
        Ok(())
    }

    /// Hears no more.
    pub async fn unhear(&self, _player: crate::ids::PlayerId, _channel: crate::live::Channel) {}
}
