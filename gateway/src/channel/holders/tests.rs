use muster_control::{AgentId, Control};

use super::*;
use crate::codec::Numbering;
use crate::session::Pulses;

const AGENT: AgentId = AgentId::new(1);

/// Machines that use one key.
struct Site {
    holders: Holders,
    pulses: Pulses,
    lines: u64,
    now: Instant,
}

impl Site {
    fn new(overtake_time: Duration) -> Self {
        Self { holders: Holders::new(overtake_time), pulses: Pulses::new(), lines: 0, now: Instant::now() }
    }

    fn startup(&mut self, peer: &str, counter: u16) -> (LineId, Verdict) {
        self.lines += 1;
        let (line, place) = (LineId(self.lines), place(counter));
        let presence = Presence::new(self.pulses.start());
        presence.beat(place);
        let claimant = Claimant { agent: AGENT, line, peer: peer.parse().unwrap(), place, presence };
        (line, self.holders.claim(claimant, self.now))
    }

    fn fought_for() -> Self {
        let mut site = Self::new(Duration::from_secs(60));
        for (peer, counter) in [("10.0.0.1:1", 500), ("10.0.0.2:1", 20), ("10.0.0.1:2", 501)] {
            assert_eq!(site.startup(peer, counter).1, Verdict::Granted);
        }
        assert_eq!(site.startup("10.0.0.2:1", 21).1, in_use("10.0.0.1:2"));
        site
    }
}

fn place(local: u16) -> Place {
    Numbering { global: 0, local, noise: 0 }.place()
}

fn in_use(peer: &str) -> Verdict {
    Verdict::InUse(Some(peer.parse().unwrap()))
}

#[test]
fn an_agent_that_comes_back_takes_over_however_often() {
    let mut site = Site::new(Duration::from_secs(60));
    for counter in 1..50 {
        assert_eq!(site.startup("10.0.0.1:1", counter).1, Verdict::Granted, "{counter}");
    }
}

#[test]
fn two_machines_with_one_key_do_not_push_each_other_out_for_ever() {
    let mut site = Site::fought_for();
    for counter in 22..40 {
        assert_eq!(site.startup("10.0.0.2:2", counter).1, in_use("10.0.0.1:2"));
    }
    assert_eq!(site.startup("10.0.0.3:1", 600).1, in_use("10.0.0.1:2"));
}

#[test]
fn two_machines_behind_one_address_are_told_by_their_counters() {
    let mut site = Site::new(Duration::from_secs(60));
    let mut refused = 0;
    for turn in 0..6 {
        refused += usize::from(site.startup("10.0.0.1:1", 500 + turn).1 != Verdict::Granted);
        refused += usize::from(site.startup("10.0.0.1:2", 20 + turn).1 != Verdict::Granted);
    }
    assert!(refused >= 3, "{refused}");
}

#[test]
fn a_holder_that_fell_silent_gives_way_after_the_overtake_time() {
    let mut site = Site::fought_for();
    site.now += Duration::from_secs(59);
    assert_eq!(site.startup("10.0.0.2:3", 30).1, in_use("10.0.0.1:2"));
    site.now += Duration::from_secs(2);
    assert_eq!(site.startup("10.0.0.2:4", 31).1, Verdict::Granted);
}

#[test]
fn with_an_overtake_time_of_zero_a_holder_that_is_fought_for_never_gives_way() {
    let mut site = Site { holders: Holders::new(Duration::ZERO), ..Site::fought_for() };
    for (peer, counter) in [("10.0.0.1:1", 500), ("10.0.0.2:1", 20), ("10.0.0.1:2", 501)] {
        site.startup(peer, counter);
    }
    assert_eq!(site.startup("10.0.0.2:1", 21).1, in_use("10.0.0.1:2"));
    site.now += Duration::from_secs(200);
    assert_eq!(site.startup("10.0.0.2:1", 22).1, in_use("10.0.0.1:2"));
}

