//! A queue: the shape of its matches, and the rules of who may be in one together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::limit::Limit;
use super::ticket::{Attribute, Ticket};
use crate::ratings::System;

/// Regions of a queue at most: a set of them is one word.
pub const MAX_REGIONS: usize = 64;

/// Players of a match at most.
pub const MAX_PLAYERS: usize = 256;

/// Demands, avoided players and attributes of a ticket or player at most, each.
pub const MAX_WISHES: usize = 64;

/// The shape of matches and the rules, as an operator declares them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// Its name: lower case, digits and dashes.
    pub name: String,
    /// How many teams, and of how many players each.
    pub teams: Teams,
    /// Where matches may be. The order breaks ties.
    pub regions: Vec<String>,
    /// How far apart the ratings of two tickets may be. A party counts with its mean.
    pub rating: Limit,
    /// Milliseconds that the worst player of a ticket may be away from the match.
    pub latency: Limit,
    /// Attributes that all players of a match have in common.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same: Vec<String>,
    /// Numbers that may not be far apart. A party counts with its mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Players of a ticket at most; the size of a team when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party_size: Option<u16>,
    /// Milliseconds that a ticket waits before it is matched, so that there is a choice.
    #[serde(default)]
    pub gather_milliseconds: u32,
    /// Seconds in which all players must accept a match; nobody is asked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_seconds: Option<u16>,
    /// How ratings follow from results.
    #[serde(default)]
    pub ratings: System,
    /// Attributes that clients may say of their players. What they say of others is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_attributes: Vec<String>,
    /// Servers for its matches.
    #[serde(default)]
    pub servers: ServerChoice,
}

/// Which servers matches of a queue are played on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServerChoice {
    /// Their namespace.
    pub namespace: String,
    /// Labels that they have, such as `muster.dev/fleet`.
    pub labels: BTreeMap<String, String>,
    /// A label that names the region of a server. Without it servers are wherever they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region_label: Option<String>,
}

impl Default for ServerChoice {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            labels: BTreeMap::new(),
            region_label: None,
        }
    }
}

/// The shape of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Teams {
    /// How many.
    pub count: u16,
    /// Players of each.
    pub size: u16,
}

impl Teams {
    /// Players of a match.
    pub fn players(self) -> usize {
        usize::from(self.count) * usize::from(self.size)
    }
}

/// How far apart an attribute of two tickets may be.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Difference {
    /// A number of every player.
    pub attribute: String,
    /// How far.
    pub at_most: Limit,
}

/// Something is wrong with a queue or a ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Invalid {
    /// Where: a path of fields.
    pub path: String,
    /// What, and what would be right.
    pub problem: String,
}

impl Invalid {
    fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }
}

