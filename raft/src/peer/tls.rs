//! Mutual TLS 1.3 between peers.

use std::sync::Arc;

use muster_control::NodeId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use super::certificate::node_in;
use crate::config::{ClusterId, PeerTls};
use crate::error::StartError;

const ALPN: &[u8] = b"h2";

fn unusable(what: &str, error: impl std::fmt::Display) -> StartError {
    StartError::Tls(format!("{what}: {error}"))
}

/// What both ends need: whom to trust, and who this node is.
struct Material {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Material {
    fn read(tls: &PeerTls) -> Result<Self, StartError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(tls.ca_pem.as_bytes()) {
            let certificate = certificate.map_err(|error| unusable("authority", error))?;
            roots.add(certificate).map_err(|error| unusable("authority", error))?;
        }
        if roots.is_empty() {
            return Err(unusable("authority", "no certificate in it"));
        }
        let chain = CertificateDer::pem_slice_iter(tls.certificate_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable("certificate", error))?;
        let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes()).map_err(|error| unusable("key", error))?;
        Ok(Self { provider: Arc::new(ring::default_provider()), roots: Arc::new(roots), chain, key })
    }
}

/// TLS for accepting peers.
#[derive(Clone)]
pub(crate) struct ServerTls(pub(super) Arc<ServerConfig>);

impl ServerTls {
    /// # Errors
    /// When the certificate does not say that this node is `node`, or does not fit the key or the authority.
    pub(crate) fn new(tls: &PeerTls, cluster: &ClusterId, node: NodeId) -> Result<Self, StartError> {
        let Material { provider, roots, chain, key } = Material::read(tls)?;
        let named = chain.first().and_then(|certificate| node_in(certificate, cluster));
        if named != Some(node) {
            let expected = super::certificate::uri_of(cluster, node);
            return Err(unusable("certificate", format_args!("it does not name this node as {expected}")));
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| unusable("authority", error))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unusable("TLS 1.3", error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| unusable("certificate", error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// TLS for reaching peers.
#[derive(Clone)]
pub(crate) struct ClientTls {
    tls: PeerTls,
    cluster: ClusterId,
}

impl ClientTls {
    /// # Errors
    /// When certificates or key cannot be used.
    pub(crate) fn new(tls: &PeerTls, cluster: &ClusterId) -> Result<Self, StartError> {
        let this = Self { tls: tls.clone(), cluster: cluster.clone() };
        this.towards(NodeId::new(0))?;
        Ok(this)
    }

    /// TLS that takes nobody but `node` for the other end.
    ///
    /// # Errors
    /// When certificates or key cannot be used, which [`ClientTls::new`] has told before.
    pub(crate) fn towards(&self, node: NodeId) -> Result<Arc<ClientConfig>, StartError> {
        let Material { provider, roots, chain, key } = Material::read(&self.tls)?;
        let verifier =
            Arc::new(PeerVerifier { provider: Arc::clone(&provider), roots, cluster: self.cluster.clone(), node });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unusable("TLS 1.3", error))?
            .dangerous() // the verifier checks the chain like rustls does, and the node instead of a host name
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(chain, key)
            .map_err(|error| unusable("certificate", error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }
}

/// Accepts the certificate of one node of one cluster, whatever its address.
#[derive(Debug)]
struct PeerVerifier {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    cluster: ClusterId,
    node: NodeId,
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        if node_in(end_entity, &self.cluster) == Some(self.node) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
