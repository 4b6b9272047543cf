//! Texts that many agents have in common, kept once: of a million agents most tell the same few systems.

use imbl::OrdSet;

use crate::agent::Agent;
use crate::report::{OperatingSystem, Report};
use crate::shared::Shared;
use crate::text::{GroupName, Label, RegisteredAddress};

/// Beyond so many different texts the pool starts anew: it saves memory, nothing depends on it.
const LIMIT: usize = 100_000;

/// The texts, and the lists of groups, that were seen so far. Not part of the state: copies are as good.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    labels: OrdSet<Label>,
    systems: OrdSet<Shared<OperatingSystem>>,
    groups: OrdSet<Shared<Vec<GroupName>>>,
    addresses: OrdSet<RegisteredAddress>,
}

impl Pool {
    /// Lets an agent that is about to be stored share what others have too.
    pub(crate) fn share(&mut self, agent: &mut Agent, before: Option<&Agent>) {
        if before.is_none() && agent.address.is_any() {
            share(&mut self.addresses, &mut agent.address);
        }
        if !before.is_some_and(|before| Shared::is_same(&before.groups, &agent.groups)) {
            share(&mut self.groups, &mut agent.groups);
        }
        if !before.is_some_and(|before| Shared::is_same(&before.report, &agent.report)) {
            self.share_report(agent.report.make_mut());
        }
    }

    /// All but what tells one host from another.
    fn share_report(&mut self, report: &mut Report) {
        share(&mut self.systems, &mut report.os);
        for label in [&mut report.version, &mut report.config_sum, &mut report.merged_sum, &mut report.labels] {
            label.iter_mut().for_each(|label| share(&mut self.labels, label));
        }
    }
}

fn share<T: Clone + Ord>(pool: &mut OrdSet<T>, value: &mut T) {
    match pool.get(value) {
        Some(known) => value.clone_from(known),
        None => {
            if pool.len() >= LIMIT {
                pool.clear();
            }
            pool.insert(value.clone());
        }
    }
}
