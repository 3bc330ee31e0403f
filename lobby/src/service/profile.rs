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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::rooms::tests::world::{World, caller, player};

    fn said(
        latencies: &[(&str, u32)],
        attributes: Vec<(&str, Option<wire::attribute::Value>)>,
    ) -> wire::SetProfile {
        let latencies = latencies.iter();
        let attributes = attributes.into_iter();
        wire::SetProfile {
            latencies: latencies
                .map(|(region, latency)| ((*region).to_owned(), *latency))
                .collect(),
            attributes: attributes
                .map(|(name, value)| (name.to_owned(), wire::Attribute { value }))
                .collect(),
        }
    }

    #[tokio::test]
    async fn the_last_profile_is_what_every_lobby_knows() {
        use wire::attribute::Value::{Number, Text};
        let world = World::new().await;
        let (here, there) = (world.lobby(), world.lobby());
        assert_eq!(there.profile_of(player(1)).await, Ok(None));
        let call = said(&[("eu", 5), ("us", 9)], Vec::new());
        here.set_profile(&caller(1), call).await.unwrap();
        let attributes = vec![
            ("level", Some(Number(7.5))),
            ("mode", Some(Text("duo".to_owned()))),
        ];
        let call = said(&[("eu", 20)], attributes);
        here.set_profile(&caller(1), call).await.unwrap();
        let profile = there.profile_of(player(1)).await.unwrap().unwrap();
        assert_eq!(profile.latencies, [("eu".to_owned(), 20)].into());
        let attributes = [
            ("level".to_owned(), Attribute::Number(7.5)),
            ("mode".to_owned(), Attribute::Text("duo".to_owned())),
        ];
        assert_eq!(profile.attributes, attributes.into());
        assert_eq!(there.profile_of(player(2)).await, Ok(None));
    }

    #[test]
    fn what_a_client_says_is_bounded_and_faults_are_named_by_path() {
        use wire::attribute::Value::{Number, Text};
        let names: Vec<String> = (0..=MAX_REGIONS).map(|index| index.to_string()).collect();
        let many: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let some = |name| (name, Some(Number(1.0)));
        let attributes = |count: usize| {
            names[..count]
                .iter()
                .map(|name| some(name.as_str()))
                .collect()
        };
        let text = |length| vec![("mode", Some(Text("m".repeat(length))))];
        let long = "n".repeat(MAX_NAME + 1);
        for (call, path) in [
            (said(&many, Vec::new()), "latencies"),
            (said(&[("", 1)], Vec::new()), "latencies"),
            (said(&[("eu", MAX_LATENCY + 1)], Vec::new()), "latencies.eu"),
            (said(&[], attributes(17)), "attributes"),
            (said(&[], vec![some(long.as_str())]), "attributes"),
            (
                said(&[], vec![("level", Some(Number(f64::NAN)))]),
                "attributes.level",
            ),
            (said(&[], vec![("level", None)]), "attributes.level"),
            (said(&[], text(257)), "attributes.mode"),
        ] {
            let failure = Profile::said(call).unwrap_err();
            assert_eq!(failure.field.as_deref(), Some(path));
        }
        Profile::said(said(&many[1..], attributes(16))).unwrap();
        Profile::said(said(&[], text(256))).unwrap();
    }

    #[tokio::test]
    async fn clients_learn_where_to_measure() {
        let world = World::new().await;
        let service = world.lobby();
        let regions = service.list_regions(&caller(1), wire::ListRegions {}).await;
        let region = wire::Region {
            name: "eu".to_owned(),
            udp_echo: "echo.test:7".to_owned(),
            ..wire::Region::default()
        };
        assert_eq!(regions.unwrap().regions, [region]);
    }
}
