//! Signing in elsewhere, against a fake provider that behaves like the real ones.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

mod idp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use auth::ids::IdentityKind;
use auth::providers::http::{Http, Limits};
use auth::providers::pending::{Pending, RANDOM, Returned};
use auth::providers::{
    Config, Credential, Email, Error, Forbidden, Provider, Refusal, Subject, jwt,
};
use auth::{Code, Failure};
use idp::{Auth, CLIENT, Fault, Idp, REDIRECT, SECRET, STEAM_KEY, Signing};
use serde_json::{Value, json};
use storage::Confidential;

fn limits() -> Limits {
    Limits {
        bytes: 64 * 1024,
        ..Limits::default()
    }
}

fn provider(idp: &Idp, entry: &Value) -> Arc<dyn Provider> {
    provider_within(limits(), idp, entry)
}

/// The only provider of a section.
fn provider_within(limits: Limits, idp: &Idp, entry: &Value) -> Arc<dyn Provider> {
    let config: Config = serde_json::from_value(json!({"providers": {"it": entry}})).unwrap();
    let secrets = BTreeMap::from([
        ("oidc", SECRET.to_owned()),
        ("apple", idp.apple_key()),
        ("steam", STEAM_KEY.to_owned()),
        ("wrong", "wrong".to_owned()),
    ]);
    let secret = |name: &str| secrets.get(name).map(Confidential::new);
    let providers = config.build(&Http::new(limits).unwrap(), &secret).unwrap();
    providers.get("it").unwrap()
}

fn entry(idp: &Idp) -> Value {
    json!({
        "kind": "oidc",
        "issuer": idp.issuer(),
        "clientId": CLIENT,
        "clientSecret": "oidc",
        "redirectUri": REDIRECT,
    })
}

fn oidc(idp: &Idp) -> Arc<dyn Provider> {
    provider(idp, &entry(idp))
}

/// A browser goes to the provider, agrees, and comes back.
async fn go(provider: &dyn Provider) -> Result<Credential, Error> {
    let now = runtime::clock::now();
    let random = std::array::from_fn::<u8, RANDOM, _>(|index| u8::try_from(index).unwrap());
    let begun = Pending::begin(now, provider.name(), None, None, &random);
    let to = provider.begin(begun.redirect()).await?;
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let response = browser.get(to).send().await.unwrap();
    let location = response.headers().get("location").cloned();
    let query = if let Some(location) = location {
        let location = url::Url::parse(location.to_str().unwrap()).unwrap();
        location.query().unwrap().to_owned()
    } else {
        let page = response.text().await.unwrap();
        let page = page.strip_prefix("<form method=post>").unwrap();
        page.strip_suffix("</form>").unwrap().to_owned()
    };
    let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    assert_eq!(query["state"], begun.handle.expose());
    let remembered = Pending::from_bytes(&begun.pending.to_bytes().unwrap()).unwrap();
    let returned = Returned {
        provider: provider.name(),
        client: begun.client.expose(),
        key: None,
    };
    let resumed = remembered.resume(now, &returned).unwrap();
    Ok(resumed.credential(
        Confidential::new(&query["code"]),
        Some(query["iss"].clone()),
    ))
}

async fn sign_in(provider: &dyn Provider) -> Result<Subject, Error> {
    let credential = go(provider).await?;
    provider.finish(&credential).await
}

fn refused(refusal: jwt::Refusal) -> Error {
    Error::Refused(refusal.into())
}

#[tokio::test]
async fn an_openid_provider_tells_who_it_is_by_every_algorithm_and_client_authentication() {
    let idp = Idp::start().await;
    for signing in [Signing::Rsa, Signing::Ecdsa, Signing::Edwards] {
        for auth in [Auth::Basic, Auth::Post, Auth::Public] {
            idp.set_signing(signing);
            idp.set_auth(auth);
            let mut entry = json!({
                "kind": "oidc",
                "issuer": idp.issuer(),
                "clientId": CLIENT,
                "redirectUri": REDIRECT,
            });
            if auth != Auth::Public {
                entry["clientSecret"] = "oidc".into();
            }
            let subject = sign_in(&*provider(&idp, &entry)).await.unwrap();
            let expected = Subject {
                provider: "it".into(),
                kind: IdentityKind::Oidc,
                subject: "subject-1".into(),
                email: Some(Email {
                    address: "player@mail.example".into(),
                    verified: true,
                }),
            };
            assert_eq!(subject, expected, "{signing:?} {auth:?}");
            assert_eq!(subject.identity(), "it/subject-1");
        }
    }
}

