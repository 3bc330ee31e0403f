//! What the API server asks of the node: logs and usage of running containers.

use std::fmt::Debug;

use futures::stream::BoxStream;
use hyper::body::Bytes;

use crate::status::Status;

/// Query of `GET pods/NAME/log`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Which container; none if the pod has only one.
    pub container: Option<String>,
    /// Go on with new lines until the container ends.
    pub follow: bool,
    /// The log of the container's previous run.
    pub previous: bool,
    /// Only the last so many lines.
    pub tail_lines: Option<usize>,
    /// Only lines that are at most this old.
    pub since_seconds: Option<u64>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
    /// Begin each line with its time in RFC 3339.
    pub timestamps: bool,
}

/// What a container uses now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Container.
    pub container: String,
    /// Thousandths of a core, over the last sample.
    pub cpu_millicores: u64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
}

/// Runs pods, and is asked about them.
pub trait Kubelet: Debug + Send + Sync {
    /// Log of a container.
    fn logs(
        &self,
        namespace: &str,
        pod: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Bytes>, Status>;

    /// Usage of the containers of a pod that run; empty if the pod is unknown.
    fn usage(&self, namespace: &str, pod: &str) -> Vec<Usage>;
}
