//! A certificate in Google's name, of an authority that only those trust who are told to.

use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, version};

/// Returns what speaks TLS as `*.googleapis.com`, and the authority's certificate (PEM).
pub(crate) fn acceptor() -> Result<(TlsAcceptor, String)> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Drive emulator");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let names = ["*.googleapis.com", "googleapis.com", "accounts.google.com"];
    let mut leaf = CertificateParams::new(names.map(String::from).to_vec())?;
    leaf.distinguished_name.push(DnType::CommonName, "*.googleapis.com");
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .context("cannot use TLS 1.3")?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .context("cannot use the certificate")?;
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}
