//! The networks that players have, by name, and what must hold on each.

use std::time::Duration;

use crate::link::{LinkConfig, Loss, Spikes};

/// A network and what must hold on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does to packets, in each direction.
    pub link: LinkConfig,
    /// A time without any packet, with its start after the join.
    pub blackout: Option<(Duration, Duration)>,
    /// When the client's port changes, after the join.
    pub rebind: Option<Duration>,
    /// What a client must see.
    pub rules: Rules,
}

/// What must hold for every bot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Most mispredictions; none is checked without.
    pub mispredictions: Option<u64>,
    /// Most ticks for which the server had no input, as a share of all.
    pub starvation: Option<f64>,
    /// Whether the session has to go on after a full resynchronization. Without it, none may be
    /// needed.
    pub may_resync: bool,
    /// Longest time from the end of a blackout, or from a change of the port, to the next
    /// snapshot.
    pub resumes_within: Option<Duration>,
    /// Whether the session must have ended instead.
    pub expires: bool,
    /// Most bits per second down, headers included.
    pub down: Option<u64>,
    /// Most gaps between snapshots that are wide, as a share of all; see
    /// [`crate::record::WIDE_GAP`].
    pub wide_gaps: Option<f64>,
    /// Most ticks that the server may give up, where its metrics are to be had.
    pub debt: Option<u64>,
}

/// What must hold everywhere.
const RULES: Rules = Rules {
    mispredictions: None,
    starvation: None,
    may_resync: true,
    resumes_within: None,
    expires: false,
    down: None,
    wide_gaps: None,
    debt: None,
};

/// A share of 0.0 %, to the digit that is written.
const NO_GAPS: f64 = 0.000_5;

/// Bits per second down that 64 players who all see each other may cost each, headers included.
const DOWN: u64 = 400_000;

/// What a link with an MTU of 1,280 bytes, the least of IPv6 and usual in tunnels, leaves for a
/// datagram after the headers of IPv4 and UDP.
const TUNNEL: usize = 1_280 - 28;

const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A link with this mean delay and standard deviation, in milliseconds.
const fn link(mean: u64, jitter: u64, loss: Loss) -> LinkConfig {
    LinkConfig {
        // Three deviations below the mean is the least.
        delay: milliseconds(mean - 3 * jitter),
        jitter: milliseconds(jitter),
        loss,
        ..LinkConfig::CLEAN
    }
}

const fn quiet(name: &'static str, link: LinkConfig, rules: Rules) -> Profile {
    Profile {
        name,
        link,
        blackout: None,
        rebind: None,
        rules,
    }
}

const fn blackout(name: &'static str, seconds: u64, rules: Rules) -> Profile {
    Profile {
        name,
        link: link(20, 2, Loss::NONE),
        blackout: Some((Duration::from_secs(3), Duration::from_secs(seconds))),
        rebind: None,
        rules,
    }
}

/// A session that goes on after everything was lost for a while.
const RESUMES: Rules = Rules {
    resumes_within: Some(Duration::from_secs(2)),
    ..RULES
};

/// Every profile of a network; [`FLOOD`] is about the server instead.
pub const PROFILES: [Profile; 10] = [
    quiet(
        "clean",
        LinkConfig::CLEAN,
        Rules {
            mispredictions: Some(0),
            starvation: Some(0.0),
            may_resync: false,
            wide_gaps: Some(NO_GAPS),
            debt: Some(0),
            ..RULES
        },
    ),
    quiet(
        "fiber",
        link(20, 2, Loss::even(0.001)),
        Rules {
            starvation: Some(0.0001),
            may_resync: false,
            ..RULES
        },
    ),
    quiet(
        "4g",
        link(60, 20, Loss::bursts(0.01, 3.0)),
        Rules {
            starvation: Some(0.001),
            may_resync: false,
            ..RULES
        },
    ),
    quiet(
        "bad-wifi",
        LinkConfig {
            spikes: Some(Spikes {
                every: Duration::from_secs(5),
                length: milliseconds(300),
                delay: milliseconds(200),
            }),
            // A crowded cell: what is left of it for one player.
            rate: 1_000_000,
            mtu: TUNNEL,
            ..link(40, 5, Loss::even(0.03))
        },
        Rules {
            resumes_within: Some(Duration::from_secs(2)),
            down: Some(DOWN),
            ..RULES
        },
    ),
    quiet(
        "hostile",
        LinkConfig {
            duplicated: 0.02,
            reordered: 0.05,
            ..link(150, 50, Loss::even(0.1))
        },
        RULES,
    ),
    blackout("blackout-2", 2, RESUMES),
    blackout("blackout-10", 10, RESUMES),
    blackout("blackout-25", 25, RESUMES),
    blackout(
        "blackout-31",
        31,
        Rules {
            expires: true,
            ..RULES
        },
    ),
    Profile {
        rebind: Some(Duration::from_secs(3)),
        ..quiet(
            "rebind",
            link(20, 2, Loss::NONE),
            Rules {
                resumes_within: Some(milliseconds(1_500)),
                ..RULES
            },
        )
    },
];

/// Players on a clean network whose server is flooded meanwhile. Predictions and inputs may suffer
/// from a flood, connections may not.
pub const FLOOD: Profile = quiet("flood", LinkConfig::CLEAN, RULES);

/// Every profile.
pub fn every() -> impl Iterator<Item = &'static Profile> {
    PROFILES.iter().chain([&FLOOD])
}

/// The profile of a name.
pub fn named(name: &str) -> Option<&'static Profile> {
    every().find(|profile| profile.name == name)
}

/// Time that a profile without faults is played at least.
const LEAST: Duration = Duration::from_secs(5);

impl Profile {
    /// Somebody on a clean network, who keeps the match alive while all others are gone: a match
    /// that nobody plays for some seconds is over. None where nobody is ever gone.
    pub fn witness(&self) -> Option<Self> {
        self.blackout.map(|_| Self {
            name: "witness",
            ..PROFILES[0]
        })
    }

    /// How long it is to be played at least, for its faults to come and to be over.
    pub fn least_length(&self) -> Duration {
        let blackout = self.blackout.map(|(after, length)| after + length);
        let spikes = self.link.spikes.map(|spikes| spikes.every);
        let faults = [blackout, self.rebind, spikes].into_iter().flatten().max();
        faults.unwrap_or_default() + LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_name_of_its_own_and_time_for_its_faults() {
        for profile in every() {
            assert_eq!(named(profile.name), Some(profile));
        }
        let length = |name| named(name).unwrap().least_length().as_secs();
        assert_eq!(
            ["clean", "bad-wifi", "blackout-31", "rebind"].map(length),
            [5, 10, 39, 8]
        );
    }
}
