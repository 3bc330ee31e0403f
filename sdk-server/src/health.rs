//! Judges the game server's health by its pings. Pure: the caller brings the time.
//!
//! Every period counts one failure if no ping came within that period; as many failures as the
//! threshold make the server Unhealthy; one ping forgives all. The time before the first kubelet
//! probe is not judged, so neither image pulls nor the initial delay (which the kubelet waits for)
//! count.

use std::time::Duration;

use proto::agones::dev::sdk::game_server::spec;

/// The rules that a game server's specification sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) disabled: bool,
    pub(crate) period: Duration,
    pub(crate) threshold: u32,
}

impl From<spec::Health> for Settings {
    fn from(health: spec::Health) -> Self {
        // The schema refuses values below 1; a zero here would make a loop without a pause.
        Self {
            disabled: health.disabled,
            period: Duration::from_secs(u64::try_from(health.period_seconds).unwrap_or(0).max(1)),
            threshold: u32::try_from(health.failure_threshold).unwrap_or(0).max(1),
        }
    }
}

/// The health of one game server; times count from any fixed point.
#[derive(Debug, Default)]
pub(crate) struct Health {
    running: Option<Settings>,
    last_ping: Duration,
    failures: u32,
}

impl Health {
    /// Begins to judge, at the first kubelet probe.
    pub(crate) fn start(&mut self, now: Duration, settings: Settings) {
        self.running = Some(settings);
        self.ping(now);
    }

    pub(crate) fn ping(&mut self, now: Duration) {
        self.last_ping = now;
        self.failures = 0;
    }

    /// Judges the last period; returns whether the server is healthy.
    pub(crate) fn check(&mut self, now: Duration) -> bool {
        if let Some(settings) = self.running
            && now.saturating_sub(self.last_ping) >= settings.period
        {
            self.failures = self.failures.saturating_add(1);
        }
        self.is_healthy()
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.running
            .is_none_or(|settings| settings.disabled || self.failures < settings.threshold)
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a story: `p` a ping, `c` a check, each with its second; returns the health after
    /// each check.
    fn check(disabled: bool, story: &[(char, u64)]) -> Vec<bool> {
        let mut health = Health::default();
        let settings = Settings {
            disabled,
            period: Duration::from_secs(5),
            threshold: 3,
        };
        health.start(Duration::ZERO, settings);
        let mut seen = Vec::new();
        for (step, second) in story {
            let now = Duration::from_secs(*second);
            match step {
                'p' => health.ping(now),
                _ => seen.push(health.check(now)),
            }
        }
        seen
    }

    #[test]
    fn silence_makes_unhealthy_at_the_threshold() {
        assert_eq!(
            check(false, &[('c', 5), ('c', 10), ('c', 15)]),
            [true, true, false]
        );
    }

    #[test]
    fn one_ping_forgives_all() {
        let story = [
            ('c', 5),
            ('c', 10),
            ('p', 12),
            ('c', 15),
            ('c', 20),
            ('c', 25),
            ('c', 30),
        ];
        assert_eq!(check(false, &story), [true, true, true, true, true, false]);
    }

    #[test]
    fn a_ping_in_each_period_keeps_healthy() {
        let story = [
            ('p', 4),
            ('c', 5),
            ('p', 9),
            ('c', 10),
            ('p', 14),
            ('c', 15),
            ('c', 20),
        ];
        assert_eq!(check(false, &story), [true; 4]);
    }

    #[test]
    fn a_disabled_check_never_fails() {
        assert_eq!(
            check(true, &[('c', 5), ('c', 10), ('c', 15), ('c', 20)]),
            [true; 4]
        );
    }

    #[test]
    fn nothing_is_judged_before_the_first_probe() {
        let mut health = Health::default();
        for second in [5, 50, 500] {
            assert!(health.check(Duration::from_secs(second)));
        }
    }

    #[test]
    fn senseless_settings_become_the_least_sensible() {
        let settings = Settings::from(spec::Health::default());
        assert_eq!(
            settings,
            Settings {
                disabled: false,
                period: Duration::from_secs(1),
                threshold: 1
            }
        );
    }
}