#[tokio::test]
async fn google_and_apple_are_openid_providers_of_their_own_kind() {
    let idp = Idp::start().await;
    let google = json!({
        "kind": "google",
        "issuer": idp.issuer(),
        "clientId": CLIENT,
        "clientSecret": "oidc",
        "redirectUri": REDIRECT,
    });
    let subject = sign_in(&*provider(&idp, &google)).await.unwrap();
    assert_eq!(subject.kind, IdentityKind::Google);
    assert_eq!(subject.identity(), "subject-1");

    // Apple: ES256-signed client secret, form_post, and claims as strings.
    idp.set_auth(Auth::Apple);
    let apple = json!({
        "kind": "apple",
        "issuer": idp.issuer(),
        "clientId": CLIENT,
        "team": "TEAM1",
        "keyId": "KEY1",
        "key": "apple",
        "redirectUri": REDIRECT,
    });
    let apple = provider(&idp, &apple);
    for (claim, verified) in [("true", true), ("false", false)] {
        idp.set_email(json!({"email": "x@privaterelay.example", "email_verified": claim}));
        let subject = sign_in(&*apple).await.unwrap();
        assert_eq!(subject.kind, IdentityKind::Apple);
        assert_eq!(subject.email.unwrap().verified, verified);
    }
}

#[tokio::test]
async fn whatever_the_provider_does_wrong_is_refused() {
    use jwt::Refusal as No;
    let idp = Idp::start().await;
    let answer = |text: &str| Error::Answer(text.to_owned());
    let unreachable = |text: &str| Error::Unreachable(text.to_owned());
    for (fault, expected) in [
        (Fault::OtherNonce, refused(No::Nonce)),
        (Fault::NoNonce, refused(No::Nonce)),
        (Fault::Expired, refused(No::Expired)),
        (Fault::FromTheFuture, refused(No::IssuedAt)),
        (Fault::OtherIssuer, refused(No::Issuer)),
        (Fault::OtherAudience, refused(No::Audience)),
        (Fault::OtherParty, refused(No::Audience)),
        (Fault::OtherAccessToken, refused(No::AccessToken)),
        (Fault::NoSubject, refused(No::Claims)),
        (Fault::AlgorithmNone, refused(No::Header)),
        (Fault::PublicKeyAsSecret, refused(No::Header)),
        (Fault::UnadvertisedAlgorithm, refused(No::Header)),
        (Fault::UnknownKey, refused(No::UnknownKey)),
        (Fault::FlippedSignature, refused(No::Signature)),
        (Fault::AccessTokenType, refused(No::Header)),
        (Fault::Critical, refused(No::Header)),
        (Fault::NotAToken, refused(No::Malformed)),
        (
            Fault::TokenServerError,
            unreachable("status 500 Internal Server Error"),
        ),
        (
            Fault::TokenUnavailable,
            unreachable("status 429 Too Many Requests"),
        ),
        (Fault::TokenHuge, answer("it has more than 65536 bytes")),
        (Fault::TokenHtml, answer("status 200 OK, not JSON")),
        (
            Fault::TokenNotJson,
            answer("JSON that is not understood: Eof at line 1, column 13"),
        ),
        (
            Fault::TokenWithoutIdToken,
            answer("JSON that is not understood: Data at line 1, column 25"),
        ),
        (
            Fault::TokenRedirects,
            answer("a redirect: status 307 Temporary Redirect"),
        ),
        (
            Fault::DiscoveryOfAnother,
            answer("its discovery names another issuer"),
        ),
        (
            Fault::DiscoveryInsecure,
            answer("its token_endpoint is not https"),
        ),
        (Fault::DiscoveryMissing, answer("status 404 Not Found")),
        (
            Fault::DiscoverySymmetric,
            answer("it signs by none of RS256, ES256 and EdDSA"),
        ),
        (
            Fault::KeysServerError,
            unreachable("status 502 Bad Gateway"),
        ),
        (
            Fault::KeysNotJson,
            answer("JSON that is not understood: Syntax at line 1, column 1"),
        ),
        (Fault::OtherReturnIssuer, refused(No::Issuer)),
    ] {
        idp.set_fault(Some(fault));
        // A new one each time: what a provider answered is kept.
        let signed_in = sign_in(&*oidc(&idp)).await;
        assert_eq!(signed_in, Err(expected), "{fault:?}");
    }
    idp.set_fault(None);
    sign_in(&*oidc(&idp)).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_does_not_answer_costs_the_time_limit() {
    let idp = Idp::start().await;
    idp.set_fault(Some(Fault::TokenSilent));
    let limits = Limits {
        answer: Duration::from_millis(500),
        ..limits()
    };
    let oidc = oidc(&idp);
    let credential = go(&*oidc).await.unwrap();
    // Discovery is answered, at once or not; the exchange never is.
    let hasty = provider_within(limits, &idp, &entry(&idp));
    let error = hasty.finish(&credential).await.unwrap_err();
    let Error::Unreachable(cause) = &error else {
        panic!("{error}");
    };
    assert!(cause.contains("timed out"), "{cause}");
    assert!(
        !cause.contains("http://"),
        "an address may hold secrets: {cause}"
    );
}

#[tokio::test]
async fn a_code_is_good_once_and_only_with_its_verifier_and_our_secret() {
    let idp = Idp::start().await;
    let invalid = Error::Refused(Refusal::Provider("invalid_grant".into()));
    let oidc = oidc(&idp);
    let credential = go(&*oidc).await.unwrap();
    oidc.finish(&credential).await.unwrap();
    assert_eq!(oidc.finish(&credential).await, Err(invalid.clone()));

    let Credential::Code {
        code,
        nonce,
        verifier,
        issuer,
    } = go(&*oidc).await.unwrap()
    else {
        panic!("a code");
    };
    let other = Credential::Code {
        code: code.clone(),
        nonce: nonce.clone(),
        verifier: Confidential::new("another"),
        issuer: issuer.clone(),
    };
    assert_eq!(oidc.finish(&other).await, Err(invalid));

    // The provider says that its redirects name it: one without is another's.
    let nameless = Credential::Code {
        code,
        nonce,
        verifier,
        issuer: None,
    };
    assert_eq!(
        oidc.finish(&nameless).await,
        Err(refused(jwt::Refusal::Issuer))
    );

    let asked = idp.asked("token");
    for code in [String::new(), "x".repeat(5_000)] {
        let malformed = Credential::Code {
            code: Confidential::new(code),
            nonce: Confidential::new("n"),
            verifier: Confidential::new("v"),
            issuer: issuer.clone(),
        };
        oidc.finish(&malformed).await.unwrap_err();
    }
    assert_eq!(idp.asked("token"), asked, "the provider is not asked");

    let entry = json!({
        "kind": "google",
        "issuer": idp.issuer(),
        "clientId": CLIENT,
        "clientSecret": "wrong",
        "redirectUri": REDIRECT,
    });
    let error = sign_in(&*provider(&idp, &entry)).await.unwrap_err();
    assert_eq!(error, Error::Configuration("invalid_client".into()));
    assert_eq!(Failure::from(error).code, Code::ProviderFailed);
}

#[tokio::test]
async fn documents_are_kept_and_keys_are_fetched_again_at_a_bounded_rate() {
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let _clock = runtime::clock::virtual_time(start);
    let idp = Idp::start().await;
    let oidc = oidc(&idp);
    for _ in 0..3 {
        sign_in(&*oidc).await.unwrap();
    }
    assert_eq!((idp.asked("discovery"), idp.asked("keys")), (1, 1));

    // An invented key id right after the keys were fetched is not worth a question.
    idp.set_fault(Some(Fault::UnknownKey));
    for _ in 0..3 {
        let error = sign_in(&*oidc).await.unwrap_err();
        assert_eq!(error, refused(jwt::Refusal::UnknownKey));
    }
    assert_eq!(idp.asked("keys"), 1);

    // A while later new keys are found at once.
    idp.set_fault(None);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    idp.rotate();
    sign_in(&*oidc).await.unwrap();
    sign_in(&*oidc).await.unwrap();
    assert_eq!((idp.asked("discovery"), idp.asked("keys")), (1, 2));

    // Much later the documents are fetched again, and an outage is survived.
    tokio::time::pause();
    tokio::time::advance(Duration::from_hours(2)).await;
    tokio::time::resume();
    idp.set_fault(Some(Fault::KeysServerError));
    sign_in(&*oidc).await.unwrap();
    assert_eq!((idp.asked("discovery"), idp.asked("keys")), (2, 3));
}

fn steam_answer(change: &Value) -> Value {
    let mut params = json!({
        "result": "OK",
        "steamid": "76561197960265729",
        "ownersteamid": "76561197960265729",
        "vacbanned": false,
        "publisherbanned": false,
    });
    for (name, value) in change.as_object().unwrap() {
        params[name] = value.clone();
    }
    json!({ "params": params })
}

fn ticket(text: &str) -> Credential {
    Credential::Ticket(Confidential::new(text))
}

#[tokio::test]
async fn steam_tells_who_it_is_and_who_may_not_sign_in() {
    let idp = Idp::start().await;
    let steam = |change: Value| {
        let mut entry = json!({
            "kind": "steam",
            "appId": 480,
            "identity": "muster",
            "key": "steam",
            "url": idp.issuer(),
        });
        for (name, value) in change.as_object().unwrap() {
            entry[name] = value.clone();
        }
        provider(&idp, &entry)
    };
    let provider_says = |text: &str| Err(Error::Refused(Refusal::Provider(text.to_owned())));
    let forbidden = |why| Err(Error::Forbidden(why));
    let player = || Ok("76561197960265729".to_owned());
    let answer = |text: &str| Err(Error::Answer(text.to_owned()));
    let no_id = || answer("it names no SteamID");
    let neither = || answer("neither parameters nor an error");
    let borrowed = json!({"ownersteamid": "76561197960265730"});
    let vac = json!({"vacbanned": true});
    let banned = json!({"publisherbanned": true});
    let lenient = json!({"borrowed": "allow", "vacBanned": "allow"});
    let strict = json!({});
    let malformed = "JSON that is not understood: Data at line 1, column";
    for (name, policy, response, expected) in [
        ("good", &strict, steam_answer(&json!({})), player()),
        (
            "borrowed",
            &strict,
            steam_answer(&borrowed),
            forbidden(Forbidden::Borrowed),
        ),
        (
            "borrowed, allowed",
            &lenient,
            steam_answer(&borrowed),
            player(),
        ),
        (
            "banned by VAC",
            &strict,
            steam_answer(&vac),
            forbidden(Forbidden::VacBanned),
        ),
        (
            "banned by VAC, allowed",
            &lenient,
            steam_answer(&vac),
            player(),
        ),
        (
            "banned",
            &lenient,
            steam_answer(&banned),
            forbidden(Forbidden::PublisherBanned),
        ),
        (
            "not OK",
            &strict,
            steam_answer(&json!({"result": "Fail"})),
            provider_says("not OK"),
        ),
        (
            "no id",
            &strict,
            steam_answer(&json!({"steamid": "0"})),
            no_id(),
        ),
        (
            "padded id",
            &strict,
            steam_answer(&json!({"steamid": "+5"})),
            no_id(),
        ),
        (
            "no owner",
            &strict,
            steam_answer(&json!({"ownersteamid": ""})),
            no_id(),
        ),
        ("nothing", &strict, json!({}), neither()),
        (
            "another type",
            &strict,
            steam_answer(&json!({"vacbanned": "no"})),
            answer(malformed),
        ),
    ] {
        idp.set_ticket("14ab", response);
        let told = steam(policy.clone()).finish(&ticket("14ab")).await;
        let told = told
            .map(|subject| subject.identity())
            .map_err(|error| match error {
                Error::Answer(text) if text.starts_with(malformed) => {
                    Error::Answer(malformed.into())
                }
                other => other,
            });
        assert_eq!(told, expected, "{name}");
    }

    let asked = idp.asked("steam");
    for malformed in ["", "14a", "14zz", &"ab".repeat(2_561), "14ab&x=1"] {
        let error = steam(json!({}))
            .finish(&ticket(malformed))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refusal::Malformed(_))),
            "{malformed:.10}"
        );
    }
    assert_eq!(idp.asked("steam"), asked, "Steam is not asked");

    let one_oh_one = Err(Error::Refused(Refusal::Provider("101".into())));
    assert_eq!(steam(json!({})).finish(&ticket("ffff")).await, one_oh_one);
    // A ticket that was made for another service.
    let other = steam(json!({"identity": "other"}))
        .finish(&ticket("14ab"))
        .await;
    assert_eq!(other, one_oh_one);
    let app = steam(json!({"appId": 481})).finish(&ticket("14ab")).await;
    assert_eq!(app, Err(Error::Refused(Refusal::Provider("100".into()))));
    let key = steam(json!({"key": "wrong"})).finish(&ticket("14ab")).await;
    assert!(matches!(key, Err(Error::Configuration(_))), "{key:?}");
}

