//! Who vouches for the nodes of one cluster, and for nothing else.

use std::path::Path;

use muster_control::NodeId;
use muster_raft::ClusterId;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

use super::pair::params;
use super::{CertError, Pair};

/// Name of the authority's files.
const NAME: &str = "ca";

/// The authority of one cluster.
pub struct Authority {
    cluster: ClusterId,
    issuer: Issuer<'static, KeyPair>,
    pair: Pair,
}

impl Authority {
    /// A new one, with a key of its own.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn create(cluster: ClusterId) -> Result<Self, CertError> {
        let key = KeyPair::generate()?;
        let params = authority_params(&cluster)?;
        let pair = Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() };
        Ok(Self { cluster, issuer: Issuer::new(params, key), pair })
    }

    /// The one whose `ca.pem` and `ca.key` are in `directory`; made and saved there if there is none.
    ///
    /// # Errors
    /// When it can neither be read nor made.
    pub fn keep(directory: &Path, cluster: ClusterId) -> Result<Self, CertError> {
        match Pair::load(directory, NAME)? {
            Some(pair) => {
                let key = KeyPair::from_pem(&pair.key)?;
                // Only its name and its key get into what it signs, so the certificate need not be taken apart.
                let issuer = Issuer::new(authority_params(&cluster)?, key);
                Ok(Self { cluster, issuer, pair })
            }
            None => {
                let authority = Self::create(cluster)?;
                authority.pair.save(directory, NAME)?;
                Ok(authority)
            }
        }
    }

    /// Its certificate in PEM, which all nodes trust.
    pub fn certificate(&self) -> &str {
        &self.pair.certificate
    }

    /// A certificate for a node that its peers reach at `hosts`, good as a server and as a client.
    ///
    /// # Errors
    /// When a host is neither a name nor an address.
    pub fn issue(&self, node: NodeId, hosts: &[String]) -> Result<Pair, CertError> {
        let key = KeyPair::generate()?;
        let identity = format!("raft://{}/{node}", self.cluster);
        let mut params = params(hosts, &format!("muster {} node {node}", self.cluster))?;
        params.subject_alt_names.push(SanType::URI(identity.try_into()?));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Ok(Pair { certificate: params.signed_by(&key, &self.issuer)?.pem(), key: key.serialize_pem() })
    }
}

fn authority_params(cluster: &ClusterId) -> Result<rcgen::CertificateParams, CertError> {
    let mut params = params(&[], &format!("muster {cluster}"))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}
