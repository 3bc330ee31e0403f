//! Configuration: arguments and the JSON file, validated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::serve::address::Network;
use runtime::service::Problems;
use runtime::tls::Files;
use serde::Deserialize;
use serde_json::Value;
use storage::secrets::vault;
use url::Url;

use crate::args::Args;
use crate::chat::moderation::{Lists, Moderator};
use crate::edge::{Drain, Limits};
use crate::matchmaking::Queue;
use crate::rates::Rate;
use crate::upstream::Upstream;

/// Queues and regions at most, each.
const MOST: usize = 256;

/// Which part of the time for draining sockets are told to move over.
const DRAIN_SHARE: f64 = 0.7;

/// What operators set, beside addresses and queues.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Regions that clients measure.
    pub regions: Vec<Region>,
    /// Global channels of the chat.
    pub channels: Vec<String>,
    /// Word lists of the moderation.
    pub lists: Lists,
    /// Shortest time between two messages of a player in a global channel.
    pub slow_mode: Duration,
    /// How long lines of the chat are kept.
    pub chat_retention: Duration,
    /// How long lines of the audit log are kept.
    pub audit_retention: Duration,
}

/// Where clients measure their latency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// "host:port" that sends datagrams back.
    #[serde(default)]
    pub udp_echo: Option<String>,
    /// A URL that answers GET with 204.
    #[serde(default)]
    pub https_echo: Option<String>,
    /// The lobby of the region, as a URL.
    #[serde(default)]
    pub lobby: Option<String>,
}

/// What the lobby does.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where WebSockets and HTTP are served.
    pub address: SocketAddr,
    /// Where datagrams are sent back.
    pub echo_address: Option<SocketAddr>,
    /// Where health checks and metrics are served.
    pub admin_address: SocketAddr,
    /// Where clients reach it: `scheme://host`.
    pub origin: String,
    /// The issuer of access tokens.
    pub issuer: String,
    /// Auth's gRPC port.
    pub auth: Upstream,
    /// The allocator's gRPC port.
    pub allocator: Option<Upstream>,
    /// Where what happens in queues is written.
    pub record_dir: Option<PathBuf>,
    /// The page that may read how queues are.
    pub console_origin: Option<String>,
    /// Where secrets are.
    pub secrets: SecretsFrom,
    /// Where matches are.
    pub keeping: Keeping,
    /// Queues by name.
    pub queues: BTreeMap<String, Queue>,
    /// How the service behaves.
    pub settings: Settings,
    /// What clients may do at most.
    pub limits: Limits,
    /// How sockets are told to go.
    pub drain: Drain,
    /// Proxies that tell the truth about addresses.
    pub proxies: Vec<Network>,
    /// Certificates; none to serve plain text.
    pub tls: Option<Files>,
    /// Whether PostgreSQL is reached through PgBouncer.
    pub pooler: bool,
    /// Connections to PostgreSQL of this process.
    pub database_connections: u32,
    /// Connections at once.
    pub connections: usize,
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
    /// Vault.
    Vault(vault::Config),
}

/// Where matches are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// In PostgreSQL, with Valkey beside it; their addresses are secrets.
    Postgres,
    /// In a SQLite file, with memory beside it.
    Sqlite(PathBuf),
}

/// The configuration file. Every part may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct File {
    /// Queues, as [`Queue`] has them.
    pub queues: Vec<Value>,
    /// Regions that clients measure. When there are any, queues name no others.
    pub regions: Vec<Region>,
    /// The chat.
    pub chat: ChatEntry,
    /// How long lines of the audit log are kept, in days.
    pub audit_days: u32,
    /// What clients may do at most.
    pub limits: LimitsEntry,
    /// Where clients connect when this lobby ends; the same address when absent.
    pub move_to: Option<String>,
    /// Proxies that tell the truth about addresses, as networks.
    pub proxies: Vec<String>,
    /// Whether PostgreSQL is reached through PgBouncer.
    pub pooler: bool,
    /// Connections to PostgreSQL of this process.
    pub database_connections: u32,
}

