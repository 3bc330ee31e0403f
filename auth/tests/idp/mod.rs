//! A fake identity provider that behaves like the real ones, and misbehaves on demand: OpenID
//! (discovery, authorization, token endpoint, keys), Steam's Web API and the keys of XSTS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

pub(crate) const CLIENT: &str = "client of ours";
pub(crate) const SECRET: &str = "s3cret: of ours";
pub(crate) const REDIRECT: &str = "https://auth.example/oauth/callback";
pub(crate) const STEAM_KEY: &str = "0123456789ABCDEF";

/// What the provider does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    // Of the ID token.
    OtherNonce,
    NoNonce,
    Expired,
    FromTheFuture,
    OtherIssuer,
    OtherAudience,
    OtherParty,
    OtherAccessToken,
    NoSubject,
    AlgorithmNone,
    /// Signed by HS256 with the public key as the secret.
    PublicKeyAsSecret,
    UnadvertisedAlgorithm,
    UnknownKey,
    FlippedSignature,
    AccessTokenType,
    Critical,
    NotAToken,
    // Of the endpoints.
    TokenSilent,
    TokenServerError,
    TokenNotJson,
    TokenHtml,
    TokenHuge,
    TokenRedirects,
    TokenWithoutIdToken,
    TokenUnavailable,
    DiscoveryOfAnother,
    DiscoveryInsecure,
    DiscoveryMissing,
    DiscoverySymmetric,
    KeysServerError,
    KeysNotJson,
    // Of what comes back by the browser.
    OtherReturnIssuer,
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signing {
    Rsa,
    Ecdsa,
    Edwards,
}

/// How we have to prove that it is us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Public,
    Basic,
    Post,
    /// By a token that we sign with [`Idp::apple_key`].
    Apple,
}

/// What a code was given for.
#[derive(Clone, Debug)]
struct Grant {
    challenge: String,
    nonce: String,
}

struct Keys {
    id: u32,
    rsa: RsaKeyPair,
    ecdsa: EcdsaKeyPair,
    edwards: Ed25519KeyPair,
}

impl Keys {
    fn new(id: u32) -> Self {
        Self {
            id,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            edwards: Ed25519KeyPair::generate().unwrap(),
        }
    }

    fn public(&self) -> Vec<Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa = self.rsa.public_key();
        // A sequence of two integers: 256 bytes of modulus, and the exponent 65537.
        let modulus = &rsa.as_ref()[9..265];
        let exponent = [1, 0, 1];
        let point = self.ecdsa.public_key().as_ref();
        vec![
            json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": format!("rsa{}", self.id),
                "n": encode(modulus), "e": encode(&exponent),
            }),
            json!({
                "kty": "EC", "crv": "P-256", "kid": format!("ecdsa{}", self.id),
                "x": encode(&point[1..33]), "y": encode(&point[33..]),
            }),
            json!({
                "kty": "OKP", "crv": "Ed25519", "kid": format!("edwards{}", self.id),
                "x": encode(self.edwards.public_key().as_ref()),
            }),
        ]
    }

    /// Signs, and says by what and with which key.
    fn sign(&self, signing: Signing, fault: Option<Fault>, claims: &Value) -> String {
        let (algorithm, name) = match signing {
            Signing::Rsa => ("RS256", "rsa"),
            Signing::Ecdsa => ("ES256", "ecdsa"),
            Signing::Edwards => ("EdDSA", "edwards"),
        };
        let mut header = json!({"alg": algorithm, "kid": format!("{name}{}", self.id)});
        match fault {
            Some(Fault::AlgorithmNone) => header["alg"] = "none".into(),
            Some(Fault::PublicKeyAsSecret) => header["alg"] = "HS256".into(),
            Some(Fault::UnadvertisedAlgorithm) => header["alg"] = "RS512".into(),
            Some(Fault::UnknownKey) => header["kid"] = "invented".into(),
            Some(Fault::AccessTokenType) => header["typ"] = "at+jwt".into(),
            Some(Fault::Critical) => header["crit"] = json!(["b64"]),
            _ => {}
        }
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let bytes = signed.as_bytes();
        let mut signature = match (fault, signing) {
            (Some(Fault::AlgorithmNone), _) => Vec::new(),
            (Some(Fault::PublicKeyAsSecret), _) => {
                let public = self.public()[0]["n"].as_str().unwrap().to_owned();
                let public = URL_SAFE_NO_PAD.decode(public).unwrap();
                let key = hmac::Key::new(hmac::HMAC_SHA256, &public);
                hmac::sign(&key, bytes).as_ref().to_vec()
            }
            (_, Signing::Rsa) => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let random = SystemRandom::new();
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature)
                    .unwrap();
                signature
            }
            (_, Signing::Ecdsa) => {
                let signature = self.ecdsa.sign(&SystemRandom::new(), bytes).unwrap();
                signature.as_ref().to_vec()
            }
            (_, Signing::Edwards) => self.edwards.sign(bytes).as_ref().to_vec(),
        };
        if fault == Some(Fault::FlippedSignature) {
            signature[7] ^= 1;
        }
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

