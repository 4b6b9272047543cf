//! Certificates of the two ports that agents and clients see, ready for use.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::certs::{self, Pair};
use crate::config::{NodeConfig, TlsFiles};
use crate::failure::{Exit, Failure};

/// The operator's certificate, or one of our own that is kept in `tls/` of the data directory.
///
/// # Errors
/// When the files cannot be read or made.
pub(super) fn pair(name: &str, files: &Option<TlsFiles>, node: &NodeConfig) -> Result<Pair, Failure> {
    match files {
        Some(files) => Ok(Pair {
            certificate: read(&format!("{name}.certificate"), &files.certificate)?,
            key: read(&format!("{name}.key"), &files.key)?,
        }),
        None => certs::keep_self_signed(&node.data_dir.join("tls"), name, &hosts(node))
            .map_err(|error| Failure::new(Exit::Disk, error)),
    }
}

/// What rustls needs to serve enrollment with it.
///
/// # Errors
/// When certificate and key cannot be read or do not fit.
pub(super) fn enrollment(pair: &Pair) -> Result<Arc<ServerConfig>, Failure> {
    usable(pair)
        .map(Arc::new)
        .map_err(|error| Failure::new(Exit::Usage, error.context("the certificate of enrollment cannot be used")))
}

/// Reads a file that the configuration names.
///
/// # Errors
/// When that is not possible; the message names key and file.
pub(super) fn read(key: &str, path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::message(Exit::Usage, format!("{key} = {}: cannot be read: {error}", path.display())))
}

fn hosts(node: &NodeConfig) -> Vec<String> {
    let mut hosts = vec![node.address.clone(), node.name.to_string(), "localhost".into(), "127.0.0.1".into()];
    let mut seen = std::collections::BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

fn usable(pair: &Pair) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    // An agent enrolls once, on one connection: there is nothing to resume later.
    config.send_tls13_tickets = 0;
    Ok(config)
}
