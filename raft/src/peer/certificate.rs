//! Who a certificate says its holder is.

use muster_control::NodeId;
use x509_parser::extensions::GeneralName;

use crate::config::ClusterId;

/// The node that a certificate names with the SAN URI `raft://<cluster_id>/<node_id>`; `None` if it names none
/// of this cluster, or more than one.
pub(crate) fn node_in(certificate: &[u8], cluster: &ClusterId) -> Option<NodeId> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut nodes = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => node_in_uri(uri, cluster),
        _ => None,
    });
    let node = nodes.next()?;
    nodes.next().is_none().then_some(node)
}

/// The URI by which a node is known.
pub(crate) fn uri_of(cluster: &ClusterId, node: NodeId) -> String {
    format!("raft://{cluster}/{node}")
}

fn node_in_uri(uri: &str, cluster: &ClusterId) -> Option<NodeId> {
    let node = NodeId::new(uri.rsplit_once('/')?.1.parse().ok()?);
    // Compared as a whole: `007`, `+7` and the like are not node 7.
    (uri == uri_of(cluster, node)).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_uri_of_this_cluster_names_a_node() {
        let cluster: ClusterId = "prod".parse().expect("valid");
        assert_eq!(node_in_uri("raft://prod/7", &cluster), Some(NodeId::new(7)));
        for uri in ["raft://other/7", "raft://prod/07", "raft://prod/+7", "http://prod/7", "raft://prod/7/", "7", ""] {
            assert_eq!(node_in_uri(uri, &cluster), None, "{uri}");
        }
    }
}
