//! What the console shows, from the caches. Pure.

use std::sync::Arc;

use crds::matches::{Match, MatchEnd};
use crds::state::State;
use crds::{Fleet, GameServer, meta};
use kube::ResourceExt as _;
use serde::Serialize;

/// Servers that are shown at most, those with a match first.
const SHOWN: usize = 300;

/// Everything on the page.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Snapshot {
    fleets: Vec<FleetRow>,
    servers: Vec<ServerRow>,
    /// Servers beyond those that are shown.
    left_out: usize,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct FleetRow {
    namespace: String,
    name: String,
    wanted: i32,
    total: i32,
    ready: i32,
    reserved: i32,
    allocated: i32,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct ServerRow {
    namespace: String,
    name: String,
    fleet: String,
    state: State,
    /// "203.0.113.7:7012", with every port.
    address: String,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#match: Option<MatchRow>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct MatchRow {
    id: String,
    expected: usize,
    /// By the game's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<u32>,
    /// When its first player joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

impl Snapshot {
    pub(super) fn new(fleets: &[Arc<Fleet>], servers: &[Arc<GameServer>]) -> Self {
        let mut fleets: Vec<_> = fleets.iter().map(|fleet| FleetRow::new(fleet)).collect();
        fleets.sort();
        let mut rows: Vec<_> = servers
            .iter()
            .map(|server| ServerRow::new(server))
            .collect();
        rows.sort_by(|one, other| {
            let key = |row: &ServerRow| {
                let rest = (row.namespace.clone(), row.fleet.clone(), row.name.clone());
                (row.r#match.is_none(), rest)
            };
            key(one).cmp(&key(other))
        });
        let left_out = rows.len().saturating_sub(SHOWN);
        rows.truncate(SHOWN);
        Self {
            fleets,
            servers: rows,
            left_out,
        }
    }
}

impl FleetRow {
    fn new(fleet: &Fleet) -> Self {
        let status = fleet.status.clone().unwrap_or_default();
        Self {
            namespace: fleet.namespace().unwrap_or_default(),
            name: fleet.name_any(),
            wanted: fleet.spec.replicas,
            total: status.replicas,
            ready: status.ready_replicas,
            reserved: status.reserved_replicas,
            allocated: status.allocated_replicas,
        }
    }
}

impl ServerRow {
    fn new(server: &GameServer) -> Self {
        let status = server.status.clone().unwrap_or_default();
        let ports: Vec<_> = status.ports.iter().map(|it| it.port.to_string()).collect();
        let address = if status.address.is_empty() {
            String::new()
        } else {
            format!("{}:{}", status.address, ports.join(","))
        };
        Self {
            namespace: server.namespace().unwrap_or_default(),
            name: server.name_any(),
            fleet: server
                .labels()
                .get(meta::FLEET_LABEL)
                .cloned()
                .unwrap_or_default(),
            state: status.state,
            address,
            node: status.node_name,
            r#match: MatchRow::of(server),
        }
    }
}

impl MatchRow {
    /// The match that a server plays; none when it is over.
    fn of(server: &GameServer) -> Option<Self> {
        let annotation = |name| server.annotations().get(name);
        let text = annotation(meta::MATCH_ANNOTATION)?;
        let game: Match = serde_json::from_str(text).ok()?;
        let end = annotation(meta::MATCH_RESULT_ANNOTATION)
            .and_then(|text| serde_json::from_str::<MatchEnd>(text).ok());
        if server.state() != State::Allocated
            || end.is_some_and(|end| end.match_id == game.match_id)
        {
            return None;
        }
        Some(Self {
            id: game.match_id,
            expected: game.players.len(),
            present: annotation(meta::PLAYER_COUNT_ANNOTATION).and_then(|text| text.parse().ok()),
            since: annotation(meta::CLAIM_TIME_ANNOTATION).cloned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn server(name: &str, state: &str, annotations: &Value) -> Arc<GameServer> {
        let object = json!({
            "apiVersion": "muster.dev/v1", "kind": "GameServer",
            "metadata": {
                "name": name, "namespace": "default",
                "labels": { meta::FLEET_LABEL: "arena" }, "annotations": annotations,
            },
            "spec": { "template": { "spec": { "containers": [] } } },
            "status": {
                "state": state, "address": "203.0.113.7", "nodeName": "one",
                "ports": [{ "name": "game", "port": 7012 }],
            },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn servers_with_a_match_come_first_until_it_is_over() {
        let game = json!({
            "matchId": "11111111-1111-4111-8111-111111111111", "requestId": "one",
            "players": [
                { "playerId": "22222222-2222-4222-8222-222222222222", "team": 0 },
                { "playerId": "33333333-3333-4333-8333-333333333333", "team": 1 },
            ],
        })
        .to_string();
        let end = json!({ "matchId": "11111111-1111-4111-8111-111111111111", "result": "{}" });
        let servers = [
            server("a", "Ready", &json!({})),
            server(
                "b",
                "Allocated",
                &json!({ meta::MATCH_ANNOTATION: game, meta::PLAYER_COUNT_ANNOTATION: "1" }),
            ),
            server(
                "c",
                "Allocated",
                &json!({ meta::MATCH_ANNOTATION: game, meta::MATCH_RESULT_ANNOTATION: end.to_string() }),
            ),
        ];
        let snapshot = serde_json::to_value(Snapshot::new(&[], &servers)).unwrap();
        let names: Vec<_> = snapshot["servers"].as_array().unwrap().iter().collect();
        let names: Vec<_> = names
            .iter()
            .map(|row| row["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["b", "a", "c"]);
        let first = &snapshot["servers"][0];
        assert_eq!(first["match"]["expected"], 2);
        assert_eq!(first["match"]["present"], 1);
        assert_eq!(first["address"], "203.0.113.7:7012");
        assert_eq!(snapshot["servers"][2].get("match"), None);
    }

    #[test]
    fn a_large_cluster_is_cut() {
        let servers: Vec<_> = (0..SHOWN + 7)
            .map(|number| server(&format!("server-{number:05}"), "Ready", &json!({})))
            .collect();
        let snapshot = Snapshot::new(&[], &servers);
        assert_eq!((snapshot.servers.len(), snapshot.left_out), (SHOWN, 7));
    }
}
