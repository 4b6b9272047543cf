//! Who asks for a change.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use muster_control::{Author, UserName};
use muster_raft::View;

use crate::app::{App, Consistency};
use crate::caller::{self, Permission, bearer, consistency, now};
use crate::problem::Problem;
use crate::token::Claims;

/// A known caller of an operation that changes something.
///
/// It comes without a state to look at: that of this node may be behind, and asking for a fresh one costs as much as
/// the change. So whatever a change depends on is judged where it is applied, the token included; what cannot be,
/// rests on a state that is read on purpose, with [`Writer::read`].
pub(crate) struct Writer {
    author: Author,
    claims: Arc<Claims>,
}

impl Writer {
    /// The user.
    pub(crate) fn user(&self) -> &UserName {
        &self.author.user
    }

    /// What a change is proposed with.
    pub(crate) fn author(&self) -> Author {
        self.author.clone()
    }

    /// Lets the operation go on if the caller may do it.
    ///
    /// # Errors
    /// When the caller may not.
    pub(crate) fn authorize(&self, permission: Permission) -> Result<(), Problem> {
        caller::authorize(&self.claims, permission)
    }

    /// The state with everything in it that was acknowledged before, for what apply cannot judge, and for answers
    /// that need no change.
    ///
    /// # Errors
    /// When no quorum confirms it in time, or the caller is not admitted any more.
    pub(crate) async fn read(&self, app: &App) -> Result<View, Problem> {
        let view = app.read(Consistency::Linearizable).await.map_err(Problem::before_change)?;
        let admitted = app.tokens.admit(&self.claims, view.control.user(self.user()));
        admitted.map_err(|problem| problem.at(view.index))?;
        Ok(view)
    }

    async fn admit(parts: &Parts, app: &App) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        consistency(&parts.headers, &parts.method)?;
        let mut view = app.replica().view();
        if view.control.signing_key().is_none() {
            // This node may not have heard yet that the cluster was founded.
            view = app.read(Consistency::Linearizable).await.map_err(Problem::before_change)?;
        }
        let admit = || {
            let key = view.control.signing_key().ok_or_else(Problem::unfounded)?;
            let claims = app.tokens.verify(key, token, now())?;
            let user = claims.user()?;
            // What is dead here is dead everywhere. What is good here may be dead by now, and a user that is not
            // known here may have come: both are judged where the change is applied.
            match view.control.user(&user) {
                Some(known) => app.tokens.admit(&claims, Some(known))?,
                None => app.tokens.check(&claims)?,
            }
            Ok(Self { author: Author { user, token_issued_at: claims.issued_at() }, claims })
        };
        admit().map_err(|problem: Problem| problem.before_change().at(view.index))
    }
}

impl FromRequestParts<Arc<App>> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        Self::admit(parts, app).await
    }
}
