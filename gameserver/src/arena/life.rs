//! The course of the process around its matches: idle, hosting, over, and the end. Pure.
//!
//! The phases of a match itself are the simulation's; this decides when one begins, when its result
//! is reported, and what comes after it.

/// What is done after a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AfterMatch {
    /// The process ends, and the platform replaces it.
    Shutdown,
    /// The server becomes Ready again and takes another match.
    Ready,
}

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits for a match, or for the first player where no platform assigns any.
    Idle,
    /// A match is on.
    Hosting,
    /// The match is over: its result is on its way to the platform, and its players look at it.
    Over {
        /// Whether the platform has the result.
        is_reported: bool,
        /// Whether the players have had their look.
        is_seen: bool,
    },
    /// Nothing more to do.
    Gone,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The platform assigned a match, or a first player came where it assigns none.
    Assigned,
    /// The match reached its end.
    Ended,
    /// The platform took the match away before its end.
    Withdrawn,
    /// The platform has the result.
    Reported,
    /// The players have had time to see the result.
    Seen,
    /// The process is asked to end.
    Drain,
    /// It must end now.
    DrainDeadline,
}

/// What the caller has to do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a match and let players in.
    Begin,
    /// Let nobody new in.
    CloseDoor,
    /// End the match as it stands.
    Abort,
    /// Report the result until the platform has it.
    Report,
    /// Say goodbye to every player and forget the match.
    Disband,
    /// End the process.
    Exit,
}

/// The state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    stage: Stage,
    is_draining: bool,
    after: AfterMatch,
}

impl Life {
    /// An idle process.
    pub const fn new(after: AfterMatch) -> Self {
        Self {
            stage: Stage::Idle,
            is_draining: false,
            after,
        }
    }

    /// How far it is.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the process takes no more matches and players.
    pub const fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// What follows the current match.
    pub const fn after(&self) -> AfterMatch {
        if self.is_draining {
            AfterMatch::Shutdown
        } else {
            self.after
        }
    }

