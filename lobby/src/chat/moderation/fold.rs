//! How a message looks to who reads it: letters as the small letters that they look like, and gaps
//! for everything else. Pure.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

/// Fewest letters of a word that is found with signs in it: what remains of a shorter one is too
/// common.
const LEAST_GLUED: usize = 4;

/// A letter as a reader sees it, and the characters of the message that it stands for.
#[derive(Debug)]
pub(super) struct Look {
    letter: char,
    origin: Range<usize>,
}

/// A message as it looks, and where each letter came from.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) text: String,
    /// Of each byte: the characters of the message that it stands for.
    pub(super) origins: Vec<Range<usize>>,
    /// How long a run of a letter is at most.
    longest: usize,
    /// The last letter, and how often it came on end.
    last: Option<char>,
    run: usize,
    /// Where the parts begin of which this was put together; empty when it is as it was written.
    parts: Vec<usize>,
}

impl Folded {
    /// With runs of a letter cut.
    pub(super) fn of(looks: &[Look], longest: usize) -> Self {
        let mut folded = Self::empty(longest);
        for look in looks {
            folded.push(look.letter, look.origin.clone());
        }
        folded
    }

    fn empty(longest: usize) -> Self {
        Self {
            longest,
            ..Self::default()
        }
    }

    /// One more letter, which is cut when the run of it is too long.
    fn push(&mut self, letter: char, origin: Range<usize>) {
        let is_next = self.last == Some(letter);
        self.run = if is_next { self.run + 1 } else { 1 };
        self.last = Some(letter);
        let longest = if letter == ' ' { 1 } else { self.longest };
        if self.run <= longest {
            self.text.push(letter);
            let bytes = std::iter::repeat_n(origin, letter.len_utf8());
            self.origins.extend(bytes);
        } else if let Some(last) = self.origins.last_mut() {
            last.end = origin.end;
        }
    }

    /// Letters that stand alone, as in `w o r d`, put together; everything else away.
    pub(super) fn joined(&self) -> Self {
        let mut joined = Self::empty(self.longest);
        let mut offset = 0;
        for word in self.text.split(' ') {
            if word.chars().count() == 1 {
                for (within, letter) in word.char_indices() {
                    joined.push(letter, self.origins[offset + within].clone());
                }
            } else if !joined.text.is_empty() && !joined.text.ends_with(' ') {
                let gap = offset.min(self.origins.len() - 1);
                joined.push(' ', self.origins[gap].clone());
            }
            offset += word.len() + 1;
        }
        joined
    }

    /// What has signs in it, as in `wo-rd`, without them; none when there is nothing like it.
    ///
    /// Not across space (`my pen is red`), nor across an apostrophe (`who're`).
    pub(super) fn glued(&self, letters: &[char]) -> Option<Self> {
        let is_sign = |at: usize| {
            let signs = &letters[self.origins[at].clone()];
            let is_gap = |letter: &char| letter.is_whitespace() || matches!(letter, '\'' | '’');
            !signs.iter().any(is_gap)
        };
        let mut glued = Self::empty(self.longest);
        glued.parts.push(0);
        let mut has_signs = false;
        for (at, letter) in self.text.char_indices() {
            if letter == ' ' && is_sign(at) {
                has_signs = true;
            } else {
                glued.push(letter, self.origins[at].clone());
            }
            if letter == ' ' {
                glued.parts.push(glued.text.len());
            }
        }
        has_signs.then_some(glued)
    }

    /// Whether a word that was found is one: anywhere in what was written; in what was put
    /// together, from the beginning of one part into another.
    pub(super) fn is_telling(&self, range: &Range<usize>) -> bool {
        if self.parts.is_empty() {
            return true;
        }
        let goes_on = |part: &usize| range.start < *part && *part < range.end;
        self.parts.binary_search(&range.start).is_ok()
            && self.parts.iter().any(goes_on)
            && self.text[range.clone()].chars().count() >= LEAST_GLUED
    }

    /// Whether a range begins and ends where words do: signs and digits beside it are read as
    /// letters, but are no part of a word that is fine.
    pub(super) fn is_word(&self, range: &Range<usize>, letters: &[char]) -> bool {
        let is_end = |at: Option<usize>| {
            let origin = at.and_then(|at| self.origins.get(at));
            origin.is_none_or(|origin| !letters[origin.start].is_alphabetic())
        };
        is_end(range.start.checked_sub(1)) && is_end(Some(range.end))
    }
}

/// What each letter looks like.
pub(super) fn looks(letters: &[char]) -> Vec<Look> {
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
        let part = drawn(part);
        // What has a plain letter in it needs no table of likenesses, in which m is r and n.
        if part.is_ascii() {
            see(plain(part));
            continue;
        }
        let mut buffer = [0; 4];
        for part in skeleton(part.encode_utf8(&mut buffer)).filter(is_seen) {
            part.to_lowercase().for_each(|part| see(plain(drawn(part))));
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
        '6' | '9' => 'g',
        '7' => 't',
        '8' => 'b',
        letter if letter.is_alphanumeric() => letter,
        _ => ' ',
    }
}

/// A sign that stands for no letter; stars are such signs.
pub(super) fn is_sign(letter: char) -> bool {
    letter.is_ascii_punctuation() && plain(letter) == ' '
}

/// Letters as pictures, small capitals and letters with strokes, which neither compatibility forms nor the table of
/// likenesses lead to their plain letter.
fn drawn(letter: char) -> char {
    let of_row = |first: char| {
        let place = u32::from(letter) - u32::from(first);
        char::from_u32(u32::from('a') + place).unwrap_or(letter)
    };
    match letter {
        '\u{1F150}'..='\u{1F169}' => of_row('\u{1F150}'),
        '\u{1F170}'..='\u{1F189}' => of_row('\u{1F170}'),
        '\u{1F1E6}'..='\u{1F1FF}' => of_row('\u{1F1E6}'),
        'ᴀ' | 'ⱥ' => 'a',
        'ʙ' => 'b',
        'ᴄ' | 'ȼ' | '¢' => 'c',
        'ᴅ' => 'd',
        'ᴇ' | 'ɇ' | '€' => 'e',
        'ꜰ' => 'f',
        'ɢ' | 'ǥ' | 'ԍ' => 'g',
        'ʜ' => 'h',
        'ɪ' | 'ɨ' => 'i',
        'ᴊ' => 'j',
        'ᴋ' => 'k',
        'ʟ' => 'l',
        'ᴍ' => 'm',
        'ɴ' => 'n',
        'ᴏ' => 'o',
        'ᴘ' => 'p',
        'ʀ' | 'ɍ' => 'r',
        'ꜱ' => 's',
        'ᴛ' => 't',
        'ᴜ' | 'ʉ' => 'u',
        'ᴠ' | 'ʋ' => 'v',
        'ᴡ' => 'w',
        'ʏ' => 'y',
        'ᴢ' | 'ƶ' => 'z',
        letter => letter,
    }
}

/// Controls, joiners, marks of direction: nothing that a reader sees.
pub(super) fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
        || (letter.is_control() && letter != '\n')
}

/// What is not seen itself, but says how the letter before it is written: Persian and Indic words,
/// emoji of several parts, flags. It means nothing after a letter of ASCII.
pub(super) fn shapes(letter: char, before: Option<char>) -> bool {
    let is_shaping = matches!(
        letter,
        '\u{200C}' | '\u{200D}' | '\u{FE0E}' | '\u{FE0F}' | '\u{E0020}'..='\u{E007F}'
    );
    is_shaping && before.is_some_and(|before| !before.is_ascii())
}
