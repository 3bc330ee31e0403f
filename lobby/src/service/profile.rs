//! What players say of themselves: latencies and attributes.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::muster::lobby::v1 as wire;
use serde::{Deserialize, Serialize};

use super::{Caller, Service};
use crate::documents;
use crate::error::Failure;
use crate::ids::PlayerId;
use crate::live::Key;
use crate::matchmaking::queue::MAX_REGIONS;
use crate::matchmaking::ticket::Attribute;

/// How long a profile is kept from when it was set, or from when the lobby with the player's socket
/// touched it.
pub const PROFILE_KEEP: Duration = Duration::from_hours(1);

/// Attributes at most.
const MAX_ATTRIBUTES: usize = 16;

/// Bytes of a name, of a region or of an attribute, at most.
const MAX_NAME: usize = 64;

/// Bytes of an attribute's text at most.
const MAX_TEXT: usize = 256;

/// Milliseconds of a latency at most: nobody plays with more.
const MAX_LATENCY: u32 = 60_000;

/// What matchmaking knows of a player beside the rating.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Milliseconds to each region, as the client measured them.
    pub latencies: BTreeMap<String, u32>,
    /// What the client says of the player. Queues name those that they believe.
    pub attributes: BTreeMap<String, Attribute>,
}

impl Profile {
    /// What a client says, if it is well formed.
    fn said(call: wire::SetProfile) -> Result<Self, Failure> {
        for (path, count, most) in [
            ("latencies", call.latencies.len(), MAX_REGIONS),
            ("attributes", call.attributes.len(), MAX_ATTRIBUTES),
        ] {
            if count > most {
                return Err(Failure::field(path, format!("must be {most} at most")));
            }
        }
        for (path, names) in [
            ("latencies", call.latencies.keys().collect::<Vec<_>>()),
            ("attributes", call.attributes.keys().collect()),
        ] {
            let is_name = |name: &&String| (1..=MAX_NAME).contains(&name.len());
            if !names.iter().all(is_name) {
                let problem = format!("must have names of 1 to {MAX_NAME} bytes");
                return Err(Failure::field(path, problem));
            }
        }
        for (region, latency) in &call.latencies {
            if *latency > MAX_LATENCY {
                let problem = format!("must be {MAX_LATENCY} ms at most");
                return Err(Failure::field(format!("latencies.{region}"), problem));
            }
        }
        let attributes = call.attributes.into_iter();
        Ok(Self {
            latencies: call.latencies,
            attributes: attributes.map(said_attribute).collect::<Result<_, _>>()?,
        })
    }
}

fn said_attribute(
    (name, attribute): (String, wire::Attribute),
) -> Result<(String, Attribute), Failure> {
    use wire::attribute::Value;
    let value = match attribute.value {
        Some(Value::Number(number)) if number.is_finite() => Ok(Attribute::Number(number)),
        Some(Value::Number(_)) => Err("must be finite".to_owned()),
        Some(Value::Text(text)) if text.len() <= MAX_TEXT => Ok(Attribute::Text(text)),
        Some(Value::Text(_)) => Err(format!("must be {MAX_TEXT} bytes at most")),
        None => Err("must have a number or a text".to_owned()),
    };
    match value {
        Ok(value) => Ok((name, value)),
        Err(problem) => Err(Failure::field(format!("attributes.{name}"), problem)),
    }
}

impl Service {
    /// Where clients measure their latency.
    #[expect(clippy::unused_async, reason = "all calls have one shape")]
    pub async fn list_regions(
        &self,
        _caller: &Caller,
        _call: wire::ListRegions,
    ) -> Result<wire::Regions, Failure> {
        let regions = self.parts.settings.regions.iter().map(|region| {
            let text = |address: &Option<String>| address.clone().unwrap_or_default();
            wire::Region {
                name: region.name.clone(),
                udp_echo: text(&region.udp_echo),
                https_echo: text(&region.https_echo),
                lobby: text(&region.lobby),
            }
        });
        let regions = regions.collect();
        Ok(wire::Regions { regions })
    }

    /// Notes what matchmaking needs to know of the caller; replaces what was said before.
    pub async fn set_profile(
        &self,
        caller: &Caller,
        call: wire::SetProfile,
    ) -> Result<(), Failure> {
        let profile = Profile::said(call)?;
        let key = Key::Profile(caller.player);
        documents::put(&*self.parts.live, &key, &profile, PROFILE_KEEP).await?;
        Ok(())
    }

    /// What a player has said; none when nothing was, or the session is over.
    pub async fn profile_of(&self, player: PlayerId) -> Result<Option<Profile>, Failure> {
        let (profile, _) = documents::read(&*self.parts.live, &Key::Profile(player)).await?;
        Ok(profile)
    }
}
