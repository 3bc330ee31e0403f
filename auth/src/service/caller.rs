//! Who calls: from where, as which program, with which proof.

use std::net::IpAddr;

use access::dpop::{self, Proof};

use crate::error::{Code, Failure};
use crate::ids::IdentityKind;
use crate::live::Key;
use crate::service::keys::DEVICE;
use crate::service::{AUDIENCE, ClientClass, DpopPolicy, Service};
use crate::store::Device;

/// The longest name of a client.
const LONGEST_NAME: usize = 128;

/// The most audiences that a client may ask for.
const MOST_AUDIENCES: usize = 8;

/// A caller that wants tokens.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its address: of the client, not of a proxy.
    pub address: IpAddr,
    /// Its proof of a key, checked against the call.
    pub proof: Option<Proof>,
    /// What its program says about itself.
    pub client: Client,
    /// The answer to a captcha.
    pub captcha: Option<String>,
}

/// What a program says about itself.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// For the list of sessions.
    pub name: String,
    /// Recognized again at the next login.
    pub device_id: Option<String>,
    /// Asked-for audiences.
    pub audiences: Vec<String>,
    /// Its class; the default one when absent.
    pub class: Option<String>,
}

/// What a caller gets tokens for.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The audiences of its tokens.
    pub audiences: Vec<String>,
    /// The key that its tokens are bound to.
    pub key: Option<String>,
}

impl Service {
    /// What tokens of the caller may be for, and what they are bound to; spends its proof.
    pub(super) async fn terms(&self, caller: &Caller) -> Result<Terms, Failure> {
        let client = &caller.client;
        if client.name.chars().count() > LONGEST_NAME || client.name.contains(char::is_control) {
            return Err(Failure::field(
                "client.name",
                "at most 128 characters, none of them a control character",
            ));
        }
        if client.audiences.len() > MOST_AUDIENCES {
            return Err(Failure::field("client.audiences", "at most 8 audiences"));
        }
        let class = self.class(client)?;
        // What may take an account over is for nobody else to see: a service that is shown a token
        // could use it as its owner does.
        let is_for_account = client.audiences == [AUDIENCE];
        if let Some(other) = client
            .audiences
            .iter()
            .find(|audience| !is_for_account && !class.audiences.contains(audience))
        {
            return Err(Failure::field(
                "client.audiences",
                format!(
                    "{other:?} is not an audience of clients of class {:?}",
                    class.name
                ),
            ));
        }
        let audiences: Vec<String> = if client.audiences.is_empty() {
            class.audiences.iter().take(1).cloned().collect()
        } else {
            client.audiences.clone()
        };
        let key = match (&caller.proof, class.dpop) {
            (Some(proof), _) => {
                self.spend_proof(proof).await?;
                Some(proof.thumbprint.clone())
            }
            (None, DpopPolicy::Optional) => None,
            (None, DpopPolicy::Required) => {
                return Err(Failure::new(
                    Code::InvalidDpopProof,
                    "clients of this class must send a DPoP proof",
                ));
            }
        };
        Ok(Terms { audiences, key })
    }

    fn class(&self, client: &Client) -> Result<&ClientClass, Failure> {
        let classes = &self.settings().classes;
        client
            .class
            .as_ref()
            .map_or_else(
                || classes.first(),
                |name| classes.iter().find(|class| class.name == *name),
            )
            .ok_or_else(|| Failure::field("client.class", "no such class of clients"))
    }

    /// A proof is good for one call.
    pub async fn spend_proof(&self, proof: &Proof) -> Result<(), Failure> {
        let key = Key::Once(proof.once());
        // While Valkey is away proofs are not good: a thief with a copy must not gain by that.
        let first = self.parts().live.once(&key, dpop::REMEMBER).await?;
        if first {
            Ok(())
        } else {
            Err(Failure::new(
                Code::InvalidDpopProof,
                "the proof was used before",
            ))
        }
    }

    /// The device that a caller names, as the store knows it.
    pub(super) fn device(&self, caller: &Caller) -> Result<Option<Device>, Failure> {
        let Some(id) = &caller.client.device_id else {
            return Ok(None);
        };
        if !(16..=LONGEST_NAME).contains(&id.chars().count()) {
            return Err(Failure::field("client.device_id", "16 to 128 characters"));
        }
        let hash = self.blind(IdentityKind::Device, id);
        Ok(Some(Device {
            hash,
            sealed: self.seal(DEVICE, &hash.0, id.as_bytes())?,
            key: caller.proof.as_ref().map(|proof| proof.thumbprint.clone()),
        }))
    }
}
