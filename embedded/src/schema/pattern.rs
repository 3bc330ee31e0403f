//! Regular expressions as the API server reads them: Go's RE2, where classes such as `\d` are
//! ASCII and unknown braces are letters.

use regex::Regex;

/// Compiles a pattern in Go's syntax.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(&translate(pattern)).map_err(|error| {
        let text = error.to_string();
        // The first lines draw the place; the last one says what is wrong.
        let last = text.lines().last().unwrap_or_default();
        let words = match last.trim_start_matches("error: ") {
            "unclosed group" => format!("missing closing ): `{pattern}`"),
            "unopened group" => format!("unexpected ): `{pattern}`"),
            "unclosed character class" => {
                let class = pattern.rfind('[').map_or(pattern, |at| &pattern[at..]);
                format!("missing closing ]: `{class}`")
            }
            other => other.to_owned(),
        };
        format!("error parsing regexp: {words}")
    })
}

/// The same expression in the syntax of the crate `regex`.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(letter) = rest.chars().next() {
        let mut taken = letter.len_utf8();
        match letter {
            '\\' => taken = escape(&mut out, rest, in_class),
            '[' if in_class => {
                // `[:alpha:]` is a class in both; any other bracket is a letter in Go.
                let named = rest.starts_with("[:").then(|| rest.find(":]")).flatten();
                match named {
                    Some(end) => {
                        taken = end + 2;
                        out.push_str(&rest[..taken]);
                    }
                    None => out.push_str("\\["),
                }
            }
            '[' => {
                in_class = true;
                out.push('[');
                if rest[1..].starts_with('^') {
                    out.push('^');
                    taken += 1;
                }
                // A bracket that comes first is a letter.
                if rest[taken..].starts_with(']') {
                    out.push_str("\\]");
                    taken += 1;
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Operators on sets in `regex`.
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(letter);
            }
            // Two dashes are an operator too: they mean a range that begins or ends with one.
            '-' if in_class && rest[1..].starts_with('-') => {
                if out.ends_with(['[', '^']) {
                    out.push_str("\\-");
                } else {
                    out.push_str("-\\-");
                    taken += 1;
                }
            }
            '{' if !in_class && !is_repetition(rest) => out.push_str("\\{"),
            other => out.push(other),
        }
        rest = &rest[taken..];
    }
    out
}

/// Translates the escape at the beginning; returns how many bytes it takes.
fn escape(out: &mut String, rest: &str, in_class: bool) -> usize {
    let Some(letter) = rest[1..].chars().next() else {
        out.push('\\');
        return 1;
    };
    let inside = match letter {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0C\\r ",
        'D' => "\\x00-/:-\\x{10FFFF}",
        'W' => "\\x00-/:-@\\[-\\^`{-\\x{10FFFF}",
        'S' => "\\x00-\\x08\\x0B\\x0E-\\x1F!-\\x{10FFFF}",
        'b' if !in_class => {
            out.push_str("(?-u:\\b)");
            return 2;
        }
        'B' if !in_class => {
            out.push_str("(?-u:\\B)");
            return 2;
        }
        'Q' => {
            let quoted = &rest[2..];
            let end = quoted.find("\\E");
            out.push_str(&regex::escape(&quoted[..end.unwrap_or(quoted.len())]));
            return end.map_or(rest.len(), |end| end + 4);
        }
        '<' | '>' => {
            out.push(letter);
            return 2;
        }
        other => {
            out.push('\\');
            out.push(other);
            return 1 + other.len_utf8();
        }
    };
    if in_class {
        out.push_str(inside);
    } else {
        out.push('[');
        out.push_str(inside);
        out.push(']');
    }
    2
}

/// Whether a brace begins `{2}`, `{2,}` or `{2,3}`.
fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest[1..].split_once('}') else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        Some((low, high)) => is_number(low) && (high.is_empty() || is_number(high)),
        None => is_number(inside),
    }
}

#[cfg(test)]
mod tests {
    use super::compile;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap().is_match(text)
    }

    #[test]
    fn classes_are_ascii() {
        assert!(matches(r"^\d+$", "12"));
        assert!(!matches(r"^\d+$", "١٢"));
        assert!(matches(r"^[\d\w]+$", "a1_"));
        assert!(!matches(r"^\w+$", "é"));
        assert!(matches(r"^[^\W]$", "a"));
        assert!(matches(r"^\D\S$", "é!"));
    }

    #[test]
    fn letters_that_regex_would_take_for_operators_stay_letters() {
        assert!(matches(r"^a{,2}$", "a{,2}"));
        assert!(matches(r"^[a[b]$", "["));
        assert!(matches(r"^[]a]$", "]"));
        assert!(matches(r"^[a&&b]+$", "&"));
        assert!(matches(r"^[+--]$", ","));
        assert!(matches(r"^\<\Qa.b\E$", "<a.b"));
    }

    #[test]
    fn a_wrong_pattern_is_an_error() {
        let words = |pattern: &str| compile(pattern).unwrap_err();
        assert_eq!(words("n("), "error parsing regexp: missing closing ): `n(`");
        assert_eq!(
            words("a[b"),
            "error parsing regexp: missing closing ]: `[b`"
        );
    }
}
