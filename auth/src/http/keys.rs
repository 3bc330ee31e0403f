//! The public keys of access tokens.

use axum::extract::State as Shared;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::State;

/// The public keys of access tokens (RFC 7517).
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "keys",
    responses((status = 200, description = "A key set", content_type = "application/jwk-set+json"))
)]
pub(super) async fn jwks(
    Shared(state): Shared<State>,
) -> ([(http::HeaderName, String); 2], String) {
    let max_age = state.service.jwks_max_age();
    (
        [
            (CONTENT_TYPE, "application/jwk-set+json".to_owned()),
            (CACHE_CONTROL, format!("public, max-age={max_age}")),
        ],
        state.service.jwks(),
    )
}
