use super::*;
use crate::agent::StatusCode;
use crate::change::Change;
use crate::import::Past;
use crate::report::Report;
use crate::stamp::Millis;
use crate::testing::{Script, enrollment};
use crate::text::Label;

fn agent(id: u32, name: &str) -> ImportedAgent {
    ImportedAgent {
        id: AgentId::new(id),
        name: name.parse().expect("a valid agent name"),
        key: format!("{id:064x}").parse().expect("a valid key"),
        address: RegisteredAddress::any(),
        groups: Vec::new(),
        registered_at: None,
        past: None,
        report: Report::default(),
    }
}

fn at(address: &str, agent: ImportedAgent) -> ImportedAgent {
    ImportedAgent { address: address.parse().expect("an address"), ..agent }
}

fn batch(agents: Vec<ImportedAgent>) -> ImportAgents {
    let through = agents.iter().map(|agent| agent.id).max().unwrap_or(AgentId::MANAGER);
    ImportAgents { through, groups: Vec::new(), agents, removed: Vec::new(), skip_conflicts: false }
}

fn import(script: &mut Script, import: ImportAgents) -> PerAgent {
    match script.apply(Change::ImportAgents(import)) {
        Outcome::Agents(result) => result,
        other => panic!("not an answer per agent: {other:?}"),
    }
}

fn done(ids: &[u32]) -> PerAgent {
    PerAgent { done: ids.iter().map(|id| AgentId::new(*id)).collect(), ..PerAgent::default() }
}

fn refused(id: u32, refusal: Refusal) -> PerAgent {
    PerAgent { refused: vec![RefusedAgent { agent: AgentId::new(id), refusal }], ..PerAgent::default() }
}

fn enrolled(script: &mut Script, name: &str) -> u32 {
    match script.apply(Change::EnrollAgent(enrollment(name))) {
        Outcome::Enrolled(enrolled) => enrolled.agent.get(),
        other => panic!("not enrolled: {other:?}"),
    }
}

fn ids(script: &Script) -> Vec<u32> {
    script.control.agents().iter().map(|agent| agent.id.get()).collect()
}

#[test]
fn agents_keep_their_ids_keys_and_groups_in_order() {
    let mut script = Script::new();
    let groups: Vec<GroupName> = ["web", "db", "web"].map(|name| name.parse().expect("a group name")).to_vec();
    let one = ImportedAgent { groups: groups.clone(), ..at("10.0.0.5", agent(7, "web-07")) };
    assert_eq!(import(&mut script, ImportAgents { groups, ..batch(vec![one.clone()]) }), done(&[7]));
    let registered = script.agent(AgentId::new(7));
    assert_eq!((&registered.name, &registered.key, &registered.address), (&one.name, &one.key, &one.address));
    assert_eq!(registered.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["web", "db"]);
    assert_eq!(registered.status, Status::NeverConnected);
    assert!(script.events.contains(&Event::AgentEnrolled { agent: AgentId::new(7) }));
    assert_eq!(script.control.agents().at_address(&one.address).map(|agent| agent.id.get()), Some(7));
}

#[test]
fn an_agent_that_was_connected_is_disconnected_until_it_shows_up() {
    let mut script = Script::new();
    script.node(1);
    let now = script.control.clock();
    let earlier = Stamp::from_millis(now.as_millis() - 60_000);
    let past = |disconnected_at| {
        Some(Past { last_keepalive: Some(earlier), disconnected_at, status_code: StatusCode::Shutdown })
    };
    let report = Report { version: Some(Label::truncated("Wazuh v4.14.7")), ..Report::default() };
    let gone = ImportedAgent { past: past(Some(earlier)), registered_at: Some(earlier), report, ..agent(1, "gone") };
    let later = now.plus(Millis::from_secs(3600));
    let fast = ImportedAgent { past: past(Some(later)), registered_at: Some(later), ..agent(2, "fast-clock") };
    assert_eq!(import(&mut script, batch(vec![gone, fast])), done(&[1, 2]));
    let gone = script.agent(AgentId::new(1));
    assert_eq!((gone.status, gone.status_code), (Status::Disconnected, StatusCode::Shutdown));
    assert_eq!(
        (gone.registered_at, gone.last_keepalive, gone.disconnected_at()),
        (earlier, Some(earlier), Some(earlier))
    );
    assert_eq!(gone.report.version.as_ref().map(Label::as_str), Some("Wazuh v4.14.7"));
    assert_eq!(gone.groups.to_vec(), [GroupName::default_group()]);
    let fast = script.agent(AgentId::new(2));
    assert_eq!((fast.registered_at, fast.disconnected_at()), (now, Some(now)), "nothing is later than now");
    let epoch = script.connect(AgentId::new(1), 1);
    assert_eq!((script.agent(AgentId::new(1)).status, epoch.get()), (Status::Active, 2));
}

