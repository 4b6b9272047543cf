//! `/security/user/authenticate`: log in, log out.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use muster_control::{Change, User, UserName};
use serde::Serialize;

use crate::app::App;
use crate::caller::{basic, consistency};
use crate::envelope::{Confirmation, Object};
use crate::moment::now;
use crate::params::{Common, FromQuery, Params, parse};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::token::Tokens;
use crate::writer::Writer;

/// A login waits at most so long for the second of a revocation to pass.
const PATIENCE: Duration = Duration::from_secs(2);

struct LoginParams {
    raw: bool,
}

impl FromQuery for LoginParams {
    const COMMON: Common = Common::None;

    fn take(query: &mut Query) -> Result<Self, Problem> {
        Ok(Self { raw: query.flag("raw")? })
    }
}

pub(super) struct LogoutParams;

impl FromQuery for LogoutParams {
    const COMMON: Common = Common::None;

    fn take(_: &mut Query) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// Gives a token for name and password.
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    parts: Parts,
) -> Result<Reply, Problem> {
    let view = app.read(consistency(&parts.headers, &parts.method)?).await?;
    let user = check_password(&app, peer.ip(), &parts, |name| view.control.user(name)).await;
    app.metrics.login(user.is_ok());
    let user = user.map_err(|problem| problem.at(view.index))?;
    let params: LoginParams = parse(parts.uri.query())?;
    let key = view.control.signing_key().ok_or_else(|| Problem::unavailable("the cluster has no signing key yet"))?;
    let first = Tokens::first_second(user, now(), view.control.clock());
    // A token of the second of a revocation is dead. Rather than handing one out, wait for the next second.
    let wait = Duration::from_millis(first.saturating_mul(1000).saturating_sub(now().as_millis()));
    tokio::time::sleep(wait.min(PATIENCE)).await;
    let token = app.tokens.issue(key, user, first)?;
    if params.raw {
        return Ok(Reply::text(Some(view.index), "text/plain", token));
    }
    #[derive(Serialize)]
    struct Token {
        token: String,
    }
    Reply::json(view.index, &Object::new(Token { token }))
}

/// Like [`log_in`], for clients of old.
pub(super) async fn log_in_deprecated(
    app: State<Arc<App>>,
    peer: ConnectInfo<SocketAddr>,
    parts: Parts,
) -> Result<Reply, Problem> {
    Ok(log_in(app, peer, parts).await?.deprecated("</security/user/authenticate>; rel=\"Deprecated\""))
}

/// Makes every token of the caller invalid.
pub(super) async fn log_out(
    writer: Writer,
    State(app): State<Arc<App>>,
    _: Params<LogoutParams>,
) -> Result<Reply, Problem> {
    let index = app.propose_whole(&writer, Change::RevokeTokens(writer.user().clone())).await?;
    Reply::json(index, &Confirmation::new(format!("User {} was successfully logged out", writer.user())))
}

/// The user whose name and password came. Unknown users take as long as wrong passwords.
async fn check_password<'a>(
    app: &App,
    address: IpAddr,
    parts: &Parts,
    find: impl Fn(&UserName) -> Option<&'a User>,
) -> Result<&'a User, Problem> {
    let wrong = || Problem::unauthorized("Invalid credentials");
    app.throttle.attempt(address, Instant::now())?;
    let (name, password) = basic(&parts.headers).ok_or_else(wrong)?;
    let user = name.parse().ok().and_then(|name| find(&name));
    let verdict = app.passwords.verify(password, user.map(|user| &user.password_hash));
    match tokio::time::timeout(app.config().request_timeout, verdict).await {
        Ok(Ok(true)) => {
            app.throttle.succeeded(address);
            user.ok_or_else(wrong)
        }
        Ok(Ok(false)) => Err(wrong()),
        Ok(Err(problem)) => {
            app.throttle.succeeded(address); // the fault is ours
            Err(problem)
        }
        Err(_) => {
            app.throttle.succeeded(address);
            Err(Problem::unavailable("too many logins are under way"))
        }
    }
}
