//! What handlers take: bodies with the path of what is wrong in them, callers with their proofs, and
//! the claims of an access token.

use std::net::IpAddr;
use std::sync::Arc;

use access::claims::Claims;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;
use storage::Confidential;

use crate::edge::Peer;
use crate::error::{Code, Failure};
use crate::passwords::Password;
use crate::service::AUDIENCE;
use crate::service::caller::{Caller, Client};
use crate::service::confirm::Confirmation;
use crate::service::validate::Holder;

use super::State;
use super::body::ClientBody;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<State> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &State) -> Result<Self, Failure> {
        let is_json = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let bytes = body(request, state).await?;
        if !is_json {
            return Err(Failure::new(
                Code::InvalidRequest,
                "the body must be JSON: Content-Type: application/json",
            ));
        }
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may be left out.
pub(super) struct Optional<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<State> for Optional<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &State) -> Result<Self, Failure> {
        let bytes = body(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        parse(&bytes).map(Self)
    }
}

/// The one parameter of a path.
pub(super) struct Path(pub(super) String);

impl FromRequestParts<State> for Path {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        use axum::extract::Path as Segments;
        <Segments<String> as FromRequestParts<State>>::from_request_parts(parts, state)
            .await
            .map(|Segments(segment)| Self(segment))
            .map_err(|_| Failure::new(Code::InvalidRequest, "the path is not UTF-8"))
    }
}

async fn body(request: Request, state: &State) -> Result<Bytes, Failure> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| {
            if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
                Failure::new(Code::TooLarge, "a body of at most 64 KiB")
            } else {
                Failure::new(Code::InvalidRequest, "the body could not be read")
            }
        })
}

/// Reads JSON. The message names the place and never repeats what stands there: it may be a
/// password.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // Of what is no JSON, only the place is known.
        let is_data = inner.classify() == serde_json::error::Category::Data;
        let message = match inner.classify() {
            serde_json::error::Category::Data => {
                let text = inner.to_string();
                if text.starts_with("missing field") || text.starts_with("unknown field") {
                    text
                } else {
                    "a value of another type is wanted here".to_owned()
                }
            }
            _ => format!(
                "not JSON at line {} column {}",
                inner.line(),
                inner.column()
            ),
        };
        Failure {
            field: (is_data && path != ".").then(|| path.into()),
            ..Failure::new(Code::InvalidRequest, message)
        }
    })?;
    json.end()
        .map_err(|_| Failure::new(Code::InvalidRequest, "something follows the JSON value"))?;
    Ok(value)
}

/// A password as it was typed.
pub(super) fn password(text: &Confidential) -> Result<Password, Failure> {
    Password::new(text.expose())
}

/// What confirms a call beside its token.
pub(super) fn confirmation(
    typed: Option<&Confidential>,
    second_step: Option<Confidential>,
) -> Result<Confirmation, Failure> {
    Ok(Confirmation {
        password: typed.map(password).transpose()?,
        second_step,
    })
}

/// The other end, with its proof for this call.
pub(super) struct Known {
    pub(super) peer: Peer,
    proof: Option<access::dpop::Proof>,
}

impl Known {
    /// A caller that says `client` about itself.
    pub(super) fn caller(self, client: ClientBody, captcha: Option<String>) -> Caller {
        Caller {
            address: self.peer.address,
            proof: self.proof,
            client: Client {
                name: client.name,
                device_id: client.device_id,
                audiences: client.audiences,
                class: client.class,
            },
            captcha,
        }
    }

    /// A caller that says nothing about itself.
    pub(super) fn anybody(self) -> Caller {
        self.caller(ClientBody::default(), None)
    }
}

impl FromRequestParts<State> for Known {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        Ok(Self {
            peer: state.edge.peer(&parts.extensions, &parts.headers),
            proof: state.edge.proof(
                &parts.headers,
                parts.method.as_str(),
                parts.uri.path(),
                None,
            )?,
        })
    }
}

/// The other end of a call that proves nothing.
pub(super) struct Address(pub(super) IpAddr);

impl FromRequestParts<State> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &State,
    ) -> Result<Self, std::convert::Infallible> {
        let peer = state.edge.peer(&parts.extensions, &parts.headers);
        Ok(Self(peer.address))
    }
}

/// A player by its access token for auth.
pub(super) struct Player {
    pub(super) claims: Arc<Claims>,
    pub(super) caller: Caller,
}

impl OptionalFromRequestParts<State> for Player {
    type Rejection = Failure;

    /// None for a call without an access token; a bad one is refused.
    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Option<Self>, Failure> {
        if !parts.headers.contains_key(http::header::AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<State>>::from_request_parts(parts, state)
            .await
            .map(Some)
    }
}

impl FromRequestParts<State> for Player {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        let value = parts
            .headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(Failure::token)?;
        let (scheme, token) = value.split_once(' ').ok_or_else(Failure::token)?;
        let is_dpop = scheme.eq_ignore_ascii_case("DPoP");
        if !is_dpop && !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(Failure::token());
        }
        let proof = state.edge.proof(
            &parts.headers,
            parts.method.as_str(),
            parts.uri.path(),
            Some(token),
        )?;
        let claims = state
            .service
            .validate(token, Some(AUDIENCE), Holder::Player(proof.as_ref()))
            .await?;
        // A bound token that is sent as a bearer token was not sent by who holds the key.
        if claims.cnf.is_some() != is_dpop {
            return Err(Failure::token());
        }
        if let Some(proof) = &proof {
            state.service.spend_proof(proof).await?;
        }
        let peer = state.edge.peer(&parts.extensions, &parts.headers);
        Ok(Self {
            claims,
            caller: Caller {
                address: peer.address,
                proof: None,
                client: Client::default(),
                captcha: None,
            },
        })
    }
}

/// What is not served.
pub(super) async fn nothing_here() -> Failure {
    Failure::new(Code::NotFound, "nothing is served here")
}

/// What is served by another method.
pub(super) async fn wrong_method() -> axum::response::Response {
    use axum::response::IntoResponse as _;
    let failure = Failure::new(Code::InvalidRequest, "another method is served here");
    (http::StatusCode::METHOD_NOT_ALLOWED, failure).into_response()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only read")]
        client: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only read")]
        name: String,
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path_and_never_repeated() {
        for (text, field) in [
            (r#"{"client":{"name":12345678}}"#, Some("client.name")),
            (r#"{"client":{"nmae":"hunter22"}}"#, Some("client.nmae")),
            (r#"{"client":{"name":"hunter22"}} x"#, None),
            (r#"{"client":{"name":"hunter22""#, None),
            ("hunter22", None),
            ("", None),
        ] {
            let failure = parse::<Outer>(text.as_bytes()).expect_err(text);
            assert_eq!(failure.field.as_deref(), field, "{text}: {failure}");
            assert!(!failure.message.contains("hunter22"), "{failure}");
            assert!(!failure.message.contains("12345678"), "{failure}");
        }
    }
}
