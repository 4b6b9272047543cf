//! Connections to peers.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use muster_control::NodeId;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::{InterceptedService, Service, http::Uri};
use tonic::transport::{Channel, Endpoint};

use super::MESSAGE_BYTES_MAX;
use super::address::Stamp;
use super::tls::ClientTls;
use crate::config::ClusterId;
use crate::counters::Counters;
use crate::proto::peer_client::PeerClient as Generated;
use crate::types::{Peer, StoreId};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

pub(crate) type Client = Generated<InterceptedService<Channel, Stamp>>;

/// One peer as seen from here. Three connections, so that nothing small and urgent queues behind bulk; each is
/// made when first needed, and again when it broke.
pub(crate) struct PeerClient {
    /// Votes, heartbeats, read-index.
    pub(crate) control: Client,
    /// Entries.
    pub(crate) log: Client,
    /// Snapshots and forwarded proposals.
    pub(crate) bulk: Client,
}

/// A peer with what its connections were made for.
struct Known {
    address: String,
    store: Option<StoreId>,
    client: Arc<PeerClient>,
}

/// All peers, by whom they are and where.
pub(crate) struct Peers {
    tls: ClientTls,
    cluster: ClusterId,
    me: (NodeId, StoreId),
    counters: Arc<Counters>,
    clients: Mutex<HashMap<NodeId, Known>>,
}

impl Peers {
    pub(crate) fn new(tls: ClientTls, cluster: ClusterId, me: (NodeId, StoreId), counters: Arc<Counters>) -> Self {
        Self { tls, cluster, me, counters, clients: Mutex::default() }
    }

    pub(crate) fn me(&self) -> NodeId {
        self.me.0
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The connections to a member.
    pub(crate) fn member(&self, node: NodeId, peer: &Peer) -> Arc<PeerClient> {
        self.client(node, &peer.address, Some(peer.store))
    }

    /// The connections to a node whose disk is not known yet.
    pub(crate) fn stranger(&self, node: NodeId, address: &str) -> Arc<PeerClient> {
        self.client(node, address, None)
    }

    /// Must be called within the runtime that is to drive the connections.
    fn client(&self, node: NodeId, address: &str, store: Option<StoreId>) -> Arc<PeerClient> {
        let mut clients = self.clients.lock().expect("nothing panics under this lock");
        if let Some(known) = clients.get(&node)
            && known.address == address
            && known.store == store
        {
            return Arc::clone(&known.client);
        }
        let connect = || {
            let connector = Connector {
                address: address.to_owned(),
                // The certificates were read once before, at the start.
                tls: TlsConnector::from(self.tls.towards(node).expect("read before")),
                counters: Arc::clone(&self.counters),
            };
            let channel = Endpoint::from_static("http://peer")
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
                .keep_alive_timeout(KEEPALIVE_TIMEOUT)
                .keep_alive_while_idle(true)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .connect_with_connector_lazy(connector);
            Generated::with_interceptor(channel, Stamp::new(&self.cluster, self.me, (node, store)))
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX)
        };
        let client = Arc::new(PeerClient { control: connect(), log: connect(), bulk: connect() });
        clients.insert(node, Known { address: address.to_owned(), store, client: Arc::clone(&client) });
        client
    }
}

/// Connects to one address and takes only one node for the other end.
#[derive(Clone)]
struct Connector {
    address: String,
    tls: TlsConnector,
    counters: Arc<Counters>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let tcp = TcpStream::connect(&this.address).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from("peer").expect("a valid name; the verifier looks at the node instead");
            let tls = this.tls.connect(name, tcp).await?;
            this.counters.peer_connections.increment();
            Ok(TokioIo::new(tls))
        })
    }
}