struct Inner {
    address: SocketAddr,
    fault: Option<Fault>,
    signing: Signing,
    auth: Auth,
    keys: Keys,
    apple: EcdsaKeyPair,
    codes: BTreeMap<String, Grant>,
    issued: u32,
    email: Value,
    /// How often each path was asked.
    asked: BTreeMap<String, u32>,
    /// What Steam answers, by ticket.
    steam: BTreeMap<String, Value>,
}

/// The provider. Its tasks end with the test's runtime.
#[derive(Clone)]
pub(crate) struct Idp(Arc<Mutex<Inner>>);

fn now() -> i64 {
    runtime::clock::now().as_second()
}

fn answer(status: StatusCode, kind: &str, body: impl Into<Body>) -> Response {
    let response = Response::builder().status(status);
    response
        .header(header::CONTENT_TYPE, kind)
        .body(body.into())
        .unwrap()
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    answer(status, "application/json; charset=utf-8", body.to_string())
}

/// A refusal of the token endpoint (RFC 6749, section 5.2).
fn refuse(status: StatusCode, error: &str) -> Response {
    json_answer(
        status,
        &json!({"error": error, "error_description": "Bad Request"}),
    )
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

impl Idp {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self(Arc::new(Mutex::new(Inner {
            address: listener.local_addr().unwrap(),
            fault: None,
            signing: Signing::Rsa,
            auth: Auth::Basic,
            keys: Keys::new(1),
            apple: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            codes: BTreeMap::new(),
            issued: 0,
            email: json!({"email": "player@mail.example", "email_verified": true}),
            asked: BTreeMap::new(),
            steam: BTreeMap::new(),
        })));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/keys", get(keys))
            .route("/ISteamUserAuth/AuthenticateUserTicket/v1/", get(steam))
            .with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        this
    }

    fn with<Output>(&self, work: impl FnOnce(&mut Inner) -> Output) -> Output {
        work(&mut self.0.lock().unwrap())
    }

    pub(crate) fn issuer(&self) -> String {
        self.with(|inner| format!("http://{}", inner.address))
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.with(|inner| inner.fault = fault);
    }

    pub(crate) fn set_signing(&self, signing: Signing) {
        self.with(|inner| inner.signing = signing);
    }

    pub(crate) fn set_auth(&self, auth: Auth) {
        self.with(|inner| inner.auth = auth);
    }

    pub(crate) fn set_email(&self, email: Value) {
        self.with(|inner| inner.email = email);
    }

    /// Replaces the keys; the old ones are no longer published.
    pub(crate) fn rotate(&self) {
        self.with(|inner| inner.keys = Keys::new(inner.keys.id + 1));
    }

    pub(crate) fn asked(&self, path: &str) -> u32 {
        self.with(|inner| inner.asked.get(path).copied().unwrap_or_default())
    }

    /// What Steam says to a ticket.
    pub(crate) fn set_ticket(&self, ticket: &str, response: Value) {
        self.with(|inner| inner.steam.insert(ticket.to_owned(), response));
    }

    /// The private key that Apple gave us, as its file has it.
    pub(crate) fn apple_key(&self) -> String {
        self.with(|inner| {
            let key = inner.apple.to_pkcs8v1().unwrap();
            let body = STANDARD.encode(key.as_ref());
            format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
        })
    }

    /// A token of XSTS.
    pub(crate) fn xsts(&self, fault: Option<Fault>, change: &Value) -> String {
        let mut claims = json!({
            "iss": "xsts.auth.xboxlive.com",
            "aud": "https://auth.example/",
            "iat": now(),
            "nbf": now(),
            "exp": now() + 3_600,
            "xui": [{"uhs": "1842", "ptx": "pairwise", "gtg": "Gamer"}],
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.with(|inner| inner.keys.sign(Signing::Rsa, fault, &claims))
    }

    fn note(&self, path: &str) -> Option<Fault> {
        self.with(|inner| {
            *inner.asked.entry(path.to_owned()).or_default() += 1;
            inner.fault
        })
    }
}

async fn discovery(State(idp): State<Idp>) -> Response {
    let fault = idp.note("discovery");
    let issuer = idp.issuer();
    if fault == Some(Fault::DiscoveryMissing) {
        return answer(StatusCode::NOT_FOUND, "text/html", "<h1>Not found</h1>");
    }
    let methods = match idp.with(|inner| inner.auth) {
        Auth::Public => json!(["none"]),
        Auth::Basic => json!(["client_secret_post", "client_secret_basic"]),
        Auth::Post | Auth::Apple => json!(["client_secret_post"]),
    };
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["none", "HS256", "RS256", "ES256", "EdDSA"],
        "token_endpoint_auth_methods_supported": methods,
        "authorization_response_iss_parameter_supported": true,
    });
    match fault {
        Some(Fault::DiscoveryOfAnother) => document["issuer"] = "https://id.example".into(),
        Some(Fault::DiscoveryInsecure) => {
            document["token_endpoint"] = "http://id.example/token".into();
        }
        Some(Fault::DiscoverySymmetric) => {
            document["id_token_signing_alg_values_supported"] = json!(["none", "HS256"]);
        }
        _ => {}
    }
    json_answer(StatusCode::OK, &document)
}

