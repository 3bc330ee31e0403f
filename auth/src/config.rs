//! Arguments and the configuration file become a configuration that is known to be valid.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::service::Problems;
use runtime::tls::Files;
use serde::Deserialize;
use storage::secrets::vault;
use url::Url;

use crate::args::{Args, Command};
use crate::limits::{self, Network};
use crate::passwords::{kdf, pool};
use crate::providers;
use crate::service::{AUDIENCE, ClientClass, DpopPolicy, Settings, Verification};

/// What auth does.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to do; serves without it.
    pub command: Option<Command>,
    /// Where HTTP and WebSockets are served.
    pub address: SocketAddr,
    /// Where gRPC is served.
    pub grpc_address: SocketAddr,
    /// Where health checks and metrics are served.
    pub admin_address: SocketAddr,
    /// Where secrets are.
    pub secrets: SecretsFrom,
    /// Where accounts are.
    pub accounts: Accounts,
    /// How the service behaves.
    pub settings: Settings,
    /// Certificates of the HTTP port; none to serve plain text.
    pub tls: Option<Files>,
    /// Certificates of the gRPC port.
    pub grpc_tls: Option<Files>,
    /// The rest, as the file has it.
    pub file: File,
    /// Connections of each port at once.
    pub connections: usize,
    /// Time for one request.
    pub request_timeout: Duration,
    /// Still serving after the signal to stop.
    pub shutdown_delay: Duration,
    /// Longest time for what is in flight at the end.
    pub drain_timeout: Duration,
}

/// Where secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretsFrom {
    /// A directory.
    Directory(PathBuf),
    /// A directory in which keys that are missing are made.
    OwnDirectory(PathBuf),
    /// Vault.
    Vault(vault::Config),
}

/// Where accounts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// In PostgreSQL, with Valkey beside it; their addresses are secrets.
    Postgres,
    /// In a SQLite file, with memory beside it.
    Sqlite(PathBuf),
}

/// The configuration file. Every part may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct File {
    /// The game's name, in mails and authenticators.
    pub game: String,
    /// Whether an address must be verified before its account is used.
    pub email_verification: VerificationName,
    /// The kinds of clients; the first is the default.
    pub classes: Vec<ClassEntry>,
    /// Whether DPoP proofs must carry a nonce of ours.
    pub dpop_nonces: bool,
    /// How long a refresh token is good, in seconds.
    pub refresh_seconds: u64,
    /// How long a session lasts, however often it is refreshed, in seconds.
    pub session_seconds: u64,
    /// After how many days guests and unverified accounts are removed that nobody came back to;
    /// never when 0.
    pub abandoned_days: u32,
    /// How passwords are stored.
    pub passwords: PasswordsEntry,
    /// How mails leave; into files under the database's folder when absent and accounts are in
    /// SQLite, and required otherwise.
    pub mail: Option<MailEntry>,
    /// The captcha; none when absent.
    pub captcha: Option<CaptchaEntry>,
    /// Where else players sign in.
    pub elsewhere: providers::Config,
    /// How often what may be tried.
    pub limits: LimitsEntry,
    /// Proxies that tell the truth about addresses, as networks.
    pub proxies: Vec<String>,
    /// Origins of web pages and apps that may use passkeys, beside the issuer's own.
    pub passkey_origins: Vec<Url>,
    /// Whether PostgreSQL is reached through PgBouncer.
    pub pooler: bool,
    /// Connections to PostgreSQL of this process.
    pub database_connections: u32,
    /// Where Valkey's sessions are copied to every five minutes; nowhere when absent.
    pub session_copies: Option<String>,
    /// How `s3://` places are reached.
    pub s3: S3Entry,
}

impl Default for File {
    fn default() -> Self {
        Self {
            game: "Muster".to_owned(),
            email_verification: VerificationName::Required,
            classes: vec![ClassEntry::default()],
            dpop_nonces: false,
            refresh_seconds: 7 * 24 * 3600,
            session_seconds: 90 * 24 * 3600,
            abandoned_days: 30,
            passwords: PasswordsEntry::default(),
            mail: None,
            captcha: None,
            elsewhere: providers::Config::default(),
            limits: LimitsEntry::default(),
            proxies: Vec::new(),
            passkey_origins: Vec::new(),
            pooler: false,
            database_connections: 16,
            session_copies: None,
            s3: S3Entry::default(),
        }
    }
}

/// `emailVerification`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum VerificationName {
    /// Nobody learns whether an address is registered.
    Required,
    /// For development and closed networks.
    Optional,
}

/// One of `classes`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClassEntry {
    /// Its name.
    pub name: String,
    /// Whether tokens must be bound to a key of the client.
    pub dpop: DpopName,
    /// The services that its tokens may be for; the first is the default.
    pub audiences: Vec<String>,
}

