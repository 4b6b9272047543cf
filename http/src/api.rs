//! The API of one node, from its start to its stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use muster_raft::Replica;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::ApiConfig;
use crate::connections::Door;
use crate::password::HashError;
use crate::routes::router;
use crate::tls::{TlsError, TlsIdentity};

/// Connections that wait to be taken, for each address.
const BACKLOG: u32 = 1024;

/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The running API of one node.
pub struct Api {
    servers: Vec<Running>,
}

struct Running {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
}

/// Why the API did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate cannot be used.
    #[error("certificate of the API")]
    Tls(#[source] TlsError),
    /// An address cannot be bound.
    #[error("cannot listen for API clients on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The comparison of passwords cannot be set up.
    #[error("passwords")]
    Passwords(#[source] HashError),
}

impl Api {
    /// Binds all addresses, then serves them. `registry` is what `/metrics` tells; the API adds its own and the
    /// replica's metrics to those that are in it.
    ///
    /// # Errors
    /// When an address or the certificate cannot be used; nothing listens then.
    pub async fn start(
        config: ApiConfig,
        replica: Replica,
        tls: &TlsIdentity,
        registry: Registry,
    ) -> Result<Self, StartError> {
        let tls = RustlsConfig::from_config(tls.server_config().map_err(StartError::Tls)?);
        let app = Arc::new(App::new(config, replica, registry).map_err(StartError::Passwords)?);
        let config = app.config();
        let listen = |address: &SocketAddr| {
            listener(*address).map_err(|source| StartError::Listen { address: *address, source })
        };
        let listeners = config.listen.iter().map(listen).collect::<Result<Vec<_>, StartError>>()?;
        let metrics = &app.metrics;
        let door = Door::new(config.max_connections, metrics.connections.clone(), metrics.turned_away.clone());
        let acceptor = RustlsAcceptor::new(tls).handshake_timeout(config.handshake_timeout).acceptor(door);
        let service = router(app.clone());
        let mut servers = Vec::with_capacity(listeners.len());
        for (address, listener) in listeners {
            let handle = Handle::new();
            let mut server =
                Server::from_listener(listener).acceptor(acceptor.clone()).handle(handle.clone()).http1_only();
            server.http_builder().http1().header_read_timeout(config.header_timeout).max_buf_size(MAX_HEAD);
            let service = service.clone().into_make_service_with_connect_info::<SocketAddr>();
            let task = tokio::spawn(server.serve(service));
            tracing::info!(%address, "API listens");
            servers.push(Running { address, handle, task });
        }
        Ok(Self { servers })
    }

    /// Where it listens, in the order of the configuration; with the ports that were chosen.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().map(|server| server.address)
    }

    /// Takes no more connections, lets requests under way end for `grace`, then closes what is left.
    pub async fn stop(self, grace: Duration) {
        for server in &self.servers {
            server.handle.graceful_shutdown(Some(grace));
        }
        for mut server in self.servers {
            match tokio::time::timeout(grace + Duration::from_millis(250), &mut server.task).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, address = %server.address, "API ended with an error"),
                Ok(Err(error)) => tracing::error!(%error, address = %server.address, "API ended with a panic"),
                Err(_) => {
                    server.handle.shutdown();
                    server.task.abort();
                }
            }
        }
    }
}

fn listener(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?; // a restarted node gets its port back at once
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    Ok((listener.local_addr()?, listener))
}
