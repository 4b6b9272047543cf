//! Enrollment against a log whose ways can be blocked: what was told to an agent stays true whatever is late.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use muster_control::{Change, ChangeId, ClientKey, Control, Entry, Stamp};
use muster_raft::{NotApplied, ProposeError, Proposed, ReadError, View};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::log::Log;
use super::registrar::{Registrar, Verdict};
use crate::codec::enrollment::Rejection;
use crate::config::GatewayConfig;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens to the next proposal of agents.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Way {
    /// It is applied and answered.
    #[default]
    Open,
    /// It is held up until it is let go, and so is all that comes under the same id; whoever waits is told nothing.
    Blocked,
    /// The same, but what else comes under the same id gets through.
    Lost,
    /// It is applied, but nobody hears of it.
    Deaf,
    /// It certainly comes to nothing.
    Refused,
    /// It is answered when the gate opens.
    Gated,
}

/// The log of a cluster without replicas.
#[derive(Clone)]
struct TestLog(Arc<Mutex<Inner>>, watch::Sender<bool>);

struct Inner {
    control: Control,
    next: Way,
    blocked: BTreeSet<ChangeId>,
    held: Vec<(ChangeId, Change)>,
    /// Enrollments in each proposal of some.
    batches: Vec<usize>,
}

impl TestLog {
    fn new() -> Self {
        let inner = Inner {
            control: Control::default(),
            next: Way::Open,
            blocked: BTreeSet::new(),
            held: Vec::new(),
            batches: Vec::new(),
        };
        Self(Arc::new(Mutex::new(inner)), watch::Sender::new(false))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Says what happens to the next proposal of agents.
    fn next(&self, way: Way) {
        self.inner().next = way;
    }

    /// What was held up arrives.
    fn let_go(&self) {
        let mut inner = self.inner();
        inner.blocked.clear();
        for (id, change) in std::mem::take(&mut inner.held) {
            inner.apply(id, change);
        }
    }

    /// The keys of the agents that are registered.
    fn keys(&self) -> Vec<ClientKey> {
        self.inner().control.agents().iter().map(|agent| agent.key.clone()).collect()
    }
}

impl Inner {
    fn apply(&mut self, change_id: ChangeId, change: Change) -> Proposed {
        let index = self.control.index().next();
        let fingerprint = change.to_bytes().iter().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
        let applied =
            self.control.apply(&Entry { index, stamp: Stamp::from_millis(1), change_id, fingerprint, change });
        Proposed { index: applied.index, outcome: applied.outcome }
    }
}

impl Log for TestLog {
    async fn propose_as(&self, id: ChangeId, change: Change, _: Instant) -> Result<Proposed, ProposeError> {
        let way = {
            let mut inner = self.inner();
            match &change {
                Change::EnrollAgents(enroll) => {
                    inner.batches.push(enroll.enrollments.len());
                    std::mem::take(&mut inner.next)
                }
                _ if inner.blocked.contains(&id) => Way::Refused,
                _ => Way::Open,
            }
        };
        if way == Way::Gated {
            self.1.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        }
        let mut inner = self.inner();
        match way {
            Way::Open | Way::Gated => return Ok(inner.apply(id, change)),
            Way::Refused => return Err(NotApplied::NoLeader.into()),
            Way::Deaf => _ = inner.apply(id, change),
            Way::Lost => inner.held.push((id, change)),
            Way::Blocked => {
                inner.blocked.insert(id);
                inner.held.push((id, change));
            }
        }
        Err(ProposeError::OutcomeUnknown)
    }

    async fn read(&self) -> Result<View, ReadError> {
        Ok(self.view())
    }

    fn view(&self) -> View {
        let control = self.inner().control.clone();
        View { index: control.index(), control: Arc::new(control) }
    }
}

/// One node's enrollment server, without sockets.
struct Site {
    log: TestLog,
    registrar: Arc<Registrar<TestLog>>,
    tasks: TaskTracker,
}

impl Site {
    fn new() -> Self {
        Self::sharing(&TestLog::new())
    }

    /// Another node of the same cluster.
    fn sharing(log: &TestLog) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let (log, tasks) = (log.clone(), TaskTracker::new());
        let config = GatewayConfig::new("node-1".parse().unwrap(), any, any);
        let registrar = Arc::new(Registrar::new(config, log.clone(), tasks.clone()));
        Self { log, registrar, tasks }
    }

    async fn enroll(&self, name: &str) -> Verdict {
        self.registrar.register(format!("OSSEC A:'{name}'\n").as_bytes(), PEER).await
    }