impl Queue {
    /// Reads a queue, and names everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Invalid>> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let queue: Self = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            vec![Invalid::new(path, error.into_inner().to_string())]
        })?;
        let problems = queue.problems();
        if problems.is_empty() {
            Ok(queue)
        } else {
            Err(problems)
        }
    }

    fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let is_name = |name: &str| {
            (1..=63).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !is_name(&self.name) {
            let problem = "must be 1 to 63 of a-z, 0-9 and -";
            problems.push(Invalid::new("name", problem));
        }
        if self.teams.count == 0 || self.teams.size == 0 {
            let problem = "count and size must be 1 or more";
            problems.push(Invalid::new("teams", problem));
        }
        let players = self.teams.players();
        if players == 1 || players > MAX_PLAYERS {
            let problem = format!("make matches of {players} players, of 2 to {MAX_PLAYERS}");
            problems.push(Invalid::new("teams", problem));
        }
        if self.regions.is_empty() || self.regions.len() > MAX_REGIONS {
            let problem = format!("must be 1 to {MAX_REGIONS}");
            problems.push(Invalid::new("regions", problem));
        }
        let distinct: BTreeSet<&String> = self.regions.iter().collect();
        if distinct.len() < self.regions.len() {
            problems.push(Invalid::new("regions", "must each be there once"));
        }
        if self
            .party_size
            .is_some_and(|size| size == 0 || size > self.teams.size)
        {
            let problem = format!("must be 1 to {}, the size of a team", self.teams.size);
            problems.push(Invalid::new("partySize", problem));
        }
        if self.ratings == System::Glicko2 && players != 2 {
            let problem = "Glicko2 rates one against one: use WengLin";
            problems.push(Invalid::new("ratings", problem));
        }
        let mut limits = vec![
            ("rating".to_owned(), &self.rating),
            ("latency".to_owned(), &self.latency),
        ];
        for (index, difference) in self.differences.iter().enumerate() {
            limits.push((format!("differences[{index}].atMost"), &difference.at_most));
        }
        for (path, limit) in limits {
            for (within, problem) in limit.problems() {
                problems.push(Invalid::new(format!("{path}.{within}"), problem));
            }
        }
        problems
    }

    /// Players of a ticket at most.
    pub fn party_size(&self) -> usize {
        usize::from(self.party_size.unwrap_or(self.teams.size))
    }

    /// Milliseconds of waiting from which on no rule of the queue widens any more.
    pub fn settled(&self) -> u64 {
        let limits = self.differences.iter().map(|rule| &rule.at_most);
        limits
            .chain([&self.rating, &self.latency])
            .map(Limit::settled)
            .max()
            .unwrap_or_default()
            .max(u64::from(self.gather_milliseconds))
    }

    /// Refuses a ticket that could never be in a match of this queue.
    pub fn admit(&self, ticket: &Ticket) -> Result<(), Invalid> {
        let most = self.party_size();
        if ticket.players.is_empty() || ticket.players.len() > most {
            let problem = format!("must be 1 to {most} in the queue {}", self.name);
            return Err(Invalid::new("players", problem));
        }
        for (path, length) in [
            ("demands", ticket.demands.len()),
            ("avoided", ticket.avoided.len()),
        ] {
            if length > MAX_WISHES {
                let problem = format!("are {length}, of at most {MAX_WISHES}");
                return Err(Invalid::new(path, problem));
            }
        }
        let mut seen = BTreeSet::new();
        for (index, player) in ticket.players.iter().enumerate() {
            let path = |field: &str| format!("players[{index}].{field}");
            if !seen.insert(player.id) {
                return Err(Invalid::new(path("id"), "is there twice"));
            }
            if !player.rating.is_finite() {
                return Err(Invalid::new(path("rating"), "must be a number"));
            }
            if player.attributes.len() > MAX_WISHES {
                let problem = format!("are more than {MAX_WISHES}");
                return Err(Invalid::new(path("attributes"), problem));
            }
            for name in &self.same {
                if !matches!(player.attributes.get(name), Some(Attribute::Text(_))) {
                    let path = path(&format!("attributes.{name}"));
                    return Err(Invalid::new(path, "must be a text in this queue"));
                }
                if player.attributes.get(name) != ticket.players[0].attributes.get(name) {
                    let path = path(&format!("attributes.{name}"));
                    return Err(Invalid::new(path, "must be the same within a party"));
                }
            }
            for Difference { attribute, .. } in &self.differences {
                let number = player.attributes.get(attribute);
                if !matches!(number, Some(Attribute::Number(number)) if number.is_finite()) {
                    let path = path(&format!("attributes.{attribute}"));
                    return Err(Invalid::new(path, "must be a number in this queue"));
                }
            }
        }
        let widest = self.latency.at(u64::MAX);
        let is_reachable = |region: &String| {
            let mut players = ticket.players.iter();
            players.all(|player| {
                let latency = player.latencies.get(region);
                latency.is_some_and(|latency| f64::from(*latency) <= widest)
            })
        };
        if !self.regions.iter().any(is_reachable) {
            let problem = format!("reach no region of the queue within {widest} ms together");
            return Err(Invalid::new("players", problem));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_and_its_faults_are_named_by_path() {
        let duel = r#"{
            "name": "duel", "teams": {"count": 2, "size": 1}, "regions": ["eu", "us"],
            "rating": {"value": 50, "steps": [{"afterSeconds": 10, "value": 200}]},
            "latency": {"value": 60}, "same": ["mode"]
        }"#;
        let queue = Queue::parse(duel).unwrap();
        assert_eq!((queue.party_size(), queue.settled()), (1, 10_000));

        for (from, to, told) in [
            (r#""duel""#, r#""Duel""#, "name: must be"),
            (r#""count": 2"#, r#""count": 1"#, "teams: make matches of 1"),
            (
                r#""size": 1"#,
                r#""size": 200"#,
                "teams: make matches of 400",
            ),
            (r#""us""#, r#""eu""#, "regions: must each"),
            (
                r#""us"]"#,
                r#""us"], "partySize": 2"#,
                "partySize: must be 1 to 1",
            ),
            (
                r#""value": 200"#,
                r#""value": 20"#,
                "rating.steps[0].value: must be more",
            ),
            (
                r#"{"value": 60}"#,
                r#"{"value": -1}"#,
                "latency.value: must be 0",
            ),
            (r#""same""#, r#""some""#, "some: unknown field"),
            (r#""size": 1"#, r#""size": "1""#, "teams.size: invalid type"),
        ] {
            let problems = Queue::parse(&duel.replace(from, to)).unwrap_err();
            let first = problems[0].to_string();
            assert!(first.starts_with(told), "{first}");
        }
    }
}