/// The player agrees at once, and the browser is sent back.
async fn authorize(State(idp): State<Idp>, request: Request) -> Response {
    let query = pairs(request.uri().query().unwrap_or_default());
    let value = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let is_right = value("response_type") == "code"
        && value("client_id") == CLIENT
        && value("redirect_uri") == REDIRECT
        && value("scope").split(' ').any(|scope| scope == "openid")
        && value("code_challenge_method") == "S256"
        && value("tenant") == "1"
        && !value("state").is_empty();
    let is_apple = idp.with(|inner| inner.auth == Auth::Apple);
    // Apple insists on a POST when it is asked for more than who it is.
    if !is_right || (is_apple && value("response_mode") != "form_post") {
        return answer(
            StatusCode::BAD_REQUEST,
            "text/html",
            "<h1>invalid_request</h1>",
        );
    }
    let issuer = match idp.with(|inner| inner.fault) {
        Some(Fault::OtherReturnIssuer) => "https://id.example".to_owned(),
        _ => idp.issuer(),
    };
    let code = idp.with(|inner| {
        inner.issued += 1;
        let code = format!("code/{}+", inner.issued);
        let grant = Grant {
            challenge: value("code_challenge").to_owned(),
            nonce: value("nonce").to_owned(),
        };
        inner.codes.insert(code.clone(), grant);
        code
    });
    let mut back = url::Url::parse(REDIRECT).unwrap();
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", value("state"))
        .append_pair("iss", &issuer);
    if is_apple {
        let form = format!("<form method=post>{}</form>", back.query().unwrap());
        return answer(StatusCode::OK, "text/html", form);
    }
    Response::builder()
        .status(StatusCode::FOUND)
        .header(header::LOCATION, back.as_str())
        .body(Body::empty())
        .unwrap()
}

