//! What the black-box suites, the demonstration and the benchmarks share: a client of the cluster,
//! bounded waits, clients of the allocator and of the sample server, and objects to create.
//!
//! Everything here works against any cluster with Muster installed, from the outside: by
//! the Kubernetes API, the allocator's API and UDP or TCP. Nothing links to a service, except
//! [`lab`], which is about what cannot be seen from the outside. [`conformance`] is about the API
//! server itself.

pub mod allocator;
pub mod cluster;
pub mod conformance;
pub mod crd_cases;
pub mod echo;
pub mod http_client;
pub mod lab;
pub mod measure;
pub mod objects;
pub mod program;
pub mod wait;
