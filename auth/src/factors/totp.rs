//! Codes of an authenticator (RFC 6238): six digits of 30 seconds, by HMAC-SHA1, which is what
//! every authenticator understands.
//!
//! A code is good once: [`verify`] returns its time step, and the store refuses a step that is not
//! later than the last one that was used ([`crate::store::Store::spend_totp`]).

use jiff::Timestamp;
use totp_rs::{Algorithm, Builder, Secret};

use super::base32;

/// Bytes of a secret: the 160 bits that RFC 4226 advises.
pub const SECRET_BYTES: usize = 20;

/// Seconds of a time step.
pub const STEP_SECONDS: u64 = 30;

/// Digits of a code.
const DIGITS: u8 = 6;

/// How many steps a phone's clock may be off, either way.
const SKEW: u16 = 1;

/// The address that an authenticator reads from a QR code. It holds the secret.
///
/// `issuer` and `account` are shown there; the account is the mail address or a name.
pub fn uri(secret: &[u8; SECRET_BYTES], issuer: &str, account: &str) -> String {
    let (issuer, account) = (escape(issuer), escape(account));
    let secret = base32::encode(secret);
    // Everything but the secret is the default; authenticators differ in what they read.
    format!(
        "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1\
         &digits={DIGITS}&period={STEP_SECONDS}"
    )
}

/// The time step of a code; none when it is not the code of this step or of a neighbor.
pub fn verify(secret: &[u8; SECRET_BYTES], code: &str, now: Timestamp) -> Option<i64> {
    // People type the code in the two groups that they see.
    let code: String = code
        .chars()
        .filter(|letter| *letter != ' ')
        .take(16)
        .collect();
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS)
        .with_step_duration(STEP_SECONDS)
        .with_skew(SKEW)
        .with_secret(Secret::new_stack(*secret))
        .build()
        .ok()?;
    let seconds = u64::try_from(now.as_second()).ok()?;
    totp.check(&code, seconds)
        .and_then(|step| i64::try_from(step).ok())
}

/// Percent-encodes everything that is not unreserved: authenticators show a plus sign as one.
fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; SECRET_BYTES] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1; six digits are the last six of its eight.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(
                verify(SECRET, code, at(seconds)),
                Some(seconds / 30),
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_code_is_good_one_step_before_and_after_its_own() {
        // The code of step 1, which is from second 30 to 59.
        for (seconds, expected) in [
            (0, Some(1)),
            (29, Some(1)),
            (30, Some(1)),
            (89, Some(1)),
            (90, None),
            (1_000_000, None),
            (-1, None),
        ] {
            assert_eq!(verify(SECRET, "287082", at(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn what_is_not_the_code_is_refused() {
        assert_eq!(verify(SECRET, "287 082", at(59)), Some(1));
        for code in [
            "",
            "287083",
            "28708",
            "2870822",
            "+87082",
            "28708a",
            "２８７０８２",
            "000000",
        ] {
            assert_eq!(verify(SECRET, code, at(59)), None, "{code}");
        }
        assert_eq!(verify(b"12345678901234567891", "287082", at(59)), None);
    }

    #[test]
    fn an_authenticator_can_read_the_address() {
        assert_eq!(
            uri(SECRET, "Muster Arena", "ann+games@example.com"),
            "otpauth://totp/Muster%20Arena:ann%2Bgames%40example.com\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Muster%20Arena&algorithm=SHA1\
             &digits=6&period=30"
        );
    }
}
