//! Ids and players of a request of `muster.allocation.v1` become values that are known to be valid.
//! Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use crds::matches::{Match, Player};
use proto::muster::allocation::v1 as wire;

use crate::guard::Claim;
use crate::ids;
use crate::request::{Error, Rule, invalid};
use crate::validate;

/// Most players of one request.
pub const MOST_PLAYERS: usize = 1024;

/// How long a token can be used when the request does not say.
const LIFETIME: Duration = Duration::from_secs(30);

/// The longest that a token can be used.
const LONGEST_LIFETIME: Duration = Duration::from_mins(10);

/// A player who is given a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// As the server is told of it.
    pub player: Player,
    /// It watches, and does not play.
    pub is_spectator: bool,
    /// The trace that it comes with, if it has one of its own.
    pub trace: Option<String>,
}

/// The request that is meant.
pub fn claim(namespace: &str, request_id: &str) -> Result<Claim, Error> {
    if !validate::is_namespace(namespace) {
        return invalid("namespace", Rule::Namespace);
    }
    if !validate::is_name(request_id) {
        return invalid("requestId", Rule::RequestId);
    }
    Ok(Claim {
        namespace: namespace.to_owned(),
        request_id: request_id.to_owned(),
    })
}

/// The match of a request. Its players are whom the server waits for and keeps places for, so who
/// only watches is none of them. Without an id it has one that is made from the request's, so that a
/// retry means the same match.
pub fn of_match(claim: &Claim, match_id: &str, joining: &[Joining]) -> Result<Match, Error> {
    let parts: [&[u8]; 2] = [claim.namespace.as_bytes(), claim.request_id.as_bytes()];
    let match_id = match ids::parse(match_id) {
        Some(id) => id,
        None if match_id.is_empty() => ids::named("match", &parts),
        None => return invalid("matchId", Rule::Uuid),
    };
    let playing = || joining.iter().filter(|each| !each.is_spectator);
    let trace = |each: &Joining| Some((each.player.player_id.clone(), each.trace.clone()?));
    Ok(Match {
        match_id: match_id.to_string(),
        request_id: claim.request_id.clone(),
        players: playing().map(|each| each.player.clone()).collect(),
        trace_context: None,
        player_traces: playing().filter_map(trace).collect(),
    })
}

/// The players of a request, in its order.
pub fn players(players: &[wire::Player]) -> Result<Vec<Joining>, Error> {
    if players.len() > MOST_PLAYERS {
        return invalid("players", Rule::TooManyPlayers);
    }
    let mut seen = BTreeSet::new();
    let each = players.iter().enumerate();
    each.map(|(place, player)| {
        let Some(id) = ids::parse(&player.player_id) else {
            return invalid(format!("players[{place}].playerId"), Rule::Uuid);
        };
        if !seen.insert(id) {
            return invalid(format!("players[{place}].playerId"), Rule::Again);
        }
        let Ok(team) = u8::try_from(player.team) else {
            return invalid(format!("players[{place}].team"), Rule::Team);
        };
        Ok(Joining {
            player: Player {
                player_id: id.to_string(),
                team,
            },
            is_spectator: player.spectator,
            trace: runtime::trace::parse(&player.trace_context),
        })
    })
    .collect()
}

/// As [`players`], where there must be some.
pub fn some_players(players: &[wire::Player]) -> Result<Vec<Joining>, Error> {
    if players.is_empty() {
        return invalid("players", Rule::NoPlayers);
    }
    self::players(players)
}

