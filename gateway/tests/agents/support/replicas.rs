//! Replicas on loopback.

use std::net::{SocketAddr, TcpListener};

use muster_control::NodeId;
use muster_raft::{ClusterId, MemberConfig, PeerTls, Replica, ReplicaConfig, Tuning};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;

use super::until;

/// A cluster of nodes 1 to N; a stopped node is `None`.
pub(crate) struct Replicas {
    configs: Vec<ReplicaConfig>,
    running: Vec<Option<Replica>>,
    _disk: TempDir,
}

impl Replicas {
    pub(crate) async fn start(size: u64) -> Self {
        let disk = tempfile::tempdir().unwrap();
        let cluster_id: ClusterId = "test".parse().unwrap();
        let members: Vec<_> = (1..=size)
            .map(|id| MemberConfig { node_id: NodeId::new(id), address: free_address().to_string() })
            .collect();
        let tls = certificates(&cluster_id, size);
        let configs: Vec<_> = members
            .iter()
            .zip(tls)
            .map(|(member, tls)| ReplicaConfig {
                cluster_id: cluster_id.clone(),
                node_id: member.node_id,
                data_dir: disk.path().join(member.node_id.to_string()),
                listen: member.address.parse().unwrap(),
                members: members.clone(),
                tls,
                tuning: Tuning { disk_reserve_bytes: 0, ..Tuning::default() },
            })
            .collect();
        let mut running = Vec::new();
        for config in &configs {
            running.push(Some(Replica::start(config.clone()).await.unwrap()));
        }
        let replicas = Self { configs, running, _disk: disk };
        until("there is a leader", || async { replicas.running().all(|node| node.status().is_ready()).then_some(()) })
            .await;
        replicas
    }

    /// The node with this number, counted from 1.
    pub(crate) fn node(&self, number: usize) -> &Replica {
        self.running[number - 1].as_ref().unwrap()
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Replica> {
        self.running.iter().flatten()
    }

    pub(crate) async fn stop(&mut self, number: usize) {
        self.running[number - 1].take().unwrap().stop().await;
    }

    pub(crate) async fn restart(&mut self, number: usize) {
        let config = self.configs[number - 1].clone();
        self.running[number - 1] = Some(Replica::start(config).await.unwrap());
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn certificates(cluster: &ClusterId, size: u64) -> Vec<PeerTls> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "peers");
    let ca_pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let one = |node: u64| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(format!("raft://{cluster}/{node}").try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &issuer).unwrap();
        PeerTls { ca_pem: ca_pem.clone(), certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    };
    (1..=size).map(one).collect()
}
