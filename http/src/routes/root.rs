//! `GET /`

use serde::Serialize;

use crate::agent::{Manager, REFERENCE_VERSION};
use crate::caller::Caller;
use crate::envelope::Object;
use crate::moment::{Moment, now};
use crate::params::{Common, FromQuery, Params};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;

pub(super) struct InfoParams;

impl FromQuery for InfoParams {
    const COMMON: Common = Common::Pretty;

    fn take(_: &mut Query) -> Result<Self, Problem> {
        Ok(Self)
    }
}

#[derive(Serialize)]
struct Info<'a> {
    title: &'static str,
    /// A plain 4.x triple: clients gate features on it.
    api_version: &'static str,
    revision: &'static str,
    license_name: &'static str,
    license_url: &'static str,
    hostname: &'a str,
    timestamp: Moment,
}

/// What this API is.
pub(super) async fn info(caller: Caller, _: Params<InfoParams>) -> Result<Reply, Problem> {
    let manager = Manager::of(&caller.view.control);
    let info = Info {
        title: "Wazuh API REST",
        api_version: REFERENCE_VERSION,
        revision: concat!("muster-", env!("CARGO_PKG_VERSION")),
        license_name: "Apache License 2.0",
        license_url: "https://www.apache.org/licenses/LICENSE-2.0",
        hostname: manager.as_ref().map_or("unknown", |manager| manager.name.as_str()),
        timestamp: Moment::seconds(now()),
    };
    Reply::json(caller.view.index, &Object::new(info))
}
