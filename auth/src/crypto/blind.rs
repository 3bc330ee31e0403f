//! Blind indexes: what is sealed with a random nonce can neither be looked up nor made unique, so
//! that a keyed hash stands beside it.
//!
//! The hash is HMAC-SHA256 over `v1 ‖ 0 ‖ kind ‖ 0 ‖ value`, all 256 bits of it. It leaks which
//! rows are equal, and nothing else without the key. The key never rotates: see
//! [`crate::secrets`].

use unicode_normalization::UnicodeNormalization as _;

use crate::ids::{IdentityHash, IdentityKind};
use crate::secrets::keyring::Keyring;

/// Version of what is hashed; another one needs a second column and a back-fill.
const VERSION: &[u8] = b"v1";

/// The longest mail address (RFC 5321 as corrected by erratum 1690), in bytes.
const MAX_EMAIL_BYTES: usize = 254;

/// The hash of an identity: of a mail address as [`email`] returns it, of a device's id as it is,
/// of an account elsewhere by its subject.
pub fn identity(keyring: &Keyring, kind: IdentityKind, value: &str) -> IdentityHash {
    // Versions and kinds hold no zero and the value is last: no two identities spell the same.
    let message = [
        VERSION,
        b"\0",
        kind.name().as_bytes(),
        b"\0",
        value.as_bytes(),
    ]
    .concat();
    IdentityHash(crate::crypto::mac(keyring.index(), &message))
}

/// A mail address in the one form that is sealed, hashed and compared: NFKC, lower case, trimmed;
/// none when it cannot be one.
///
/// Local parts are case-sensitive by the letter of RFC 5321 and nowhere in practice; two accounts
/// that differ by case alone would be a trap.
pub fn email(text: &str) -> Option<String> {
    // Compatibility forms are up to 18 times as long; what is absurdly long is not looked at.
    if text.len() > 4 * MAX_EMAIL_BYTES {
        return None;
    }
    let lower: String = text.trim().nfkc().collect::<String>().to_lowercase();
    // Lower case may decompose, and compose again differently.
    let normal: String = lower.nfkc().collect();
    let normal = normal.trim();
    let (local, domain) = normal.rsplit_once('@')?;
    let plausible = normal.len() <= MAX_EMAIL_BYTES
        && (1..=64).contains(&local.len())
        && !local.contains('@')
        && domain.contains('.')
        && domain.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .chars()
                    .all(|character| character.is_alphanumeric() || character == '-')
        })
        && !normal.chars().any(|character| {
            character.is_whitespace()
                || character.is_control()
                || matches!(
                    character,
                    '<' | '>' | '(' | ')' | ',' | ';' | ':' | '\\' | '"' | '[' | ']'
                )
        });
    plausible.then(|| normal.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secrets::keyring::fixtures::keyring;

    fn hex(kind: IdentityKind, value: &str) -> String {
        crate::crypto::tests::hex(&identity(&keyring(&[1]), kind, value).0)
    }

    #[test]
    fn hashes_are_stable() {
        // Written down once: a change of any of these locks every account out.
        expect_test::expect![[r#"
            086e62b4c824c84b6e66c3450b096e08a1ccf2cd47fbaa23fc09c2ba04f10e6c
            ae674554ee5fbe093c8561ad1be9471ca5a7b85f0e8e3b9308340ba16ca5749f
            f2e106c5cb1bddd57641d66b2b00409fe96821c90fd09e1bf106a0090692870e
        "#]]
        .assert_eq(&format!(
            "{}\n{}\n{}\n",
            hex(IdentityKind::Email, "ann@example.com"),
            hex(IdentityKind::Device, "0123456789abcdef"),
            hex(IdentityKind::Google, "110169484474386276334"),
        ));
    }

    #[test]
    fn a_rotation_of_the_master_key_changes_no_hash() {
        let of =
            |versions: &[u32]| identity(&keyring(versions), IdentityKind::Email, "ann@example.com");
        assert_eq!(of(&[1]), of(&[1, 2]));
        assert_eq!(of(&[1]), of(&[3]));
    }

    #[test]
    fn kinds_do_not_meet() {
        let hashes: std::collections::BTreeSet<_> = IdentityKind::ALL
            .into_iter()
            .map(|kind| hex(kind, "1"))
            .collect();
        assert_eq!(hashes.len(), IdentityKind::ALL.len());
    }

    #[test]
    fn mail_addresses_have_one_form() {
        for (text, expected) in [
            ("  Ann@Example.COM\n", Some("ann@example.com")),
            // Full-width letters, as an input method may leave them.
            ("ａｎｎ@example.com", Some("ann@example.com")),
            // A composed and a decomposed é.
            ("ren\u{e9}@example.com", Some("ren\u{e9}@example.com")),
            ("rene\u{301}@example.com", Some("ren\u{e9}@example.com")),
            (
                "ann+games@sub.example.com",
                Some("ann+games@sub.example.com"),
            ),
            ("", None),
            ("ann", None),
            ("ann@", None),
            ("@example.com", None),
            ("ann@localhost", None),
            ("ann@@example.com", None),
            ("ann@example..com", None),
            ("ann b@example.com", None),
            ("ann@example.com\r\nBcc: eve@example.com", None),
            ("Ann <ann@example.com>", None),
            ("ann@exa_mple.com", None),
        ] {
            assert_eq!(email(text).as_deref(), expected, "{text:?}");
        }
        let longest = format!("{}@{}.com", "a".repeat(64), "b".repeat(63));
        assert!(email(&longest).is_some());
        assert!(email(&format!("a{longest}")).is_none());
        assert!(email(&format!("a@{}com", "b.".repeat(130))).is_none());
    }

    proptest! {
        #[test]
        fn the_form_of_a_mail_address_is_its_own(text in "\\PC{1,12}@[\\PC]{1,8}\\.\\PC{2,5}") {
            if let Some(normal) = email(&text) {
                prop_assert_eq!(email(&normal), Some(normal.clone()));
                prop_assert_eq!(email(&format!(" {normal}\t")), Some(normal));
            }
        }

        #[test]
        fn other_values_have_other_hashes(left in "[a-c\\x00]{0,6}", right in "[a-c\\x00]{0,6}") {
            let keys = keyring(&[1]);
            let of = |value: &str| identity(&keys, IdentityKind::Device, value);
            prop_assert_eq!(of(&left) == of(&right), left == right);
        }
    }
}
