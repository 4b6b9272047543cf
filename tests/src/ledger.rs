//! What clients know of the changes they asked for.

use std::collections::BTreeSet;

use crate::answer::{Answer, NoAnswer};

/// What a client knows of one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Acknowledged,
    /// It is certainly not done, now or later.
    NotApplied,
    /// It may be done now, later, or never.
    Unknown,
}

impl Told {
    /// What an answer to a change tells.
    ///
    /// # Panics
    /// When the answer is none that a change without mistakes may get.
    pub fn by(answer: &Result<Answer, NoAnswer>) -> Self {
        match answer {
            Ok(answer) if answer.is_success() => Self::Acknowledged,
            Ok(answer) if answer.status == 503 => Self::NotApplied,
            Ok(answer) if answer.status == 504 => Self::Unknown,
            Ok(answer) => panic!("no honest answer: {answer:?}"),
            Err(NoAnswer::NotAsked(_)) => Self::NotApplied,
            Err(NoAnswer::Unknown(_)) => Self::Unknown,
        }
    }
}

/// Changes, each with a name of its own, by what their clients were told.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Those that are done.
    pub acknowledged: BTreeSet<String>,
    /// Those that are certainly not.
    pub not_applied: BTreeSet<String>,
    /// Those of which nothing is known.
    pub unknown: BTreeSet<String>,
}

impl Ledger {
    /// Writes down what the client of a change was told.
    pub fn note(&mut self, name: impl Into<String>, told: Told) {
        let column = match told {
            Told::Acknowledged => &mut self.acknowledged,
            Told::NotApplied => &mut self.not_applied,
            Told::Unknown => &mut self.unknown,
        };
        assert!(column.insert(name.into()), "each change has a name of its own");
    }

    /// Compares with what is there.
    ///
    /// # Panics
    /// When something acknowledged is lost, or something is there that was not applied or never asked for.
    pub fn check(&self, what: &str, found: &BTreeSet<String>) {
        let lost: Vec<_> = self.acknowledged.difference(found).collect();
        assert!(lost.is_empty(), "{what}: acknowledged and lost: {lost:?}");
        let phantoms: Vec<_> =
            found.iter().filter(|name| !self.acknowledged.contains(*name) && !self.unknown.contains(*name)).collect();
        assert!(phantoms.is_empty(), "{what}: there, but not applied or never asked for: {phantoms:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.note("done", Told::Acknowledged);
        ledger.note("refused", Told::NotApplied);
        ledger.note("who knows", Told::Unknown);
        ledger
    }

    fn check(found: &[&str]) {
        ledger().check("things", &found.iter().map(|name| (*name).to_owned()).collect());
    }

    #[test]
    fn an_unknown_change_may_be_there_or_not() {
        check(&["done"]);
        check(&["done", "who knows"]);
    }

    #[test]
    #[should_panic(expected = "acknowledged and lost: [\"done\"]")]
    fn a_lost_change_is_seen() {
        check(&["who knows"]);
    }

    #[test]
    #[should_panic(expected = "not applied or never asked for: [\"refused\"]")]
    fn a_change_that_was_said_not_to_be_applied_is_seen() {
        check(&["done", "refused"]);
    }
}
