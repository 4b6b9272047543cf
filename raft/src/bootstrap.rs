//! The first start of a cluster, and the refusal of a disk that lost its past.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use muster_control::NodeId;
use tokio::time::timeout;

use crate::config::MemberConfig;
use crate::error::StartError;
use crate::fatal::FatalSignal;
use crate::peer::Peers;
use crate::proto;
use crate::types::{Peer, Raft, StoreId};

const ANSWER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(200);

/// A node whose disk holds nothing, looking for what to do.
pub(crate) struct Bootstrap {
    pub(crate) peers: Arc<Peers>,
    pub(crate) me: (NodeId, StoreId),
    /// This node included, in order of ids.
    pub(crate) configured: Vec<MemberConfig>,
}

/// What the peers of such a node say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// They know this node with another disk.
    Wiped,
    /// They are a cluster without this node.
    Excluded,
    /// They know this node and will send it what it lacks.
    Awaited,
    /// All are as empty as this one, and want to be a cluster of the same nodes.
    Pristine(BTreeMap<u64, Peer>),
    /// Not all have answered, or they do not agree yet.
    Undecided,
}

impl Bootstrap {
    /// Asks all peers once.
    pub(crate) async fn look(&self) -> Found {
        let others = self.configured.iter().filter(|member| member.node_id != self.me.0);
        let questions = others.map(|member| async move {
            let mut client = self.peers.stranger(member.node_id, &member.address).control.clone();
            let answer = timeout(ANSWER, client.hello(proto::HelloRequest {})).await.ok()?.ok()?.into_inner();
            Some((member, answer))
        });
        let answers: Vec<_> = join_all(questions).await;
        conclude(self.me, &self.configured, &answers)
    }

    /// Goes on until this node is part of a cluster: the one with the lowest id makes it, the others wait for it.
    pub(crate) async fn run(self, raft: Raft, fatal: FatalSignal) {
        let is_first = self.configured.first().is_some_and(|first| first.node_id == self.me.0);
        loop {
            match raft.is_initialized().await {
                Ok(false) => {}
                Ok(true) | Err(_) => return,
            }
            match self.look().await {
                Found::Wiped => {
                    fatal.raise(StartError::WipedDisk { node_id: self.me.0 });
                    return;
                }
                Found::Excluded => {
                    fatal.raise(StartError::NotAMember { node_id: self.me.0 });
                    return;
                }
                Found::Pristine(members) if is_first => {
                    tracing::info!(?members, "the cluster begins");
                    if let Err(error) = raft.initialize(members).await {
                        tracing::warn!(%error, "the cluster did not begin"); // the next round knows more
                    }
                }
                found => tracing::debug!(?found, "waiting for the cluster to begin"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What follows from the answers of the other nodes; `None` for one that did not answer.
fn conclude(
    (me, my_store): (NodeId, StoreId),
    configured: &[MemberConfig],
    answers: &[Option<(&MemberConfig, proto::HelloResponse)>],
) -> Found {
    let known_as: Vec<_> =
        answers.iter().flatten().map(|(_, answer)| StoreId::from_slice(&answer.your_store)).collect();
    if known_as.iter().flatten().any(|store| *store != my_store) {
        return Found::Wiped;
    }
    if known_as.iter().flatten().next().is_some() {
        return Found::Awaited;
    }
    if answers.iter().flatten().any(|(_, answer)| answer.knows_members) {
        return Found::Excluded;
    }
    let mine: Vec<u64> = configured.iter().map(|member| member.node_id.get()).collect();
    let mut members = BTreeMap::new();
    for answer in answers {
        let Some((member, answer)) = answer else { return Found::Undecided };
        if answer.configured != mine {
            tracing::warn!(peer = %member.node_id, theirs = ?answer.configured, ?mine, "members are configured differently");
            return Found::Undecided;
        }
        let Some(store) = StoreId::from_slice(&answer.store) else { return Found::Undecided };
        if answer.initialized {
            return Found::Undecided;
        }
        members.insert(member.node_id.get(), Peer { address: member.address.clone(), store });
    }
    let itself = configured.iter().filter(|member| member.node_id == me);
    members.extend(itself.map(|me| (me.node_id.get(), Peer { address: me.address.clone(), store: my_store })));
    Found::Pristine(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> Vec<MemberConfig> {
        let member = |node: u64| MemberConfig { node_id: NodeId::new(node), address: format!("host{node}:1") };
        [1, 2, 3].map(member).to_vec()
    }

    fn store(byte: u8) -> StoreId {
        StoreId::from_slice(&[byte; 16]).expect("16 bytes")
    }

    fn pristine(byte: u8) -> proto::HelloResponse {
        proto::HelloResponse {
            store: vec![byte; 16].into(),
            initialized: false,
            configured: vec![1, 2, 3],
            knows_members: false,
            your_store: Vec::new().into(),
        }
    }

    /// What node 1, whose disk is 1, makes of the answers of nodes 2 and 3.
    fn found(two: Option<proto::HelloResponse>, three: Option<proto::HelloResponse>) -> Found {
        let configured = configured();
        let answers = [two.map(|two| (&configured[1], two)), three.map(|three| (&configured[2], three))];
        conclude((NodeId::new(1), store(1)), &configured, &answers)
    }

    #[test]
    fn a_cluster_begins_only_when_all_are_there_and_empty_and_agree() {
        let peer =
            |node: u64| Peer { address: format!("host{node}:1"), store: store(u8::try_from(node).expect("small")) };
        let all = [1, 2, 3].map(|node| (node, peer(node))).into();
        assert_eq!(found(Some(pristine(2)), Some(pristine(3))), Found::Pristine(all));
        assert_eq!(found(Some(pristine(2)), None), Found::Undecided);
        let voted = proto::HelloResponse { initialized: true, ..pristine(3) };
        assert_eq!(found(Some(pristine(2)), Some(voted)), Found::Undecided);
        let fewer = proto::HelloResponse { configured: vec![2, 3], ..pristine(3) };
        assert_eq!(found(Some(pristine(2)), Some(fewer)), Found::Undecided);
    }

    #[test]
    fn one_peer_that_knows_another_disk_is_enough_to_be_refused() {
        let knows = |byte| proto::HelloResponse {
            initialized: true,
            knows_members: true,
            your_store: vec![byte; 16].into(),
            ..pristine(3)
        };
        assert_eq!(found(None, Some(knows(9))), Found::Wiped);
        assert_eq!(found(Some(knows(1)), Some(knows(9))), Found::Wiped);
        assert_eq!(found(None, Some(knows(1))), Found::Awaited);
        let knows_others = proto::HelloResponse { knows_members: true, ..pristine(3) };
        assert_eq!(found(None, Some(knows_others)), Found::Excluded);
    }
}
