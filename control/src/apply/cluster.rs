//! The cluster's users and keys.

use crate::change::FoundCluster;
use crate::control::{Control, Turn};
use crate::ids::UserId;
use crate::outcome::{Outcome, Refusal};
use crate::shared::Shared;
use crate::text::UserName;
use crate::user::User;

impl Control {
    pub(crate) fn found_cluster(&mut self, found: &FoundCluster, turn: &Turn) -> Outcome {
        if self.signing_key.is_some() {
            return Outcome::Refused(Refusal::AlreadyFounded);
        }
        let mut users = self.users.clone();
        for (id, new) in (1..).map(UserId::new).zip(&found.users) {
            let user = User {
                id,
                name: new.name.clone(),
                password_hash: new.password_hash.clone(),
                revoked_at: None,
                revision: turn.index,
            };
            if users.insert(new.name.clone(), user).is_some() {
                return Outcome::Refused(Refusal::UserExists);
            }
        }
        self.users = users;
        self.signing_key = Some(Shared::new(found.signing_key.clone()));
        Outcome::Done
    }

    pub(crate) fn revoke_tokens(&mut self, user: &UserName, turn: &Turn) -> Outcome {
        match self.users.get_mut(user) {
            None => Outcome::Refused(Refusal::UnknownUser),
            Some(user) => {
                user.revoked_at = Some(turn.now);
                user.revision = turn.index;
                Outcome::Done
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::change::{Change, FoundCluster, NewUser};
    use crate::outcome::{Outcome, Refusal};
    use crate::testing::Script;
    use crate::user::SigningKey;

    fn found(names: &[&str]) -> Change {
        let user = |name: &&str| NewUser {
            name: name.parse().expect("a valid user name"),
            password_hash: "$argon2id$".parse().expect("a valid label"),
        };
        Change::FoundCluster(FoundCluster {
            users: names.iter().map(user).collect(),
            signing_key: SigningKey { pkcs8: vec![1] },
        })
    }

    #[test]
    fn a_cluster_is_founded_once() {
        let mut script = Script::new();
        assert_eq!(script.apply(found(&["wazuh", "wazuh-wui"])), Outcome::Done);
        assert_eq!(script.apply(found(&["mallory"])), Outcome::Refused(Refusal::AlreadyFounded));
        let users: Vec<_> = script.control.users().map(|user| (user.name.to_string(), user.id.get())).collect();
        assert_eq!(users, [("wazuh".to_owned(), 1), ("wazuh-wui".to_owned(), 2)]);
    }

    #[test]
    fn a_founding_with_a_double_user_leaves_nothing_behind() {
        let mut script = Script::new();
        assert_eq!(script.apply(found(&["wazuh", "wazuh"])), Outcome::Refused(Refusal::UserExists));
        assert_eq!(script.control.users().count(), 0);
        assert!(script.control.signing_key().is_none());
    }

    #[test]
    fn a_revocation_takes_the_clock_of_its_entry() {
        let mut script = Script::new();
        script.apply(found(&["wazuh"]));
        script.pass(5_000);
        let wazuh = "wazuh".parse().expect("a valid user name");
        assert_eq!(script.apply(Change::RevokeTokens(wazuh)), Outcome::Done);
        let revoked = script.control.users().next().and_then(|user| user.revoked_at);
        assert_eq!(revoked, Some(script.control.clock()));
    }
}
