//! The shapes of successful answers (REST contract, sections 1.10 and 1.11).

use std::collections::BTreeMap;

use muster_control::{AgentId, RefusedAgent};
use serde::Serialize;
use serde::ser::Serializer;

use crate::code::Code;

/// Form A: items, and what failed item by item.
#[derive(Serialize)]
pub(crate) struct Items<'a, T> {
    data: ItemsData<'a, T>,
    message: &'static str,
    error: u8,
}

#[derive(Serialize)]
struct ItemsData<'a, T> {
    affected_items: T,
    total_affected_items: usize,
    total_failed_items: usize,
    failed_items: &'a Failures,
}

/// Form B: one object.
#[derive(Serialize)]
pub(crate) struct Object<T> {
    data: T,
    error: u8,
}

/// Form C: a confirmation.
#[derive(Serialize)]
pub(crate) struct Confirmation<T> {
    message: T,
    error: u8,
}

/// What an operation says when all, some or none of its items succeeded.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    /// Nothing failed.
    pub(crate) all: &'static str,
    /// Some failed.
    pub(crate) some: &'static str,
    /// Nothing succeeded, or there was nothing.
    pub(crate) none: &'static str,
}

impl<'a, T> Items<'a, T> {
    /// An answer with `items` out of `total`.
    pub(crate) fn new(items: T, total: usize, failures: &'a Failures, words: Words) -> Self {
        let (error, message) = match (total, failures.len()) {
            (0, 0) => (0, words.none),
            (_, 0) => (0, words.all),
            (0, _) => (1, words.none),
            (_, _) => (2, words.some),
        };
        let data = ItemsData {
            affected_items: items,
            total_affected_items: total,
            total_failed_items: failures.len(),
            failed_items: failures,
        };
        Self { data, message, error }
    }
}

impl<T> Object<T> {
    /// An answer with one object.
    pub(crate) const fn new(data: T) -> Self {
        Self { data, error: 0 }
    }
}

impl<T> Confirmation<T> {
    /// An answer that only says that it is done.
    pub(crate) const fn new(message: T) -> Self {
        Self { message, error: 0 }
    }
}

/// What failed, grouped by error. Groups are in order of their codes, ids in numeric order if all are numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    groups: BTreeMap<Code, Vec<String>>,
    count: usize,
}

impl Failures {
    /// Remembers one failed item.
    pub(crate) fn add(&mut self, code: Code, id: impl ToString) {
        self.groups.entry(code).or_default().push(id.to_string());
        self.count += 1;
    }

    /// Remembers the agents that an outcome lists as refused.
    pub(crate) fn add_agents(&mut self, refused: &[RefusedAgent]) {
        for RefusedAgent { agent, refusal } in refused {
            self.add(Code::from(*refusal), agent);
        }
    }

    /// Forgets the failures that an implicit selection hides.
    pub(crate) fn suppress(&mut self, codes: &[Code]) {
        self.groups.retain(|code, _| !codes.contains(code));
        self.count = self.groups.values().map(Vec::len).sum();
    }

    /// How many items failed.
    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

impl Serialize for Failures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Group<'a> {
            error: Error,
            id: Vec<&'a str>,
        }
        #[derive(Serialize)]
        struct Error {
            code: u16,
            message: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            remediation: Option<&'static str>,
        }
        serializer.collect_seq(self.groups.iter().map(|(code, ids)| Group {
            error: Error { code: code.number(), message: code.message(), remediation: code.remediation() },
            id: sorted(ids),
        }))
    }
}

fn sorted(ids: &[String]) -> Vec<&str> {
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    if ids.iter().all(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())) {
        // Without leading zeros, the longer number is the greater one, however long.
        let number = |id: &str| id.trim_start_matches('0').len();
        ids.sort_unstable_by(|a, b| {
            let (left, right) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            number(a).cmp(&number(b)).then_with(|| left.cmp(right)).then_with(|| a.cmp(b))
        });
    } else {
        ids.sort_unstable();
    }
    ids
}

/// A sequence that is made while it is written.
pub(crate) struct Sequence<I>(pub(crate) I);

impl<I> Serialize for Sequence<I>
where
    I: Iterator + Clone,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// Ids of agents, as clients write them.
pub(crate) struct Ids<'a>(pub(crate) &'a [AgentId]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|id| Id(*id)))
    }
}

/// The id of an agent, as clients write it.
#[derive(Clone, Copy)]
pub(crate) struct Id(pub(crate) AgentId);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORDS: Words = Words { all: "all", some: "some", none: "none" };

    fn form_a(total: usize, failures: &Failures) -> serde_json::Value {
        serde_json::to_value(Items::new(Vec::<u8>::new(), total, failures, WORDS)).unwrap()
    }

    #[test]
    fn error_tells_all_some_or_none() {
        let (nothing, mut one) = (Failures::default(), Failures::default());
        one.add(Code::UnknownAgent, "999");
        for (total, failures, error, message) in
            [(0, &nothing, 0, "none"), (3, &nothing, 0, "all"), (3, &one, 2, "some"), (0, &one, 1, "none")]
        {
            let body = form_a(total, failures);
            assert_eq!((&body["error"], &body["message"]), (&error.into(), &message.into()));
        }
    }

    #[test]
    fn failures_are_grouped_by_code_and_ids_sorted_as_numbers() {
        let mut failures = Failures::default();
        for (code, id) in [
            (Code::NotActive, "1000"),
            (Code::UnknownAgent, "99999999999999999999999"),
            (Code::NotActive, "002"),
            (Code::UnknownAgent, "998"),
        ] {
            failures.add(code, id);
        }
        let body = form_a(0, &failures);
        assert_eq!(body["data"]["total_failed_items"], 4);
        assert_eq!(body["data"]["failed_items"][0]["error"]["code"], 1701);
        assert_eq!(body["data"]["failed_items"][0]["id"], serde_json::json!(["998", "99999999999999999999999"]));
        assert_eq!(body["data"]["failed_items"][1]["id"], serde_json::json!(["002", "1000"]));
    }

    #[test]
    fn names_are_sorted_as_text() {
        assert_eq!(sorted(&["b".into(), "10".into(), "9".into()]), ["10", "9", "b"]);
    }

    #[test]
    fn suppressed_failures_are_not_counted() {
        let mut failures = Failures::default();
        failures.add(Code::UnknownAgent, "999");
        failures.add(Code::NotActive, "001");
        failures.suppress(&[Code::UnknownAgent]);
        assert_eq!(failures.len(), 1);
    }

    proptest! {
        #[test]
        fn ids_are_in_numeric_order(ids in prop::collection::vec(any::<u32>(), 0..40)) {
            let texts: Vec<String> = ids.iter().map(|id| AgentId::new(*id).to_string()).collect();
            let numbers: Vec<u32> = sorted(&texts).iter().map(|id| id.parse().unwrap()).collect();
            prop_assert!(numbers.is_sorted());
        }
    }
}
