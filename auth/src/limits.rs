//! How much anybody may do: rates, waits after failed sign-ins, and blocked networks.
//!
//! A rate is counted in this replica first, which spares Valkey a flood, and then by all replicas
//! together. When Valkey is away this replica alone decides: of `n` replicas together, at most
//! `n` times the rate passes. Failed sign-ins are counted in both too; there, Valkey decides while
//! it answers.

pub mod lockout;

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::digest;

use crate::error::Failure;
use crate::ids::{IdentityHash, PlayerId};
use crate::live::memory::Memory;
use crate::live::{self, Key, Live, Rate};

pub use lockout::Policy;
pub use runtime::serve::address::{self, Network, client_address};

/// What has a rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Making an account.
    Register,
    /// Signing in.
    Login,
    /// A new pair of tokens.
    Refresh,
    /// Coming back by a reconnection token.
    Reconnect,
    /// Asking whether a token is good.
    Validate,
    /// Mail or a message that we send.
    Mail,
    /// Guessing a code of one account, from wherever.
    Code,
    /// A browser that comes back from a provider, and asking whether it has.
    Return,
    /// A line of the audit log about somebody who is over a rate: a flood is told, not counted.
    Line,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Reconnect => "reconnect",
            Self::Validate => "validate",
            Self::Mail => "mail",
            Self::Code => "code",
            Self::Return => "return",
            Self::Line => "line",
        }
    }
}

/// Whose attempts are counted together.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// Everybody in the network of an address.
    Address(IpAddr),
    /// A player.
    Player(PlayerId),
    /// Whoever says to own an identity.
    Identity(IdentityHash),
}

/// What [`What`] may be done how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of [`What::Register`].
    pub register: Rate,
    /// Of [`What::Login`].
    pub login: Rate,
    /// Of [`What::Refresh`].
    pub refresh: Rate,
    /// Of [`What::Reconnect`].
    pub reconnect: Rate,
    /// Of [`What::Validate`].
    pub validate: Rate,
    /// Of [`What::Mail`].
    pub mail: Rate,
    /// Of [`What::Code`]: three of a million codes are good at any time, so that all that may be
    /// tried in a day find one in three thousand.
    pub code: Rate,
    /// Of [`What::Return`].
    pub back: Rate,
    /// Of [`What::Line`].
    pub line: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |burst, period| Rate { burst, period };
        Self {
            register: rate(5, Duration::from_mins(1)),
            login: rate(10, Duration::from_secs(3)),
            refresh: rate(20, Duration::from_secs(3)),
            reconnect: rate(10, Duration::from_secs(1)),
            validate: rate(1000, Duration::from_millis(1)),
            mail: rate(3, Duration::from_mins(5)),
            code: rate(100, Duration::from_mins(15)),
            back: rate(60, Duration::from_millis(250)),
            line: rate(1, Duration::from_mins(1)),
        }
    }
}

impl Rates {
    /// So many times as much of everything.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        let factor = factor.max(1);
        let more = |rate: Rate| Rate {
            burst: rate.burst.saturating_mul(factor),
            period: rate.period / factor,
        };
        Self {
            register: more(self.register),
            login: more(self.login),
            refresh: more(self.refresh),
            reconnect: more(self.reconnect),
            validate: more(self.validate),
            mail: more(self.mail),
            code: more(self.code),
            back: more(self.back),
            line: more(self.line),
        }
    }

    fn of(&self, what: What) -> Rate {
        match what {
            What::Register => self.register,
            What::Login => self.login,
            What::Refresh => self.refresh,
            What::Reconnect => self.reconnect,
            What::Validate => self.validate,
            What::Mail => self.mail,
            What::Code => self.code,
            What::Return => self.back,
            What::Line => self.line,
        }
    }
}

