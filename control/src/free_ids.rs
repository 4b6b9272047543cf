//! Agent ids that an import keeps for itself: below the highest id given, and never given themselves.

use imbl::OrdMap;

use crate::ids::AgentId;

/// Ranges of ids by their first one, with their last one. No two of them meet.
///
/// One range for each gap between the ids of an import, so only an import makes it grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct FreeIds(OrdMap<AgentId, AgentId>);

impl FreeIds {
    pub(crate) fn contains(&self, id: AgentId) -> bool {
        self.range_of(id).is_some()
    }

    /// Adds a range that meets no other.
    pub(crate) fn add(&mut self, first: AgentId, last: AgentId) {
        self.0.insert(first, last);
    }

    /// Takes one id out.
    pub(crate) fn take(&mut self, id: AgentId) {
        let Some((first, last)) = self.range_of(id) else { return };
        self.0.remove(&first);
        if first < id {
            self.0.insert(first, AgentId::new(id.get() - 1));
        }
        if let Some(next) = id.next().filter(|next| *next <= last) {
            self.0.insert(next, last);
        }
    }

    /// The ranges in order: first and last id of each.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (AgentId, AgentId)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    fn range_of(&self, id: AgentId) -> Option<(AgentId, AgentId)> {
        self.0.get_prev(&id).map(|(first, last)| (*first, *last)).filter(|(_, last)| id <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(free: &FreeIds) -> Vec<(u32, u32)> {
        free.ranges().map(|(first, last)| (first.get(), last.get())).collect()
    }

    #[test]
    fn taken_ids_split_their_range() {
        let mut free = FreeIds::default();
        free.add(AgentId::new(3), AgentId::new(9));
        for (id, left) in [
            (2, vec![(3, 9)]),
            (3, vec![(4, 9)]),
            (6, vec![(4, 5), (7, 9)]),
            (9, vec![(4, 5), (7, 8)]),
            (6, vec![(4, 5), (7, 8)]),
            (4, vec![(5, 5), (7, 8)]),
            (5, vec![(7, 8)]),
        ] {
            free.take(AgentId::new(id));
            assert_eq!(ranges(&free), left, "after {id}");
        }
        let contained: Vec<u32> = (0..12).filter(|id| free.contains(AgentId::new(*id))).collect();
        assert_eq!(contained, [7, 8]);
    }

    #[test]
    fn the_last_of_all_ids_can_be_taken() {
        let mut free = FreeIds::default();
        free.add(AgentId::new(u32::MAX), AgentId::new(u32::MAX));
        free.take(AgentId::new(u32::MAX));
        assert_eq!(ranges(&free), []);
    }
}
