//! Backups in a bucket: over HTTP, with signatures that a server checks.
//!
//! The server is a stand-in that keeps objects in memory. It answers what S3 answers to the calls
//! that backups take, computes each signature (AWS Signature Version 4) and the hash of each body
//! anew from what arrived, and refuses whatever differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio_util::task::AbortOnDropHandle;

use super::*;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-test-7";
const PLACE: &str = "s3://bucket/auth/backups";

type Query = BTreeMap<String, String>;

/// What the bucket holds.
#[derive(Default)]
struct Objects {
    whole: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<u32, Vec<u8>>,
    /// How many objects came in parts.
    assembled: u32,
}

type Shared = Arc<Mutex<Objects>>;

struct Bucket {
    objects: Shared,
    endpoint: Url,
    _serves: AbortOnDropHandle<()>,
}

impl Bucket {
    async fn start() -> Self {
        let objects = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&objects));
        let serves = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            objects,
            endpoint: endpoint.parse().unwrap(),
            _serves: AbortOnDropHandle::new(serves),
        }
    }

    fn open(&self, region: &str, secret: &str) -> Archive {
        let s3 = S3 {
            endpoint: Some(self.endpoint.clone()),
            region: Some(region.to_owned()),
            access_key: Some((ID.to_owned(), Confidential::new(secret))),
        };
        Archive::open(PLACE, &s3).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().whole.keys().cloned().collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    crate::crypto::tests::hex(bytes)
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// As signatures want it: everything but letters, digits and `-_.~`.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
        encoded
    })
}

/// Whether the request is signed by the secret, for this day, region and body.
fn is_signed(
    method: &Method,
    path: &str,
    query: &Query,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<bool> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let hash = header("x-amz-content-sha256")?;
    let time = header("x-amz-date")?;
    let day = time.get(..8)?;
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let rest = header("authorization")?.strip_prefix(&format!(
        "AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders="
    ))?;
    let (signed, signature) = rest.split_once(", Signature=")?;
    for wanted in ["host", "x-amz-content-sha256", "x-amz-date"] {
        signed.split(';').find(|name| *name == wanted)?;
    }
    let lines: Option<String> = signed
        .split(';')
        .map(|name| Some(format!("{name}:{}\n", header(name)?.trim())))
        .collect();
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let canonical = format!(
        "{method}\n{path}\n{}\n{}\n{signed}\n{hash}",
        query.join("&"),
        lines?
    );
    let canonical = hex(&crate::crypto::hash(canonical.as_bytes()));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [day, REGION, "s3", "aws4_request"] {
        key = sign(&key, part);
    }
    let expected = sign(
        &key,
        &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}"),
    );
    Some(hex(&expected) == signature && hash == hex(&crate::crypto::hash(body)))
}

