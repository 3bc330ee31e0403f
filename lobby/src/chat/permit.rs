//! How much a player may write, and what happens to who breaks the rules. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Code, Failure};
use crate::ids::PlayerId;
use crate::store::{ChatLine, Mute};

/// How long a line may be changed by who wrote it.
pub const EDITABLE: SignedDuration = SignedDuration::from_mins(10);

/// The longest time that a moderator mutes a player for: ten years.
pub const LONGEST_MUTE: Duration = Duration::from_hours(10 * 365 * 24);

/// The most bytes of a text that are looked at: its characters are counted when marks are put
/// together with their letters.
const MAX_BYTES: usize = 8 * 1024;

/// How many refused messages within [`WINDOW`] mute a player.
const STRIKES: usize = 5;

/// How long a refused message counts.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// How long a player is muted the first time, the second, and so on; the last one stays.
const MUTES: [Duration; 5] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(24),
];

/// When mutes begin anew with the shortest: so long after the last one began.
const FORGIVEN: SignedDuration = SignedDuration::from_hours(48);

/// How long [`Strikes`] must be kept.
pub const STRIKES_KEPT: Duration = Duration::from_hours(48);

/// Lines that a player writes or changes, in all channels: so many at once, and one in each period.
pub const LINES: (u32, Duration) = (5, Duration::from_secs(1));

/// Lines that a player reports.
pub const REPORTS: (u32, Duration) = (5, Duration::from_secs(30));

/// A text as it is judged, counted and kept: letters with their marks put together (NFC), without
/// space around it. What is much too long is refused before that work.
pub fn composed(field: &'static str, text: &str) -> Result<String, Failure> {
    if text.len() > MAX_BYTES {
        return Err(too_long(field));
    }
    Ok(text.trim().nfc().collect())
}

/// The reason of a report or a mute: may be empty, and is as long as a message at most.
pub fn reason(text: &str) -> Result<String, Failure> {
    let text = composed("reason", text)?;
    if text.chars().count() > super::moderation::MAX_LENGTH {
        return Err(too_long("reason"));
    }
    Ok(text)
}

/// A text is longer than messages are.
pub fn too_long(field: &'static str) -> Failure {
    let limit = super::moderation::MAX_LENGTH;
    Failure::field(field, format!("must have at most {limit} characters"))
}

/// The player may not write.
pub fn muted(now: Timestamp, mute: &Mute) -> Failure {
    let message = match mute.reason.as_str() {
        "" => "you may not write for a while".to_owned(),
        reason => format!("you may not write for a while: {reason}"),
    };
    Failure {
        retry_after: Some(mute.until.duration_since(now).unsigned_abs()),
        ..Failure::new(Code::Muted, message)
    }
}

/// Whether a player may change a line: their own, and not for long. Others have read it by then.
pub fn may_edit(now: Timestamp, player: PlayerId, line: &ChatLine) -> Result<(), Failure> {
    if line.player != player {
        let problem = "only who wrote a line may change it";
        return Err(Failure::new(Code::Forbidden, problem));
    }
    if now.duration_since(line.sent_at) >= EDITABLE {
        let problem = "the line is too old to be changed";
        return Err(Failure::new(Code::Forbidden, problem));
    }
    Ok(())
}

/// How long a moderator wants a player to be mute; zero ends it.
pub fn mute_length(duration: Option<pbjson_types::Duration>) -> Result<Duration, Failure> {
    let invalid = |problem: &'static str| Failure::field("duration", problem);
    let duration = duration.ok_or_else(|| invalid("must be there; 0s ends a mute"))?;
    let length = Duration::try_from(duration).map_err(|_| invalid("must not be negative"))?;
    if length > LONGEST_MUTE {
        return Err(invalid("must be at most ten years"));
    }
    Ok(length)
}

/// What a player's refused messages have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Strikes {
    /// When messages were refused, of late and since the last mute.
    refused: Vec<Timestamp>,
    /// How many mutes there were, one longer than the other.
    mutes: usize,
    /// When the last one began.
    muted_at: Option<Timestamp>,
}