    /// Goes on by an event. Events that make no sense at this stage change nothing: a result that
    /// was reported twice, or an assignment that came during a match.
    pub fn on(&mut self, event: Event) -> &'static [Action] {
        let over = Stage::Over {
            is_reported: false,
            is_seen: false,
        };
        match (self.stage, event) {
            (Stage::Idle, Event::Assigned) if !self.is_draining => {
                self.stage = Stage::Hosting;
                &[Action::Begin]
            }
            (Stage::Idle, Event::Drain | Event::DrainDeadline) => {
                self.is_draining = true;
                self.stage = Stage::Gone;
                &[Action::Exit]
            }
            (Stage::Hosting | Stage::Over { .. }, Event::Drain) => {
                self.is_draining = true;
                &[Action::CloseDoor]
            }
            (Stage::Hosting, Event::Ended) => {
                self.stage = over;
                &[Action::Report]
            }
            (Stage::Hosting, Event::DrainDeadline) => {
                self.is_draining = true;
                self.stage = over;
                &[Action::Abort, Action::Report]
            }
            (Stage::Hosting, Event::Withdrawn) => {
                // Whoever withdrew it wants no result.
                self.stage = Stage::Over {
                    is_reported: true,
                    is_seen: false,
                };
                &[Action::Abort]
            }
            (Stage::Over { is_seen, .. }, Event::Reported) => self.settle(true, is_seen),
            (Stage::Over { is_reported, .. }, Event::Seen) => self.settle(is_reported, true),
            (Stage::Over { .. }, Event::DrainDeadline) => {
                self.is_draining = true;
                self.settle(true, true)
            }
            (Stage::Idle | Stage::Hosting | Stage::Over { .. } | Stage::Gone, _) => &[],
        }
    }

    fn settle(&mut self, is_reported: bool, is_seen: bool) -> &'static [Action] {
        if !(is_reported && is_seen) {
            self.stage = Stage::Over {
                is_reported,
                is_seen,
            };
            return &[];
        }
        match self.after() {
            AfterMatch::Shutdown => {
                self.stage = Stage::Gone;
                &[Action::Disband, Action::Exit]
            }
            AfterMatch::Ready => {
                self.stage = Stage::Idle;
                &[Action::Disband]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [Event; 7] = [
        Event::Assigned,
        Event::Ended,
        Event::Withdrawn,
        Event::Reported,
        Event::Seen,
        Event::Drain,
        Event::DrainDeadline,
    ];

    #[test]
    fn the_table_of_stages() {
        let over = |is_reported, is_seen| Stage::Over {
            is_reported,
            is_seen,
        };
        let stages = [
            Stage::Idle,
            Stage::Hosting,
            over(false, false),
            over(true, false),
            over(false, true),
            Stage::Gone,
        ];
        let mut table = String::new();
        for stage in stages {
            for event in EVENTS {
                let mut life = Life {
                    stage,
                    is_draining: false,
                    after: AfterMatch::Ready,
                };
                let before = life;
                let actions = life.on(event);
                if life == before {
                    assert_eq!(actions, []);
                    continue;
                }
                let drains = if life.is_draining { ", draining" } else { "" };
                writeln!(
                    table,
                    "{stage:?} + {event:?} → {:?}{drains} {actions:?}",
                    life.stage
                )
                .unwrap();
            }
        }
        expect![[r#"
            Idle + Assigned → Hosting [Begin]
            Idle + Drain → Gone, draining [Exit]
            Idle + DrainDeadline → Gone, draining [Exit]
            Hosting + Ended → Over { is_reported: false, is_seen: false } [Report]
            Hosting + Withdrawn → Over { is_reported: true, is_seen: false } [Abort]
            Hosting + Drain → Hosting, draining [CloseDoor]
            Hosting + DrainDeadline → Over { is_reported: false, is_seen: false }, draining [Abort, Report]
            Over { is_reported: false, is_seen: false } + Reported → Over { is_reported: true, is_seen: false } []
            Over { is_reported: false, is_seen: false } + Seen → Over { is_reported: false, is_seen: true } []
            Over { is_reported: false, is_seen: false } + Drain → Over { is_reported: false, is_seen: false }, draining [CloseDoor]
            Over { is_reported: false, is_seen: false } + DrainDeadline → Gone, draining [Disband, Exit]
            Over { is_reported: true, is_seen: false } + Seen → Idle [Disband]
            Over { is_reported: true, is_seen: false } + Drain → Over { is_reported: true, is_seen: false }, draining [CloseDoor]
            Over { is_reported: true, is_seen: false } + DrainDeadline → Gone, draining [Disband, Exit]
            Over { is_reported: false, is_seen: true } + Reported → Idle [Disband]
            Over { is_reported: false, is_seen: true } + Drain → Over { is_reported: false, is_seen: true }, draining [CloseDoor]
            Over { is_reported: false, is_seen: true } + DrainDeadline → Gone, draining [Disband, Exit]
        "#]].assert_eq(&table);
    }

    proptest! {
        /// Whatever happens in whatever order: a match that began is disbanded before another
        /// begins and before the end, each is reported at most once, and the end is the end.
        #[test]
        fn matches_never_overlap(events in prop::collection::vec(0..EVENTS.len(), 0..60), again: bool) {
            let after = if again { AfterMatch::Ready } else { AfterMatch::Shutdown };
            let mut life = Life::new(after);
            let (mut is_on, mut reports, mut exits) = (false, 0, 0);
            for index in events {
                for action in life.on(EVENTS[index]) {
                    prop_assert_eq!(exits, 0);
                    match action {
                        Action::Begin => {
                            prop_assert!(!is_on && !life.is_draining());
                            (is_on, reports) = (true, 0);
                        }
                        Action::CloseDoor | Action::Abort => prop_assert!(is_on),
                        Action::Report => reports += 1,
                        Action::Disband => {
                            prop_assert!(is_on);
                            is_on = false;
                        }
                        Action::Exit => exits += 1,
                    }
                    prop_assert!(reports <= 1);
                }
            }
            prop_assert_eq!(exits == 1, life.stage() == Stage::Gone);
            prop_assert!(exits == 0 || !is_on);
        }

        /// A process that is asked to end, and then told that its time is over, ends.
        #[test]
        fn a_drain_always_ends(events in prop::collection::vec(0..EVENTS.len(), 0..20)) {
            let mut life = Life::new(AfterMatch::Ready);
            for index in events {
                life.on(EVENTS[index]);
            }
            for event in [Event::Drain, Event::DrainDeadline, Event::Seen, Event::DrainDeadline] {
                life.on(event);
            }
            prop_assert_eq!(life.stage(), Stage::Gone);
        }
    }
}
