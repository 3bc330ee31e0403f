//! Reads what callers send, and does nothing with it: fuzzing and its corpus run this.

use axum::extract::Query;
use http::Uri;
use serde::de::DeserializeOwned;

use crate::error::{Code, Failure};

use super::body::{
    BeginElsewhereBody, ChangePasswordBody, CodeBody, ConfirmBody, FinishElsewhereBody, ForgotBody,
    LinkBody, LoginBody, LogoutBody, NewPasskeyBody, PasskeyLoginBody, ReconnectBody, RefreshBody,
    RegisterBody, ResetBody, ValidateBody, VerifyEmailBody,
};
use super::caller::parse;
use super::elsewhere::Back;
use super::socket::Ask;

/// Reads bytes, or refuses them.
pub type Read = fn(&[u8]) -> Result<(), Failure>;

/// Every body of a request, by the name of its schema.
pub const BODIES: [(&str, Read); 18] = [
    ("Back", form::<Back>),
    ("BeginElsewhereBody", json::<BeginElsewhereBody>),
    ("ChangePasswordBody", json::<ChangePasswordBody>),
    ("CodeBody", json::<CodeBody>),
    ("ConfirmBody", json::<ConfirmBody>),
    ("FinishElsewhereBody", json::<FinishElsewhereBody>),
    ("ForgotBody", json::<ForgotBody>),
    ("LinkBody", json::<LinkBody>),
    ("LoginBody", json::<LoginBody>),
    ("LogoutBody", json::<LogoutBody>),
    ("NewPasskeyBody", json::<NewPasskeyBody>),
    ("PasskeyLoginBody", json::<PasskeyLoginBody>),
    ("ReconnectBody", json::<ReconnectBody>),
    ("RefreshBody", json::<RefreshBody>),
    ("RegisterBody", json::<RegisterBody>),
    ("ResetBody", json::<ResetBody>),
    ("ValidateBody", json::<ValidateBody>),
    ("VerifyEmailBody", json::<VerifyEmailBody>),
];

/// Reads a question over the WebSocket.
pub fn question(bytes: &[u8]) -> Result<(), Failure> {
    json::<Ask>(bytes)
}

fn json<Body: DeserializeOwned>(bytes: &[u8]) -> Result<(), Failure> {
    parse::<Body>(bytes).map(drop)
}

/// What a browser brings back: the same in a form as in a query.
fn form<Body: DeserializeOwned>(bytes: &[u8]) -> Result<(), Failure> {
    let refused = || Failure::new(Code::InvalidRequest, "not a form");
    let query = [b"/?", bytes].concat();
    let uri = Uri::try_from(query).map_err(|_| refused())?;
    let read = Query::<Body>::try_from_uri(&uri).map_err(|_| refused())?;
    drop(read);
    Ok(())
}
