//! The promises of a store, one by one; each begins with an empty one.

mod chat;
mod endings;
mod matches;
mod system;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use lobby::ids::{MatchId, PlayerId, SessionId};
use lobby::ratings::Rating;
use lobby::store::{
    AuditLine, Committed, Ending, Match, MatchStatus, Rated, Report, Seat, Server, Store,
};
use serde_json::json;
use uuid::Uuid;

type Shared = Arc<dyn Store>;
type Case = (&'static str, fn(Shared) -> BoxFuture<'static, ()>);

macro_rules! cases {
    ($($module:ident: $($name:ident,)*;)*) => {
        pub(crate) const ALL: &[Case] =
            &[$($((stringify!($name), |store| Box::pin($module::$name(store)))),*),*];
    };
}

cases! {
    matches:
        a_match_is_as_it_was_committed,
        a_match_is_committed_once,
        of_many_at_once_one_makes_the_match,
        a_player_is_in_one_open_match,
        of_matches_with_shared_players_one_is_made,
        a_match_without_players_is_none,
        nobody_sits_twice,
        open_matches_are_listed_in_order,
        a_history_is_read_backwards,
        lists_are_bounded,
    ;
    endings:
        an_end_frees_players_and_rates_them,
        a_match_ends_once,
        of_many_at_once_one_ends_the_match,
        a_lost_match_rates_nobody,
        ratings_that_do_not_fit_change_nothing,
        ratings_go_on_from_match_to_match,
        ratings_are_left_if_nothing_follows_from_the_result,
        matches_with_shared_players_end_at_once,
        players_change_matches_at_once,
    ;
    chat:
        lines_are_as_they_were_said,
        numbers_have_no_gaps,
        a_history_is_read_page_by_page,
        lines_are_edited_and_deleted,
        forgotten_lines_leave_their_numbers,
        any_text_is_kept,
        a_line_is_reported_once_by_each,
        a_mute_is_replaced_and_ends,
    ;
    system:
        the_audit_log_is_forgotten_by_age,
        it_answers,
    ;
}

/// Some time, to the microsecond.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_microsecond(1_800_000_000_123_456).unwrap() + SignedDuration::from_secs(seconds)
}

pub(crate) fn player() -> PlayerId {
    PlayerId(Uuid::new_v4())
}

pub(crate) fn players<const COUNT: usize>() -> [PlayerId; COUNT] {
    let mut players = [(); COUNT].map(|()| player());
    players.sort();
    players
}

fn seat(player: PlayerId, team: u16) -> Seat {
    Seat {
        player,
        session: SessionId(Uuid::new_v4()),
        team,
        rank: None,
        ratings: None,
    }
}

/// A match that is not committed, of teams of players.
pub(crate) fn new_match(teams: &[&[PlayerId]]) -> Match {
    let seats = teams.iter().enumerate().flat_map(|(team, players)| {
        let team = u16::try_from(team).unwrap();
        players.iter().map(move |player| seat(*player, team))
    });
    Match {
        id: MatchId(Uuid::now_v7()),
        queue: "duel".to_owned(),
        region: "eu".to_owned(),
        server: Server {
            namespace: "games".to_owned(),
            name: "arena-1".to_owned(),
            endpoint: "203.0.113.7:7012".to_owned(),
        },
        is_rated: true,
        status: MatchStatus::Started,
        made_at: at(0),
        ended_at: None,
        result: None,
        seats: seats.collect(),
    }
}

/// A match that is.
pub(crate) async fn committed(store: &dyn Store, teams: &[&[PlayerId]]) -> Match {
    let made = new_match(teams);
    assert_eq!(store.commit(&made).await.unwrap(), Committed::Made);
    made
}

pub(crate) const NEWCOMER: Rating = Rating {
    mean: 25.0,
    deviation: 25.0 / 3.0,
    volatility: 0.0,
};

/// The teams come in this order.
pub(crate) fn ending(ranks: &[usize]) -> Ending {
    Ending {
        at: at(60),
        result: Some(json!({"winner": "team \u{0}", "score": [3, 0.1]})),
        ranks: Some(ranks.to_vec()),
        newcomer: NEWCOMER,
    }
}

/// Gives as many points as there are teams behind; everybody is known a bit better. Nothing follows
/// from ranks that are not one for each team.
pub(crate) fn rate(teams: &[Vec<Rated>], ranks: &[usize]) -> Option<Vec<Vec<Rating>>> {
    if ranks.len() != teams.len() {
        return None;
    }
    let better = |rated: &Rated, rank: usize| Rating {
        mean: rated.rating.mean + f64::from(u32::try_from(teams.len() - rank).unwrap()),
        deviation: rated.rating.deviation * 0.9,
        volatility: rated.rating.volatility,
    };
    let teams = teams.iter().zip(ranks);
    let team = |(team, rank): (&Vec<Rated>, &usize)| -> Vec<Rating> {
        team.iter().map(|rated| better(rated, *rank)).collect()
    };
    Some(teams.map(team).collect())
}

/// A report of the first line of a channel, with texts that a database may not like.
pub(crate) fn report() -> Report {
    Report {
        by: player(),
        channel: "room".to_owned(),
        number: 1,
        reason: "rude".to_owned(),
        at: at(0),
        evidence: json!([{"text": "a\u{0}b"}]),
    }
}

/// A line of the audit log.
pub(crate) fn line(seconds: i64) -> AuditLine {
    AuditLine {
        at: at(seconds),
        actor: Some(player()),
        subject: Some(player()),
        event: "delete_chat",
        detail: json!({"text": "a\u{0}b"}),
    }
}
