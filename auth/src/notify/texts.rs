//! The words of mails. Pure.
//!
//! A link carries its secret behind the hash sign, which browsers keep to themselves: it is in no
//! log of a web server and in no `Referer`. The code stands beside it for games without a browser.

use std::time::Duration;

use url::Url;

use super::Mail;

/// What mails say about us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The game's name.
    pub game: String,
    /// The page that takes the secret of [`Texts::verify_email`].
    pub verify: Url,
    /// The page that takes the secret of [`Texts::reset_password`].
    pub reset: Url,
}

impl Texts {
    /// To a new account's address: whoever reads it owns it.
    pub fn verify_email(&self, to: &str, secret: &str, lifetime: Duration) -> Mail {
        let link = link(&self.verify, secret);
        let (game, hours) = (&self.game, span(lifetime));
        mail(
            to,
            format!("Confirm your mail address for {game}"),
            format!(
                "Welcome to {game}.\n\n\
                 Please confirm that this mail address is yours:\n\n{link}\n\n\
                 Or enter this code in the game:\n\n{secret}\n\n\
                 It is good for {hours}. If you did not ask for it, do nothing: without a \
                 confirmation the address is of no use to anybody.\n"
            ),
        )
    }

    /// To an address that somebody tried to register although it has an account.
    pub fn already_registered(&self, to: &str) -> Mail {
        let (game, reset) = (&self.game, &self.reset);
        mail(
            to,
            format!("You already have an account for {game}"),
            format!(
                "Somebody, perhaps you, tried to make an account for {game} with this mail \
                 address. It has one already, and nothing was changed.\n\n\
                 If it was you and the password is forgotten, ask for a new one here:\n\n{reset}\n\n\
                 If it was not you, do nothing.\n"
            ),
        )
    }

    /// To an account's address whose owner forgot the password.
    pub fn reset_password(&self, to: &str, secret: &str, lifetime: Duration) -> Mail {
        let link = link(&self.reset, secret);
        let (game, hours) = (&self.game, span(lifetime));
        mail(
            to,
            format!("A new password for {game}"),
            format!(
                "Somebody, perhaps you, asked for a new password for {game}.\n\n\
                 Choose one here:\n\n{link}\n\n\
                 Or enter this code in the game:\n\n{secret}\n\n\
                 It is good for {hours} and for one use. If it was not you, do nothing: the \
                 password stays as it is. Give the code to nobody, whoever asks.\n"
            ),
        )
    }

    /// To an address that is to be added to an account. There is no link: only who is in the account
    /// may add it.
    pub fn link_email(&self, to: &str, secret: &str, lifetime: Duration) -> Mail {
        let (game, hours) = (&self.game, span(lifetime));
        mail(
            to,
            format!("Your code for {game}"),
            format!(
                "Somebody, perhaps you, wants to sign in to {game} with this mail address.\n\n\
                 Enter this code in the game:\n\n{secret}\n\n\
                 It is good for {hours} and for one use. If it was not you, do nothing. Give the \
                 code to nobody, whoever asks.\n"
            ),
        )
    }

    /// To an account's address when what it signs in with has changed.
    pub fn sign_in_changed(&self, to: &str, change: &str) -> Mail {
        let (game, reset) = (&self.game, &self.reset);
        mail(
            to,
            format!("How you sign in to {game} has changed"),
            format!(
                "{change}: so it says in your account for {game}.\n\n\
                 If it was not you, take the account back at once:\n\n{reset}\n"
            ),
        )
    }

    /// To an account's address whose password was changed.
    pub fn password_changed(&self, to: &str) -> Mail {
        let (game, reset) = (&self.game, &self.reset);
        mail(
            to,
            format!("Your password for {game} was changed"),
            format!(
                "The password of your account for {game} was changed, and every device was \
                 signed out.\n\n\
                 If it was not you, take the account back at once:\n\n{reset}\n"
            ),
        )
    }

    /// To an account's address whose codes of the second step somebody guesses.
    pub fn codes_guessed(&self, to: &str) -> Mail {
        let (game, reset) = (&self.game, &self.reset);
        mail(
            to,
            format!("Somebody is guessing codes of your account for {game}"),
            format!(
                "Many wrong codes were entered for your account for {game}, by somebody who knows \
                 your password or has one of your devices. For now, hardly any more are looked \
                 at.\n\n\
                 If it was not you, choose a new password, which lets you in again at once:\n\n\
                 {reset}\n"
            ),
        )
    }
}

fn mail(to: &str, subject: String, text: String) -> Mail {
    Mail {
        to: to.to_owned(),
        subject,
        text,
    }
}

fn link(page: &Url, secret: &str) -> Url {
    let mut link = page.clone();
    link.set_fragment(Some(&format!("token={secret}")));
    link
}

/// Whole hours or minutes, for people.
fn span(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / 60, minutes) {
        (1, 60) => "an hour".to_owned(),
        (hours, minutes) if hours > 1 && minutes % 60 == 0 => format!("{hours} hours"),
        (_, minutes) => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Texts {
        Texts {
            game: "Arena".to_owned(),
            verify: "https://play.example.com/verify".parse().unwrap(),
            reset: "https://play.example.com/reset?from=mail".parse().unwrap(),
        }
    }

    const TO: &str = "ann@example.com";

    #[test]
    fn secrets_are_in_the_text_behind_the_hash_sign_and_not_in_the_subject() {
        let hour = Duration::from_hours(1);
        for (mail, link) in [
            (
                texts().verify_email(TO, "abc_-123", hour),
                "\nhttps://play.example.com/verify#token=abc_-123\n",
            ),
            (
                texts().reset_password(TO, "abc_-123", hour),
                "\nhttps://play.example.com/reset?from=mail#token=abc_-123\n",
            ),
        ] {
            assert_eq!(mail.to, TO);
            assert!(mail.text.contains(link), "{}", mail.text);
            assert!(mail.text.contains("\nabc_-123\n"), "{}", mail.text);
            assert!(mail.text.contains("good for an hour"), "{}", mail.text);
            assert!(!mail.subject.contains("abc"));
            let shown = format!("{mail:?}");
            assert!(!shown.contains("abc") && !shown.contains("ann"), "{shown}");
        }
    }

    #[test]
    fn a_code_that_adds_an_address_comes_without_a_link() {
        let mail = texts().link_email(TO, "abc_-123", Duration::from_hours(1));
        assert!(mail.text.contains("\nabc_-123\n"), "{}", mail.text);
        assert!(!mail.text.contains("http"), "{}", mail.text);
        assert!(!mail.subject.contains("abc"));
    }

    #[test]
    fn warnings_hold_no_secret_and_say_where_to_go() {
        for mail in [
            texts().already_registered(TO),
            texts().password_changed(TO),
            texts().sign_in_changed(TO, "A passkey was added"),
            texts().codes_guessed(TO),
        ] {
            assert!(
                mail.text
                    .contains("https://play.example.com/reset?from=mail\n")
            );
            assert!(!mail.text.contains("token"));
        }
    }

    #[test]
    fn times_are_said_as_people_do() {
        for (minutes, expected) in [
            (30, "30 minutes"),
            (60, "an hour"),
            (90, "90 minutes"),
            (1440, "24 hours"),
        ] {
            assert_eq!(span(Duration::from_mins(minutes)), expected);
        }
    }
}
