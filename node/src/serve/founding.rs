//! Gives a new cluster its users and its signing key, once.
//!
//! The leader proposes them. Passwords that it made up are on its disk before that, as a draft, and become the file that
//! the operator reads only when the log has taken them: a crash in between is settled at the next start by comparing
//! the draft's hashes with the state.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_control::{Change, Control, FoundCluster, Label, NewUser, UserName};
use muster_raft::{Replica, Role};
use serde::{Deserialize, Serialize};

use crate::config::{Secret, UsersConfig};
use crate::failure::{Exit, Failure};
use crate::private::write_private;

/// The file the operator reads.
const PASSWORDS: &str = "passwords.toml";
/// What it is before the log has taken the passwords.
const DRAFT: &str = "passwords.draft";
/// How often a node looks whether the cluster is founded while another one has to do it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Users to be, with the hashes that tell whether the log took these or others.
#[derive(Deserialize, Serialize)]
struct Draft {
    users: Vec<DraftUser>,
}

#[derive(Deserialize, Serialize)]
struct DraftUser {
    name: String,
    /// `None` if the operator chose it: then it is nowhere on this disk.
    made_up: Option<String>,
    hash: String,
}

/// Returns when the cluster is founded, by whichever node.
///
/// # Errors
/// When the draft cannot be written.
pub(super) async fn found(replica: &Replica, users: &UsersConfig, data_dir: &Path) -> Result<(), Failure> {
    let draft_path = data_dir.join(DRAFT);
    loop {
        // A linearizable read, once this node leads: a new leader may not have applied what founded the cluster.
        let leads = replica.status().role == Role::Leader;
        let view = if leads { replica.read().await.ok() } else { Some(replica.view()) };
        match view {
            Some(view) if view.control.signing_key().is_some() => return settle(&view.control, data_dir),
            Some(_) if leads => propose(replica, users, &draft_path).await?,
            _ => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

async fn propose(replica: &Replica, users: &UsersConfig, draft_path: &Path) -> Result<(), Failure> {
    let draft = Draft {
        users: vec![DraftUser::new("wazuh", &users.wazuh).await?, DraftUser::new("wazuh-wui", &users.wazuh_wui).await?],
    };
    let text = toml::to_string(&draft).map_err(|error| Failure::new(Exit::Software, error))?;
    write_private(draft_path, text.as_bytes()).map_err(|error| disk(draft_path, error))?;
    let signing_key = muster_http::generate_signing_key().map_err(|error| Failure::new(Exit::Other, error))?;
    let users = draft.users.iter().map(DraftUser::to_be).collect::<Result<_, _>>()?;
    // Whatever comes back, the next look at the state tells who founded the cluster.
    if let Err(error) = replica.propose(Change::FoundCluster(FoundCluster { users, signing_key })).await {
        tracing::debug!(%error, "founding not answered");
    }
    Ok(())
}

/// Turns the draft into the operator's file if the log took it, and drops it if not.
fn settle(control: &Control, data_dir: &Path) -> Result<(), Failure> {
    let draft_path = data_dir.join(DRAFT);
    let text = match std::fs::read_to_string(&draft_path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(disk(&draft_path, error)),
        Ok(text) => text,
    };
    let draft: Draft = toml::from_str(&text)
        .map_err(|error| Failure::message(Exit::Data, format!("{}: {}", draft_path.display(), error.message())))?;
    if draft.users.iter().all(|user| user.is_in(control)) {
        tracing::info!("cluster founded");
        let made_up: Vec<&DraftUser> = draft.users.iter().filter(|user| user.made_up.is_some()).collect();
        if !made_up.is_empty() {
            let path = keep(&made_up, data_dir)?;
            println!("passwords of the API's users: {}", path.display());
        }
    }
    std::fs::remove_file(&draft_path).map_err(|error| disk(&draft_path, error))
}

fn keep(made_up: &[&DraftUser], data_dir: &Path) -> Result<PathBuf, Failure> {
    let path = data_dir.join(PASSWORDS);
    let line = |user: &&DraftUser| format!("{} = \"{}\"\n", user.name, user.made_up.as_deref().unwrap_or_default());
    let text: String = made_up.iter().map(line).collect();
    write_private(&path, text.as_bytes()).map_err(|error| disk(&path, error))?;
    Ok(path)
}

fn disk(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(Exit::Disk, anyhow::Error::new(error).context(path.display().to_string()))
}

impl DraftUser {
    async fn new(name: &str, chosen: &Option<Secret>) -> Result<Self, Failure> {
        let made_up = chosen.is_none().then(crate::password::generate);
        let password = made_up.as_ref().or(chosen.as_ref()).expect("one or the other").clone();
        // Away from the threads that answer peers: it takes tens of milliseconds.
        let hash = tokio::task::spawn_blocking(move || muster_http::hash_password(password.reveal()))
            .await
            .map_err(|error| Failure::new(Exit::Software, error))?
            .map_err(|error| Failure::new(Exit::Other, error))?;
        let made_up = made_up.map(|secret| secret.reveal().to_owned());
        Ok(Self { name: name.to_owned(), made_up, hash: hash.to_string() })
    }

    fn to_be(&self) -> Result<NewUser, Failure> {
        let name: UserName = self.name.parse().map_err(|error| Failure::message(Exit::Software, error))?;
        Ok(NewUser { name, password_hash: Label::truncated(&self.hash) })
    }

    fn is_in(&self, control: &Control) -> bool {
        let user = self.name.parse().ok().and_then(|name: UserName| control.user(&name));
        user.is_some_and(|user| user.password_hash.as_str() == self.hash)
    }
}
