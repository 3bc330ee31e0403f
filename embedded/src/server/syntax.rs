//! What is wrong with JSON, in the words of Go's parser, which clients and people know.

/// Where a scanner is in an array or object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Key,
    Value,
    Array,
}

/// Says what is wrong with a text that is not JSON; none if it is.
pub(crate) fn error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner {
        text,
        position: 0,
        stack: Vec::new(),
    };
    scanner.scan().err()
}

struct Scanner<'a> {
    text: &'a [u8],
    position: usize,
    stack: Vec<Within>,
}

impl Scanner<'_> {
    fn scan(&mut self) -> Result<(), String> {
        let mut value_expected = true;
        loop {
            self.skip_space();
            if value_expected {
                value_expected = self.value()?;
                continue;
            }
            let Some(within) = self.stack.pop() else {
                return match self.peek() {
                    None => Ok(()),
                    Some(byte) => Err(invalid(byte, "after top-level value")),
                };
            };
            let byte = self.next()?;
            match (within, byte) {
                (Within::Key, b':') => {
                    self.stack.push(Within::Value);
                    value_expected = true;
                }
                (Within::Key, _) => return Err(invalid(byte, "after object key")),
                (Within::Value, b',') => {
                    self.stack.push(Within::Key);
                    self.skip_space();
                    self.key()?;
                }
                (Within::Array, b',') => {
                    self.stack.push(Within::Array);
                    value_expected = true;
                }
                (Within::Value, b'}') | (Within::Array, b']') => {}
                (Within::Value, _) => return Err(invalid(byte, "after object key:value pair")),
                (Within::Array, _) => return Err(invalid(byte, "after array element")),
            }
        }
    }

    /// Reads the beginning of a value, or all of it; true if another value must follow.
    fn value(&mut self) -> Result<bool, String> {
        let byte = self.next()?;
        match byte {
            b'{' => {
                self.skip_space();
                if self.peek() == Some(b'}') {
                    self.position += 1;
                } else {
                    self.stack.push(Within::Key);
                    self.key()?;
                }
            }
            b'[' => {
                self.skip_space();
                if self.peek() == Some(b']') {
                    self.position += 1;
                } else {
                    self.stack.push(Within::Array);
                    return Ok(true);
                }
            }
            b'"' => self.string()?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            b'-' | b'0'..=b'9' => self.number(byte)?,
            _ => return Err(invalid(byte, "looking for beginning of value")),
        }
        Ok(false)
    }

    fn key(&mut self) -> Result<(), String> {
        match self.next()? {
            b'"' => self.string(),
            byte => Err(invalid(byte, "looking for beginning of object key string")),
        }
    }

    fn string(&mut self) -> Result<(), String> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let byte = self.next()?;
                            if !byte.is_ascii_hexdigit() {
                                return Err(invalid(byte, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    byte => return Err(invalid(byte, "in string escape code")),
                },
                byte if byte < 0x20 => return Err(invalid(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                let context = format!("in literal {word} (expecting {})", quoted(expected));
                return Err(invalid(byte, &context));
            }
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), String> {
        let mut digit = first;
        if first == b'-' {
            digit = self.next()?;
            if !digit.is_ascii_digit() {
                return Err(invalid(digit, "in numeric literal"));
            }
        }
        if digit != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.digit("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digit("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digit(&mut self, context: &str) -> Result<(), String> {
        let byte = self.next()?;
        if !byte.is_ascii_digit() {
            return Err(invalid(byte, context));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.position += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn next(&mut self) -> Result<u8, String> {
        let byte = self
            .peek()
            .ok_or_else(|| "unexpected end of JSON input".to_owned())?;
        self.position += 1;
        Ok(byte)
    }
}

fn invalid(byte: u8, context: &str) -> String {
    format!("invalid character {} {context}", quoted(byte))
}

/// A byte as Go quotes it: as the character of that number.
fn quoted(byte: u8) -> String {
    let escape = match byte {
        b'\'' => r"\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\\' => r"\\".to_owned(),
        0x07 => r"\a".to_owned(),
        0x08 => r"\b".to_owned(),
        0x0c => r"\f".to_owned(),
        b'\n' => r"\n".to_owned(),
        b'\r' => r"\r".to_owned(),
        b'\t' => r"\t".to_owned(),
        0x0b => r"\v".to_owned(),
        0x20..=0x7e => char::from(byte).to_string(),
        0..=0x1f | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{byte:04x}"),
        other => char::from(other).to_string(),
    };
    format!("'{escape}'")
}
