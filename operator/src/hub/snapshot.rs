//! From a game server to what its SDK server sees. Pure.

use crds::state::State;
use crds::{GameServer, meta};
use kube::ResourceExt as _;
use proto::agones::dev::sdk::GameServer as SdkGameServer;
use proto::agones::dev::sdk::game_server::{ObjectMeta, Spec, Status, spec, status};
use proto::muster::hub::v1::Snapshot;

/// Writes a game server as Agones' SDK shows it.
pub(crate) fn snapshot(server: &GameServer) -> Snapshot {
    let seconds = |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| time.0.as_second();
    let meta = &server.metadata;
    let health = &server.spec.health;
    let of_server = server.status.clone().unwrap_or_default();
    let object_meta = ObjectMeta {
        name: server.name_any(),
        namespace: server.namespace().unwrap_or_default(),
        uid: server.uid().unwrap_or_default(),
        resource_version: server.resource_version().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        creation_timestamp: meta
            .creation_timestamp
            .as_ref()
            .map(seconds)
            .unwrap_or_default(),
        deletion_timestamp: meta
            .deletion_timestamp
            .as_ref()
            .map(seconds)
            .unwrap_or_default(),
        annotations: meta.annotations.clone().unwrap_or_default(),
        labels: meta.labels.clone().unwrap_or_default(),
    };
    let status = Status {
        state: of_server.state.as_str().to_owned(),
        address: of_server.address,
        ports: of_server
            .ports
            .into_iter()
            .map(|port| status::Port {
                name: port.name,
                port: port.port,
            })
            .collect(),
        players: of_server.players.map(|players| status::PlayerStatus {
            count: players.count,
            capacity: players.capacity,
            ids: players.ids,
        }),
        counters: of_server
            .counters
            .unwrap_or_default()
            .into_iter()
            .map(|(name, counter)| {
                let counter = status::CounterStatus {
                    count: counter.count,
                    capacity: counter.capacity,
                };
                (name, counter)
            })
            .collect(),
        lists: of_server
            .lists
            .unwrap_or_default()
            .into_iter()
            .map(|(name, list)| {
                (
                    name,
                    status::ListStatus {
                        capacity: list.capacity,
                        values: list.values,
                    },
                )
            })
            .collect(),
        addresses: of_server
            .addresses
            .into_iter()
            .map(|address| status::Address {
                r#type: address.type_,
                address: address.address,
            })
            .collect(),
    };
    let health = spec::Health {
        disabled: health.disabled,
        period_seconds: health.period_seconds,
        failure_threshold: health.failure_threshold,
        initial_delay_seconds: health.initial_delay_seconds,
    };
    Snapshot {
        game_server: Some(SdkGameServer {
            object_meta: Some(object_meta),
            spec: Some(Spec {
                health: Some(health),
            }),
            status: Some(status),
        }),
        // Rounded up: a reservation must not end early.
        reserved_until: of_server
            .reserved_until
            .map(|until| until.as_second() + i64::from(until.subsec_nanosecond() > 0))
            .unwrap_or_default(),
        r#match: match_of(server).unwrap_or_default(),
    }
}

/// What the allocation says of the match, while there is one.
fn match_of(server: &GameServer) -> Option<String> {
    let is_allocated = server.state() == State::Allocated;
    let text = server.annotations().get(meta::MATCH_ANNOTATION);
    text.filter(|_| is_allocated).cloned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crds::gameserver::GameServerStatus;

    use super::*;

    #[test]
    fn the_match_is_shown_while_the_server_is_allocated() {
        let mut server = GameServer::default();
        let annotation = (meta::MATCH_ANNOTATION.to_owned(), "{}".to_owned());
        server.metadata.annotations = Some(BTreeMap::from([annotation]));
        for (state, text) in [
            (State::Allocated, "{}"),
            (State::Ready, ""),
            (State::Shutdown, ""),
        ] {
            server.status = Some(GameServerStatus {
                state,
                ..GameServerStatus::default()
            });
            assert_eq!(snapshot(&server).r#match, text, "{state:?}");
        }
    }
}
