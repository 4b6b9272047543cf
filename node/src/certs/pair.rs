//! A certificate and its private key.

use std::fmt;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::CertError;
use crate::private::{create_dir, write_private};

/// A certificate chain and its private key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The chain, the end entity first.
    pub certificate: String,
    /// The key, PKCS #8.
    pub key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair { .. }")
    }
}

impl Pair {
    /// A server certificate for `hosts` (names or addresses) that nobody but itself vouches for, good for ten years.
    ///
    /// # Errors
    /// When the system gives no randomness, or a host is neither a name nor an address.
    pub fn self_signed(hosts: &[String]) -> Result<Self, CertError> {
        let key = KeyPair::generate()?;
        let mut params = params(hosts, hosts.first().map_or("muster", String::as_str))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok(Self { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    /// Reads `<name>.pem` and `<name>.key`; `None` if neither is there.
    ///
    /// # Errors
    /// When one of them is missing or cannot be read.
    pub fn load(directory: &Path, name: &str) -> Result<Option<Self>, CertError> {
        let certificate = directory.join(format!("{name}.pem"));
        let key = directory.join(format!("{name}.key"));
        match (read(&certificate)?, read(&key)?) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (Some(_), None) => Err(CertError::Half { present: certificate, missing: key }),
            // The key is written first: alone, it is what a crash left behind, and nobody has seen its certificate.
            (None, _) => Ok(None),
        }
    }

    /// Writes `<name>.key`, then `<name>.pem`, both synced.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn save(&self, directory: &Path, name: &str) -> Result<(), CertError> {
        create_dir(directory).map_err(|source| CertError::File { path: directory.to_owned(), source })?;
        for (file, text) in [(format!("{name}.key"), &self.key), (format!("{name}.pem"), &self.certificate)] {
            let path = directory.join(file);
            write_private(&path, text.as_bytes()).map_err(|source| CertError::File { path, source })?;
        }
        Ok(())
    }
}

/// What all certificates have in common.
pub(super) fn params(hosts: &[String], common_name: &str) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1); // clocks of agents and clients may be behind
    params.not_after = now + Duration::days(3650);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn read(path: &Path) -> Result<Option<String>, CertError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertError::File { path: path.to_owned(), source }),
    }
}
