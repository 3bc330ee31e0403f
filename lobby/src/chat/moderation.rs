//! What may be said: word lists that see through the usual disguises.
//!
//! A message is folded letter by letter (`fold`): compatibility forms (NFKD), marks and invisible
//! characters away, confusable letters (Unicode Technical Standard 39) and digits in the place of
//! letters as the letters that they look like, runs of a letter cut. Words of the list are looked
//! for in what is left: as they stand, in letters that are spelled out with gaps, and in words with
//! signs in them. A word of the other list that contains one of these (a town, a name) is left
//! alone.
//!
//! Lists can catch words, not meanings: the report of a player and a person who reads it remain.

mod fold;

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use serde::{Deserialize, Serialize};

use self::fold::{Folded, is_invisible, is_sign, looks, shapes};

/// Characters of a message at most.
pub const MAX_LENGTH: usize = 500;

/// Words of a list at most.
pub const MAX_WORDS: usize = 10_000;

/// What no folded message has.
const NEVER: &str = "\0";

/// What stands for letters that must not be read.
const MASK: char = '*';

/// A letter of Braille without dots.
const BLANK: char = '\u{2800}';

/// The lists of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lists {
    /// Words whose letters are shown as stars.
    pub masked: Vec<String>,
    /// Words for which the message is refused.
    pub refused: Vec<String>,
    /// Words that are fine although they contain one of the others.
    pub allowed: Vec<String>,
}

/// A list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is too long.
    #[error("{list}: has {count} words, of at most {MAX_WORDS}")]
    TooMany {
        /// Which list.
        list: &'static str,
        /// How long.
        count: usize,
    },
    /// A word has no letters, or one alone.
    #[error("{list}[{index}]: must have two letters or more")]
    Word {
        /// Which list.
        list: &'static str,
        /// Where in it.
        index: usize,
    },
    /// The words cannot be compiled.
    #[error("compile the words: {0}")]
    Compile(String),
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is said as it is, or with stars.
    Said(String),
    /// It is not said.
    Refused(Reason),
}

/// Why a message is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is nothing to read in it.
    Empty,
    /// It is too long.
    Length,
    /// It has a word that is refused.
    Word,
}

/// Compiled lists.
#[derive(Debug)]
pub struct Moderator {
    /// With runs of a letter cut to two, and to one: `sillly` is both `silly` and `sily`.
    by_run: [Compiled; 2],
}

/// How long a run of a letter may be.
const RUNS: [usize; 2] = [2, 1];

/// Letters that a word must have left when its runs are cut to one: what remains of a shorter one
/// is too common.
const LEAST_CUT: usize = 4;

#[derive(Debug)]
struct Compiled {
    words: AhoCorasick,
    /// Of each word: whether it is refused.
    is_refused: Vec<bool>,
    allowed: AhoCorasick,
}

impl Moderator {
    /// Compiles lists.
    pub fn new(lists: &Lists) -> Result<Self, Error> {
        let compiled = |run| {
            let fold = |list, words: &[String]| fold_all(list, words, run);
            let masked = fold("masked", &lists.masked)?;
            let refused = fold("refused", &lists.refused)?;
            let mut is_refused = vec![false; masked.len()];
            is_refused.resize(masked.len() + refused.len(), true);
            Ok(Compiled {
                words: compile(masked.into_iter().chain(refused))?,
                is_refused,
                allowed: compile(fold("allowed", &lists.allowed)?)?,
            })
        };
        let [two, one] = RUNS;
        Ok(Self {
            by_run: [compiled(two)?, compiled(one)?],
        })
    }