async fn answer(
    State(objects): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query: Query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    if is_signed(&method, uri.path(), &query, &headers, &body) != Some(true) {
        return (
            StatusCode::FORBIDDEN,
            "<Error><Code>SignatureDoesNotMatch</Code></Error>",
        )
            .into_response();
    }
    let Some(path) = uri.path().strip_prefix("/bucket") else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let key = path.trim_start_matches('/').to_owned();
    let mut objects = objects.lock().unwrap();
    if query.contains_key("uploadId") || query.contains_key("uploads") {
        return objects.in_parts(&method, key, &query, &body);
    }
    if key.is_empty() {
        return match method {
            Method::GET => objects.list(&query),
            Method::POST if query.contains_key("delete") => objects.delete(&body),
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        };
    }
    match method {
        Method::PUT => {
            objects.whole.insert(key, body.to_vec());
            [("etag", "\"1\"")].into_response()
        }
        Method::GET | Method::HEAD => match objects.whole.get(&key) {
            Some(object) => {
                let headers = [
                    ("etag", "\"1\""),
                    ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
                ];
                (headers, object.clone()).into_response()
            }
            None => (
                StatusCode::NOT_FOUND,
                "<Error><Code>NoSuchKey</Code></Error>",
            )
                .into_response(),
        },
        Method::DELETE => {
            objects.whole.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

impl Objects {
    fn in_parts(&mut self, method: &Method, key: String, query: &Query, body: &[u8]) -> Response {
        match (method, query.get("partNumber")) {
            (&Method::PUT, Some(number)) => {
                self.parts.insert(number.parse().unwrap(), body.to_vec());
                [("etag", "\"1\"")].into_response()
            }
            (&Method::POST, _) if query.contains_key("uploads") => {
                "<InitiateMultipartUploadResult><UploadId>1</UploadId>\
                 </InitiateMultipartUploadResult>"
                    .into_response()
            }
            (&Method::POST, _) => {
                let parts = std::mem::take(&mut self.parts);
                self.whole
                    .insert(key, parts.into_values().flatten().collect());
                self.assembled += 1;
                "<CompleteMultipartUploadResult><ETag>\"1\"</ETag>\
                 </CompleteMultipartUploadResult>"
                    .into_response()
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }

    fn list(&self, query: &Query) -> Response {
        let prefix = query.get("prefix").cloned().unwrap_or_default();
        let mut folders = std::collections::BTreeSet::new();
        let mut text = String::from("<ListBucketResult>");
        for (key, object) in &self.whole {
            let Some(rest) = key.strip_prefix(&prefix) else {
                continue;
            };
            if let (true, Some((folder, _))) =
                (query.contains_key("delimiter"), rest.split_once('/'))
            {
                folders.insert(format!("{prefix}{folder}/"));
                continue;
            }
            write!(
                text,
                "<Contents><Key>{key}</Key><Size>{}</Size>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>",
                object.len()
            )
            .unwrap();
        }
        for folder in folders {
            write!(
                text,
                "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"
            )
            .unwrap();
        }
        (text + "</ListBucketResult>").into_response()
    }

    fn delete(&mut self, body: &[u8]) -> Response {
        let mut text = String::from("<DeleteResult>");
        let asked = std::str::from_utf8(body).unwrap();
        for key in asked.split("<Key>").skip(1) {
            let (key, _) = key.split_once("</Key>").unwrap();
            self.whole.remove(key);
            write!(text, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
        }
        (text + "</DeleteResult>").into_response()
    }
}

/// Writes a backup of one file.
async fn write(archive: &Archive, name: &str, content: &[u8]) -> Result<Written, Error> {
    let mut sink = archive.create(name, File::Sessions);
    let filled = sink.write(content).await;
    let mut files = Vec::new();
    sink.keep_if(filled, &mut files).await?;
    let manifest = Manifest {
        format: Manifest::FORMAT,
        made: Timestamp::UNIX_EPOCH,
        postgresql: None,
        wal: None,
        keys: Some(1),
        files,
    };
    archive.put_manifest(name, &manifest).await?;
    Ok(manifest.files[0].clone())
}

#[tokio::test]
async fn backups_travel_over_http_and_come_back() {
    let bucket = Bucket::start().await;
    let archive = bucket.open(REGION, SECRET);
    assert!(matches!(archive.newest().await, Err(Error::NoBackup)));
    let names = [
        "20260101T000000000Z",
        "20260102T000000000Z",
        "20260103T000000000Z",
    ];
    // One that is sent in parts, two that are not.
    let large: Vec<u8> = (0..12 * 1024 * 1024_u32)
        .map(|at| at.to_le_bytes()[1])
        .collect();
    let contents = [large.as_slice(), b"small", b""];
    for (name, content) in names.iter().zip(contents) {
        let written = write(&archive, name, content).await.unwrap();
        let mut read = Vec::new();
        archive.read(name, &written, &mut read).await.unwrap();
        assert!(read == content, "{name}");
    }
    assert_eq!(bucket.objects.lock().unwrap().assembled, 1);
    assert_eq!(archive.newest().await.unwrap(), names[2]);
    assert_eq!(bucket.keys().len(), 6);
    assert!(bucket.keys()[0].starts_with("auth/backups/20260101T000000000Z/"));
    assert_eq!(archive.prune(1).await.unwrap(), 2);
    let left = bucket.keys();
    assert!(
        left.len() == 2 && left.iter().all(|key| key.contains(names[2])),
        "{left:?}"
    );
}

#[tokio::test]
async fn another_secret_or_region_is_refused() {
    let bucket = Bucket::start().await;
    for (region, secret) in [(REGION, "another"), ("us-east-1", SECRET)] {
        let archive = bucket.open(region, secret);
        assert!(write(&archive, "20260101T000000000Z", b"x").await.is_err());
        archive.newest().await.unwrap_err();
    }
    assert!(bucket.keys().is_empty());
}
