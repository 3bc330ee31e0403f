//! The environment and the arguments of a container. Pure: all that is referred to is given.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVarSource, Pod, ResourceFieldSelector, Secret,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::image::Program;
use super::ports::{Ports, containers, probed};
use super::rewrite::{Mounts, rewrite};

/// Variable that names a container's first port, if the template does not set it: what most game
/// servers and the Agones samples read.
const PORT: &str = "PORT";
/// Variable that names the probed port of a sidecar, as the SDK server reads it.
const HEALTH_PORT: &str = "HEALTH_PORT";

/// What references in a pod resolve to.
pub(super) trait Sources {
    /// A ConfigMap of the pod's namespace.
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>>;
    /// A Secret of the pod's namespace.
    fn secret(&self, name: &str) -> Option<Arc<Secret>>;
    /// Address of the node, which is that of all its pods.
    fn address(&self) -> IpAddr;
    /// What the node can give, where a container has no limit.
    fn allocatable(&self) -> &BTreeMap<String, Quantity>;
}

/// Where a container's ports and volumes really are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Ports of the pod.
    pub(super) ports: &'a Ports,
    /// Volumes of the container.
    pub(super) mounts: &'a Mounts,
}

/// What is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    /// Arguments of the program.
    pub(super) args: Vec<String>,
    /// The whole environment.
    pub(super) env: BTreeMap<String, String>,
}

/// Puts together how a container is started; else why it cannot be, in the kubelet's words.
///
/// `base` is the environment that every process gets. The program stands for the image's
/// entrypoint, and so for the first word of `command`.
pub(super) fn invocation(
    pod: &Pod,
    container: &Container,
    program: &Program,
    place: Place<'_>,
    (base, sources): (&BTreeMap<String, String>, &dyn Sources),
) -> Result<Invocation, String> {
    let own = environment(pod, container, place, sources)?;
    let given = container
        .command
        .iter()
        .flatten()
        .skip(1)
        .chain(container.args.iter().flatten())
        .map(|text| rewrite(&expand(text, &own), place.ports, place.mounts));
    let args = program.args.iter().cloned().chain(given).collect();
    let mut env = base.clone();
    env.insert("HOSTNAME".to_owned(), hostname(pod));
    env.extend(own);
    Ok(Invocation { args, env })
}

/// The name of the host as a container sees it.
fn hostname(pod: &Pod) -> String {
    let wanted = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
    wanted
        .or_else(|| pod.metadata.name.clone())
        .unwrap_or_default()
}

/// The variables that a container declares, and those of this node.
fn environment(
    pod: &Pod,
    container: &Container,
    place: Place<'_>,
    sources: &dyn Sources,
) -> Result<BTreeMap<String, String>, String> {
    let mut env = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        if let Some(wanted) = &from.config_map_ref {
            match sources.config_map(&wanted.name) {
                Some(map) => env.extend(
                    map.data
                        .iter()
                        .flatten()
                        .map(|(key, value)| (format!("{prefix}{key}"), value.clone())),
                ),
                None if wanted.optional == Some(true) => {}
                None => return Err(absent("configmap", &wanted.name)),
            }
        }
        if let Some(wanted) = &from.secret_ref {
            match sources.secret(&wanted.name) {
                Some(secret) => env.extend(secret.data.iter().flatten().map(|(key, value)| {
                    let value = String::from_utf8_lossy(&value.0).into_owned();
                    (format!("{prefix}{key}"), value)
                })),
                None if wanted.optional == Some(true) => {}
                None => return Err(absent("secret", &wanted.name)),
            }
        }
    }
    for variable in container.env.iter().flatten() {
        let written = variable.value.as_deref().unwrap_or_default();
        let value = match &variable.value_from {
            Some(source) if written.is_empty() => match resolve(pod, container, source, sources)? {
                Some(value) => value,
                None => continue,
            },
            _ => rewrite(&expand(written, &env), place.ports, place.mounts),
        };
        env.insert(variable.name.clone(), value);
    }
    for (name, port) in told(pod, container) {
        if let Some(port) = place.ports.get(port) {
            env.entry(name.to_owned())
                .or_insert_with(|| port.to_string());
        }
    }
    Ok(env)
}

/// Ports that a container is told although its template does not: see [`PORT`] and
/// [`HEALTH_PORT`].
fn told(pod: &Pod, container: &Container) -> Vec<(&'static str, u16)> {
    let mut told = Vec::new();
    let first = container.ports.iter().flatten().next();
    if let Some(port) = first.and_then(|port| u16::try_from(port.container_port).ok()) {
        told.push((PORT, port));
    }
    let declared = |wanted: u16| {
        pod.spec
            .iter()
            .flat_map(containers)
            .flat_map(|container| container.ports.iter().flatten())
            .any(|port| port.container_port == i32::from(wanted))
    };
    if container.restart_policy.as_deref() == Some("Always")
        && let Some(port) = probed(container).into_iter().find(|port| !declared(*port))
    {
        told.push((HEALTH_PORT, port));
    }
    told
}

fn absent(kind: &str, name: &str) -> String {
    format!("{kind} {name:?} not found")
}

