//! Certificates: the authority of a cluster, one certificate per node for its peers, and self-signed ones for the
//! ports that agents and clients use when nobody brought a better one.
//!
//! Peers are known by the SAN URI `raft://<cluster_id>/<node_id>`; whoever has the authority's key can become any of
//! them. Keys are ECDSA P-256, files with a key are readable by their owner only.

mod authority;
mod pair;

use std::path::Path;

pub use authority::Authority;
pub use pair::Pair;

/// Why a certificate was not made or not kept.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// It could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A file could not be read or written.
    #[error("{path}", path = path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Of a certificate and its key only one is there.
    #[error("{present} is there, but {missing} is not", present = present.display(), missing = missing.display())]
    Half {
        /// What was found.
        present: std::path::PathBuf,
        /// What goes with it.
        missing: std::path::PathBuf,
    },
}

/// The pair `<name>.pem` and `<name>.key` in `directory`; made for `hosts` if it is not there yet.
///
/// # Errors
/// When it can neither be read nor made.
pub(crate) fn keep_self_signed(directory: &Path, name: &str, hosts: &[String]) -> Result<Pair, CertError> {
    match Pair::load(directory, name)? {
        Some(pair) => Ok(pair),
        None => {
            let pair = Pair::self_signed(hosts)?;
            pair.save(directory, name)?;
            Ok(pair)
        }
    }
}
