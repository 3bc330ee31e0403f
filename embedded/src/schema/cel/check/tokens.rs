//! Where the parts of an expression stand in its text: the parser does not tell.

/// The words of an expression, read from left to right.
#[derive(Debug)]
pub(super) struct Tokens<'s> {
    words: Vec<(usize, &'s str)>,
    next: usize,
    last: usize,
}

impl<'s> Tokens<'s> {
    /// Splits an expression into words.
    pub(super) fn of(source: &'s str) -> Self {
        let mut words = Vec::new();
        let mut at = 0;
        while let Some(letter) = source[at..].chars().next() {
            let length = if letter.is_whitespace() {
                at += letter.len_utf8();
                continue;
            } else if source[at..].starts_with("//") {
                at += source[at..].find('\n').unwrap_or(source.len() - at);
                continue;
            } else {
                word(&source[at..])
            };
            words.push((at, &source[at..at + length]));
            at += length;
        }
        Self {
            words,
            next: 0,
            last: 0,
        }
    }

    /// Goes on to the next such word, and returns where it stands.
    pub(super) fn seek(&mut self, wanted: &str) -> usize {
        self.seek_if(|word| word == wanted)
    }

    /// Goes on to the next literal, and returns where it stands.
    pub(super) fn seek_literal(&mut self) -> usize {
        self.seek_if(|word| {
            matches!(word, "true" | "false" | "null")
                || word.starts_with(|letter: char| letter.is_ascii_digit())
                || word.ends_with(['"', '\''])
                || (word.starts_with('.') && word.len() > 1)
        })
    }

    /// Where the word stands that was found last.
    pub(super) fn last(&self) -> usize {
        self.last
    }

    fn seek_if(&mut self, fits: impl Fn(&str) -> bool) -> usize {
        let rest = self.words.get(self.next..).unwrap_or_default();
        match rest.iter().position(|(_, word)| fits(word)) {
            Some(place) => {
                let (at, _) = rest[place];
                self.next += place + 1;
                self.last = at;
                at
            }
            // The text is not as the parser understood it: the nearest place must do.
            None => rest.first().map_or(0, |(at, _)| *at),
        }
    }
}

/// Length of the word at the beginning of a text.
fn word(text: &str) -> usize {
    let bytes = text.as_bytes();
    let prefix = bytes
        .iter()
        .take_while(|byte| matches!(byte.to_ascii_lowercase(), b'r' | b'b'))
        .count();
    if prefix <= 2 && matches!(bytes.get(prefix), Some(b'"' | b'\'')) {
        let is_raw = text[..prefix].contains(['r', 'R']);
        return prefix + quoted(&text[prefix..], is_raw);
    }
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let first = text.chars().next().unwrap_or_default();
    if first.is_ascii_digit() || (first == '.' && bytes.get(1).is_some_and(u8::is_ascii_digit)) {
        let is_number = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
        return text.find(|letter| !is_number(letter)).unwrap_or(text.len());
    }
    if is_name(first) {
        return text.find(|letter| !is_name(letter)).unwrap_or(text.len());
    }
    let is_pair = ["==", "!=", "<=", ">=", "&&", "||"]
        .iter()
        .any(|pair| text.starts_with(pair));
    if is_pair { 2 } else { first.len_utf8() }
}

/// Length of a text in quotes at the beginning.
fn quoted(text: &str, is_raw: bool) -> usize {
    let quote = &text[..1];
    let triple = quote.repeat(3);
    let end = if text.starts_with(&triple) {
        triple.as_str()
    } else {
        quote
    };
    let mut at = end.len();
    while at < text.len() {
        if text[at..].starts_with(end) {
            return at + end.len();
        }
        let mut letters = text[at..].chars();
        let letter = letters.next().map_or(1, char::len_utf8);
        let is_escape = !is_raw && text[at..].starts_with('\\');
        at += letter;
        if is_escape {
            at += letters.next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

/// A sentence about a place in an expression, as CEL's compiler writes it.
pub(super) fn located(source: &str, at: usize, words: &str) -> String {
    let before = &source[..at.min(source.len())];
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.matches('\n').count() + 1;
    let column = source[start..at.min(source.len())].chars().count();
    let text = source[start..].lines().next().unwrap_or_default();
    format!(
        "ERROR: <input>:{line}:{}: {words}\n | {text}\n | {}^",
        column + 1,
        ".".repeat(column)
    )
}

#[cfg(test)]
mod tests {
    use super::{Tokens, located};

    #[test]
    fn expressions_are_split_into_words() {
        let source = r#"self.a_b==r'x\' && "a\"b".size()>=1.5 // end"#;
        let words: Vec<&str> = Tokens::of(source)
            .words
            .into_iter()
            .map(|(_, word)| word)
            .collect();
        assert_eq!(
            words,
            [
                "self",
                ".",
                "a_b",
                "==",
                r"r'x\'",
                "&&",
                r#""a\"b""#,
                ".",
                "size",
                "(",
                ")",
                ">=",
                "1.5"
            ]
        );
    }

    #[test]
    fn a_place_is_shown_below_its_line() {
        assert_eq!(
            located("a &&\n self.b", 10, "undefined field 'b'"),
            "ERROR: <input>:2:6: undefined field 'b'\n |  self.b\n | .....^"
        );
    }
}
