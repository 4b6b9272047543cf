//! The parts of a running node, in the order in which they start.

use std::time::Duration;

use muster_control::NodeId;
use muster_gateway::Gateway;
use muster_http::{Api, TlsIdentity};
use muster_raft::{PeerTls, Replica, ReplicaConfig};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::founding;
use super::lease::Lease;
use super::{ports, tls};
use crate::config::{Config, NodeConfig};
use crate::failure::{Exit, Failure};
use crate::private::create_dir;

/// How long the ports for agents and clients stay closed while the cluster has no leader. After that they open all
/// the same: agents of a known key are acked from memory, and clients are told 503 and not left guessing.
const WAIT_FOR_CLUSTER: Duration = Duration::from_secs(10);

/// Of the grace period, this share is kept for what comes after agents and clients: lease, log, disk.
const KEPT_FOR_THE_LOG: u32 = 3;

/// A node that serves.
pub(super) struct Node {
    replica: Replica,
    lease: Lease,
    gateway: Gateway,
    api: Api,
    stop_within: Duration,
}

impl Node {
    /// Starts replication, founds the cluster if it is new, takes a lease, then serves agents, then clients.
    ///
    /// # Errors
    /// When a part cannot start; those that did are stopped again.
    pub(super) async fn start(config: &Config, stop: &CancellationToken) -> Result<Self, Failure> {
        ports::check(config)?;
        create_dir(&config.node.data_dir).map_err(|error| disk(&config.node, error))?;
        let enrollment_tls = tls::enrollment(&tls::pair("enrollment", &config.enrollment_tls, &config.node)?)?;
        let api_tls = tls::pair("api", &config.api_tls, &config.node)?;
        let api_tls = TlsIdentity { certificate_pem: api_tls.certificate, key_pem: api_tls.key };
        let replica = Replica::start(replica_config(config)?).await?;
        let mut lease = Lease::start(replica.clone(), &config.node);
        let opened = async {
            wait_for_cluster(config, &replica, &mut lease, stop).await?;
            let mut registry = Registry::default();
            let mut agents = config.gateway.clone();
            agents.host_name = host_name().unwrap_or(agents.host_name);
            let gateway = Gateway::start(agents, replica.clone(), &mut registry, enrollment_tls).await?;
            match Api::start(config.api.clone(), replica.clone(), &api_tls, registry).await {
                Ok(api) => Ok((gateway, api)),
                Err(error) => {
                    gateway.stop(config.node.stop_within).await;
                    Err(error.into())
                }
            }
        };
        match opened.await {
            Ok((gateway, api)) => {
                tracing::info!(node_id = %config.node.id, "serving");
                Ok(Self { replica, lease, gateway, api, stop_within: config.node.stop_within })
            }
            Err(failure) => {
                close(replica, lease, Instant::now() + config.node.stop_within).await;
                Err(failure)
            }
        }
    }

    /// Serves until `stop`, or until the node has failed for good, which is returned.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Option<Failure> {
        tokio::select! {
            () = stop.cancelled() => None,
            fatal = self.replica.failed() => Some(Failure::new(Exit::Disk, fatal)),
            failure = self.lease.lost() => Some(failure),
        }
    }

    /// Stops in the reverse order, within the grace period.
    pub(super) async fn stop(self) {
        let deadline = Instant::now() + self.stop_within;
        let reserve = self.stop_within / KEPT_FOR_THE_LOG;
        let ahead = |share: Duration| (deadline - reserve).saturating_duration_since(Instant::now()).min(share);
        self.api.stop(ahead(reserve)).await;
        self.gateway.stop(ahead(self.stop_within)).await;
        close(self.replica, self.lease, deadline).await;
    }
}

/// Ends what needs the cluster, then the node's part in it.
async fn close(replica: Replica, lease: Lease, deadline: Instant) {
    let half = deadline.saturating_duration_since(Instant::now()) / 2;
    lease.release(Instant::now() + half).await;
    if timeout_at(deadline, replica.stop()).await.is_err() {
        tracing::warn!("replication did not stop within the grace period");
    }
}

/// Returns when the cluster is founded and this node holds a lease, or when that has taken too long or is not wanted
/// any more; founding goes on in the background then.
async fn wait_for_cluster(
    config: &Config,
    replica: &Replica,
    lease: &mut Lease,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let founding = tokio::spawn({
        let (replica, users, data_dir) = (replica.clone(), config.users.clone(), config.node.data_dir.clone());
        let stop = stop.clone();
        async move {
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                founded = founding::found(&replica, &users, &data_dir) => {
                    if let Err(failure) = &founded {
                        tracing::error!(%failure, "the cluster is not founded by this node");
                    }
                    founded
                }
            }
        }
    });
    let ready = async {
        founding.await.map_err(|error| Failure::new(Exit::Software, error))??;
        let held = lease.held();
        tokio::select! {
            () = held => Ok(()),
            failure = lease.lost() => Err(failure),
        }
    };
    tokio::select! {
        ready = ready => ready,
        fatal = replica.failed() => Err(Failure::new(Exit::Disk, fatal)),
        () = stop.cancelled() => Ok(()),
        () = tokio::time::sleep(WAIT_FOR_CLUSTER) => {
            tracing::warn!("no cluster yet: serving without it");
            Ok(())
        }
    }
}

fn replica_config(config: &Config) -> Result<ReplicaConfig, Failure> {
    let peers = &config.peers;
    Ok(ReplicaConfig {
        cluster_id: config.cluster_id.clone(),
        node_id: config.node.id,
        data_dir: config.node.data_dir.join("raft"),
        listen: peers.listen,
        members: peers.members.clone(),
        tls: PeerTls {
            ca_pem: tls::read("peers.ca", &peers.ca)?,
            certificate_pem: tls::read("peers.certificate", &peers.tls.certificate)?,
            key_pem: tls::read("peers.key", &peers.tls.key)?,
        },
        tuning: peers.tuning.clone(),
    })
}

/// The name of this machine.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn disk(node: &NodeConfig, error: std::io::Error) -> Failure {
    let node_id: NodeId = node.id;
    let context = format!("cannot create the data directory {} of node {node_id}", node.data_dir.display());
    Failure::new(Exit::Disk, anyhow::Error::new(error).context(context))
}