#[test]
fn a_holder_that_is_gone_leaves_its_key_to_anybody() {
    let mut site = Site::new(Duration::from_secs(60));
    let mut last = LineId(0);
    for counter in 0..20 {
        let peer = if counter % 2 == 0 { "10.0.0.1:1" } else { "10.0.0.2:1" };
        site.holders.release(AGENT, last, site.now);
        let (line, verdict) = site.startup(peer, counter + 1);
        assert_eq!(verdict, Verdict::Granted);
        last = line;
    }
    site.holders.release(AGENT, last, site.now);
    assert!(site.holders.by_agent.lock().unwrap().is_empty(), "nothing is kept of it");
}

#[test]
fn a_fight_is_forgotten_when_it_is_over() {
    let mut site = Site::fought_for();
    site.now += WITHIN + Duration::from_secs(1);
    assert_eq!(site.startup("10.0.0.2:2", 30).1, Verdict::Granted);
    site.holders.release(AGENT, LineId(site.lines), site.now);
    assert!(site.holders.by_agent.lock().unwrap().is_empty());
}

#[test]
fn a_way_back_that_moves_on_is_one_machine_and_one_that_returns_is_two() {
    let mut site = Site::new(Duration::from_secs(60));
    site.startup("10.0.0.1:1", 1);
    let moved = |peer: &str| site.holders.moved(AGENT, peer.parse().unwrap(), site.now);
    for port in 2..20 {
        assert_eq!(moved(&format!("10.0.0.1:{port}")), Verdict::Granted);
    }
    for peer in ["10.0.0.2:1", "10.0.0.1:19"] {
        assert_eq!(moved(peer), Verdict::Granted);
    }
    assert_eq!(moved("10.0.0.2:1"), Verdict::Granted);
    assert_eq!(moved("10.0.0.1:19"), in_use("10.0.0.2:1"));
}

#[test]
fn a_key_that_goes_to_and_fro_between_nodes_stays_for_a_while_where_it_is() {
    use muster_control::{Change, ChangeId, EnrollAgent, Entry, Generation, Label, LogIndex, OpenSession};
    let mut control = Control::default();
    let mut index = 0;
    let mut apply = |change: Change| {
        index += 1;
        let (stamp, change_id) = (Stamp::from_millis(index * 10), ChangeId::new([index as u8; 16]));
        control.apply(&Entry { index: LogIndex::new(index), stamp, change_id, fingerprint: 0, change });
        (control.agents().get(AGENT).cloned(), stamp)
    };
    apply(Change::EnrollAgent(EnrollAgent::new("web-01".parse().unwrap(), "0f".repeat(32).parse().unwrap())));
    for node in [1, 2] {
        apply(Change::RenewLease(muster_control::RenewLease {
            node: NodeId::new(node),
            name: format!("node-{node}").parse().unwrap(),
            generation: Generation::new(1),
            lease: Duration::from_secs(3600).into(),
            address: Label::truncated("x"),
            version: Label::truncated("x"),
        }));
    }
    let mut fought = Vec::new();
    for turn in 0..5 {
        let (here, there) = (NodeId::new(turn % 2 + 1), NodeId::new((turn + 1) % 2 + 1));
        let session = OpenSession {
            agent: AGENT,
            peer: Label::truncated(&format!("10.0.0.{}:1", here.get())),
            version: None,
            spoke: true,
            resume: None,
            startup_at: None,
        };
        let open = muster_control::OpenSessions { node: here, generation: Generation::new(1), sessions: vec![session] };
        let (agent, stamp) = apply(Change::OpenSessions(open));
        let agent = agent.unwrap();
        let peer = |node: NodeId| format!("10.0.0.{}", node.get()).parse().unwrap();
        fought.push(is_fought_for_elsewhere(&agent, there, peer(there), stamp));
        assert!(!is_fought_for_elsewhere(&agent, there, peer(here), stamp), "one machine may move as it likes");
        assert!(!is_fought_for_elsewhere(&agent, here, peer(there), stamp), "here its connection is judged");
        assert!(!is_fought_for_elsewhere(&agent, there, peer(there), stamp.plus(LEFT_ALONE)), "not for ever");
    }
    assert_eq!(fought, [false, false, false, true, true]);
}
