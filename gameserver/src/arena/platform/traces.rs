//! The trace of an allocation goes on here: how long its match is the server's, and when each of
//! its players has come.
//!
//! A player has come with its first packet, which the game tells by its queue, so that nothing of
//! this is on the thread that ticks. A player's span belongs to the player's own trace, or else to
//! the allocation's, and never to the span of the match: that one is sent when the match is over,
//! and a server that is killed never sends it.

use std::collections::BTreeMap;

use proto::Uuid;
use proto::muster::sdk::v1::Match;
use tracing::Span;

/// The match that the platform assigned, and its traces.
#[derive(Debug)]
pub(super) struct Assigned {
    id: [u8; 16],
    context: String,
    players: BTreeMap<String, String>,
    /// Ends with the assignment.
    _span: Span,
}

impl Assigned {
    /// The match begins to be the server's.
    pub(super) fn new(id: [u8; 16], of_match: Match) -> Self {
        let span = runtime::span!("match", muster.match_id = %Uuid(id));
        runtime::trace::continue_from(&span, &of_match.trace_context);
        let players = of_match.players.into_iter();
        Self {
            id,
            context: of_match.trace_context,
            players: players
                .filter(|player| !player.trace_context.is_empty())
                .map(|player| (player.player_id, player.trace_context))
                .collect(),
            _span: span,
        }
    }

    /// Which match.
    pub(super) const fn id(&self) -> [u8; 16] {
        self.id
    }
}

/// A player has come: a span for telling the platform, in the trace that the player came by.
pub(super) fn joined(assigned: Option<&Assigned>, player: &str) -> Span {
    let Some(assigned) = assigned else {
        return Span::none();
    };
    let span = runtime::span!(
        "player joined",
        muster.match_id = %Uuid(assigned.id),
        muster.player_id = player,
    );
    let own = assigned.players.get(player);
    runtime::trace::continue_from(&span, own.unwrap_or(&assigned.context));
    span
}

#[cfg(test)]
mod tests {
    use proto::muster::sdk::v1::Player;
    use runtime::trace::collector::Collector;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const OF_MATCH: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OF_PLAYER: &str = "00-11111111111111111111111111111111-2222222222222222-01";

    #[tokio::test]
    async fn a_player_joins_in_the_trace_of_its_own() {
        let collector = Collector::start().await.unwrap();
        let (layer, exporter) = runtime::trace::pipeline("test", &collector.args()).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        // One subscriber alone would count as everybody's, and the first thread that comes by a call
        // site, of a test without traces, would turn it off for this one too.
        let _another = tracing::Dispatch::new(tracing_subscriber::registry());
        let _traced = tracing::subscriber::set_default(subscriber);
        let player = |id: &str, trace_context: &str| Player {
            player_id: id.to_owned(),
            team: 0,
            trace_context: trace_context.to_owned(),
        };
        let of_match = Match {
            trace_context: OF_MATCH.to_owned(),
            players: vec![player("ada", OF_PLAYER), player("bob", "")],
            ..Match::default()
        };
        exporter
            .during(async {
                let assigned = Assigned::new([7; 16], of_match);
                for who in ["ada", "bob", "late"] {
                    drop(joined(Some(&assigned), who));
                }
                assert!(joined(None, "ada").is_disabled());
            })
            .await;
        let shown = collector.spans().into_iter().map(|span| {
            let [trace, parent] = [&span.trace_id, &span.parent_span_id].map(|id| id[0]);
            format!("{} {trace:02x} {parent:02x}", span.name)
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                "player joined 11 22",
                "player joined 0a b7",
                "player joined 0a b7",
                "match 0a b7",
            ]
        );
    }
}
