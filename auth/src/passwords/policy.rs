//! What may be chosen as a password: length, and what an attacker would not try first. Pure.
//!
//! After ASVS 5.0 section 6.2: 8 to 128 characters of any kind, no rule of composition, and nothing
//! that is common or says who one is.

use crate::Failure;
use crate::error::Code;

/// The fewest characters, after normalization.
pub const MIN_CHARACTERS: usize = 8;

/// The most characters, after normalization.
pub const MAX_CHARACTERS: usize = 128;

/// A password that is guessed among so many first tries is common.
///
/// The lists of common passwords and words that guesses are counted by have 30,000 entries each,
/// by rank: so every entry is refused, and what is as plain as one.
const COMMON_GUESSES: u64 = 30_001;

/// The shortest part of a mail address that a password must not contain; shorter ones are parts of
/// every other word.
const MIN_PART: usize = 4;

/// Why a password may not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weak {
    /// Too few characters.
    Short,
    /// Too many characters.
    Long,
    /// An attacker would try it early.
    Common,
    /// It contains the mail address or the name in it.
    Personal,
}

impl From<Weak> for Failure {
    fn from(weak: Weak) -> Self {
        let message = match weak {
            Weak::Short => "at least 8 characters",
            Weak::Long => "at most 128 characters",
            Weak::Common => "this password is too easy to guess; choose another one",
            Weak::Personal => "a password must not contain your mail address",
        };
        Self {
            field: Some("password".into()),
            ..Self::new(Code::WeakPassword, message)
        }
    }
}

/// Whether a password, in its normal form, may be chosen; `email` in its normal form too.
pub fn check(password: &str, email: Option<&str>) -> Result<(), Weak> {
    let characters = password.chars().count();
    if characters < MIN_CHARACTERS {
        return Err(Weak::Short);
    }
    if characters > MAX_CHARACTERS {
        return Err(Weak::Long);
    }
    let mut personal = Vec::new();
    if let Some(email) = email {
        let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
        personal = vec![email, local];
        let lower = password.to_lowercase();
        if personal
            .iter()
            .any(|part| part.chars().count() >= MIN_PART && lower.contains(&part.to_lowercase()))
        {
            return Err(Weak::Personal);
        }
    }
    if zxcvbn::zxcvbn(password, &personal).guesses() <= COMMON_GUESSES {
        return Err(Weak::Common);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(check("xk7-Ω¤q", None), Err(Weak::Short));
        assert_eq!(check("xk7-Ω¤qw", None), Ok(()));
        let long = "glimmer otter ".repeat(10);
        assert_eq!(check(&long[..MAX_CHARACTERS], None), Ok(()));
        assert_eq!(check(&long[..=MAX_CHARACTERS], None), Err(Weak::Long));
        assert_eq!(check(&"зимородок".repeat(14), None), Ok(()));
    }

    #[test]
    fn the_top_of_the_lists_is_refused() {
        // The first ones of at least eight characters, and some from the ends.
        for password in [
            "password",
            "12345678",
            "123456789",
            "baseball",
            "football",
            "qwertyuiop",
            "1234567890",
            "superman",
            "1qaz2wsx",
            "trustno1",
            "jennifer",
            "sunshine",
            "iloveyou",
            "starwars",
            "computer",
            "michelle",
            "11111111",
            "princess",
            "987654321",
            "corvette",
            "asdfghjkl",
            "q1w2e3r4",
            "password1",
            "letmein1",
            "Password",
            "PASSWORD",
            "p@ssw0rd",
            "drowssap",
            "elizabeth",
            "university",
            "aaaaaaaaaaaa",
            "abcdefghij",
        ] {
            assert_eq!(check(password, None), Err(Weak::Common), "{password}");
        }
    }

    #[test]
    fn nothing_is_asked_of_composition() {
        for password in [
            "correct horse battery staple",
            "nur kleine buchstaben hier",
            "glimmerotterpond",
            "83016749255018",
            "        ¤       x",
            "水曜日の朝に釣りをする",
        ] {
            assert_eq!(
                check(password, Some("ann@example.com")),
                Ok(()),
                "{password}"
            );
        }
    }

    #[test]
    fn what_says_who_one_is_is_refused() {
        for (password, email, expected) in [
            (
                "hildegard-7-glimmer",
                "hildegard@example.com",
                Err(Weak::Personal),
            ),
            (
                "x9-HildeGard-glimmer",
                "hildegard@example.com",
                Err(Weak::Personal),
            ),
            (
                "bo@example.com-glimmer",
                "bo@example.com",
                Err(Weak::Personal),
            ),
            // A name of two letters is in every other word.
            ("glimmer-bow-47-otter", "bo@example.com", Ok(())),
            ("glimmer-otter-47", "hildegard@example.com", Ok(())),
            // Not contained, but the first thing to try.
            ("h1ldeg@rd", "hildegard@example.com", Err(Weak::Common)),
        ] {
            assert_eq!(check(password, Some(email)), expected, "{password} {email}");
        }
    }
}