/// Whether it is us who asks.
fn is_client(inner: &Inner, basic: Option<&str>, form: &BTreeMap<String, String>) -> bool {
    let value = |name: &str| form.get(name).map(String::as_str);
    match inner.auth {
        Auth::Public => value("client_id") == Some(CLIENT) && value("client_secret").is_none(),
        Auth::Basic => {
            let encode = |text: &str| -> String {
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
            };
            let pair = STANDARD.encode(format!("{}:{}", encode(CLIENT), encode(SECRET)));
            basic == Some(&format!("Basic {pair}")) && value("client_secret").is_none()
        }
        Auth::Post => value("client_id") == Some(CLIENT) && value("client_secret") == Some(SECRET),
        Auth::Apple => value("client_secret").is_some_and(|secret| {
            let (signed, signature) = secret.rsplit_once('.').unwrap();
            let (header, claims) = signed.split_once('.').unwrap();
            let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
            let header: Value = serde_json::from_slice(&decode(header)).unwrap();
            let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
            let public = inner.apple.public_key().as_ref();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
            key.verify(signed.as_bytes(), &decode(signature)).is_ok()
                && header == json!({"alg": "ES256", "kid": "KEY1"})
                && claims["iss"] == "TEAM1"
                && claims["sub"] == CLIENT
                && claims["aud"] == format!("http://{}", inner.address)
                && claims["exp"].as_i64().unwrap() > now()
                && claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() < 15_777_000
        }),
    }
}

