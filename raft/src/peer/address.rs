//! From whom to whom: what each request between peers carries in its metadata.

use muster_control::NodeId;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::config::ClusterId;
use crate::types::StoreId;

const CLUSTER: &str = "muster-cluster";
const FROM: &str = "muster-from";
const FROM_STORE: &str = "muster-from-store";
const TO: &str = "muster-to";
const TO_STORE: &str = "muster-to-store";

type Value = MetadataValue<Ascii>;

/// Puts the same address on each request.
#[derive(Clone)]
pub(crate) struct Stamp {
    fields: Vec<(&'static str, Value)>,
}

/// What a request says about its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) cluster: String,
    pub(super) from: NodeId,
    pub(super) from_store: StoreId,
    pub(super) to: NodeId,
    /// Absent only while the disk of the target is not known.
    pub(super) to_store: Option<StoreId>,
}

impl Stamp {
    pub(super) fn new(
        cluster: &ClusterId,
        (from, from_store): (NodeId, StoreId),
        (to, to_store): (NodeId, Option<StoreId>),
    ) -> Self {
        let ascii = |text: String| Value::try_from(text).expect("letters, digits and dashes");
        let mut fields = vec![
            (CLUSTER, ascii(cluster.to_string())),
            (FROM, ascii(from.to_string())),
            (FROM_STORE, ascii(from_store.to_string())),
            (TO, ascii(to.to_string())),
        ];
        if let Some(to_store) = to_store {
            fields.push((TO_STORE, ascii(to_store.to_string())));
        }
        Self { fields }
    }
}

impl tonic::service::Interceptor for Stamp {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        for (name, value) in &self.fields {
            request.metadata_mut().insert(*name, value.clone());
        }
        Ok(request)
    }
}

impl Address {
    /// Reads what [`Stamp`] wrote; `None` if something is missing or makes no sense.
    pub(super) fn read(metadata: &MetadataMap) -> Option<Self> {
        let text = |name| metadata.get(name).and_then(|value| value.to_str().ok());
        let node = |name| text(name)?.parse().ok().map(NodeId::new);
        let to_store = match text(TO_STORE) {
            Some(text) => Some(StoreId::from_hex(text)?),
            None => None,
        };
        Some(Self {
            cluster: text(CLUSTER)?.to_owned(),
            from: node(FROM)?,
            from_store: StoreId::from_hex(text(FROM_STORE)?)?,
            to: node(TO)?,
            to_store,
        })
    }
}

#[cfg(test)]
mod tests {
    use tonic::service::Interceptor;

    use super::*;

    #[test]
    fn what_was_put_on_a_request_is_read_from_it() {
        let cluster: ClusterId = "prod".parse().expect("valid");
        let (one, two) = (StoreId::random(), StoreId::random());
        let mut stamp = Stamp::new(&cluster, (NodeId::new(1), one), (NodeId::new(2), Some(two)));
        let request = stamp.call(tonic::Request::new(())).expect("never refuses");
        let address = Address {
            cluster: "prod".to_owned(),
            from: NodeId::new(1),
            from_store: one,
            to: NodeId::new(2),
            to_store: Some(two),
        };
        assert_eq!(Address::read(request.metadata()), Some(address));
        assert_eq!(Address::read(&MetadataMap::new()), None);
    }
}