    /// Judges a message.
    pub fn judge(&self, message: &str) -> Verdict {
        let mut letters: Vec<char> = message.chars().collect();
        if letters.len() > MAX_LENGTH {
            return Verdict::Refused(Reason::Length);
        }
        let is_blank = |letter: char| letter.is_whitespace() || letter == BLANK;
        if letters
            .iter()
            .all(|letter| is_blank(*letter) || is_invisible(*letter))
        {
            return Verdict::Refused(Reason::Empty);
        }
        // What stands around stars may be a word itself: `bu****gger`.
        loop {
            match self.star(&mut letters) {
                Ok(true) => {}
                Ok(false) => break,
                Err(Found) => return Verdict::Refused(Reason::Word),
            }
        }
        // Away goes what cannot be seen but changes what others see, such as the order of writing.
        let mut shown = String::with_capacity(message.len());
        for letter in letters {
            if !is_invisible(letter) || shapes(letter, shown.chars().next_back()) {
                shown.push(letter);
            }
        }
        Verdict::Said(shown)
    }

    /// Puts stars on the letters of masked words; whether there were any.
    fn star(&self, letters: &mut [char]) -> Result<bool, Found> {
        let looks = looks(letters);
        let mut stars = vec![false; letters.len()];
        for (compiled, run) in self.by_run.iter().zip(RUNS) {
            let words = Folded::of(&looks, run);
            let readings = [Some(words.joined()), words.glued(letters), Some(words)];
            for folded in readings.into_iter().flatten() {
                compiled.find(&folded, letters, &mut stars)?;
            }
        }
        let mut has_new = false;
        for (letter, is_star) in letters.iter_mut().zip(stars) {
            let is_blank = letter.is_whitespace() || is_invisible(*letter);
            if is_star && !is_blank && !is_sign(*letter) {
                *letter = MASK;
                has_new = true;
            }
        }
        Ok(has_new)
    }
}

/// A word is refused.
struct Found;

impl Compiled {
    /// Where words are that are fine.
    fn fine(&self, folded: &Folded, letters: &[char]) -> Vec<Range<usize>> {
        let allowed = self.allowed.find_overlapping_iter(&folded.text);
        let ranges = allowed.map(|found| found.range());
        ranges
            .filter(|range| folded.is_word(range, letters))
            .collect()
    }

    /// Marks the letters of masked words.
    fn find(&self, folded: &Folded, letters: &[char], stars: &mut [bool]) -> Result<(), Found> {
        let mut fine: Option<Vec<Range<usize>>> = None;
        for found in self.words.find_overlapping_iter(&folded.text) {
            let range = found.range();
            if !folded.is_telling(&range) {
                continue;
            }
            // Most messages have nothing to be excused.
            let fine = fine.get_or_insert_with(|| self.fine(folded, letters));
            let mut fine = fine.iter();
            if fine.any(|fine| fine.start <= range.start && range.end <= fine.end) {
                continue;
            }
            if self.is_refused[found.pattern().as_usize()] {
                return Err(Found);
            }
            for origin in &folded.origins[range] {
                stars[origin.clone()].fill(true);
            }
        }
        Ok(())
    }
}

fn fold_all(list: &'static str, words: &[String], run: usize) -> Result<Vec<String>, Error> {
    if words.len() > MAX_WORDS {
        let count = words.len();
        return Err(Error::TooMany { list, count });
    }
    let mut folded = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let letters: Vec<char> = word.trim().chars().collect();
        let looks = looks(&letters);
        let full = Folded::of(&looks, usize::MAX).text;
        let text = Folded::of(&looks, run).text;
        let count = |text: &str| text.chars().filter(|letter| *letter != ' ').count();
        if count(&full) < 2 {
            return Err(Error::Word { list, index });
        }
        // One that is too short when cut is never found.
        let is_telling = text == full || count(&text) >= LEAST_CUT;
        if is_telling && text.contains(' ') {
            folded.push(text.replace(' ', ""));
        }
        folded.push(if is_telling { text } else { NEVER.to_owned() });
    }
    Ok(folded)
}

