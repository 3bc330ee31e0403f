//! Bodies of requests and answers. Unknown fields are refused: a misspelled one would be ignored
//! in silence otherwise.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::Confidential;
use utoipa::ToSchema;

use crate::error::Code;

/// Every failure.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// Decide by it; the message may change.
    pub(super) code: Code,
    /// For people.
    pub(super) message: String,
    /// The path of the field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "client.name")]
    pub(super) field: Option<String>,
}

/// What the caller's program says about itself.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientBody {
    /// For the list of sessions: at most 128 characters.
    #[schema(example = "Firefox on Linux")]
    #[serde(default)]
    pub(super) name: String,
    /// Recognized again at the next login: 16 to 128 characters.
    pub(super) device_id: Option<String>,
    /// Asked-for audiences; the default one of the class when empty. `["auth"]` is for the calls
    /// about the player's own account, and for nothing else.
    #[serde(default)]
    pub(super) audiences: Vec<String>,
    /// Which configured kind of client it is.
    pub(super) class: Option<String>,
}

/// `POST /register`: by mail address and password, or by `device_id`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterBody {
    /// The mail address.
    #[schema(example = "ada@example.com")]
    pub(super) email: Option<String>,
    /// 8 to 128 characters; not a common one.
    #[schema(value_type = Option<String>)]
    pub(super) password: Option<Confidential>,
    /// In place of address and password: a device without a name.
    pub(super) device_id: Option<String>,
    #[serde(default)]
    pub(super) client: ClientBody,
    /// The answer to a captcha, where one is asked for.
    pub(super) captcha: Option<String>,
}

/// `POST /login`: one of address with password, device, second step, or ticket of a provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    /// The mail address, with `password`.
    pub(super) email: Option<String>,
    #[schema(value_type = Option<String>)]
    pub(super) password: Option<Confidential>,
    /// A device without a name.
    pub(super) device_id: Option<String>,
    /// The second step of a login, with `code`.
    pub(super) challenge: Option<String>,
    /// Six digits of an authenticator, or a recovery code.
    pub(super) code: Option<String>,
    /// A provider that gives tickets ("steam", "xbox"), with `ticket`.
    pub(super) provider: Option<String>,
    /// What the provider's library gave to the game.
    pub(super) ticket: Option<String>,
    #[serde(default)]
    pub(super) client: ClientBody,
    pub(super) captcha: Option<String>,
}

/// Tokens of a session.
#[derive(Serialize, ToSchema)]
pub(super) struct TokensBody {
    /// A JWT (RFC 9068), signed with Ed25519.
    pub(super) access_token: String,
    /// Seconds.
    pub(super) expires_in: u64,
    /// Good for one use.
    pub(super) refresh_token: String,
    /// Seconds.
    pub(super) refresh_expires_in: u64,
    /// "DPoP" when bound to the caller's key, else "Bearer".
    pub(super) token_type: &'static str,
    pub(super) player_id: String,
    pub(super) session_id: String,
}

/// A second step that is asked for.
#[derive(Serialize, ToSchema)]
pub(super) struct ChallengeBody {
    /// To be sent back with a code.
    pub(super) challenge: String,
    /// "totp", "recovery_code".
    pub(super) methods: Vec<&'static str>,
    /// Seconds.
    pub(super) expires_in: u64,
}

/// The answer to a sign-in: tokens, or a second step.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum SignInBody {
    /// Signed in.
    Tokens(TokensBody),
    /// Not yet.
    Challenge(ChallengeBody),
}

/// A mail is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PendingBody {
    /// "pending".
    pub(super) status: &'static str,
}

/// `POST /token/refresh`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshBody {
    #[schema(value_type = String)]
    pub(super) refresh_token: Confidential,
    /// The same in a retry of the same refresh within 10 s: it gets the same successor. At most 64
    /// characters; clients with a DPoP key need none.
    pub(super) request_id: Option<String>,
    /// `audiences` may be `["auth"]`: the access token is for the player's own account then. A
    /// `device_id` that is another one than at the sign-in is written down.
    #[serde(default)]
    pub(super) client: ClientBody,
}

