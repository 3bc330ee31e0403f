//! Text messages by the HTTP interface of Twilio, which others offer too.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use super::{Deliver, Text, Undelivered};
use crate::outward::{self, Outward, with_form};
use crate::secrets::Secrets;

/// The secret with the account's token.
pub const TOKEN: &str = "sms.token";

/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// An account at a provider of text messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `https://api.twilio.com`.
    pub base: Url,
    /// The account's id. Its token is the secret `sms.token`.
    pub account: String,
    /// The sender's number or name.
    pub from: String,
    /// How long one call may take.
    pub timeout: Duration,
}

/// A provider of text messages.
#[derive(Clone)]
pub struct Sms {
    config: Config,
    outward: Outward,
    secrets: Arc<Secrets>,
}

impl fmt::Debug for Sms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sms")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Sms {
    /// A provider; asks it nothing yet.
    pub fn new(config: Config, secrets: Arc<Secrets>) -> Result<Self, outward::Error> {
        Ok(Self {
            outward: Outward::new(config.timeout, config.timeout)?,
            config,
            secrets,
        })
    }
}

/// Whether it is a number in E.164: a plus sign and 7 to 15 digits, the first no zero.
pub fn is_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[async_trait]
impl Deliver<Text> for Sms {
    async fn deliver(&self, message: &Text) -> Result<(), Undelivered> {
        let config = &self.config;
        if !is_number(&message.to) {
            return Err(Undelivered::Permanent(
                "the number is not in E.164".to_owned(),
            ));
        }
        let mut url = config.base.clone();
        url.path_segments_mut()
            .map_err(|()| Undelivered::Permanent("the address takes no path".to_owned()))?
            .pop_if_empty()
            .extend(["2010-04-01", "Accounts", &config.account, "Messages.json"]);
        let current = self.secrets.current();
        let token = current
            .text(TOKEN)
            .ok_or_else(|| Undelivered::Temporary(format!("the secret {TOKEN} is missing")))?;
        let request = self
            .outward
            .client()
            .post(url)
            .basic_auth(&config.account, Some(token));
        let fields = [
            ("To", message.to.as_str()),
            ("From", &config.from),
            ("Body", &message.text),
        ];
        let answer = self
            .outward
            .send(with_form(request, &fields), MAX_ANSWER_BYTES)
            .await
            .map_err(|error| Undelivered::Temporary(error.to_string()))?;
        let status = answer.status;
        let says = format!("the provider answers {status}");
        // What was wrong with the account or the load may be right later; a number stays wrong.
        match status.as_u16() {
            200..=299 => Ok(()),
            401 | 403 | 429 | 500.. => Err(Undelivered::Temporary(says)),
            _ => Err(Undelivered::Permanent(says)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::Router;
    use axum::extract::Path;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use storage::secrets::Secret;

    use super::*;
    use crate::secrets::keyring::fixtures::keyring_of;
    use crate::secrets::tests::fixed;

    type Bodies = Arc<Mutex<Vec<String>>>;

    /// Answers as the provider does, by the last two digits of the number.
    async fn provider() -> (Url, Bodies) {
        let bodies = Bodies::default();
        let seen = Arc::clone(&bodies);
        let answer = move |Path(account): Path<String>, headers: HeaderMap, body: String| async move {
            assert_eq!(account, "AC1");
            // AC1:s3cret
            if headers["authorization"] != "Basic QUMxOnMzY3JldA==" {
                return StatusCode::UNAUTHORIZED;
            }
            let status = match body.split('&').find(|field| field.starts_with("To=")) {
                Some(to) if to.ends_with("29") => StatusCode::TOO_MANY_REQUESTS,
                Some(to) if to.ends_with("00") => StatusCode::BAD_REQUEST,
                Some(to) if to.ends_with("03") => StatusCode::SERVICE_UNAVAILABLE,
                Some(to) if to.ends_with("99") => std::future::pending().await,
                _ => StatusCode::CREATED,
            };
            seen.lock().unwrap().push(body);
            status
        };
        let router =
            Router::new().route("/2010-04-01/Accounts/{account}/Messages.json", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (base.parse().unwrap(), bodies)
    }

    fn sms(base: &Url, token: &str, timeout: Duration) -> Sms {
        let mut entries = keyring_of(&[1]);
        entries.insert(TOKEN.to_owned(), Secret::new(token.into()));
        let config = Config {
            base: base.clone(),
            account: "AC1".to_owned(),
            from: "Arena".to_owned(),
            timeout,
        };
        Sms::new(config, fixed(entries)).unwrap()
    }

    fn text(to: &str) -> Text {
        Text {
            to: to.to_owned(),
            text: "Your code: 123 & 456".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_text_goes_out_and_answers_are_told_apart() {
        let (base, bodies) = provider().await;
        let long = Duration::from_mins(1);
        let good = sms(&base, "s3cret", long);
        assert_eq!(good.deliver(&text("+4930123456")).await, Ok(()));
        assert_eq!(
            bodies.lock().unwrap().as_slice(),
            ["To=%2B4930123456&From=Arena&Body=Your+code%3A+123+%26+456"]
        );
        let temporary = |result| matches!(result, Err(Undelivered::Temporary(_)));
        assert!(temporary(good.deliver(&text("+4930123429")).await));
        assert!(temporary(good.deliver(&text("+4930123403")).await));
        assert!(temporary(
            sms(&base, "wrong", long)
                .deliver(&text("+4930123456"))
                .await
        ));
        let hasty = sms(&base, "s3cret", Duration::from_millis(50));
        assert!(temporary(hasty.deliver(&text("+4930123499")).await));
        let refused = good.deliver(&text("+4930123400")).await;
        assert!(
            matches!(refused, Err(Undelivered::Permanent(_))),
            "{refused:?}"
        );
        let no_number = good.deliver(&text("0301234")).await;
        assert!(
            matches!(no_number, Err(Undelivered::Permanent(_))),
            "{no_number:?}"
        );
    }

    #[test]
    fn numbers_are_those_of_e_164() {
        assert!(is_number("+4930123456") && is_number("+123456789012345"));
        for text in [
            "",
            "+",
            "4930123456",
            "+0301234567",
            "+49 301234",
            "+123456",
            "+1234567890123456",
        ] {
            assert!(!is_number(text), "{text}");
        }
    }
}