/// How long tokens can be used, in whole seconds.
pub fn lifetime(wanted: Option<&pbjson_types::Duration>) -> Result<Duration, Error> {
    let Some(wanted) = wanted else {
        return Ok(LIFETIME);
    };
    let seconds = u64::try_from(wanted.seconds).unwrap_or_default();
    let nanos = u32::try_from(wanted.nanos).unwrap_or_default();
    let lifetime = Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into()));
    if lifetime < Duration::from_secs(1) || lifetime > LONGEST_LIFETIME {
        return invalid("tokenLifetime", Rule::Lifetime);
    }
    Ok(lifetime)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190a5b2-7c1e-7d3a-9f00-1234567890ab";

    fn player(player_id: &str, team: u32) -> wire::Player {
        wire::Player {
            player_id: player_id.to_owned(),
            team,
            spectator: false,
            trace_context: String::new(),
        }
    }

    #[test]
    fn bad_fields_are_named() {
        let duration = |seconds, nanos| Some(pbjson_types::Duration { seconds, nanos });
        let lifetime_of = |seconds, nanos| lifetime(duration(seconds, nanos).as_ref()).map(drop);
        let players_of = |players: &[wire::Player]| players_or(players);
        let long = "r".repeat(64);
        let table = [
            (claim("", "r").map(drop), "namespace: must be the name"),
            (
                claim("a/../b", "r").map(drop),
                "namespace: must be the name",
            ),
            (claim("a", "").map(drop), "requestId: must be 1 to 63"),
            (claim("a", "r\n").map(drop), "requestId: must be 1 to 63"),
            (claim("a", &long).map(drop), "requestId: must be 1 to 63"),
            (
                players_of(&[player("7", 0)]),
                "players[0].playerId: must be a UUID",
            ),
            (
                players_of(&[player(ID, 0), player(&ID.to_uppercase(), 1)]),
                "players[1].playerId: must be another player",
            ),
            (
                players_of(&[player(ID, 256)]),
                "players[0].team: must be 0 to 255",
            ),
            (
                players_of(&vec![player(ID, 0); 1025]),
                "players: must have at most 1024",
            ),
            (some_players(&[]).map(drop), "players: must have at least 1"),
            (lifetime_of(0, 999_999_999), "tokenLifetime: must be from"),
            (lifetime_of(600, 1), "tokenLifetime: must be from"),
            (lifetime_of(-5, 0), "tokenLifetime: must be from"),
            (
                lifetime_of(i64::MAX, i32::MAX),
                "tokenLifetime: must be from",
            ),
        ];
        for (result, expected) in table {
            let error = result.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    fn players_or(players: &[wire::Player]) -> Result<(), Error> {
        super::players(players).map(drop)
    }

    #[test]
    fn a_retry_means_the_same_match() {
        let claim = |request_id| claim("games", request_id).unwrap();
        let id = |request_id, match_id| {
            of_match(&claim(request_id), match_id, &[])
                .unwrap()
                .match_id
        };
        assert_eq!(id("r-1", ""), id("r-1", ""));
        assert_ne!(id("r-1", ""), id("r-2", ""));
        assert_eq!(id("r-1", &ID.to_uppercase()), ID);
        assert!(of_match(&claim("r-1"), "m", &[]).is_err());
    }

    #[test]
    fn no_server_waits_for_spectators() {
        let other = "0190a5b2-7c1e-7d3a-9f00-1234567890ac";
        let spectator = wire::Player {
            spectator: true,
            ..player(other, 0)
        };
        let joining = players(&[spectator, player(ID, 3)]).unwrap();
        let claim = claim("games", "r-1").unwrap();
        let expected = of_match(&claim, "", &joining).unwrap().players;
        assert_eq!(expected, [joining[1].player.clone()]);
    }

    #[test]
    fn a_player_may_bring_a_trace_of_its_own() {
        let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let other = "0190a5b2-7c1e-7d3a-9f00-1234567890ac";
        let of = |id, trace_context: &str| wire::Player {
            trace_context: trace_context.to_owned(),
            ..player(id, 0)
        };
        let joining = players(&[of(ID, context), of(other, "00-made-up-01")]).unwrap();
        let claim = claim("games", "r-1").unwrap();
        let traces = of_match(&claim, "", &joining).unwrap().player_traces;
        let expected = [(ID.to_owned(), context.to_owned())];
        assert_eq!(traces, expected.into());
    }

    #[test]
    fn lifetimes_have_a_default_and_bounds() {
        assert_eq!(lifetime(None), Ok(LIFETIME));
        let wanted = pbjson_types::Duration {
            seconds: 600,
            nanos: 0,
        };
        assert_eq!(lifetime(Some(&wanted)), Ok(LONGEST_LIFETIME));
    }
}
