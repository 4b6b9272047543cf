//! Who may ask this node for what.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_control::NodeId;
use tonic::{Request, Status};

use super::address::Address;
use super::incoming::Caller;
use crate::config::ClusterId;
use crate::counters::Counters;
use crate::standing::{Acquaintance, Standing};
use crate::types::StoreId;

/// Lets members in, each with the disk with which it is a member; before the cluster has members, those it is to
/// be bootstrapped with.
pub(crate) struct Access {
    pub(crate) cluster: ClusterId,
    pub(crate) me: (NodeId, StoreId),
    pub(crate) configured: BTreeSet<NodeId>,
    pub(crate) standing: Standing,
    pub(crate) counters: Arc<Counters>,
}

impl Access {
    /// The caller of a request, if it may ask for anything.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, counted, for whoever may not, and for what was meant for someone else.
    pub(super) fn member<T>(&self, request: &Request<T>) -> Result<NodeId, Status> {
        self.check(request, |address| {
            if address.to_store != Some(self.me.1) {
                return Err("this is not the disk the request is for");
            }
            match self.standing.lookup(address.from) {
                Acquaintance::Member(member) if member.store == address.from_store => Ok(()),
                // A wiped node: what it voted for and what it acknowledged is lost, so it may not go on.
                Acquaintance::Member(_) => Err("the caller is a member with another disk"),
                Acquaintance::NoMembers if self.configured.contains(&address.from) => Ok(()),
                Acquaintance::NoMembers | Acquaintance::Stranger => Err("the caller is not a member"),
            }
        })
    }

    /// The caller of a request for what a node may know that is not a member yet, or no more.
    ///
    /// # Errors
    /// As for [`Access::member`].
    pub(super) fn acquaintance<T>(&self, request: &Request<T>) -> Result<NodeId, Status> {
        self.check(request, |address| {
            let is_member = self.standing.member(address.from).is_some();
            let is_known = is_member || self.configured.contains(&address.from);
            if is_known { Ok(()) } else { Err("the caller is unknown") }
        })
    }

    fn check<T>(
        &self,
        request: &Request<T>,
        rule: impl FnOnce(&Address) -> Result<(), &'static str>,
    ) -> Result<NodeId, Status> {
        let checked = || {
            let Caller(caller) = request.extensions().get::<Caller>().ok_or("the connection has no certificate")?;
            let address = Address::read(request.metadata()).ok_or("the request has no address")?;
            if address.cluster != self.cluster.as_str() {
                return Err("the request is for another cluster");
            }
            if address.from != *caller {
                return Err("the request is not from the holder of the certificate");
            }
            if address.to != self.me.0 {
                return Err("the request is for another node");
            }
            rule(&address)?;
            Ok(*caller)
        };
        checked().map_err(|reason| {
            self.counters.strangers_refused.increment();
            tracing::warn!(caller = ?request.extensions().get::<Caller>(), reason, "a request of a peer is refused");
            Status::permission_denied(reason)
        })
    }
}
