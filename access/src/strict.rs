//! JSON without doubt: an object that names a member twice is refused at any depth.
//!
//! Two readers may each pick another of two values, and a signature covers both.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Reads a value; none unless the text is one JSON value with unique members of the right shape.
pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice::<Unique>(json).ok()?;
    serde_json::from_slice(json).ok()
}

/// Any value whose objects have unique members. Keeps nothing.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

/// Walks through a value; the depth is bounded by `serde_json`.
struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Unique;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value with unique members")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a member comes twice"));
            }
            members.next_value::<Unique>()?;
        }
        Ok(Unique)
    }
}

/// A member that must be absent: `null` counts as present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Present(pub(crate) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_comes_twice_is_refused_at_any_depth() {
        for (json, is_good) in [
            (r#"{"a":1,"b":[null,true,-1,1.5,"x",{"a":{}}]}"#, true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":2}"#, false),
            (r#"{"b":[{"c":{"a":1,"a":2}}]}"#, false),
            (r#"{"a":1} {"a":2}"#, false),
            (r#"{"a":1"#, false),
        ] {
            let value = read::<serde_json::Value>(json.as_bytes());
            assert_eq!(value.is_some(), is_good, "{json}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert_eq!(read::<serde_json::Value>(deep.as_bytes()), None);
    }

    #[test]
    fn null_is_present() {
        #[derive(Deserialize)]
        struct Sample {
            #[serde(default)]
            secret: Present,
        }
        let secret = |json: &str| read::<Sample>(json.as_bytes()).unwrap().secret.0;
        assert!(secret(r#"{"secret":null}"#));
        assert!(secret(r#"{"secret":[1]}"#));
        assert!(!secret("{}"));
    }
}
