//! Tables of [`super`]: what is decided for which input.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::*;

struct Known(BTreeMap<String, Quantity>);

impl Sources for Known {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        let map = json!({ "data": { "a": "1", "b": "2" }, "binaryData": { "c": "Aw==" } });
        (name == "map").then(|| Arc::new(serde_json::from_value(map).unwrap()))
    }
    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        let secret = json!({ "data": { "key": "c2VjcmV0" } });
        (name == "keys").then(|| Arc::new(serde_json::from_value(secret).unwrap()))
    }
    fn address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }
    fn allocatable(&self) -> &BTreeMap<String, Quantity> {
        &self.0
    }
}

fn pod(volume: &Value) -> Pod {
    let mut named = json!({ "name": "v" });
    named
        .as_object_mut()
        .unwrap()
        .extend(volume.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "metadata": { "name": "p", "labels": { "a": "b" } },
        "spec": {
            "containers": [{ "name": "game", "resources": { "limits": { "cpu": "2" } } }],
            "volumes": [named],
        },
    }))
    .unwrap()
}

fn made(volume: &Value) -> Result<String, String> {
    let pod = pod(volume);
    let tokens = [(("v".to_owned(), 0), "token".to_owned())].into();
    let volume = volumes(&pod).next().unwrap();
    let contents = contents(&pod, volume, &Known(BTreeMap::new()), &tokens)?;
    Ok(match contents {
        Contents::Empty => "empty".to_owned(),
        Contents::Host(path) => path.display().to_string(),
        Contents::Files(files) => files
            .iter()
            .map(|(path, file)| {
                format!(
                    "{path} {:o} {:?}",
                    file.mode,
                    String::from_utf8_lossy(&file.data)
                )
            })
            .collect::<Vec<_>>()
            .join(", "),
    })
}

#[test]
fn volumes_hold_what_they_should() {
    for (volume, expected) in [
        (json!({ "emptyDir": {} }), Ok("empty")),
        (json!({ "hostPath": { "path": "/etc" } }), Ok("/etc")),
        (
            json!({ "configMap": { "name": "map" } }),
            Ok("a 644 \"1\", b 644 \"2\", c 644 \"\\u{3}\""),
        ),
        (
            json!({ "configMap": { "name": "map", "defaultMode": 0o400, "items": [
                { "key": "a", "path": "x/y" }, { "key": "b", "path": "z", "mode": 0o600 },
            ] } }),
            Ok("x/y 400 \"1\", z 600 \"2\""),
        ),
        (
            json!({ "secret": { "secretName": "keys" } }),
            Ok("key 644 \"secret\""),
        ),
        (
            json!({ "secret": { "secretName": "none", "optional": true } }),
            Ok(""),
        ),
        (
            json!({ "downwardAPI": { "items": [
                { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
                { "path": "cpu", "resourceFieldRef":
                    { "containerName": "game", "resource": "limits.cpu" } },
            ] } }),
            Ok("cpu 644 \"2\", labels 644 \"a=\\\"b\\\"\""),
        ),
        (
            json!({ "projected": { "sources": [
                { "serviceAccountToken": { "path": "token", "audience": "x" } },
                { "configMap": { "name": "map", "items": [{ "key": "a", "path": "ca.crt" }] } },
            ] } }),
            Ok("ca.crt 644 \"1\", token 600 \"token\""),
        ),
        (
            json!({ "projected": { "sources": [
                { "serviceAccountToken": { "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt" } },
            ] } }),
            Ok("token 600 \"token\""),
        ),
        (
            json!({ "configMap": { "name": "none" } }),
            Err("configmap \"none\" not found"),
        ),
        (
            json!({ "configMap": { "name": "map", "items": [{ "key": "q", "path": "q" }] } }),
            Err("references non-existent configmap key: q of \"map\""),
        ),
        (
            json!({ "configMap": { "name": "map", "items": [{ "key": "a", "path": "../a" }] } }),
            Err("the path \"../a\" is not inside the volume"),
        ),
        (
            json!({ "hostPath": { "path": "/etc/passwd", "type": "Directory" } }),
            Err("hostPath type check failed: /etc/passwd is not a directory"),
        ),
        (
            json!({ "persistentVolumeClaim": { "claimName": "c" } }),
            Err(
                "volume \"v\" is of a kind that the process-based node does not have: use \
                 emptyDir, configMap, secret, projected, downwardAPI or hostPath",
            ),
        ),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(made(&volume), expected, "{volume}");
    }
}

#[test]
fn tokens_are_found_by_their_place() {
    let pod = pod(&json!({ "projected": { "sources": [
        { "configMap": { "name": "map" } },
        { "serviceAccountToken": { "path": "token", "audience": "x" } },
    ] } }));
    let keys: Vec<_> = tokens(&pod).into_keys().collect();
    assert_eq!(keys, [("v".to_owned(), 1)]);
}

fn files(pairs: &[(&str, &str)]) -> Files {
    pairs
        .iter()
        .map(|(path, text)| {
            let data = text.as_bytes().to_vec();
            ((*path).to_owned(), File { data, mode: 0o600 })
        })
        .collect()
}

#[test]
fn files_are_replaced_all_at_once() {
    let directory = std::env::temp_dir().join(format!("muster-volume-{}", std::process::id()));
    let read = |path: &str| fs::read_to_string(directory.join(path)).ok();
    publish(
        &directory,
        &files(&[("token", "1"), ("deep/a", "1"), ("old", "1")]),
        1,
    )
    .unwrap();
    assert_eq!(read("token").as_deref(), Some("1"));
    assert_eq!(read("deep/a").as_deref(), Some("1"));
    let mode = fs::metadata(directory.join("token"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = fs::canonicalize(directory.join("token")).unwrap();

    publish(&directory, &files(&[("token", "2"), ("deep/b", "2")]), 2).unwrap();
    assert_eq!(read("token").as_deref(), Some("2"));
    assert_eq!(read("deep/b").as_deref(), Some("2"));
    assert_eq!((read("deep/a"), read("old")), (None, None));
    assert!(!first.exists());
    let mut names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["..2", "..data", "deep", "token"]);

    // What a run that was killed half-way left does not disturb.
    fs::create_dir_all(directory.join("..3/rest")).unwrap();
    publish(&directory, &files(&[("token", "3")]), 3).unwrap();
    assert_eq!(read("token").as_deref(), Some("3"));
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn mounts_lie_in_their_volumes() {
    let container: Container = serde_json::from_value(json!({
        "name": "game",
        "volumeMounts": [
            { "name": "v", "mountPath": "/data" },
            { "name": "v", "mountPath": "/config/a.toml", "subPath": "a.toml" },
            { "name": "v", "mountPath": "/own", "subPathExpr": "$(NAME)/x" },
            { "name": "none", "mountPath": "/none" },
        ],
    }))
    .unwrap();
    let place = |name: &str| (name == "v").then(|| PathBuf::from("/r/v"));
    let found = mounts(&container, place, |text| text.replace("$(NAME)", "p"));
    let expected = [
        ("/data", "/r/v"),
        ("/config/a.toml", "/r/v/a.toml"),
        ("/own", "/r/v/p/x"),
    ];
    let expected = expected.map(|(path, place)| (path.to_owned(), PathBuf::from(place)));
    assert_eq!(found, Mounts::new(expected));
}
