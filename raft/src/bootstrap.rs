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
        self.conclude(&answers)
    }

    fn conclude(&self, answers: &[Option<(&MemberConfig, proto::HelloResponse)>]) -> Found {
        let given = || answers.iter().flatten();
        let knows_me = |answer: &proto::HelloResponse| StoreId::from_slice(&answer.your_store);
        if given().any(|(_, answer)| knows_me(answer).is_some_and(|store| store != self.me.1)) {
            return Found::Wiped;
        }
        if given().any(|(_, answer)| knows_me(answer).is_some()) {
            return Found::Awaited;
        }
        if given().any(|(_, answer)| answer.knows_members) {
            return Found::Excluded;
        }
        let mine: Vec<u64> = self.configured.iter().map(|member| member.node_id.get()).collect();
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
        let me = self.configured.iter().filter(|member| member.node_id == self.me.0);
        members.extend(me.map(|me| (me.node_id.get(), Peer { address: me.address.clone(), store: self.me.1 })));
        Found::Pristine(members)
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