fn compile(words: impl IntoIterator<Item = String>) -> Result<AhoCorasick, Error> {
    AhoCorasickBuilder::new()
        .match_kind(MatchKind::Standard)
        .build(words)
        .map_err(|error| Error::Compile(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moderator() -> Moderator {
        Moderator::new(&Lists {
            masked: vec!["bugger".to_owned(), "arse".to_owned()],
            refused: vec!["vermin".to_owned()],
            allowed: vec!["parsed".to_owned(), "coarse".to_owned()],
        })
        .unwrap()
    }

    fn said(text: &str) -> Verdict {
        Verdict::Said(text.to_owned())
    }

    #[test]
    fn disguises_are_seen_through() {
        let moderator = moderator();
        for (message, shown) in [
            ("you bugger!", "you ******!"),
            ("BUGGER", "******"),
            ("bugggger", "********"),
            ("buger", "*****"),
            ("bu\u{200B}gger", "******"),
            ("buggeeeer", "*********"),
            ("bügger", "******"),
            ("b\u{057D}gger", "******"),
            ("\u{FF42}\u{FF55}\u{FF47}\u{FF47}\u{FF45}\u{FF52}", "******"),
            ("𝐛𝐮𝐠𝐠𝐞𝐫", "******"),
            ("bugg3r", "******"),
            ("@r5e", "****"),
            ("b u g g e r off", "* * * * * * off"),
            ("b.u.g.g.e.r", "*.*.*.*.*.*"),
            ("buggers and arses", "******s and ****s"),
            ("bug-gers, ar_se", "***-***s, **_**"),
            // What stands around stars is read once more.
            ("buarsegger", "**********"),
        ] {
            assert_eq!(moderator.judge(message), said(shown), "{message:?}");
        }
        for message in ["vermin", "V3RM1N", "v-e-r-m-i-n", "ver\u{00AD}min"] {
            let verdict = moderator.judge(message);
            assert_eq!(verdict, Verdict::Refused(Reason::Word), "{message:?}");
        }
    }

    #[test]
    fn words_that_are_fine_stay() {
        let moderator = moderator();
        for message in [
            "it was parsed",
            "a coarse map",
            "good game",
            "好的",
            "10 / 10",
            "a\nb",
            "parsed!! (coarse) @coarse parsed2",
            // Neither space nor an apostrophe is a sign within a word.
            "ver min",
            "bu'gger",
        ] {
            assert_eq!(moderator.judge(message), said(message));
        }
        let shown = moderator.judge("a\u{200D}b 👨\u{200D}👩 می\u{200C}خ \u{202E}c");
        assert_eq!(shown, said("ab 👨\u{200D}👩 می\u{200C}خ c"));
        // Only as whole words: nobody hides behind one.
        assert_eq!(moderator.judge("coarsearse"), said("co********"));
    }

    #[test]
    fn what_has_nothing_to_read_or_too_much_is_refused() {
        let moderator = moderator();
        for message in [
            "",
            "   ",
            "\u{200B}\u{200D}",
            "\u{202E}",
            "\u{2800} \u{2800}",
        ] {
            let verdict = moderator.judge(message);
            assert_eq!(verdict, Verdict::Refused(Reason::Empty), "{message:?}");
        }
        let long = "a".repeat(MAX_LENGTH + 1);
        assert_eq!(moderator.judge(&long), Verdict::Refused(Reason::Length));
        assert_eq!(moderator.judge("to\u{202E}p"), said("top"));
    }

    #[test]
    fn bad_lists_are_refused_by_their_place() {
        let list = |masked: Vec<String>| {
            let lists = Lists {
                masked,
                ..Lists::default()
            };
            Moderator::new(&lists).unwrap_err().to_string()
        };
        let words = vec!["fine".to_owned(), "!".to_owned()];
        assert_eq!(list(words), "masked[1]: must have two letters or more");
        let many = vec!["word".to_owned(); MAX_WORDS + 1];
        assert!(list(many).starts_with("masked: has 10001 words"));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_fail(message in "\\PC{0,80}|[a-z .\u{200B}\u{0301}@!]{0,80}|[buger .*-]{0,40}") {
            if let Verdict::Said(shown) = moderator().judge(&message) {
                prop_assert!(shown.chars().count() <= message.chars().count());
                // What is shown can be said again, and stays as it is.
                prop_assert_eq!(moderator().judge(&shown), Verdict::Said(shown.clone()));
            }
        }
    }
}
