//! The commands that a client can send as text. Pure.
//!
//! | command | effect |
//! |---|---|
//! | `EXIT` | the SDK's Shutdown, after the answer |
//! | `CRASH` | the process ends with exit code 1, without an answer |
//! | `QUIT` | the process ends with exit code 0 without telling the SDK, without an answer |
//! | `UNHEALTHY` | no more health pings |
//! | `GAMESERVER` | answers `NAME: <name>` |
//! | `READY`, `ALLOCATE` | the SDK's call |
//! | `RESERVE <time>` | the SDK's Reserve; `10s`, `1m30s`, or a number of seconds |
//! | `WATCH` | logs each change of the game server |
//! | `LABEL <key> <value>`, `ANNOTATION <key> <value>` | the SDK's call; without arguments a time stamp under the key `timestamp` |
//! | anything else | echo |

use std::time::Duration;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The text back.
    Echo,
    /// The SDK's Shutdown.
    Exit,
    /// An end with exit code 1.
    Crash,
    /// An end with exit code 0, without the SDK.
    Quit,
    /// No more health pings.
    Unhealthy,
    /// The game server's name.
    GameServer,
    /// The SDK's Ready.
    Ready,
    /// The SDK's Allocate.
    Allocate,
    /// The SDK's Reserve.
    Reserve(Duration),
    /// A log line for each change.
    Watch,
    /// The SDK's SetLabel.
    Label(Option<(String, String)>),
    /// The SDK's SetAnnotation.
    Annotation(Option<(String, String)>),
}

/// Reads a command; the error is the text for the client.
pub fn parse(text: &str) -> Result<Command, String> {
    let parts: Vec<&str> = text.trim().split(' ').collect();
    Ok(match parts.as_slice() {
        ["EXIT"] => Command::Exit,
        ["CRASH", ..] => Command::Crash,
        ["QUIT"] => Command::Quit,
        ["UNHEALTHY", ..] => Command::Unhealthy,
        ["GAMESERVER", ..] => Command::GameServer,
        ["READY", ..] => Command::Ready,
        ["ALLOCATE", ..] => Command::Allocate,
        ["RESERVE", time] => Command::Reserve(
            duration(time).ok_or_else(|| format!("time: invalid duration {time:?}"))?,
        ),
        ["RESERVE", ..] => return Err("Invalid RESERVE, should have 1 argument".to_owned()),
        ["WATCH", ..] => Command::Watch,
        ["LABEL"] => Command::Label(None),
        ["LABEL", key, value] => Command::Label(Some(((*key).to_owned(), (*value).to_owned()))),
        ["LABEL", ..] => {
            return Err("Invalid LABEL command, must use zero or 2 arguments".to_owned());
        }
        ["ANNOTATION"] => Command::Annotation(None),
        ["ANNOTATION", key, value] => {
            Command::Annotation(Some(((*key).to_owned(), (*value).to_owned())))
        }
        ["ANNOTATION", ..] => {
            return Err("Invalid ANNOTATION command, must use zero or 2 arguments".to_owned());
        }
        _ => Command::Echo,
    })
}

/// Reads a duration as Go writes it (`1m30s`, `500ms`), or a number of seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(number.parse().ok()?)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn commands_are_read_as_agones_reads_them() {
        let texts = [
            "hello",
            "",
            "exit",
            "EXIT",
            "EXIT now",
            "CRASH",
            "QUIT",
            "UNHEALTHY",
            "GAMESERVER",
            "READY",
            "ALLOCATE",
            "RESERVE",
            "RESERVE 10s",
            "RESERVE 10",
            "RESERVE ten",
            "RESERVE 1 2",
            "WATCH",
            "LABEL",
            "LABEL a b",
            "LABEL a",
            "ANNOTATION",
            "ANNOTATION a b",
            "ANNOTATION a b c",
            " READY ",
        ];
        let lines: Vec<_> = texts
            .iter()
            .map(|text| format!("{text:?} → {:?}", parse(text)))
            .collect();
        let table = lines.join("\n") + "\n";
        expect![[r#"
            "hello" → Ok(Echo)
            "" → Ok(Echo)
            "exit" → Ok(Echo)
            "EXIT" → Ok(Exit)
            "EXIT now" → Ok(Echo)
            "CRASH" → Ok(Crash)
            "QUIT" → Ok(Quit)
            "UNHEALTHY" → Ok(Unhealthy)
            "GAMESERVER" → Ok(GameServer)
            "READY" → Ok(Ready)
            "ALLOCATE" → Ok(Allocate)
            "RESERVE" → Err("Invalid RESERVE, should have 1 argument")
            "RESERVE 10s" → Ok(Reserve(10s))
            "RESERVE 10" → Ok(Reserve(10s))
            "RESERVE ten" → Err("time: invalid duration \"ten\"")
            "RESERVE 1 2" → Err("Invalid RESERVE, should have 1 argument")
            "WATCH" → Ok(Watch)
            "LABEL" → Ok(Label(None))
            "LABEL a b" → Ok(Label(Some(("a", "b"))))
            "LABEL a" → Err("Invalid LABEL command, must use zero or 2 arguments")
            "ANNOTATION" → Ok(Annotation(None))
            "ANNOTATION a b" → Ok(Annotation(Some(("a", "b"))))
            "ANNOTATION a b c" → Err("Invalid ANNOTATION command, must use zero or 2 arguments")
            " READY " → Ok(Ready)
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn durations_are_gos() {
        let cases = [
            ("1m30s", Some(Duration::from_secs(90))),
            ("500ms", Some(Duration::from_millis(500))),
            ("2h", Some(Duration::from_hours(2))),
            ("", None),
            ("s", None),
            ("10x", None),
            ("-5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