impl Default for ClassEntry {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            dpop: DpopName::Optional,
            audiences: vec!["game".to_owned()],
        }
    }
}

/// `dpop` of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DpopName {
    /// Bound when the client sends a proof.
    Optional,
    /// A call without a proof is refused.
    Required,
}

/// `passwords`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PasswordsEntry {
    /// The function and its cost for new passwords.
    pub profile: ProfileName,
    /// Those that were the profile before: while some accounts still have one, each login computes
    /// all of them, so that nobody tells accounts by the time it takes.
    pub former: Vec<ProfileName>,
    /// Whether a key that no database dump has is part of each. Must stay once it was used.
    pub pepper: bool,
    /// Memory for hashes at once, in MiB.
    pub memory_mib: u32,
    /// How many may wait for a hash.
    pub queue: usize,
    /// A service of breached passwords by ranges of their hashes; none when absent.
    pub breached: Option<Url>,
}

impl Default for PasswordsEntry {
    fn default() -> Self {
        let pool = pool::Limits::default();
        Self {
            profile: ProfileName::Scrypt17,
            former: Vec::new(),
            pepper: false,
            memory_mib: pool.memory_mib,
            queue: pool.queue,
            breached: None,
        }
    }
}

/// `profile` of passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum ProfileName {
    /// scrypt, N = 2^17, r = 8, p = 1: 128 MiB.
    Scrypt17,
    /// scrypt, N = 2^14, r = 8, p = 1: 16 MiB. Weaker than what is recommended.
    Scrypt14,
    /// argon2id, 19 MiB, t = 2, p = 1.
    Argon2id,
}

impl ProfileName {
    /// The profile.
    pub const fn profile(self) -> kdf::Profile {
        match self {
            Self::Scrypt17 => kdf::Profile::DEFAULT,
            Self::Scrypt14 => kdf::Profile::REQUIRED,
            Self::Argon2id => kdf::Profile::ARGON2ID,
        }
    }
}

/// `mail`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailEntry {
    /// `smtp://user@mail.example.com` or `smtps://…`; the password is the secret `smtp.password`.
    pub url: Url,
    /// The sender: `Arena <noreply@example.com>`.
    pub from: String,
    /// The page that takes the secret of a new address.
    pub verify_page: Url,
    /// The page that takes the secret of a new password.
    pub reset_page: Url,
}

/// `captcha`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaptchaEntry {
    /// The service's `siteverify`.
    pub url: Url,
    /// The pages on which one may have been solved; any when empty.
    #[serde(default)]
    pub hostnames: Vec<String>,
}

/// `s3`. The access key is the secrets `s3.access-key-id` and `s3.secret-access-key`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct S3Entry {
    /// The region; `us-east-1` when absent.
    pub region: Option<String>,
    /// Another service than Amazon's.
    pub endpoint: Option<Url>,
}

/// `limits`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitsEntry {
    /// Networks in which thousands share an address: never blocked.
    pub carriers: Vec<String>,
    /// Multiplies every rate: for load tests and closed networks.
    pub factor: Option<u32>,
}

impl File {
    /// Reads a file; says the path of what is wrong in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("--config: read {}: {error}", path.display()))?;
        let mut json = serde_json::Deserializer::from_str(&text);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            format!(
                "--config: {}: {}: {}",
                path.display(),
                error.path(),
                error.inner()
            )
        })
    }

    /// The limits.
    pub fn limits(&self, problems: &mut Vec<String>) -> limits::Config {
        let mut config = limits::Config {
            carriers: networks("limits.carriers", &self.limits.carriers, problems),
            ..limits::Config::default()
        };
        if let Some(factor) = self.limits.factor {
            config.rates = config.rates.times(factor.max(1));
            config.failures.burst = config.failures.burst.saturating_mul(factor.max(1));
        }
        config
    }

    /// How long accounts are kept that nobody came back to, if not for ever.
    fn abandoned(&self) -> Option<jiff::SignedDuration> {
        let days = i64::from(self.abandoned_days);
        (days > 0).then(|| jiff::SignedDuration::from_hours(24 * days))
    }

    /// The proxies.
    pub fn proxies(&self, problems: &mut Vec<String>) -> Vec<Network> {
        networks("proxies", &self.proxies, problems)
    }

    fn classes(&self, problems: &mut Vec<String>) -> Vec<ClientClass> {
        if self.classes.is_empty() {
            problems.push("classes: want at least one class of clients".to_owned());
        }
        for (index, class) in self.classes.iter().enumerate() {
            if class.name.is_empty() {
                problems.push(format!("classes[{index}].name: is empty"));
            }
            if class.audiences.is_empty() || class.audiences.iter().any(String::is_empty) {
                problems.push(format!(
                    "classes[{index}].audiences: want at least one name"
                ));
            }
            if class.audiences.iter().any(|name| name == AUDIENCE) {
                problems.push(format!(
                    "classes[{index}].audiences: {AUDIENCE:?} is for everybody's own account alone, \
                     and is asked for by itself"
                ));
            }
            if self.classes[..index]
                .iter()
                .any(|other| other.name == class.name)
            {
                problems.push(format!("classes[{index}].name: stands twice"));
            }
        }
        self.classes
            .iter()
            .map(|class| ClientClass {
                name: class.name.clone(),
                dpop: match class.dpop {
                    DpopName::Optional => DpopPolicy::Optional,
                    DpopName::Required => DpopPolicy::Required,
                },
                audiences: class.audiences.clone(),
            })
            .collect()
    }
}

