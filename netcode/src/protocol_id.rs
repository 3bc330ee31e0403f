//! The number by which programs that do not understand each other never even answer.

use std::fmt;
use std::str::FromStr;

/// Names a game and its wire format. Tokens, clients and servers must agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolId(pub u64);

/// A text that is no protocol id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be up to 16 hexadecimal digits")]
pub struct ProtocolIdError;

impl ProtocolId {
    /// Every token of the platform has this one.
    pub const MUSTER: Self = Self(0x4d55_5354_4552_0001);
}

impl FromStr for ProtocolId {
    type Err = ProtocolIdError;

    fn from_str(text: &str) -> Result<Self, ProtocolIdError> {
        if !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ProtocolIdError);
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ProtocolIdError)
    }
}

impl fmt::Display for ProtocolId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_shown() {
        assert_eq!(ProtocolId::MUSTER.to_string(), "4d55535445520001");
        assert_eq!("4D55535445520001".parse(), Ok(ProtocolId::MUSTER));
        assert_eq!("2a".parse(), Ok(ProtocolId(42)));
        for text in ["", "zz", "+1", "-1", "0x1", "12345678901234567"] {
            assert_eq!(text.parse::<ProtocolId>(), Err(ProtocolIdError), "{text}");
        }
    }
}
