//! Outcomes remembered for a while, so that a retry of a change meets its first outcome instead of a second one.

use imbl::{OrdMap, Vector};
use minicbor::{Decode, Encode};

use crate::ids::{ChangeId, LogIndex};
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::stamp::{Millis, Stamp};

/// For how long an outcome is remembered, at least. A proposer gives up retrying long before.
const REMEMBER: Millis = Millis::from_secs(120);

/// So many outcomes are remembered however old they are: a jump of the clock forgets nobody's retry.
const REMEMBER_AT_LEAST: usize = 32_768;

/// The remembered outcomes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    by_id: OrdMap<ChangeId, Shared<Answer>>,
    in_order: Vector<ChangeId>,
}

/// What one change produced.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Answer {
    #[n(0)]
    pub(crate) change_id: ChangeId,
    #[n(1)]
    pub(crate) fingerprint: u32,
    #[n(2)]
    pub(crate) index: LogIndex,
    #[n(3)]
    pub(crate) at: Stamp,
    #[n(4)]
    pub(crate) outcome: Outcome,
}

impl Answers {
    pub(crate) fn get(&self, id: ChangeId) -> Option<&Answer> {
        self.by_id.get(&id).map(|answer| &**answer)
    }

    /// Takes back what a snapshot remembered, in the order it was given.
    pub(crate) fn restore(&mut self, answer: Shared<Answer>) {
        self.in_order.push_back(answer.change_id);
        self.by_id.insert(answer.change_id, answer);
    }

    /// Remembers one more, and forgets what is both old enough and far enough behind.
    pub(crate) fn remember(&mut self, answer: Shared<Answer>) {
        let now = answer.at;
        self.restore(answer);
        while self.in_order.len() > REMEMBER_AT_LEAST {
            let oldest = *self.in_order.front().expect("it has more than the least");
            if self.by_id.get(&oldest).is_some_and(|answer| now.since(answer.at) <= REMEMBER) {
                break;
            }
            self.in_order.pop_front();
            self.by_id.remove(&oldest);
        }
    }

    /// In the order they were given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shared<Answer>> {
        self.in_order.iter().filter_map(|id| self.by_id.get(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(number: u64, at: Stamp) -> Shared<Answer> {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let (change_id, index) = (ChangeId::new(id), LogIndex::new(number));
        Shared::new(Answer { change_id, fingerprint: 0, index, at, outcome: Outcome::Done })
    }

    #[test]
    fn an_old_outcome_is_kept_while_few_came_after_it() {
        let mut answers = Answers::default();
        for number in 0..1000 {
            answers.remember(answer(number, Stamp::from_millis(0)));
        }
        answers.remember(answer(1000, Stamp::from_millis(10_000_000)));
        assert_eq!(answers.iter().count(), 1001);
    }

    #[test]
    fn a_young_outcome_is_kept_however_many_came_after_it() {
        let mut answers = Answers::default();
        let many = 2 * REMEMBER_AT_LEAST as u64;
        for number in 0..many {
            answers.remember(answer(number, Stamp::from_millis(number / 1000)));
        }
        assert_eq!(answers.iter().count(), 2 * REMEMBER_AT_LEAST);
        answers.remember(answer(many, Stamp::from_millis(200_000)));
        assert_eq!(answers.iter().count(), REMEMBER_AT_LEAST);
    }
}