#[tokio::test]
async fn xbox_tokens_are_verified_for_our_relying_party() {
    use jwt::Refusal as No;
    let idp = Idp::start().await;
    let entry = json!({
        "kind": "xbox",
        "issuer": "xsts.auth.xboxlive.com",
        "keys": format!("{}/keys", idp.issuer()),
        "relyingParty": "https://auth.example/",
    });
    let xbox = provider(&idp, &entry);
    let header = |hash: &str, token: &str| ticket(&format!("XBL3.0 x={hash};{token}"));
    let good = idp.xsts(None, &json!({}));
    let subject = xbox.finish(&header("1842", &good)).await.unwrap();
    assert_eq!(
        (subject.kind, subject.identity()),
        (IdentityKind::Xbox, "pairwise".into())
    );

    let past = runtime::clock::now().as_second() - 61;
    for (hash, fault, change, expected) in [
        ("1843", None, json!({}), No::UserHash),
        ("1842", None, json!({"iss": "another"}), No::Issuer),
        (
            "1842",
            None,
            json!({"aud": "https://another.example/"}),
            No::Audience,
        ),
        (
            "1842",
            None,
            json!({"aud": ["https://auth.example/", "x"]}),
            No::Audience,
        ),
        ("1842", None, json!({"exp": past}), No::Expired),
        (
            "1842",
            None,
            json!({"xui": [{"uhs": "1842", "xid": "2535"}]}),
            No::Subject,
        ),
        ("1842", None, json!({"xui": "1842"}), No::Claims),
        ("1842", Some(Fault::AlgorithmNone), json!({}), No::Header),
        (
            "1842",
            Some(Fault::PublicKeyAsSecret),
            json!({}),
            No::Header,
        ),
        (
            "1842",
            Some(Fault::FlippedSignature),
            json!({}),
            No::Signature,
        ),
        ("1842", Some(Fault::UnknownKey), json!({}), No::UnknownKey),
    ] {
        let told = xbox.finish(&header(hash, &idp.xsts(fault, &change))).await;
        assert_eq!(told, Err(refused(expected)), "{hash} {fault:?} {change}");
    }
    let encrypted = xbox.finish(&header("1842", "a.b.c.d.e")).await.unwrap_err();
    assert!(
        encrypted
            .to_string()
            .contains("encrypted, which is not supported")
    );
    let bare = xbox.finish(&ticket(&good)).await.unwrap_err();
    assert!(
        matches!(bare, Error::Refused(Refusal::Malformed(_))),
        "{bare}"
    );
}