async fn token(State(idp): State<Idp>, request: Request) -> Response {
    match idp.note("token") {
        Some(Fault::TokenSilent) => std::future::pending().await,
        Some(Fault::TokenServerError) => {
            return answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/html",
                "<h1>Oops</h1>",
            );
        }
        Some(Fault::TokenUnavailable) => {
            return refuse(StatusCode::TOO_MANY_REQUESTS, "slow_down");
        }
        Some(Fault::TokenNotJson) => {
            return answer(StatusCode::OK, "application/json", "{\"id_token\": ");
        }
        Some(Fault::TokenHtml) => return answer(StatusCode::OK, "text/html", "{}"),
        Some(Fault::TokenHuge) => {
            let chunk = || Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]);
            let endless = futures::stream::repeat_with(chunk);
            return answer(
                StatusCode::OK,
                "application/json",
                Body::from_stream(endless),
            );
        }
        Some(Fault::TokenRedirects) => {
            let response = Response::builder().status(StatusCode::TEMPORARY_REDIRECT);
            let response = response.header(header::LOCATION, "/elsewhere");
            return response.body(Body::empty()).unwrap();
        }
        Some(Fault::TokenWithoutIdToken) => {
            return json_answer(StatusCode::OK, &json!({"access_token": "opaque"}));
        }
        _ => {}
    }
    let basic = request.headers().get(header::AUTHORIZATION);
    let basic = basic.map(|basic| basic.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let form = pairs(std::str::from_utf8(&body).unwrap());
    idp.with(|inner| {
        let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if !is_client(inner, basic.as_deref(), &form) {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        if value("grant_type") != "authorization_code" {
            return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
        }
        let Some(grant) = inner.codes.remove(value("code")) else {
            return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
        };
        let verifier = digest(&SHA256, value("code_verifier").as_bytes());
        let is_its = URL_SAFE_NO_PAD.encode(verifier) == grant.challenge;
        if !is_its || value("redirect_uri") != REDIRECT {
            return refuse(StatusCode::BAD_REQUEST, "invalid_grant");
        }
        let access_token = "an opaque access token";
        let hash = match inner.signing {
            Signing::Rsa | Signing::Ecdsa => digest(&SHA256, access_token.as_bytes()),
            Signing::Edwards => digest(&aws_lc_rs::digest::SHA512, access_token.as_bytes()),
        };
        let half = hash.as_ref().len() / 2;
        let mut claims = json!({
            "iss": format!("http://{}", inner.address),
            "sub": "subject-1",
            "aud": CLIENT,
            "azp": CLIENT,
            "iat": now(),
            "exp": now() + 300,
            "nonce": grant.nonce,
            "at_hash": URL_SAFE_NO_PAD.encode(&hash.as_ref()[..half]),
        });
        for (name, value) in inner.email.as_object().unwrap() {
            claims[name] = value.clone();
        }
        match inner.fault {
            Some(Fault::OtherNonce) => claims["nonce"] = "another".into(),
            Some(Fault::NoNonce) => claims["nonce"] = Value::Null,
            Some(Fault::Expired) => claims["exp"] = (now() - 61).into(),
            Some(Fault::FromTheFuture) => claims["iat"] = (now() + 600).into(),
            Some(Fault::OtherIssuer) => claims["iss"] = "https://id.example".into(),
            Some(Fault::OtherAudience) => claims["aud"] = json!(["another"]),
            Some(Fault::OtherParty) => claims["azp"] = "another".into(),
            Some(Fault::OtherAccessToken) => claims["at_hash"] = "AAAA".into(),
            Some(Fault::NoSubject) => claims["sub"] = Value::Null,
            _ => {}
        }
        let id_token = match inner.fault {
            Some(Fault::NotAToken) => "nonsense".to_owned(),
            fault => inner.keys.sign(inner.signing, fault, &claims),
        };
        json_answer(
            StatusCode::OK,
            &json!({
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": 3_600,
                "id_token": id_token,
            }),
        )
    })
}

async fn keys(State(idp): State<Idp>) -> Response {
    match idp.note("keys") {
        Some(Fault::KeysServerError) => {
            return answer(StatusCode::BAD_GATEWAY, "text/html", "<h1>Bad gateway</h1>");
        }
        Some(Fault::KeysNotJson) => return answer(StatusCode::OK, "application/json", "keys"),
        _ => {}
    }
    let keys = idp.with(|inner| inner.keys.public());
    let mut response = json_answer(StatusCode::OK, &json!({ "keys": keys }));
    let cache = "public, max-age=3600".parse().unwrap();
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

/// Steam's answers as it gives them: errors with status 200, and HTML for a wrong key.
async fn steam(State(idp): State<Idp>, request: Request) -> Response {
    idp.note("steam");
    let query = pairs(request.uri().query().unwrap_or_default());
    let value = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let key = request.headers().get("x-webapi-key");
    if key.is_none_or(|key| key != STEAM_KEY) {
        let text = "<html><head><title>Forbidden</title></head><body><h1>Forbidden</h1>\
                    Access is denied. Retrying will not help. Please verify your \
                    <pre>key=</pre> parameter.</body></html>";
        return answer(StatusCode::FORBIDDEN, "text/html; charset=UTF-8", text);
    }
    let error = |code: i64, text: &str| {
        let error = json!({"errorcode": code, "errordesc": text});
        json_answer(StatusCode::OK, &json!({"response": {"error": error}}))
    };
    if value("appid") != "480" {
        return error(100, "Invalid app");
    }
    let response = idp.with(|inner| inner.steam.get(value("ticket")).cloned());
    match response {
        Some(response) if value("identity") == "muster" => {
            json_answer(StatusCode::OK, &json!({ "response": response }))
        }
        _ => error(101, "Invalid ticket"),
    }
}
