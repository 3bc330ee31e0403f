//! The 256 bytes that a token carries for the game, as the platform fills them.
//!
//! They are sealed with the rest of the token's private part, so the game server trusts them
//! without asking anybody. Numbers are little-endian; what is not listed is zero.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 16 | match id |
//! | 17 | 16 | session id |
//! | 33 | 16 | player id |
//! | 49 | 4 | epoch |
//! | 53 | 1 | team |
//! | 54 | 1 | slot |
//! | 55 | 2 | flags |
//! | 57 | 2 | region |
//! | 59 | 2 | skill, signed |

use thiserror::Error;

use crate::bytes::{Reader, Writer};

/// Bytes of user data in every token.
pub const USER_DATA_BYTES: usize = 256;

/// The bit of [`UserData::flags`] that makes a spectator. The others are the game's.
pub const SPECTATOR: u16 = 1;

const VERSION: u8 = 1;

/// Why bytes are not user data of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Written by a Muster that knows another layout, or by somebody else.
    #[error("the user data has version {0}, not {VERSION}")]
    Version(u8),
    /// Bytes that this version keeps at zero are not; they might change the meaning of the rest.
    #[error("reserved bytes of the user data are not zero")]
    Reserved,
}

/// Who plays, in which match and where in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserData {
    /// The match.
    pub match_id: [u8; 16],
    /// The player's session in the match; the same across reconnects.
    pub session_id: [u8; 16],
    /// The player's account.
    pub player_id: [u8; 16],
    /// Counts the connections of a session; the server refuses one that it has passed.
    pub epoch: u32,
    /// The team, from 0.
    pub team: u8,
    /// The player's place in the match, from 0.
    pub slot: u8,
    /// [`SPECTATOR`], and bits that the game defines.
    pub flags: u16,
    /// A region, by the number that the platform gave it.
    pub region: u16,
    /// The player's skill, as the matchmaker counts it.
    pub skill: i16,
}

impl UserData {
    /// Writes the layout above.
    pub fn encode(&self) -> [u8; USER_DATA_BYTES] {
        let mut bytes = [0; USER_DATA_BYTES];
        // The fields are 61 bytes: they fit.
        let mut writer = Writer::new(&mut bytes);
        writer.put(&[VERSION]);
        writer.put(&self.match_id);
        writer.put(&self.session_id);
        writer.put(&self.player_id);
        writer.put(&self.epoch.to_le_bytes());
        writer.put(&[self.team, self.slot]);
        writer.put(&self.flags.to_le_bytes());
        writer.put(&self.region.to_le_bytes());
        writer.put(&self.skill.to_le_bytes());
        bytes
    }

    /// Reads the layout above.
    pub fn decode(bytes: &[u8; USER_DATA_BYTES]) -> Result<Self, Error> {
        if bytes[0] != VERSION {
            return Err(Error::Version(bytes[0]));
        }
        let mut reader = Reader::new(&bytes[1..]);
        let decoded = read(&mut reader).ok_or(Error::Reserved)?;
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(Error::Reserved);
        }
        Ok(decoded)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<UserData> {
    Some(UserData {
        match_id: *reader.array()?,
        session_id: *reader.array()?,
        player_id: *reader.array()?,
        epoch: reader.u32()?,
        team: reader.u8()?,
        slot: reader.u8()?,
        flags: reader.u16()?,
        region: reader.u16()?,
        skill: reader.i16()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_table_says() {
        let bytes = UserData {
            match_id: [1; 16],
            session_id: [2; 16],
            player_id: [3; 16],
            epoch: 4,
            team: 5,
            slot: 6,
            flags: 7,
            region: 8,
            skill: -1,
        }
        .encode();
        assert_eq!((bytes[0], bytes[1], bytes[17], bytes[33]), (1, 1, 2, 3));
        assert_eq!(bytes[49..61], [4, 0, 0, 0, 5, 6, 7, 0, 8, 0, 255, 255]);
    }

    #[test]
    fn other_layouts_are_refused_by_name() {
        let good = UserData::default().encode();
        let mut other = good;
        other[0] = 2;
        assert_eq!(UserData::decode(&other), Err(Error::Version(2)));
        let mut longer = good;
        longer[61] = 1;
        assert_eq!(UserData::decode(&longer), Err(Error::Reserved));
    }
}