#[tokio::test]
async fn a_credential_of_the_wrong_kind_is_refused_before_anybody_is_asked() {
    let idp = Idp::start().await;
    let wrong = Error::WrongCredential("it".into());
    assert_eq!(oidc(&idp).finish(&ticket("14ab")).await, Err(wrong.clone()));
    let steam = json!({
        "kind": "steam", "appId": 480, "identity": "muster", "key": "steam", "url": idp.issuer(),
    });
    let steam = provider(&idp, &steam);
    let code = go(&*oidc(&idp)).await.unwrap();
    assert_eq!(steam.finish(&code).await, Err(wrong.clone()));
    assert_eq!(go(&*steam).await.unwrap_err(), wrong);
    assert_eq!(idp.asked("steam") + idp.asked("token"), 0);
    assert_eq!(Failure::from(wrong).field.as_deref(), Some("provider"));
}

#[test]
fn callers_learn_nothing_of_why_a_credential_was_refused() {
    let refusals = [
        Error::Refused(Refusal::Provider("invalid_grant".into())),
        Error::Refused(Refusal::Malformed("its length")),
        refused(jwt::Refusal::Nonce),
    ];
    for error in refusals {
        assert_eq!(Failure::from(error), Failure::credentials());
    }
    let away = Failure::from(Error::Unreachable("secret detail".into()));
    assert_eq!(away.code, Code::ProviderFailed);
    assert!(away.retry_after.is_some() && !away.to_string().contains("secret"));
    let forbidden = Failure::from(Error::Forbidden(Forbidden::VacBanned));
    assert_eq!(forbidden.code, Code::Forbidden);
}