    /// The key that the agent was told.
    async fn enrolled(&self, name: &str) -> ClientKey {
        match self.enroll(name).await {
            Verdict::Enrolled { identity, .. } => identity.key,
            Verdict::Rejected(rejection) => panic!("{rejection}"),
        }
    }

    /// Waits until nothing is left to be undone.
    async fn until_undone(&self) {
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.expect("undoing ends");
    }

    /// Requests that come while the one before them is on its way.
    async fn crowd(&self, names: &[&'static str]) -> Vec<Verdict> {
        self.log.next(Way::Gated);
        let registrar = self.registrar.clone();
        let request = |name: &'static str| {
            let registrar = registrar.clone();
            tokio::spawn(async move { registrar.register(format!("OSSEC A:'{name}'\n").as_bytes(), PEER).await })
        };
        let first = request("first");
        while self.log.inner().batches.is_empty() {
            tokio::task::yield_now().await;
        }
        let requests: Vec<_> = names.iter().copied().map(request).collect();
        while self.registrar.waiting() < names.len() {
            tokio::task::yield_now().await;
        }
        self.log.1.send_replace(true);
        let mut verdicts = vec![first.await.unwrap()];
        for request in requests {
            verdicts.push(request.await.unwrap());
        }
        verdicts
    }
}

const TOLD_NO: Verdict = Verdict::Rejected(Rejection::NoLeader);

#[tokio::test]
async fn a_first_attempt_that_is_late_takes_nothing_from_the_agent_that_asked_again() {
    for asks_elsewhere in [false, true] {
        let site = Site::new();
        let elsewhere = Site::sharing(&site.log);
        site.log.next(Way::Blocked);
        assert_eq!(site.enroll("web-01").await, TOLD_NO);
        let key = if asks_elsewhere { elsewhere.enrolled("web-01").await } else { site.enrolled("web-01").await };
        site.log.let_go();
        site.until_undone().await;
        assert_eq!(site.log.keys(), [key], "asks elsewhere: {asks_elsewhere}");
    }
}

#[tokio::test]
async fn an_agent_that_was_told_no_is_not_registered_late() {
    let site = Site::new();
    site.log.next(Way::Lost);
    assert_eq!(site.enroll("web-01").await, TOLD_NO);
    site.until_undone().await;
    site.log.let_go();
    assert_eq!(site.log.keys(), []);
}

#[tokio::test]
async fn an_agent_that_was_told_no_is_removed_if_it_was_registered() {
    let site = Site::new();
    let kept = site.enrolled("web-02").await;
    site.log.next(Way::Deaf);
    assert_eq!(site.enroll("web-01").await, TOLD_NO);
    site.until_undone().await;
    assert_eq!(site.log.keys(), [kept]);
}

#[tokio::test]
async fn nothing_is_undone_that_certainly_was_not_done() {
    let site = Site::new();
    site.log.next(Way::Refused);
    assert_eq!(site.enroll("web-01").await, TOLD_NO);
    assert!(site.tasks.is_empty());
    site.enrolled("web-01").await;
}

#[tokio::test]
async fn requests_that_come_together_leave_together_and_are_answered_alone() {
    let site = Site::new();
    let verdicts = site.crowd(&["web-01", "first", "web-02", "web-01"]).await;
    assert_eq!(site.log.inner().batches, [1, 4]);
    let answers: Vec<_> = verdicts.iter().map(|verdict| String::from_utf8(verdict.answer()).unwrap()).collect();
    let numbers: Vec<_> = answers.iter().filter_map(|answer| answer.get(..13)).collect();
    let taken = |name| Verdict::Rejected(Rejection::DuplicateName(String::from(name)));
    assert_eq!((&verdicts[2], &verdicts[4]), (&taken("first"), &taken("web-01")));
    assert_eq!([numbers[0], numbers[1], numbers[3]], ["OSSEC K:'001 ", "OSSEC K:'002 ", "OSSEC K:'003 "]);
}

#[tokio::test]
async fn requests_that_follow_a_batch_closely_leave_together() {
    let site = Site::new();
    site.enrolled("first").await;
    let mut requests = Vec::new();
    for name in ["web-01", "web-02", "web-03"] {
        let registrar = site.registrar.clone();
        let line = format!("OSSEC A:'{name}'\n");
        requests.push(tokio::spawn(async move { registrar.register(line.as_bytes(), PEER).await }));
        // Long enough for a batch to leave, if it did not wait for others.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    for request in requests {
        assert!(matches!(request.await.unwrap(), Verdict::Enrolled { .. }));
    }
    assert_eq!(site.log.inner().batches, [1, 3]);
}
