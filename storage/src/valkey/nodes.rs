//! Where Valkey is, and by whose word it is believed.

use std::fmt;
use std::time::Duration;

use redis::TlsCertificates;
use redis::cluster::ClusterClientBuilder;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisResult,
};

/// How long a node may leave bytes unacknowledged before its connection counts as lost.
const UNACKNOWLEDGED: Duration = Duration::from_secs(2);

/// One node, or several nodes of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Nodes {
    /// `redis://user:password@host:port`, or `rediss://` for TLS.
    urls: Vec<String>,
    /// Who vouches for the nodes' certificates, in PEM; the system's authorities without it.
    authority: Option<String>,
}

impl From<Vec<String>> for Nodes {
    fn from(urls: Vec<String>) -> Self {
        Self {
            urls,
            authority: None,
        }
    }
}

impl fmt::Debug for Nodes {
    /// Addresses may hold passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Nodes")
            .field("nodes", &self.urls.len())
            .field("has_authority", &self.authority.is_some())
            .finish_non_exhaustive()
    }
}

impl Nodes {
    /// Believes certificates of this authority alone.
    #[must_use]
    pub fn with_authority(self, authority: Option<String>) -> Self {
        Self { authority, ..self }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    /// A client for each node; connects to none.
    pub fn clients(&self) -> RedisResult<Vec<Client>> {
        let certificates = self.certificates()?;
        self.infos()?
            .into_iter()
            .map(|info| match (certificates.clone(), info.addr()) {
                (Some(certificates), ConnectionAddr::TcpTls { .. }) => {
                    Client::build_with_tls(info, certificates)
                }
                _ => Client::open(info),
            })
            .collect()
    }

    /// A client for the cluster that the nodes are of; connects to none.
    pub fn cluster(&self) -> RedisResult<ClusterClientBuilder> {
        let builder = ClusterClientBuilder::new(self.infos()?).tcp_settings(tcp_settings());
        Ok(match self.certificates()? {
            Some(certificates) => builder.certs(certificates),
            None => builder,
        })
    }

    fn infos(&self) -> RedisResult<Vec<ConnectionInfo>> {
        self.urls
            .iter()
            .map(|url| {
                let info = url.as_str().into_connection_info()?;
                Ok(info.set_tcp_settings(tcp_settings()))
            })
            .collect()
    }

    fn certificates(&self) -> RedisResult<Option<TlsCertificates>> {
        let Some(authority) = &self.authority else {
            return Ok(None);
        };
        // The library would believe nobody, and say so at each call alone.
        if !authority.contains("-----BEGIN CERTIFICATE-----") {
            let problem = "the authority holds no certificate";
            return Err((ErrorKind::InvalidClientConfig, problem).into());
        }
        Ok(Some(TlsCertificates {
            client_tls: None,
            root_cert: Some(authority.clone().into_bytes()),
        }))
    }
}

fn tcp_settings() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(UNACKNOWLEDGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_never_shown() {
        let bad = Nodes::from(vec!["http://host".to_owned()]);
        assert!(bad.clients().is_err());
        let nodes = Nodes::from(vec!["rediss://:hidden@host".to_owned()]);
        assert_eq!(nodes.clients().unwrap().len(), 1);
        assert!(!format!("{nodes:?}").contains("hidden"));
        let nodes = nodes.with_authority(Some("no certificate".to_owned()));
        assert!(
            nodes.clients().is_err(),
            "an authority without a certificate"
        );
    }
}