/// `POST /logout`: with a refresh token, or without a body by the access token.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogoutBody {
    #[schema(value_type = Option<String>)]
    pub(super) refresh_token: Option<Confidential>,
    /// Ends every session of the player.
    #[serde(default)]
    pub(super) everywhere: bool,
}

/// `POST /reconnect`: by a reconnection token, or by a refresh token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReconnectBody {
    #[schema(value_type = Option<String>)]
    pub(super) reconnection_token: Option<Confidential>,
    #[schema(value_type = Option<String>)]
    pub(super) refresh_token: Option<Confidential>,
    /// As in `POST /token/refresh`.
    pub(super) request_id: Option<String>,
    /// As in `POST /token/refresh`.
    #[serde(default)]
    pub(super) client: ClientBody,
}

/// A session that was found again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReconnectedBody {
    pub(super) player_id: String,
    pub(super) session_id: String,
    /// Where it plays.
    #[schema(example = "203.0.113.7:7012")]
    pub(super) game_server: String,
}

/// The answer of `POST /reconnect`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum ReconnectAnswer {
    /// By a reconnection token.
    Session(ReconnectedBody),
    /// By a refresh token.
    Tokens(TokensBody),
}

/// `POST /validate`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ValidateBody {
    #[schema(value_type = String)]
    pub(super) access_token: Confidential,
    /// Refused unless the token is for it; for whomever it is when absent.
    pub(super) audience: Option<String>,
}

/// The claims of a token that is good.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClaimsBody {
    pub(super) player_id: String,
    pub(super) session_id: String,
    /// What the player may do.
    pub(super) rights: Vec<String>,
    /// Whom the token is for.
    pub(super) audiences: Vec<String>,
    /// Seconds since 1970.
    pub(super) expires_at: i64,
}

/// `POST /email/verify`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyEmailBody {
    /// From the mail.
    #[schema(value_type = String)]
    pub(super) token: Confidential,
    /// The account's password: a mail alone must not open what somebody else registered.
    #[schema(value_type = String)]
    pub(super) password: Confidential,
    #[serde(default)]
    pub(super) client: ClientBody,
}

/// `POST /password/forgot`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgotBody {
    pub(super) email: String,
    pub(super) captcha: Option<String>,
}

/// `POST /password/reset`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetBody {
    /// From the mail.
    #[schema(value_type = String)]
    pub(super) token: Confidential,
    /// The new one.
    #[schema(value_type = String)]
    pub(super) password: Confidential,
}

/// `PUT /password`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePasswordBody {
    #[schema(value_type = String)]
    pub(super) current: Confidential,
    #[schema(value_type = String)]
    pub(super) new: Confidential,
}

/// What confirms what follows, beside the token.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmBody {
    /// Where the account has one; it takes a sign-in within five minutes otherwise.
    #[schema(value_type = Option<String>)]
    pub(super) password: Option<Confidential>,
    /// Six digits of the authenticator, or a recovery code, where one is set up.
    #[schema(value_type = Option<String>)]
    pub(super) second_step: Option<Confidential>,
}

/// `POST /identities`: one of a ticket of a provider, a sign-in at a provider that was begun, a mail
/// address that a code is to be sent to, or an address with that code and a password. The last
/// three of the fields confirm it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkBody {
    /// As configured, with `ticket`, or with `handle` and `secret`.
    pub(super) provider: Option<String>,
    /// What the provider's library gave to the game.
    #[schema(value_type = Option<String>)]
    pub(super) ticket: Option<Confidential>,
    /// Of `POST /oauth/{provider}`.
    #[schema(value_type = Option<String>)]
    pub(super) handle: Option<Confidential>,
    #[schema(value_type = Option<String>)]
    pub(super) secret: Option<Confidential>,
    /// The code of the provider, where the client caught the redirect itself.
    #[schema(value_type = Option<String>)]
    pub(super) code: Option<Confidential>,
    /// The parameter `iss` of the redirect (RFC 9207).
    pub(super) iss: Option<String>,
    /// A mail address.
    pub(super) email: Option<String>,
    /// From the mail, with `new_password`.
    #[schema(value_type = Option<String>)]
    pub(super) token: Option<Confidential>,
    /// What the address signs in with.
    #[schema(value_type = Option<String>)]
    pub(super) new_password: Option<Confidential>,
    /// Where the account has one; it takes a sign-in within five minutes otherwise.
    #[schema(value_type = Option<String>)]
    pub(super) password: Option<Confidential>,
    /// Six digits of the authenticator, or a recovery code, where one is set up.
    #[schema(value_type = Option<String>)]
    pub(super) second_step: Option<Confidential>,
}