#[test]
fn a_second_run_changes_nothing() {
    let mut script = Script::new();
    let groups = vec!["web".parse().expect("a group name")];
    let batch = ImportAgents {
        groups: groups.clone(),
        removed: vec![AgentId::new(5)],
        ..batch(vec![ImportedAgent { groups, ..agent(1, "web-01") }, agent(9, "web-09")])
    };
    assert_eq!(import(&mut script, batch.clone()), done(&[1, 9]));
    let before: Vec<_> = script.control.records().skip(1).map(|record| record.to_bytes()).collect();
    assert_eq!(import(&mut script, batch), done(&[]));
    let answers = 1; // the outcome of the second run itself is remembered
    let after: Vec<_> = script.control.records().skip(1).map(|record| record.to_bytes()).collect();
    assert_eq!(after.len(), before.len() + answers);
    assert!(before.iter().all(|record| after.contains(record)));
    assert!(script.events.is_empty());
}

#[test]
fn a_conflict_stops_its_batch_before_anything_is_written() {
    let mut script = Script::new();
    script.node(1);
    assert_eq!(enrolled(&mut script, "web-01"), 1);
    assert_eq!(import(&mut script, batch(vec![at("10.0.0.5", agent(2, "db-02"))])), done(&[2]));
    assert_eq!(enrolled(&mut script, "gone"), 3);
    script.remove(AgentId::new(3));
    let web = vec!["web".parse().expect("a group name")];
    let many = (0..=GROUPS_LIMIT).map(|number| format!("g{number}").parse().expect("a group name")).collect();
    for (bad, refusal) in [
        (agent(1, "web-01"), Refusal::IdTaken),
        (agent(2, "db-02"), Refusal::IdTaken),
        (agent(3, "other"), Refusal::IdUsedUp),
        (agent(20, "web-01"), Refusal::DuplicateName(AgentId::new(1))),
        (at("10.0.0.5", agent(20, "other")), Refusal::DuplicateAddress(AgentId::new(2))),
        (agent(20, "node-1"), Refusal::NameOfNode),
        (agent(20, "new"), Refusal::DuplicateName(AgentId::new(10))),
        (at("10.0.0.9", agent(20, "other")), Refusal::DuplicateAddress(AgentId::new(10))),
        (agent(10, "other"), Refusal::IdTaken),
        (agent(0, "manager"), Refusal::Manager),
        (ImportedAgent { groups: web, ..agent(20, "other") }, Refusal::UnknownGroup),
        (ImportedAgent { groups: many, ..agent(20, "other") }, Refusal::TooManyGroups),
    ] {
        let id = bad.id.get();
        let batch = batch(vec![at("10.0.0.9", agent(10, "new")), bad]);
        assert_eq!(import(&mut script, batch.clone()), refused(id, refusal));
        assert_eq!((ids(&script), script.control.last_agent().get()), (vec![1, 2], 3), "{refusal}");
        let mut other = script.clone();
        let skipped = import(&mut other, ImportAgents { skip_conflicts: true, ..batch });
        assert_eq!(skipped, PerAgent { refused: refused(id, refusal).refused, ..done(&[10]) });
    }
}

#[test]
fn an_agent_that_enrolls_meanwhile_gets_no_id_of_the_import() {
    let mut script = Script::new();
    let through = AgentId::new(1000);
    let first = ImportAgents { through, ..batch(vec![agent(1, "web-01")]) };
    let second = ImportAgents { through, ..batch(vec![agent(2, "web-02"), agent(1000, "web-1000")]) };
    assert_eq!(import(&mut script, first.clone()), done(&[1]));
    assert_eq!(enrolled(&mut script, "meanwhile"), 1001);
    assert_eq!(import(&mut script, first), done(&[]), "a run that was cut off is completed by another one");
    assert_eq!(import(&mut script, second), done(&[2, 1000]));
    assert_eq!(enrolled(&mut script, "afterwards"), 1002);
}

#[test]
fn ids_of_removed_agents_are_never_given_again() {
    let mut script = Script::new();
    let removed = [3, 8].map(AgentId::new).to_vec();
    assert_eq!(import(&mut script, ImportAgents { removed, ..batch(vec![agent(5, "web-05")]) }), done(&[5]));
    assert_eq!(enrolled(&mut script, "new"), 9);
    for id in [3, 8] {
        assert_eq!(import(&mut script, batch(vec![agent(id, "other")])), refused(id, Refusal::IdUsedUp));
    }
    script.remove(AgentId::new(5));
    let again = import(&mut script, batch(vec![agent(5, "web-05")]));
    assert_eq!(again, refused(5, Refusal::IdUsedUp), "an agent that was removed here does not come back");
    assert_eq!(import(&mut script, batch(vec![agent(4, "web-04")])), done(&[4]), "no agent ever had this one");
}

#[test]
fn ids_kept_for_an_import_survive_a_snapshot() {
    let mut script = Script::new();
    let through = AgentId::new(10);
    import(&mut script, ImportAgents { through, ..batch(vec![agent(4, "web-04")]) });
    let mut restore = crate::record::Restore::new();
    script.control.records().for_each(|record| restore.push(record).expect("in order"));
    script.control = restore.finish().expect("complete");
    assert_eq!(import(&mut script, batch(vec![agent(3, "web-03"), agent(5, "web-05")])), done(&[3, 5]));
    assert_eq!(import(&mut script, batch(vec![agent(4, "other")])), refused(4, Refusal::IdTaken));
    assert_eq!(enrolled(&mut script, "new"), 11);
}
