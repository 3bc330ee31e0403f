//! Steam: a ticket of `GetAuthTicketForWebApi`, checked by `ISteamUserAuth/AuthenticateUserTicket`.
//!
//! The identity that the game client asked the ticket for is always passed: without it a ticket
//! that a player gave to another service would be good here.

use async_trait::async_trait;
use reqwest::StatusCode;
use serde::Deserialize;
use storage::Confidential;
use url::Url;

use super::http::Http;
use super::{Begin, Credential, Error, Forbidden, Provider, Refusal, Subject};
use crate::ids::IdentityKind;

/// A ticket has 2,560 bytes at most, says the Steamworks SDK.
const LONGEST_TICKET: usize = 2 * 2560;

/// Where publishers ask.
pub const URL: &str = "https://partner.steam-api.com/";

/// What happens to an account that is good but of whom Steam tells something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Policy {
    /// It may not sign in.
    #[default]
    Refuse,
    /// It may.
    Allow,
}

/// What Steam is configured with.
#[derive(Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is asked.
    pub url: Url,
    /// The publisher's Web API key.
    pub key: Confidential,
    /// The game.
    pub app_id: u32,
    /// What the game client passes to `GetAuthTicketForWebApi`.
    pub identity: String,
    /// Players who borrow the game by family sharing. A ban of theirs does not reach the owner's
    /// other borrowers, which is why they are refused unless told otherwise.
    pub borrowed: Policy,
    /// Players whom VAC banned.
    pub vac_banned: Policy,
}

/// Steam.
#[derive(Debug)]
pub struct Steam {
    settings: Settings,
    http: Http,
}

/// `{"response": {"params": {..}}}`, or `{"response": {"error": {..}}}` with status 200 too.
#[derive(Deserialize)]
struct Answer {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    params: Option<Params>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Params {
    result: String,
    steamid: String,
    ownersteamid: String,
    vacbanned: bool,
    publisherbanned: bool,
}

#[derive(Deserialize)]
struct Fault {
    errorcode: i64,
}

impl Steam {
    /// Steam; nothing is asked of it yet.
    pub fn new(settings: Settings, http: Http) -> Self {
        Self { settings, http }
    }

    fn judge(&self, answer: Answer) -> Result<Subject, Error> {
        let params = match (answer.response.params, answer.response.error) {
            (Some(params), None) => params,
            (None, Some(fault)) => {
                let code = fault.errorcode;
                return Err(Error::Refused(Refusal::Provider(code.to_string())));
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(Error::Answer("neither parameters nor an error".into()));
            }
        };
        if params.result != "OK" {
            return Err(Error::Refused(Refusal::Provider("not OK".into())));
        }
        if !is_steam_id(&params.steamid) || !is_steam_id(&params.ownersteamid) {
            return Err(Error::Answer("it names no SteamID".into()));
        }
        let forbidden = if params.publisherbanned {
            Some(Forbidden::PublisherBanned)
        } else if params.vacbanned && self.settings.vac_banned == Policy::Refuse {
            Some(Forbidden::VacBanned)
        } else if params.steamid != params.ownersteamid && self.settings.borrowed == Policy::Refuse
        {
            Some(Forbidden::Borrowed)
        } else {
            None
        };
        match forbidden {
            Some(forbidden) => Err(Error::Forbidden(forbidden)),
            None => Ok(Subject {
                provider: self.settings.name.clone(),
                kind: IdentityKind::Steam,
                subject: params.steamid,
                email: None,
            }),
        }
    }
}

/// A number of 64 bits other than 0, written in the one way that there is: it becomes an identity.
fn is_steam_id(text: &str) -> bool {
    text.parse::<u64>()
        .is_ok_and(|id| id != 0 && id.to_string() == text)
}

#[async_trait]
impl Provider for Steam {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> IdentityKind {
        IdentityKind::Steam
    }

    async fn begin(&self, _begin: Begin<'_>) -> Result<Url, Error> {
        Err(Error::WrongCredential(self.settings.name.clone()))
    }

    async fn finish(&self, credential: &Credential) -> Result<Subject, Error> {
        let Credential::Ticket(ticket) = credential else {
            return Err(Error::WrongCredential(self.settings.name.clone()));
        };
        let hex = ticket.expose();
        if hex.is_empty() || hex.len() > LONGEST_TICKET || hex.len() % 2 != 0 {
            return Err(Error::Refused(Refusal::Malformed("its length")));
        }
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::Refused(Refusal::Malformed("it is not hexadecimal")));
        }
        let mut url = self
            .settings
            .url
            .join("ISteamUserAuth/AuthenticateUserTicket/v1/")
            .map_err(|_error| Error::Configuration("its address is no base".into()))?;
        url.query_pairs_mut()
            .append_pair("appid", &self.settings.app_id.to_string())
            .append_pair("ticket", hex)
            .append_pair("identity", &self.settings.identity);
        // In a header, because addresses end up in the logs of proxies.
        let request = self.http.get(url);
        let request = request.header("x-webapi-key", self.settings.key.expose());
        let answer = self.http.ask(request).await?;
        match answer.status {
            StatusCode::OK => self.judge(answer.json()?),
            // Steam's text for these is HTML.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Configuration(
                "its key, or our address, is not allowed to ask for this game".into(),
            )),
            StatusCode::BAD_REQUEST => Err(Error::Refused(Refusal::Provider("400".into()))),
            status => Err(Error::Answer(format!("status {status}"))),
        }
    }
}
