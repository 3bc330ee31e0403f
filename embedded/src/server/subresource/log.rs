//! Logs of pods.

use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::Value;

use super::super::Api;
use super::super::call::Answer;
use super::super::params::Params;
use super::super::request::Request;
use crate::kubelet::LogQuery;
use crate::status::{Cause, Status};

const TEXT: &str = "text/plain";

impl Api {
    pub(super) fn logs(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let mut query = read(&request.call.params, request.name(), self.now())?;
        let name = request.name();
        let pod = self
            .find(request.served, request.namespace(), name)
            .ok_or_else(|| Status::not_found("", "pods", name))?;
        let container = choose(pod.value(), name, query.container.as_deref())?;
        query.container = Some(container);
        let node = pod
            .value()
            .pointer("/spec/nodeName")
            .and_then(Value::as_str);
        if node.unwrap_or_default().is_empty() {
            return Ok(Answer::Nothing);
        }
        let kubelet = self.kubelet().ok_or_else(|| {
            Status::internal(format!(
                "the node {} does not answer",
                node.unwrap_or_default()
            ))
        })?;
        let stream = kubelet.logs(request.namespace(), name, &query)?;
        let stop = self.stop.clone();
        Ok(Answer::Stream {
            content_type: TEXT,
            stream: stream.take_until(stop.cancelled_owned()).boxed(),
        })
    }
}

fn read(params: &Params, pod: &str, now: Timestamp) -> Result<LogQuery, Status> {
    let mut causes = Vec::new();
    let mut at_least = |name: &str, least: i64, rule: &str| -> Result<Option<u64>, Status> {
        let Some(number) = params.number(name)? else {
            return Ok(None);
        };
        if number < least {
            causes.push(Cause::invalid(name, &number.to_string(), rule));
        }
        Ok(u64::try_from(number).ok())
    };
    let tail = at_least("tailLines", 0, "must be greater than or equal to 0")?;
    let limit_bytes = at_least("limitBytes", 1, "must be greater than 0")?;
    let mut since_seconds = at_least("sinceSeconds", 1, "must be greater than 0")?;
    if let Some(since) = params.text("sinceTime") {
        if since_seconds.is_some() {
            causes.push(Cause::forbidden(
                "[]",
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        let since: Timestamp = since
            .parse()
            .map_err(|error| Status::bad_request(format!("sinceTime: {error}")))?;
        let age = now.as_second().saturating_sub(since.as_second());
        since_seconds = Some(u64::try_from(age).unwrap_or_default());
    }
    if !causes.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", pod, causes));
    }
    Ok(LogQuery {
        container: params.text("container").map(ToOwned::to_owned),
        follow: params.flag("follow").unwrap_or_default(),
        previous: params.flag("previous").unwrap_or_default(),
        tail_lines: tail.and_then(|lines| usize::try_from(lines).ok()),
        since_seconds,
        limit_bytes,
        timestamps: params.flag("timestamps").unwrap_or_default(),
    })
}

/// Which container is meant.
fn choose(pod: &Value, name: &str, wanted: Option<&str>) -> Result<String, Status> {
    let names = |list: &str| -> Vec<&str> {
        let containers = pod
            .pointer(&format!("/spec/{list}"))
            .and_then(Value::as_array);
        containers
            .into_iter()
            .flatten()
            .filter_map(|container| container.get("name").and_then(Value::as_str))
            .collect()
    };
    let containers = names("containers");
    let init = names("initContainers");
    let ephemeral = names("ephemeralContainers");
    if let Some(wanted) = wanted {
        let known = containers
            .iter()
            .chain(&init)
            .chain(&ephemeral)
            .any(|known| *known == wanted);
        return if known {
            Ok(wanted.to_owned())
        } else {
            Err(Status::bad_request(format!(
                "container {wanted} is not valid for pod {name}"
            )))
        };
    }
    if let [only] = containers.as_slice() {
        return Ok((*only).to_owned());
    }
    let mut message = format!("a container name must be specified for pod {name}");
    if !containers.is_empty() {
        let all: Vec<&str> = init
            .into_iter()
            .chain(containers)
            .chain(ephemeral)
            .collect();
        message.push_str(", choose one of: [");
        message.push_str(&all.join(" "));
        message.push(']');
    }
    Err(Status::bad_request(message))
}
