//! Asks an API server about every case, by dry run.

use std::collections::BTreeSet;

use anyhow::Result;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams, TypeMeta};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Error};
use serde_json::Value;

use super::{Case, Verdict, load};

/// Submits every manifest in a namespace. Returns one line for each verdict that is not as it must
/// be.
pub async fn check(client: &Client, namespace: &str) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut bases = BTreeSet::new();
    for case in &load()? {
        let answer = submit(client, namespace, case, &mut bases).await?;
        if let Err(text) = judge(case, answer) {
            wrong.push(format!("{}: {text}", case.title));
        }
    }
    Ok(wrong)
}

/// Submits a manifest without storing it. An update needs a stored object, which is made once.
async fn submit(
    client: &Client,
    namespace: &str,
    case: &Case,
    bases: &mut BTreeSet<String>,
) -> Result<Result<(), Error>> {
    let api = api(client, namespace, &case.manifest)?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let Some(before) = &case.before else {
        let object: DynamicObject = serde_json::from_value(case.manifest.clone())?;
        return Ok(api.create(&dry_run, &object).await.map(drop));
    };
    if bases.insert(case.kind.clone()) {
        let object: DynamicObject = serde_json::from_value(renamed(before))?;
        api.create(&PostParams::default(), &object).await?;
    }
    Ok(api
        .patch(UPDATED, &parameters, &Patch::Merge(renamed(&case.manifest)))
        .await
        .map(drop))
}

/// Updates have an object of their own, beside those that are made by dry run alone.
const UPDATED: &str = "updated";

fn renamed(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    manifest["metadata"]["name"] = UPDATED.into();
    manifest
}

fn api(client: &Client, namespace: &str, manifest: &Value) -> Result<Api<DynamicObject>> {
    let part = |field: &str| manifest[field].as_str().unwrap_or_default().to_owned();
    let types = TypeMeta {
        api_version: part("apiVersion"),
        kind: part("kind"),
    };
    let kind = GroupVersionKind::try_from(&types)?;
    let resource = ApiResource::from_gvk(&kind);
    Ok(Api::namespaced_with(client.clone(), namespace, &resource))
}

fn judge(case: &Case, answer: Result<(), Error>) -> Result<(), String> {
    match (&case.verdict, answer) {
        (Verdict::Accepted, Ok(())) => Ok(()),
        (Verdict::Accepted, Err(error)) => Err(format!("refused: {error}")),
        (Verdict::Refused { .. }, Ok(())) => Err("accepted".to_owned()),
        (Verdict::Refused { message, field }, Err(Error::Api(status))) => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let named: Vec<_> = causes
                .map(|it| (plain(&it.field), it.message.as_str()))
                .collect();
            let is_right = |(at, text): &(String, &str)| at == field && text.contains(message);
            if named.iter().any(is_right) {
                Ok(())
            } else {
                Err(format!("expected {message:?} at {field:?}, got {named:?}"))
            }
        }
        (Verdict::Refused { .. }, Err(error)) => Err(format!("no verdict: {error}")),
    }
}

/// Writes the key of a map as `.key`, as the cases do; the API server writes `[key]`.
fn plain(field: &str) -> String {
    let parts = field.split('[').enumerate();
    parts
        .map(|(number, part)| match part.split_once(']') {
            Some((key, rest)) if key.parse::<u32>().is_err() => format!(".{key}{rest}"),
            _ if number == 0 => part.to_owned(),
            _ => format!("[{part}"),
        })
        .collect::<Vec<_>>()
        .concat()
}
