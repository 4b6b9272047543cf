//! Who may be a node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use muster_node::Authority;
use muster_tests::{Cluster, Settings, Turn};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::PROGRAM;

const DEADLINE: Duration = Duration::from_secs(30);

/// Exit code of a node whose data directory is not its own.
const DATA: i32 = 65;

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_node_is_refused_under_its_old_identity() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let (leader, _) = cluster.leader().await;
    let wiped = (leader + 1) % 3;
    cluster.node_mut(wiped).kill().await;
    cluster.node(wiped).wipe();

    cluster.node_mut(wiped).start();
    let status = cluster.node_mut(wiped).ended(DEADLINE).await;
    assert_eq!(status.code(), Some(DATA), "{status}");
    let log = cluster.node(wiped).log();
    assert!(log.contains("has an empty disk, but the cluster knows it with another one"), "{log}");

    // The others go on, with the vote they had.
    let answer = cluster.api(leader).post("/groups", json!({ "group_id": "still-here" })).await;
    answer.expect("the leader answers").success();
}

/// What a peer port makes of a client with this certificate: the first bytes it says.
async fn knock(cluster: &Cluster, node: usize, certificate: Option<(&str, &str)>) -> io::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(cluster.authority_pem().as_bytes()).expect("a certificate");
    roots.add(authority).expect("an authority");
    let config = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match certificate {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            config.with_client_auth_cert(chain.expect("a chain"), key).expect("a pair")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(cluster.node(node).place().peers).await?;
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    // The preface of HTTP/2 with empty settings, to which a server says its own.
    tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    let mut said = vec![0; 64];
    let length = tls.read(&mut said).await?;
    said.truncate(length);
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_certificate_is_refused_by_peers() {
    let _turn = Turn::shared().await;
    let cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let stranger = Authority::create("tests".parse().expect("a cluster id")).expect("an authority");
    let forged = stranger.issue(cluster.node(1).place().id(), &["127.0.0.1".to_owned()]).expect("a certificate");
    let dir = &cluster.node(1).place().dir;
    let own = ["peer.pem", "peer.key"].map(|file| std::fs::read_to_string(dir.join(file)).expect("a file"));

    let attempts = [
        ("that of a member", Some((&*own[0], &*own[1])), true),
        ("one that a stranger made for that member", Some((&*forged.certificate, &*forged.key)), false),
        ("none", None, false),
    ];
    for (what, certificate, is_welcome) in attempts {
        let said = timeout(DEADLINE, knock(&cluster, 0, certificate)).await.expect("an answer, or an end");
        let is_served = said.as_ref().is_ok_and(|said| !said.is_empty());
        assert_eq!(is_served, is_welcome, "certificate: {what}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_strangers_certificate_does_not_come_back_into_the_cluster() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let (leader, term) = cluster.leader().await;
    let outcast = (leader + 1) % 3;
    cluster.node_mut(outcast).kill().await;
    let stranger = Authority::create("tests".parse().expect("a cluster id")).expect("an authority");
    cluster.node(outcast).place().certify(&stranger);
    cluster.node_mut(outcast).start();

    // It serves, since its own disk is in order, and says that it has no leader.
    let api = cluster.api(outcast).clone();
    muster_tests::until("the node serves without the cluster", DEADLINE, async || {
        let answer = api.probe("/readyz").await.map_err(|error| format!("{error:?}"))?;
        let has_none =
            answer.status == 503 && answer.body["detail"].as_str().is_some_and(|text| text.contains("no leader"));
        if has_none { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let answer = cluster.api(leader).post("/groups", json!({ "group_id": "undisturbed" })).await;
    answer.expect("the leader answers").success();
    let raft = cluster.raft(leader).await.expect("the leader tells");
    assert_eq!((raft["leader"].as_u64(), raft["term"].as_u64()), (Some(leader as u64 + 1), Some(term)), "{raft}");
}
