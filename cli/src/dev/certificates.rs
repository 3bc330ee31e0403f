//! Certificates of the Kubernetes API: an authority that stays, so that a kubeconfig goes on working,
//! and a certificate of the server that it signs at every start.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

/// Who signs the certificate of the API server.
#[derive(Deserialize, Serialize)]
pub(crate) struct Authority {
    /// PEM.
    certificate: String,
    /// PEM.
    key: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new one.
    pub(crate) fn generate() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "muster-dev-ca");
        let key = KeyPair::generate()?;
        let certificate = params
            .self_signed(&key)
            .context("make the CA of the API server")?;
        Ok(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// What clients check the server against, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What the API server at an address shows.
    pub(crate) fn server(&self, address: IpAddr) -> Result<Arc<ServerConfig>> {
        let key = KeyPair::from_pem(&self.key).context("read the key of the CA")?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, key)
            .context("read the CA's certificate")?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.subject_alt_names.push(SanType::IpAddress(address));
        params
            .distinguished_name
            .push(DnType::CommonName, "muster-dev");
        let key = KeyPair::generate()?;
        let certificate = params
            .signed_by(&key, &issuer)
            .context("make the certificate of the API server")?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(server))
    }
}