impl Default for File {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            regions: Vec::new(),
            chat: ChatEntry::default(),
            audit_days: 180,
            limits: LimitsEntry::default(),
            move_to: None,
            proxies: Vec::new(),
            pooler: false,
            database_connections: 16,
        }
    }
}

/// `chat`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChatEntry {
    /// Names of global channels.
    pub channels: Vec<String>,
    /// Word lists.
    pub words: Lists,
    /// Shortest time between two messages of a player in a global channel, in milliseconds.
    pub slow_mode_milliseconds: u32,
    /// How long lines are kept, in days.
    pub days: u32,
}

impl Default for ChatEntry {
    fn default() -> Self {
        Self {
            channels: vec!["general".to_owned()],
            words: Lists::default(),
            slow_mode_milliseconds: 1000,
            days: 30,
        }
    }
}

/// `limits`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitsEntry {
    /// Sockets at once.
    pub sockets: usize,
    /// Calls of a session at once.
    pub call_burst: u32,
    /// Calls of a session in each second, over time.
    pub calls_per_second: u32,
    /// New sockets and HTTP calls of an address at once.
    pub address_burst: u32,
    /// New sockets and HTTP calls of an address in each second, over time.
    pub address_per_second: u32,
}

impl Default for LimitsEntry {
    fn default() -> Self {
        Self {
            sockets: 20_000,
            call_burst: 60,
            calls_per_second: 20,
            address_burst: 400,
            address_per_second: 40,
        }
    }
}

impl File {
    /// Reads a file; says the path of what is wrong in it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("--config: read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|problem| format!("--config: {}: {problem}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let file = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
        json.end().map_err(|error| error.to_string())?;
        Ok(file)
    }

    fn queues(&self, problems: &mut Vec<String>) -> BTreeMap<String, Queue> {
        bounded("queues", self.queues.len(), problems);
        let regions: BTreeSet<&str> = self.regions.iter().map(|region| &*region.name).collect();
        let mut queues = BTreeMap::new();
        for (index, value) in self.queues.iter().enumerate() {
            let queue = match Queue::parse(&value.to_string()) {
                Ok(queue) => queue,
                Err(invalid) => {
                    let lines = invalid.iter().map(|line| format!("queues[{index}].{line}"));
                    problems.extend(lines);
                    continue;
                }
            };
            for (at, region) in queue.regions.iter().enumerate() {
                if !regions.is_empty() && !regions.contains(region.as_str()) {
                    problems.push(format!(
                        "queues[{index}].regions[{at}]: {region:?} is not one of `regions`"
                    ));
                }
            }
            let differences = queue.differences.iter().map(|rule| &rule.attribute);
            for name in queue.same.iter().chain(differences) {
                if !queue.client_attributes.contains(name) {
                    problems.push(format!(
                        "queues[{index}].clientAttributes: {name:?} is missing: a rule is about it, \
                         and only clients say it"
                    ));
                }
            }
            if queues.contains_key(&queue.name) {
                problems.push(format!("queues[{index}].name: stands twice"));
            }
            queues.insert(queue.name.clone(), queue);
        }
        queues
    }

    fn settings(&self, problems: &mut Vec<String>) -> Settings {
        bounded("regions", self.regions.len(), problems);
        for (index, region) in self.regions.iter().enumerate() {
            let before = &self.regions[..index];
            if region.name.is_empty() {
                problems.push(format!("regions[{index}].name: is empty"));
            } else if before.iter().any(|other| other.name == region.name) {
                problems.push(format!("regions[{index}].name: stands twice"));
            }
            for (field, text) in [("httpsEcho", &region.https_echo), ("lobby", &region.lobby)] {
                if text.as_ref().is_some_and(|text| Url::parse(text).is_err()) {
                    problems.push(format!("regions[{index}].{field}: is no URL"));
                }
            }
        }
        let chat = &self.chat;
        bounded("chat.channels", chat.channels.len(), problems);
        for (index, name) in chat.channels.iter().enumerate() {
            if !is_name(name) {
                problems.push(format!(
                    "chat.channels[{index}]: must be 1 to 63 of a-z, 0-9 and -"
                ));
            } else if chat.channels[..index].contains(name) {
                problems.push(format!("chat.channels[{index}]: stands twice"));
            }
        }
        if let Err(error) = Moderator::new(&chat.words) {
            problems.push(format!("chat.words.{error}"));
        }
        Settings {
            regions: self.regions.clone(),
            channels: chat.channels.clone(),
            lists: chat.words.clone(),
            slow_mode: Duration::from_millis(chat.slow_mode_milliseconds.into()),
            chat_retention: days("chat.days", chat.days, problems),
            audit_retention: days("auditDays", self.audit_days, problems),
        }
    }

    fn limits(&self, call: Duration, problems: &mut Vec<String>) -> Limits {
        let entry = &self.limits;
        for (field, number) in [
            ("callBurst", entry.call_burst),
            ("callsPerSecond", entry.calls_per_second),
            ("addressBurst", entry.address_burst),
            ("addressPerSecond", entry.address_per_second),
        ] {
            if number == 0 {
                problems.push(format!("limits.{field}: must be 1 or more"));
            }
        }
        if entry.sockets == 0 {
            problems.push("limits.sockets: must be 1 or more".to_owned());
        }
        Limits {
            sockets: entry.sockets,
            calls: Rate::per_second(entry.call_burst, entry.calls_per_second),
            address: Rate::per_second(entry.address_burst, entry.address_per_second),
            call,
            ..Limits::default()
        }
    }

    fn move_to(&self, problems: &mut Vec<String>) -> String {
        let url = self.move_to.clone().unwrap_or_default();
        if !url.is_empty() && Url::parse(&url).is_err() {
            problems.push("moveTo: is no URL".to_owned());
        }
        url
    }

    fn proxies(&self, problems: &mut Vec<String>) -> Vec<Network> {
        let mut networks = Vec::new();
        for (index, text) in self.proxies.iter().enumerate() {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(error) => problems.push(format!("proxies[{index}]: {error}")),
            }
        }
        networks
    }
}

