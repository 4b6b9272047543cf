//! Whether whoever asks for a change may still ask.

use crate::author::Author;
use crate::control::Control;
use crate::outcome::Refusal;

impl Control {
    /// Judges the author at the very index of the change: whatever was acknowledged before holds, on whichever node
    /// the change was proposed.
    pub(crate) fn admit_author(&self, author: &Author) -> Result<(), Refusal> {
        match self.users.get(&author.user) {
            Some(user) if !user.has_revoked(author.token_issued_at) => Ok(()),
            _ => Err(Refusal::InvalidToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::author::Author;
    use crate::change::{Change, FoundCluster, NewUser};
    use crate::ids::ChangeId;
    use crate::outcome::{Outcome, Refusal};
    use crate::stamp::Millis;
    use crate::testing::Script;
    use crate::text::GroupName;
    use crate::user::SigningKey;

    const REFUSED: Outcome = Outcome::Refused(Refusal::InvalidToken);

    fn founded() -> Script {
        let mut script = Script::new();
        let user = NewUser {
            name: "wazuh".parse().expect("a user name"),
            password_hash: "$argon2id$".parse().expect("a label"),
        };
        let found = FoundCluster { users: vec![user], signing_key: SigningKey { pkcs8: vec![1] } };
        assert_eq!(script.apply(Change::FoundCluster(found)), Outcome::Done);
        script
    }

    /// By a token of this moment.
    fn author(script: &Script, name: &str) -> Author {
        Author { user: name.parse().expect("a user name"), token_issued_at: script.control.clock() }
    }

    fn create(name: &str) -> Change {
        Change::CreateGroup(name.parse().expect("a group name"))
    }

    fn revoke() -> Change {
        Change::RevokeTokens("wazuh".parse().expect("a user name"))
    }

    fn has(script: &Script, name: &str) -> bool {
        script.control.group(&name.parse::<GroupName>().expect("a group name")).is_some()
    }

    #[test]
    fn what_an_admitted_author_asks_for_is_done_as_if_without_author() {
        let mut script = founded();
        let wazuh = author(&script, "wazuh");
        assert_eq!(script.apply(create("web").by(wazuh.clone())), Outcome::Done);
        assert!(has(&script, "web"));
        assert_eq!(script.apply(create("web").by(wazuh)), Outcome::Refused(Refusal::GroupExists));
    }

    #[test]
    fn a_revocation_refuses_whatever_enters_the_log_after_it_by_an_older_token() {
        let mut script = founded();
        let before = author(&script, "wazuh");
        script.pass(1_000);
        let same_second = author(&script, "wazuh");
        assert_eq!(script.apply(revoke().by(before.clone())), Outcome::Done);
        for dead in [before, same_second] {
            assert_eq!(script.apply(create("web").by(dead)), REFUSED);
        }
        assert!(!has(&script, "web"));
        script.pass(1_000);
        let fresh = author(&script, "wazuh");
        assert_eq!(script.apply(create("web").by(fresh)), Outcome::Done);
    }

    #[test]
    fn who_is_no_user_asks_in_vain() {
        let mut script = founded();
        let nobody = author(&script, "nobody");
        assert_eq!(script.apply(create("web").by(nobody)), REFUSED);
        let mut unfounded = Script::new();
        let early = author(&unfounded, "wazuh");
        assert_eq!(unfounded.apply(create("web").by(early)), REFUSED);
        assert!(!has(&script, "web") && !has(&unfounded, "web"));
    }

    #[test]
    fn a_retry_after_a_revocation_meets_the_first_outcome() {
        let mut script = founded();
        let (id, wazuh) = (ChangeId::new([7; 16]), author(&script, "wazuh"));
        assert_eq!(script.apply_as(id, create("web").by(wazuh.clone())), Outcome::Done);
        script.apply(revoke());
        assert_eq!(script.apply_as(id, create("web").by(wazuh)), Outcome::Done);
    }

    #[test]
    fn a_change_that_was_refused_for_its_token_can_be_asked_for_again_with_a_good_one() {
        let mut script = founded();
        let (id, wazuh) = (ChangeId::new([7; 16]), author(&script, "wazuh"));
        script.apply(revoke());
        assert_eq!(script.apply_as(id, create("web").by(wazuh.clone())), REFUSED);
        script.pass(Millis::from_secs(1).get());
        let fresh = author(&script, "wazuh");
        assert_eq!(script.apply_as(id, create("web").by(fresh.clone())), Outcome::Done);
        assert_eq!(script.apply_as(id, create("web").by(fresh)), Outcome::Done);
    }
}