/// Where a sign-in comes from. Each source of an account has failures of its own: whoever guesses
/// elsewhere does not keep the owner out.
#[derive(Clone, Copy, Debug)]
pub enum Source<'id> {
    /// A place from which the account was not used before.
    Stranger(IpAddr),
    /// A place, and the id of a device that the account was used on, without proof: many programs
    /// can read an id. Whoever guesses in the same network without it does not count against it.
    ClaimedDevice(IpAddr, &'id [u8]),
    /// A device that the account was used on, by its id: the caller has proved to hold its key.
    KnownDevice(&'id [u8]),
    /// A passkey of the account, by its credential's id.
    Passkey(&'id [u8]),
}

/// The limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of everything but failures.
    pub rates: Rates,
    /// Of failures of one account from one source.
    pub lockout: Policy,
    /// The failed sign-ins of one network, whatever the account; one over blocks the network.
    pub failures: Rate,
    /// How long a network is blocked.
    pub block: Duration,
    /// The leading bits of addresses that count as one: IPv4.
    pub v4_prefix: u8,
    /// The same: IPv6.
    pub v6_prefix: u8,
    /// Networks in which thousands share an address: they are never blocked.
    pub carriers: Vec<Network>,
    /// Their rates are so many times the others'.
    pub carrier_factor: u32,
    /// How many counts this replica remembers.
    pub capacity: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            lockout: Policy::default(),
            failures: Rate {
                burst: 100,
                period: Duration::from_secs(30),
            },
            block: Duration::from_mins(15),
            v4_prefix: 32,
            v6_prefix: 64,
            carriers: Vec::new(),
            carrier_factor: 100,
            capacity: 100_000,
        }
    }
}

/// Counts against the limits.
#[derive(Debug)]
pub struct Limits {
    config: Config,
    local: Memory,
}

impl Limits {
    /// With nothing counted.
    pub fn new(config: Config) -> Self {
        Self {
            local: Memory::new(config.capacity),
            config,
        }
    }

    /// Counts one attempt against a rate.
    pub async fn check(&self, live: &dyn Live, what: What, who: Who) -> Result<(), Failure> {
        self.check_here(what, who).await?;
        let (key, rate) = self.rate(what, who);
        match live.throttle(&key, rate).await {
            Ok(throttle) if throttle.limited => Err(Failure::throttled(throttle.retry_after)),
            Ok(_) => Ok(()),
            Err(error) => {
                alone(&error);
                Ok(())
            }
        }
    }

    /// Counts one attempt against a rate, in this replica alone: it costs no message.
    pub async fn check_here(&self, what: What, who: Who) -> Result<(), Failure> {
        let (key, rate) = self.rate(what, who);
        match self.local.throttle(&key, rate).await {
            Ok(throttle) if throttle.limited => Err(Failure::throttled(throttle.retry_after)),
            _ => Ok(()),
        }
    }

    /// Takes an attempt to sign in, which counts as failed until it has succeeded.
    pub async fn begin<'all>(
        &'all self,
        live: &'all dyn Live,
        account: IdentityHash,
        source: Source<'_>,
    ) -> Result<Attempt<'all>, Failure> {
        let nothing: &[u8] = &[];
        let (kind, id, address) = match source {
            Source::Stranger(address) => ("network", nothing, Some(address)),
            Source::ClaimedDevice(address, id) => ("claimed device", id, Some(address)),
            Source::KnownDevice(id) => ("device", id, None),
            Source::Passkey(id) => ("passkey", id, None),
        };
        let place = address.map(|address| self.network(address).to_string());
        let place = place.unwrap_or_default();
        let network = address
            .filter(|address| !self.is_carrier(*address))
            .map(|address| self.network(address));
        let parts = [kind.as_bytes(), &account.0, place.as_bytes(), id];
        let attempt = Attempt {
            limits: self,
            live,
            place: lockout::Place {
                failures: Key::Failures(hash("failures", &parts)),
                turn: Key::Rate(hash("turn", &parts)),
            },
            network,
        };
        let local = attempt.wait(&self.local).await;
        let wait = match attempt.wait(live).await {
            Ok(wait) => wait,
            Err(error) => {
                alone(&error);
                local?
            }
        };
        match wait {
            Some(wait) => Err(Failure::throttled(wait)),
            None => Ok(attempt),
        }
    }

    fn rate(&self, what: What, who: Who) -> (Key, Rate) {
        let mut rate = self.config.rates.of(what);
        let (kind, id) = match who {
            Who::Address(address) => {
                if self.is_carrier(address) {
                    let factor = self.config.carrier_factor.max(1);
                    rate.burst = rate.burst.saturating_mul(factor);
                    rate.period /= factor;
                }
                ("network", self.network(address).to_string().into_bytes())
            }
            Who::Player(player) => ("player", player.0.as_bytes().to_vec()),
            Who::Identity(identity) => ("identity", identity.0.to_vec()),
        };
        let key = Key::Rate(hash(what.name(), &[kind.as_bytes(), &id]));
        (key, rate)
    }

    /// The addresses that count as one with this.
    fn network(&self, address: IpAddr) -> Network {
        let length = if address.to_canonical().is_ipv4() {
            self.config.v4_prefix
        } else {
            self.config.v6_prefix
        };
        Network::of(address, length)
    }

    fn is_carrier(&self, address: IpAddr) -> bool {
        let mut carriers = self.config.carriers.iter();
        carriers.any(|network| network.contains(address))
    }
}