/// A way to sign in.
#[derive(Serialize, ToSchema)]
pub(super) struct IdentityBody {
    /// For `DELETE /identities/{id}`.
    pub(super) id: String,
    /// "email", "device", "google", "apple", "oidc", "steam", "xbox".
    pub(super) kind: &'static str,
    /// What its owner recognizes it by: the address, or the account elsewhere.
    pub(super) label: Option<String>,
}

/// `GET /identities`, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct IdentitiesBody {
    pub(super) identities: Vec<IdentityBody>,
}

/// `GET /me`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProfileBody {
    pub(super) player_id: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    /// Made by a device alone.
    pub(super) guest: bool,
    /// An authenticator is set up.
    pub(super) totp: bool,
    /// "email", "device", "google", "apple", "oidc", "steam", "xbox".
    pub(super) identities: Vec<&'static str>,
    pub(super) roles: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
}

/// A live session.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionBody {
    pub(super) session_id: String,
    /// The one of the token that asks.
    pub(super) current: bool,
    pub(super) client: String,
    pub(super) ip: String,
    /// How the player proved who it is (RFC 8176).
    pub(super) methods: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(super) used_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
}

/// `GET /sessions`, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionsBody {
    pub(super) sessions: Vec<SessionBody>,
}

/// How many sessions ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndedBody {
    pub(super) ended: u32,
}

/// `POST /totp`: shown now and never again.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrollmentBody {
    /// For a picture that an app scans.
    #[schema(example = "otpauth://totp/Muster:ada@example.com?secret=…")]
    pub(super) uri: String,
    /// For typing in.
    pub(super) secret: String,
    /// Each signs in once without the authenticator.
    pub(super) recovery_codes: Vec<String>,
}

/// A code of an authenticator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeBody {
    pub(super) code: String,
}

/// A ceremony that began.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CeremonyBody {
    /// To be sent back.
    pub(super) handle: String,
    /// For `navigator.credentials`.
    pub(super) options: Value,
}

/// `POST /passkeys/finish`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPasskeyBody {
    pub(super) handle: String,
    /// What its owner calls it: 1 to 64 characters.
    pub(super) name: String,
    /// What the authenticator answered.
    pub(super) response: Value,
}

/// `POST /passkeys/login/finish`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasskeyLoginBody {
    pub(super) handle: String,
    pub(super) response: Value,
    #[serde(default)]
    pub(super) client: ClientBody,
}

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PasskeyBody {
    /// base64url.
    pub(super) id: String,
    pub(super) name: String,
    #[schema(value_type = String, format = DateTime)]
    pub(super) created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) used_at: Option<Timestamp>,
}

/// `GET /passkeys`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PasskeysBody {
    pub(super) passkeys: Vec<PasskeyBody>,
}

/// `POST /oauth/{provider}`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BeginElsewhereBody {
    /// Where the browser goes in the end: one of the configured addresses.
    pub(super) return_to: Option<String>,
    #[serde(default)]
    pub(super) client: ClientBody,
}

/// A sign-in at a provider that was begun.
#[derive(Serialize, ToSchema)]
pub(super) struct ElsewhereBody {
    /// To be opened in a browser.
    pub(super) authorization_url: String,
    /// For `POST /oauth/{provider}/finish`, with `secret`.
    pub(super) handle: String,
    /// Keep it; show it to nobody else.
    pub(super) secret: String,
    /// Seconds.
    pub(super) expires_in: u64,
}

/// `POST /oauth/{provider}/finish`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishElsewhereBody {
    #[schema(value_type = String)]
    pub(super) handle: Confidential,
    #[schema(value_type = String)]
    pub(super) secret: Confidential,
    /// The code, where the client caught the redirect itself.
    #[schema(value_type = Option<String>)]
    pub(super) code: Option<Confidential>,
    /// The parameter `iss` of the redirect (RFC 9207).
    pub(super) iss: Option<String>,
    #[serde(default)]
    pub(super) client: ClientBody,
}
