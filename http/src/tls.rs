//! The certificate that clients see.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Certificate chain and private key, both in PEM.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate of the server, then those that signed it.
    pub certificate_pem: String,
    /// The key of the first certificate.
    pub key_pem: String,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity { .. }")
    }
}

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate could be made.
    #[error("no certificate could be made")]
    Generate(#[source] rcgen::Error),
    /// The PEM of the certificate or of the key cannot be read.
    #[error("the certificate or its key is not valid PEM")]
    Pem(#[source] tokio_rustls::rustls::pki_types::pem::Error),
    /// There is no certificate in the PEM.
    #[error("the PEM contains no certificate")]
    Empty,
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("the certificate cannot be used with its key")]
    Unusable(#[source] tokio_rustls::rustls::Error),
}

impl TlsIdentity {
    /// Makes a self-signed certificate for these names and addresses.
    ///
    /// # Errors
    /// When a name is not valid in a certificate, or the system gives no randomness.
    pub fn self_signed(names: Vec<String>) -> Result<Self, TlsError> {
        let key = KeyPair::generate().map_err(TlsError::Generate)?;
        let params = CertificateParams::new(names).map_err(TlsError::Generate)?;
        let certificate = params.self_signed(&key).map_err(TlsError::Generate)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// What rustls needs to serve clients with it: TLS 1.2 and 1.3, HTTP/1.1.
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes()).collect();
        let chain = chain.map_err(TlsError::Pem)?;
        if chain.is_empty() {
            return Err(TlsError::Empty);
        }
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(TlsError::Pem)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_certificate_is_usable() {
        let identity = TlsIdentity::self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        assert!(identity.server_config().is_ok());
    }

    #[test]
    fn an_unusable_certificate_is_told_before_anything_listens() {
        let (one, other) = (TlsIdentity::self_signed(vec![]).unwrap(), TlsIdentity::self_signed(vec![]).unwrap());
        let mixed = TlsIdentity { certificate_pem: one.certificate_pem.clone(), key_pem: other.key_pem };
        assert!(matches!(mixed.server_config(), Err(TlsError::Unusable(_))));
        let empty = TlsIdentity { certificate_pem: String::new(), key_pem: one.key_pem };
        assert!(matches!(empty.server_config(), Err(TlsError::Empty)));
    }
}