/// An attempt to sign in that was let through. It has failed unless it is said to have succeeded or
/// to have been abandoned; say [`Attempt::failed`] of one whose credentials were wrong.
#[derive(Debug)]
#[must_use = "an attempt that is dropped counts as failed against its account"]
pub struct Attempt<'all> {
    limits: &'all Limits,
    live: &'all dyn Live,
    place: lockout::Place,
    /// The network that may be blocked.
    network: Option<Network>,
}

impl Attempt<'_> {
    /// Forgets the failures of the account from this source.
    pub async fn succeeded(self) {
        for live in [&self.limits.local, self.live] {
            if let Err(error) = lockout::reset(live, &self.place).await {
                alone(&error);
            }
        }
    }

    /// Takes the attempt back: something else failed, which says nothing about the credentials.
    pub async fn abandoned(self) {
        for live in [&self.limits.local, self.live] {
            if let Err(error) = lockout::take_back(live, &self.place).await {
                alone(&error);
            }
        }
    }

    /// Counts against the network, too.
    pub async fn failed(self) {
        let Some(network) = self.network else {
            return;
        };
        for live in [&self.limits.local, self.live] {
            if let Err(error) = self.count(live, network).await {
                alone(&error);
            }
        }
    }

    async fn count(&self, live: &dyn Live, network: Network) -> Result<(), live::Error> {
        let config = &self.limits.config;
        let key = Key::Rate(hash("network failures", &[network.to_string().as_bytes()]));
        if live.throttle(&key, config.failures).await?.limited {
            let until = runtime::clock::now().checked_add(config.block);
            let until = until.unwrap_or(jiff::Timestamp::MAX).to_string();
            live.put(&blocked(network), until.as_bytes(), config.block)
                .await?;
        }
        Ok(())
    }

    /// How long to wait, if at all.
    async fn wait(&self, live: &dyn Live) -> Result<Option<Duration>, live::Error> {
        if let Some(network) = self.network
            && let Some(until) = live.get(&blocked(network)).await?
        {
            let until: Option<jiff::Timestamp> = String::from_utf8(until)
                .ok()
                .and_then(|text| text.parse().ok());
            let rest = until.map(|until| until.duration_since(runtime::clock::now()));
            let rest = rest.and_then(|rest| Duration::try_from(rest).ok());
            return Ok(Some(rest.unwrap_or(Duration::ZERO)));
        }
        lockout::begin(live, &self.limits.config.lockout, &self.place).await
    }
}

fn blocked(network: Network) -> Key {
    Key::Failures(hash("blocked", &[network.to_string().as_bytes()]))
}

/// Notes that this replica decides alone. Whether Valkey answers is watched elsewhere, aloud.
fn alone(error: &live::Error) {
    tracing::debug!(%error, "Limited without Valkey");
}

/// One name for a purpose and what it is about, whatever the parts hold.
fn hash(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [purpose.as_bytes()].iter().chain(parts) {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests;