fn bounded(field: &str, count: usize, problems: &mut Vec<String>) {
    if count > MOST {
        problems.push(format!("{field}: are {count}, of at most {MOST}"));
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len()) && name.bytes().all(is_letter)
}

fn days(field: &str, days: u32, problems: &mut Vec<String>) -> Duration {
    if days == 0 {
        problems.push(format!("{field}: must be 1 or more"));
    }
    Duration::from_hours(24 * u64::from(days))
}

/// The origin of a URL that has no path.
fn origin(flag: &str, url: &Url, problems: &mut Vec<String>) -> String {
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_origin {
        problems.push(format!(
            "{flag}: {url}: want an origin without a path: https://lobby.example.com"
        ));
    }
    url.origin().ascii_serialization()
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
        let call = Duration::from_secs(args.request_timeout_seconds);
        let drain_timeout = Duration::from_secs(args.drain_timeout_seconds);
        let upstream = |url: &Url, token_file: Option<PathBuf>| Upstream {
            url: url.to_string(),
            ca_file: args.upstream_ca_file.clone(),
            tls_dir: args.upstream_tls_dir.clone(),
            token_file,
        };
        let config = Self {
            address: args.address,
            echo_address: args.echo_address,
            admin_address: args.admin_address,
            origin: origin("--url", &args.url, &mut problems),
            issuer: origin("--issuer", &args.issuer, &mut problems),
            auth: upstream(&args.auth, args.auth_token_file.clone()),
            allocator: args.allocator.as_ref().map(|url| upstream(url, None)),
            record_dir: args.record_dir.clone(),
            console_origin: args
                .console_origin
                .as_ref()
                .map(|url| url.origin().ascii_serialization()),
            secrets: match (args.vault_address, args.vault_token_file) {
                (Some(address), Some(token_file)) => SecretsFrom::Vault(vault::Config {
                    address,
                    mount: args.vault_mount,
                    path: args.vault_path,
                    token_file,
                    ca_file: args.vault_ca_file,
                    namespace: None,
                    timeout: Duration::from_secs(5),
                }),
                _ => SecretsFrom::Directory(args.secrets_dir),
            },
            keeping: args.sqlite.map_or(Keeping::Postgres, Keeping::Sqlite),
            queues: file.queues(&mut problems),
            settings: file.settings(&mut problems),
            limits: file.limits(call, &mut problems),
            drain: Drain {
                url: file.move_to(&mut problems),
                // The rest is for the last ones to finish.
                spread: drain_timeout.mul_f64(DRAIN_SHARE),
            },
            proxies: file.proxies(&mut problems),
            tls: args.tls_dir.map(|server| Files {
                server,
                client_ca: None,
            }),
            pooler: file.pooler,
            database_connections: file.database_connections,
            connections: args.max_connections,
            shutdown_delay: Duration::from_secs(args.shutdown_delay_seconds),
            drain_timeout,
        };
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems(problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    const DUEL: &str = r#"{
        "name": "duel", "teams": {"count": 2, "size": 1}, "regions": ["eu"],
        "rating": {"value": 100}, "latency": {"value": 80}
    }"#;

    fn config(text: &str) -> Result<Config, Vec<String>> {
        let folder = std::env::temp_dir().join(format!("muster-lobby-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("config.json");
        std::fs::write(&path, text).unwrap();
        let mut arguments = vec!["lobby", "--url", "https://lobby.example.com"];
        arguments.extend(["--issuer", "https://auth.example.com"]);
        arguments.extend(["--auth", "https://auth:8444", "--config"]);
        arguments.push(path.to_str().unwrap());
        let args = Args::try_parse_from(arguments).unwrap();
        let config = Config::try_from(args).map_err(|Problems(problems)| problems);
        std::fs::remove_dir_all(&folder).unwrap();
        config
    }

    #[test]
    fn a_whole_file_is_read() {
        let text = format!(
            r#"{{
                "queues": [{DUEL}],
                "regions": [{{"name": "eu", "udpEcho": "echo.example.com:7300"}}],
                "chat": {{"channels": ["general", "trade"], "words": {{"refused": ["slur"]}}}},
                "limits": {{"callBurst": 10}}, "proxies": ["10.0.0.0/8"],
                "moveTo": "https://other.example.com"
            }}"#
        );
        let config = config(&text).unwrap();
        assert_eq!(config.origin, "https://lobby.example.com");
        assert_eq!(config.queues["duel"].teams.size, 1);
        assert_eq!(config.settings.channels, ["general", "trade"]);
        assert_eq!(config.limits.calls.burst, 10);
        assert_eq!(config.drain.url, "https://other.example.com");
    }

    #[test]
    fn everything_that_is_wrong_is_named_by_its_path() {
        let rated = DUEL.replace(r#"{"value": 100}"#, r#"{"value": -1}"#);
        let text = format!(
            r#"{{
                "queues": [{DUEL}, {rated}, {DUEL}],
                "regions": [{{"name": "us", "lobby": "nowhere"}}, {{"name": "us"}}],
                "chat": {{"channels": ["General"], "words": {{"masked": ["a"]}}, "days": 0}},
                "limits": {{"callsPerSecond": 0}}, "proxies": ["10.0.0.1/8"]
            }}"#
        );
        let problems = config(&text).unwrap_err();
        for path in [
            "queues[0].regions[0]: ",
            "queues[1].rating.value: ",
            "queues[2].name: ",
            "regions[0].lobby: ",
            "regions[1].name: ",
            "chat.channels[0]: ",
            "chat.words.masked[0]: ",
            "chat.days: ",
            "limits.callsPerSecond: ",
            "proxies[0]: ",
        ] {
            let is_named = problems.iter().any(|problem| problem.starts_with(path));
            assert!(is_named, "{path} of {problems:#?}");
        }
        let unknown = config(r#"{"regions": [{"nmae": "eu"}]}"#).unwrap_err();
        assert!(
            unknown[0].contains("regions[0].nmae: unknown field"),
            "{unknown:?}"
        );
    }
}
