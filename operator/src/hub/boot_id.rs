//! The name of a life of a game server's process. Pure.

use std::fmt;

/// 16 bytes; written in hexadecimal, as in `status.connect.bootId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BootId([u8; 16]);

impl BootId {
    /// Takes what an SDK server sent; none if it has another length.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_with_all_its_zeros() {
        let mut bytes = [0; 16];
        bytes[15] = 0xab;
        let boot_id = BootId::from_slice(&bytes).unwrap();
        assert_eq!(boot_id.to_string(), "000000000000000000000000000000ab");
        assert_eq!(BootId::from_slice(&bytes[1..]), None);
    }
}
