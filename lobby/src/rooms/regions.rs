//! Where the match of a room is played.

use std::collections::BTreeMap;

/// How far a player is from regions. What clients measured is one source; another, such as a table
/// of networks behind GeoDNS, may stand in its place for clients who measure nothing.
pub trait Reach {
    /// Whether anything is known of the player.
    fn is_known(&self) -> bool;

    /// Milliseconds to a region; none when it is out of reach.
    fn milliseconds(&self, region: &str) -> Option<u32>;
}

impl Reach for BTreeMap<String, u32> {
    fn is_known(&self) -> bool {
        !self.is_empty()
    }

    fn milliseconds(&self, region: &str) -> Option<u32> {
        self.get(region).copied()
    }
}

/// The region that the worst player reaches best, the first of such. Players of whom nothing is
/// known go wherever the others do. None when no region is in reach of all.
pub fn choose<'regions>(
    regions: &'regions [String],
    players: &[impl Reach],
) -> Option<&'regions str> {
    let worst = |region: &String| {
        let known = players.iter().filter(|player| player.is_known());
        let distances: Option<Vec<u32>> = known.map(|player| player.milliseconds(region)).collect();
        Some(distances?.into_iter().max().unwrap_or_default())
    };
    regions
        .iter()
        .filter_map(|region| Some((worst(region)?, region)))
        .min_by_key(|(worst, _)| *worst)
        .map(|(_, region)| region.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_player_decides_and_the_order_breaks_ties() {
        let regions = ["eu".to_owned(), "us".to_owned(), "asia".to_owned()];
        let chosen = |players: &[&[(&str, u32)]]| {
            let measured = |player: &&[(&str, u32)]| -> BTreeMap<String, u32> {
                let pairs = player.iter();
                pairs
                    .map(|(name, latency)| ((*name).to_owned(), *latency))
                    .collect()
            };
            let players: Vec<_> = players.iter().map(measured).collect();
            choose(&regions, &players)
        };
        for (players, expected) in [
            (&[][..], Some("eu")),
            (&[&[][..], &[]][..], Some("eu")),
            (&[&[("us", 20)], &[]], Some("us")),
            (&[&[("us", 20), ("eu", 20)]], Some("eu")),
            (
                // The sum favors eu, the worst player us.
                &[
                    &[("eu", 5), ("us", 60), ("asia", 300)],
                    &[("eu", 100), ("us", 60), ("asia", 10)],
                ],
                Some("us"),
            ),
            (&[&[("eu", 5)], &[("us", 5)]], None),
            (&[&[("mars", 5)]], None),
        ] {
            assert_eq!(chosen(players), expected, "{players:?}");
        }
    }
}
