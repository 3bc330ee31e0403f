//! Subresources that a real cluster serves and this server does not: each is refused with what to
//! do instead, because the bare 404 of an unknown path would leave people searching.

use crate::kinds::Kind;
use crate::server::rules::is_core;
use crate::status::{Details, Status};

/// What to do instead of using a subresource; none if a real cluster does not serve it either.
pub(super) fn advice(kind: &Kind, subresource: &str) -> Option<&'static str> {
    let pods = is_core(kind, "pods");
    Some(match subresource {
        "exec" | "attach" if pods => {
            "a pod is processes of this machine; read what they write with kubectl logs, and find \
             their ids in status.containerStatuses[*].containerID"
        }
        "portforward" if pods => {
            "the ports of a pod are ports of this machine; connect to its hostPort, or to the port \
             that the process is told in PORT"
        }
        "proxy" if pods || is_core(kind, "services") || is_core(kind, "nodes") => {
            "requests are not passed on; send them to the address itself"
        }
        "ephemeralcontainers" | "resize" if pods => {
            "the containers of a pod stay as they are; create another pod"
        }
        _ => return None,
    })
}

/// 405 with that advice.
pub(super) fn refusal(kind: &Kind, name: &str, subresource: &str, advice: &str) -> Status {
    Status {
        message: format!("{}/{subresource} is not served here: {advice}", kind.plural),
        details: Some(Box::new(Details {
            name: name.to_owned(),
            kind: kind.plural.clone(),
            ..Details::default()
        })),
        ..Status::method_not_allowed()
    }
}
