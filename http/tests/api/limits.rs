//! Many requests, slow clients, ends.

use std::time::{Duration, Instant};

use muster_http::{Api, ApiConfig, StartError, TlsIdentity};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::sample::assert_like;
use crate::server::{Answer, Server, client, config, eventually};

#[tokio::test]
async fn the_rate_limit_counts_everything_and_comes_first() {
    let server = Server::start_with(ApiConfig { requests_per_minute: 5, ..config() }).await;
    // One login went before.
    for path in ["/agents", "/nosuch", "/", "/agents", "/groups"] {
        assert_ne!(Answer::of(server.bare("GET", path)).await.status, 429);
    }
    assert_like("rate_limited", &Answer::of(server.bare("GET", "/nosuch")).await, &[]);
    let refused = server.send("GET /agents").await;
    assert_like("rate_limited", &refused, &[]);
    assert!(refused.header("retry-after").is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_half_open_connections_disturb_nothing_and_are_closed() {
    let limits = ApiConfig { handshake_timeout: Duration::from_secs(2), ..config() };
    let server = Server::start_with(limits).await;
    let mut half_open = Vec::with_capacity(1000);
    for _ in 0..1000 {
        half_open.push(TcpStream::connect(server.address).await.unwrap());
    }
    let start = Instant::now();
    let fresh = client().get(server.url("/agents")).bearer_auth(&server.token);
    assert_eq!(Answer::of(fresh).await.status, 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    for mut stream in half_open {
        let mut byte = [0];
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let server = Server::start_with(ApiConfig { header_timeout: Duration::from_millis(300), ..config() }).await;
    let mut stream = tls(&server).await;
    stream.write_all(b"GET /agents HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection is still open");
    let mut endless = tls(&server).await;
    let line = [b'a'; 1024];
    eventually("an endless request line is refused", async || endless.write_all(&line).await.is_err()).await;
    server.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let server = Server::start_with(ApiConfig { max_connections: 3, ..config() }).await;
    let mut held = Vec::new();
    eventually("no place is left", async || {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0])).await.is_ok();
        held.push(stream);
        closed
    })
    .await;
    assert!(held.len() <= 4, "{}", held.len());
    drop(held);
    eventually("places are given back", async || {
        client().get(server.url("/healthz")).send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn stopping_is_bounded_and_frees_the_port() {
    let mut server = Server::start().await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let start = Instant::now();
    server.api.take().unwrap().stop(Duration::from_secs(1)).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(TcpStream::connect(server.address).await.is_err());
    drop(idle);
    server.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let server = Server::start().await;
    let listen = vec![server.address];
    let identity = TlsIdentity::self_signed(vec!["localhost".into()]).unwrap();
    let second = Api::start(ApiConfig { listen, ..config() }, server.replica.clone(), &identity, Registry::default());
    assert!(matches!(second.await, Err(StartError::Listen { address, .. }) if address == server.address));
    server.stop().await;
}

pub(crate) async fn tls(server: &Server) -> impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + use<> {
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}