/// The value of a variable that comes from elsewhere; none if that is absent and may be.
fn resolve(
    pod: &Pod,
    container: &Container,
    source: &EnvVarSource,
    sources: &dyn Sources,
) -> Result<Option<String>, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(field_ref) = &source.field_ref {
        return match field(pod, &field_ref.field_path, sources.address()) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("unsupported fieldPath: {}", field_ref.field_path)),
        };
    }
    if let Some(selector) = &source.resource_field_ref {
        return resource(pod, Some(container), selector, sources.allocatable()).map(Some);
    }
    if let Some(wanted) = &source.config_map_key_ref {
        let optional = wanted.optional == Some(true);
        return match sources.config_map(&wanted.name) {
            None if optional => Ok(None),
            None => Err(absent("configmap", &wanted.name)),
            Some(map) => match map.data.as_ref().and_then(|data| data.get(&wanted.key)) {
                Some(value) => Ok(Some(value.clone())),
                None if optional => Ok(None),
                None => Err(format!(
                    "couldn't find key {} in ConfigMap {namespace}/{}",
                    wanted.key, wanted.name
                )),
            },
        };
    }
    if let Some(wanted) = &source.secret_key_ref {
        let optional = wanted.optional == Some(true);
        return match sources.secret(&wanted.name) {
            None if optional => Ok(None),
            None => Err(absent("secret", &wanted.name)),
            Some(secret) => match secret.data.as_ref().and_then(|data| data.get(&wanted.key)) {
                Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
                None if optional => Ok(None),
                None => Err(format!(
                    "couldn't find key {} in Secret {namespace}/{}",
                    wanted.key, wanted.name
                )),
            },
        };
    }
    Ok(Some(String::new()))
}

/// A field of the downward API.
pub(super) fn field(pod: &Pod, path: &str, address: IpAddr) -> Option<String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    let text = |value: &Option<String>| Some(value.clone().unwrap_or_default());
    if let Some((map, key)) = path
        .strip_suffix("']")
        .and_then(|path| path.split_once("['"))
    {
        let map = match map {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return None,
        };
        return text(&map.as_ref().and_then(|map| map.get(key).cloned()));
    }
    match path {
        "metadata.name" => text(&meta.name),
        "metadata.namespace" => text(&meta.namespace),
        "metadata.uid" => text(&meta.uid),
        "metadata.labels" => Some(listing(meta.labels.as_ref())),
        "metadata.annotations" => Some(listing(meta.annotations.as_ref())),
        "spec.nodeName" => text(&spec.and_then(|spec| spec.node_name.clone())),
        "spec.serviceAccountName" => text(&spec.and_then(|spec| spec.service_account_name.clone())),
        "status.hostIP" | "status.hostIPs" | "status.podIP" | "status.podIPs" => {
            Some(address.to_string())
        }
        _ => None,
    }
}

/// Labels or annotations, as the kubelet writes them into a file: one `key="value"` a line.
fn listing(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<_> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    lines.join("\n")
}

/// A request or limit of a container, in units of the divisor and rounded up.
pub(super) fn resource(
    pod: &Pod,
    container: Option<&Container>,
    selector: &ResourceFieldSelector,
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<String, String> {
    let named = selector.container_name.as_ref().and_then(|name| {
        let spec = pod.spec.as_ref()?;
        containers(spec).find(|container| container.name == *name)
    });
    let Some(container) = named.or(container) else {
        return Err(format!(
            "container {} not found",
            selector.container_name.as_deref().unwrap_or_default()
        ));
    };
    let (list, kind) = selector
        .resource
        .split_once('.')
        .ok_or_else(|| format!("unsupported container resource : {}", selector.resource))?;
    let resources = container.resources.as_ref();
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let value = match list {
        "limits" => limits
            .and_then(|limits| limits.get(kind))
            .or_else(|| allocatable.get(kind)),
        "requests" => requests.and_then(|requests| requests.get(kind)),
        _ => {
            return Err(format!(
                "unsupported container resource : {}",
                selector.resource
            ));
        }
    };
    let value = value.and_then(milli).unwrap_or_default();
    let divisor = selector.divisor.as_ref().and_then(milli);
    let divisor = divisor.filter(|divisor| *divisor > 0).unwrap_or(1000);
    Ok(value.div_ceil(divisor).to_string())
}

/// A quantity in thousandths; none if it cannot be read.
pub(super) fn milli(quantity: &Quantity) -> Option<u128> {
    const UNITS: [(&str, u128); 14] = [
        ("Ki", 1_000 << 10),
        ("Mi", 1_000 << 20),
        ("Gi", 1_000 << 30),
        ("Ti", 1_000 << 40),
        ("Pi", 1_000 << 50),
        ("Ei", 1_000 << 60),
        ("m", 1),
        ("k", 1_000_000),
        ("M", 1_000_000_000),
        ("G", 1_000_000_000_000),
        ("T", 1_000_000_000_000_000),
        ("P", 1_000_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000_000),
        ("", 1_000),
    ];
    let text = quantity.0.trim();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut value = whole.checked_mul(unit)?;
    if !fraction.is_empty() {
        let digits = u32::try_from(fraction.len()).ok()?;
        let scale = 10_u128.checked_pow(digits)?;
        let part: u128 = fraction.parse().ok()?;
        value = value.checked_add(part.checked_mul(unit)?.div_ceil(scale))?;
    }
    Some(value)
}

/// Replaces each `$(NAME)` by the variable's value. `$$` is a dollar sign, and a name that is
/// not known stays as it is.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = after
            .strip_prefix('(')
            .and_then(|after| after.split_once(')'))
        {
            if let Some(value) = variables.get(name) {
                result.push_str(value);
            } else {
                result.push_str("$(");
                result.push_str(name);
                result.push(')');
            }
            rest = after;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