fn networks(field: &str, texts: &[String], problems: &mut Vec<String>) -> Vec<Network> {
    let mut networks = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(error) => problems.push(format!("{field}[{index}]: {error}")),
        }
    }
    networks
}

impl TryFrom<Args> for Config {
    type Error = Problems;

    fn try_from(args: Args) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let file = match &args.config {
            Some(path) => File::read(path).unwrap_or_else(|problem| {
                problems.push(problem);
                File::default()
            }),
            None => File::default(),
        };
        let is_origin = matches!(args.issuer.scheme(), "http" | "https")
            && args.issuer.path() == "/"
            && args.issuer.query().is_none()
            && args.issuer.fragment().is_none();
        if !is_origin {
            problems.push(format!(
                "--issuer: {}: want an origin without a path: https://auth.example.com",
                args.issuer
            ));
        }
        if file.refresh_seconds == 0 || file.session_seconds < file.refresh_seconds {
            problems.push(
                "refreshSeconds, sessionSeconds: want at least 1, and a session no shorter than its tokens"
                    .to_owned(),
            );
        }
        let secrets = match (args.vault_address, args.vault_token_file) {
            (Some(address), Some(token_file)) => SecretsFrom::Vault(vault::Config {
                address,
                mount: args.vault_mount,
                path: args.vault_path,
                token_file,
                ca_file: args.vault_ca_file,
                namespace: None,
                timeout: Duration::from_secs(5),
            }),
            _ if args.sqlite.is_some() => SecretsFrom::OwnDirectory(args.secrets_dir),
            _ => SecretsFrom::Directory(args.secrets_dir),
        };
        let accounts = args.sqlite.map_or(Accounts::Postgres, Accounts::Sqlite);
        if file.mail.is_none() && accounts == Accounts::Postgres {
            problems.push(
                "--config: mail: is missing: players must be reached to verify addresses and reset passwords"
                    .to_owned(),
            );
        }
        let settings = Settings {
            issuer: args.issuer.origin().ascii_serialization(),
            refresh_lifetime: Duration::from_secs(file.refresh_seconds),
            session_lifetime: Duration::from_secs(file.session_seconds),
            refresh_grace: Duration::from_secs(10),
            abandoned: file.abandoned(),
            verification: match file.email_verification {
                VerificationName::Required => Verification::Required,
                VerificationName::Optional => Verification::Optional,
            },
            classes: file.classes(&mut problems),
        };
        file.limits(&mut problems);
        file.proxies(&mut problems);
        let tls = args.tls_dir.map(|server| Files {
            server,
            client_ca: None,
        });
        let grpc_tls = tls.clone().map(|files| Files {
            client_ca: args.client_ca_dir,
            ..files
        });
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self {
            command: args.command,
            address: args.address,
            grpc_address: args.grpc_address,
            admin_address: args.admin_address,
            secrets,
            accounts,
            settings,
            tls,
            grpc_tls,
            file,
            connections: args.max_connections,
            request_timeout: Duration::from_secs(args.request_timeout_seconds),
            shutdown_delay: Duration::from_secs(args.shutdown_delay_seconds),
            drain_timeout: Duration::from_secs(args.drain_timeout_seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_kept_for_a_month_or_as_long_as_configured() {
        let kept = |text: &str| serde_json::from_str::<File>(text).unwrap().abandoned();
        let days = |days: i64| Some(jiff::SignedDuration::from_hours(24 * days));
        assert_eq!(kept("{}"), days(30));
        assert_eq!(kept(r#"{"abandonedDays": 365}"#), days(365));
        assert_eq!(kept(r#"{"abandonedDays": 0}"#), None);
    }

    #[test]
    fn profiles_from_earlier_are_read() {
        let text = r#"{"passwords": {"profile": "Argon2id", "former": ["Scrypt17"]}}"#;
        let file: File = serde_json::from_str(text).unwrap();
        assert_eq!(file.passwords.former, [ProfileName::Scrypt17]);
        assert!(File::default().passwords.former.is_empty());
    }
}
