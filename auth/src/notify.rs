//! What reaches people outside of the game: mails and text messages.
//!
//! A call never waits for a mail server, and its time tells nothing of whether one is asked: it
//! [posts](outbox::Outbox::post) to a bounded queue, and workers deliver ([`Deliver`]) with a time
//! limit and a bounded number of attempts. What is lost with a process is asked for again by its
//! reader.

use std::fmt;

use async_trait::async_trait;

pub mod folder;
pub mod outbox;
pub mod sms;
pub mod smtp;
pub mod texts;

/// A mail. Its text holds a secret more often than not.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The reader's address, in its normal form ([`crate::crypto::blind::email`]).
    pub to: String,
    /// The subject.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mail")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// A text message. Its text holds a secret more often than not.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// The reader's number, in E.164: `+4930123456`.
    pub to: String,
    /// The text.
    pub text: String,
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Text").finish_non_exhaustive()
    }
}

/// Why a message was not delivered. Names neither its reader nor its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Perhaps later.
    #[error("not now: {0}")]
    Temporary(String),
    /// Never.
    #[error("refused: {0}")]
    Permanent(String),
}

/// A way to deliver messages.
#[async_trait]
pub trait Deliver<Message>: fmt::Debug + Send + Sync {
    /// Delivers once, without a retry; whoever calls limits the time.
    async fn deliver(&self, message: &Message) -> Result<(), Undelivered>;
}

/// Delivers mails.
pub type Mailer = dyn Deliver<Mail>;

/// Delivers text messages.
pub type Texter = dyn Deliver<Text>;
