//! A certificate for the Kubernetes API of one run: its CA is in the kubeconfig and nowhere else.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What the server shows, and what clients check it against.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) server: Arc<ServerConfig>,
    /// PEM.
    pub(crate) ca: String,
}

/// Makes a CA and a certificate of the API server for an address.
pub(crate) fn make(address: IpAddr) -> Result<Certificates> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(DnType::CommonName, "muster-dev-ca");
    let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)
        .context("make the CA of the API server")?;
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
    Ok(Certificates {
        server: Arc::new(server),
        ca: issuer.pem(),
    })
}
