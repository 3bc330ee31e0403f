//! What may be said: word lists that see through the usual disguises.
//!
//! A message is folded letter by letter: compatibility forms (NFKD), marks and invisible
//! characters away, confusable letters (Unicode Technical Standard 39) and digits in the place of
//! letters as the letters that they look like, runs of a letter cut. Words of the list are looked
//! for in what is left, in words as they stand and in letters that are spelled out with gaps. A word of the other list that contains one of these (a town, a name) is left alone.
//!
//! Lists can catch words, not meanings: the report of a player and a person who reads it remain.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

/// Characters of a message at most.
pub const MAX_LENGTH: usize = 500;

/// Words of a list at most.
pub const MAX_WORDS: usize = 10_000;

/// What no folded message has.
const NEVER: &str = "\0";

/// What stands for letters that must not be read.
const MASK: char = '*';

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

/// A message as it looks, and where each letter came from.
#[derive(Debug, Default)]
struct Folded {
    text: String,
    /// Of each byte: the characters of the message that it stands for.
    origins: Vec<Range<usize>>,
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
        let letters: Vec<char> = message.chars().collect();
        if letters.len() > MAX_LENGTH {
            return Verdict::Refused(Reason::Length);
        }
        let is_seen = |letter: &char| !letter.is_whitespace() && !is_invisible(*letter);
        if !letters.iter().any(is_seen) {
            return Verdict::Refused(Reason::Empty);
        }
        let looks = looks(&letters);
        let mut stars = vec![false; letters.len()];
        for (compiled, run) in self.by_run.iter().zip(RUNS) {
            let words = Folded::of(&looks, run);
            for folded in [words.joined(), words] {
                if compiled.star(&folded, &mut stars).is_err() {
                    return Verdict::Refused(Reason::Word);
                }
            }
        }
        // Away goes what cannot be seen but changes what others see, such as the order of writing.
        let shown = letters.into_iter().zip(stars);
        let shown = shown
            .filter(|(letter, _)| !is_invisible(*letter))
            .map(|(letter, is_star)| {
                if is_star && !letter.is_whitespace() {
                    MASK
                } else {
                    letter
                }
            });
        Verdict::Said(shown.collect())
    }
}

/// A word is refused.
struct Found;

impl Compiled {
    /// Puts stars on the letters of masked words.
    fn star(&self, folded: &Folded, stars: &mut [bool]) -> Result<(), Found> {
        let fine: Vec<Range<usize>> = self
            .allowed
            .find_overlapping_iter(&folded.text)
            .map(|found| found.range())
            .filter(|range| folded.is_word(range))
            .collect();
        for found in self.words.find_overlapping_iter(&folded.text) {
            let range = found.range();
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

impl Folded {
    /// With runs of a letter cut.
    fn of(looks: &[Look], longest: usize) -> Self {
        let mut folded = Self::default();
        let mut last = None;
        let mut run = 0;
        for look in looks {
            run = if last == Some(look.letter) {
                run + 1
            } else {
                1
            };
            last = Some(look.letter);
            if run <= longest && (look.letter != ' ' || run == 1) {
                folded.push(look.letter, look.origin.clone());
            } else if let Some(origin) = folded.origins.last_mut() {
                origin.end = look.origin.end;
            }
        }
        folded
    }

    fn push(&mut self, look: char, origin: Range<usize>) {
        self.text.push(look);
        let bytes = std::iter::repeat_n(origin, look.len_utf8());
        self.origins.extend(bytes);
    }

    /// Letters that stand alone, as in `w o r d`, put together; everything else away.
    fn joined(&self) -> Self {
        let mut joined = Self::default();
        let mut offset = 0;
        for word in self.text.split(' ') {
            if word.chars().count() == 1 {
                for (within, look) in word.char_indices() {
                    joined.push(look, self.origins[offset + within].clone());
                }
            } else if !joined.text.is_empty() && !joined.text.ends_with(' ') {
                joined.push(
                    ' ',
                    self.origins[offset.min(self.origins.len() - 1)].clone(),
                );
            }
            offset += word.len() + 1;
        }
        joined
    }

    /// Whether a range begins and ends where words do.
    fn is_word(&self, range: &Range<usize>) -> bool {
        let before = self.text[..range.start].chars().next_back();
        let after = self.text[range.end..].chars().next();
        [before, after]
            .into_iter()
            .all(|neighbor| neighbor.is_none_or(|neighbor| neighbor == ' '))
    }
}

/// A letter as a reader sees it, and the characters of the message that it stands for.
#[derive(Debug)]
struct Look {
    letter: char,
    origin: Range<usize>,
}

fn looks(letters: &[char]) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::with_capacity(letters.len());
    for (index, letter) in letters.iter().enumerate() {
        let before = looks.len();
        look_like(*letter, |letter| {
            let origin = index..index + 1;
            looks.push(Look { letter, origin });
        });
        if looks.len() == before {
            // A mark or nothing to see belongs to the letter before it.
            if let Some(look) = looks.last_mut() {
                look.origin.end = index + 1;
            }
        }
    }
    looks
}

/// What a letter looks like to a reader: small letters, and a gap for everything that is none.
fn look_like(letter: char, mut see: impl FnMut(char)) {
    let is_seen = |part: &char| !is_combining_mark(*part) && !is_invisible(*part);
    if letter.is_ascii() {
        if is_seen(&letter) {
            see(plain(letter));
        }
        return;
    }
    let mut buffer = [0; 4];
    for part in letter.encode_utf8(&mut buffer).nfkd().filter(is_seen) {
        // What has a plain letter in it needs no table of likenesses, in which m is r and n.
        if part.is_ascii() {
            see(plain(part));
            continue;
        }
        let mut buffer = [0; 4];
        for part in skeleton(part.encode_utf8(&mut buffer)).filter(is_seen) {
            part.to_lowercase().for_each(|part| see(plain(part)));
        }
    }
}

/// A letter, with digits and signs as the letters that they stand for.
fn plain(letter: char) -> char {
    match letter.to_ascii_lowercase() {
        '0' => 'o',
        '1' | '!' | '|' | 'i' => 'l',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        '8' => 'b',
        letter if letter.is_alphanumeric() => letter,
        _ => ' ',
    }
}

/// Controls, joiners, marks of direction: nothing that a reader sees.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
        || (letter.is_control() && letter != '\n')
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
        // The place of a word is its number: one that is too short when cut is never found.
        let is_telling = text == full || count(&text) >= LEAST_CUT;
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
        ] {
            assert_eq!(moderator.judge(message), said(message));
        }
        // Only as whole words: nobody hides behind one.
        assert_eq!(moderator.judge("coarsearse"), said("co********"));
    }

    #[test]
    fn what_has_nothing_to_read_or_too_much_is_refused() {
        let moderator = moderator();
        for message in ["", "   ", "\u{200B}\u{200D}", "\u{202E}"] {
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
        fn no_message_makes_it_fail(message in "\\PC{0,80}|[a-z .\u{200B}\u{0301}@!]{0,80}") {
            if let Verdict::Said(shown) = moderator().judge(&message) {
                prop_assert!(shown.chars().count() <= message.chars().count());
                // What is shown can be said again, and stays as it is.
                prop_assert_eq!(moderator().judge(&shown), Verdict::Said(shown.clone()));
            }
        }
    }
}