impl Strikes {
    /// One more, and how long the player is muted for it.
    #[must_use]
    pub fn after(mut self, now: Timestamp) -> (Self, Option<Duration>) {
        let since = |at: Timestamp| now.duration_since(at);
        if self.muted_at.is_some_and(|at| since(at) >= FORGIVEN) {
            self.mutes = 0;
        }
        self.refused.retain(|at| since(*at) < WINDOW);
        self.refused.push(now);
        if self.refused.len() < STRIKES {
            return (self, None);
        }
        let last = MUTES.len() - 1;
        let mute = MUTES[self.mutes.min(last)];
        let next = Self {
            refused: Vec::new(),
            mutes: (self.mutes + 1).min(last),
            muted_at: Some(now),
        };
        (next, Some(mute))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    /// The mutes of a player whose messages are refused at these times.
    fn mutes(seconds: impl IntoIterator<Item = i64>) -> Vec<Option<u64>> {
        let mut strikes = Strikes::default();
        let mut mutes = Vec::new();
        for second in seconds {
            let (next, mute) = strikes.after(at(second));
            strikes = next;
            mutes.push(mute.map(|mute| mute.as_secs() / 60));
        }
        mutes
    }

    #[test]
    fn the_fifth_refused_message_in_ten_minutes_mutes() {
        assert_eq!(mutes(0..5), [None, None, None, None, Some(1)]);
        // 0 counts no more at 600: the fifth is the one after.
        let [.., fifth, sixth] = mutes([0, 1, 2, 3, 600, 600])[..] else {
            unreachable!()
        };
        assert_eq!((fifth, sixth), (None, Some(1)));
    }

    #[test]
    fn each_mute_is_longer_until_the_longest() {
        let muted: Vec<u64> = mutes(0..30).into_iter().flatten().collect();
        assert_eq!(muted, [1, 5, 30, 120, 1440, 1440]);
    }

    #[test]
    fn who_behaves_for_two_days_begins_anew() {
        let begin = 4 + FORGIVEN.as_secs();
        let late = mutes((0..5).chain(begin..begin + 5));
        assert_eq!(late.into_iter().flatten().collect::<Vec<_>>(), [1, 1]);
        let early = mutes((0..5).chain(begin - 5..begin));
        assert_eq!(early.into_iter().flatten().collect::<Vec<_>>(), [1, 5]);
    }

    #[test]
    fn characters_are_counted_with_their_marks() {
        let decomposed = "e\u{301}".repeat(500);
        let text = composed("text", &format!(" {decomposed}\n")).unwrap();
        assert_eq!(text, "é".repeat(500));
        assert_eq!(reason(&decomposed).unwrap(), text);
        let failure = reason(&"a".repeat(501)).unwrap_err();
        assert_eq!(failure.message, "must have at most 500 characters");
        assert_eq!(failure.field.as_deref(), Some("reason"));
        let failure = composed("text", &"a".repeat(MAX_BYTES + 1)).unwrap_err();
        assert_eq!(failure.field.as_deref(), Some("text"));
    }

    #[test]
    fn who_is_muted_learns_why_and_for_how_long() {
        let mute = |reason: &str| Mute {
            player: PlayerId(Uuid::nil()),
            until: at(90),
            by: None,
            reason: reason.to_owned(),
        };
        let failure = muted(at(30), &mute("flooding"));
        assert_eq!(failure.code, Code::Muted);
        assert_eq!(failure.message, "you may not write for a while: flooding");
        assert_eq!(failure.retry_after, Some(Duration::from_mins(1)));
        let failure = muted(at(30), &mute(""));
        assert_eq!(failure.message, "you may not write for a while");
    }

    #[test]
    fn a_line_is_changed_by_who_wrote_it_and_soon() {
        let [ada, bob] = [1, 2].map(|number| PlayerId(Uuid::from_u128(number)));
        let line = ChatLine {
            channel: "global:english".to_owned(),
            number: 1,
            player: ada,
            text: "hello".to_owned(),
            sent_at: at(0),
            edited_at: Some(at(500)),
            is_deleted: false,
        };
        assert_eq!(may_edit(at(599), ada, &line), Ok(()));
        let message = |now, player| may_edit(at(now), player, &line).unwrap_err().message;
        assert_eq!(message(600, ada), "the line is too old to be changed");
        assert_eq!(message(1, bob), "only who wrote a line may change it");
    }

    #[test]
    fn mutes_last_ten_years_at_most() {
        let length = |seconds, nanos| mute_length(Some(pbjson_types::Duration { seconds, nanos }));
        assert_eq!(length(0, 0), Ok(Duration::ZERO));
        assert_eq!(length(60, 500), Ok(Duration::new(60, 500)));
        assert_eq!(length(315_360_000, 0), Ok(LONGEST_MUTE));
        for wrong in [
            length(315_360_000, 1),
            length(-1, 0),
            length(0, -1),
            mute_length(None),
        ] {
            assert_eq!(wrong.unwrap_err().field.as_deref(), Some("duration"));
        }
    }

    proptest! {
        #[test]
        fn strikes_stay_small_and_mutes_are_of_the_table(
            pauses in proptest::collection::vec(-60..200_000_i64, 0..60),
        ) {
            let mut strikes = Strikes::default();
            let mut now = 1_000_000;
            for pause in pauses {
                now += pause;
                let (next, mute) = strikes.after(at(now));
                prop_assert!(next.refused.len() < STRIKES);
                prop_assert!(mute.is_none_or(|mute| MUTES.contains(&mute)));
                strikes = next;
            }
        }
    }
}
