//! Enrollment over TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::simulate::testing::within;
use crate::simulate::{EnrollError, Enroller};

/// Answers each connection with the next answer; gives the request lines, and whether a server name was sent.
async fn enrollment_server(answers: Vec<&'static str>) -> (String, tokio::task::JoinHandle<Vec<(String, bool)>>) {
    let certified = rcgen::generate_simple_self_signed(["some-manager".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (socket, _) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(socket).await.unwrap();
            let named = tls.get_ref().1.server_name().is_some();
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                line.push(tls.read_u8().await.unwrap());
            }
            requests.push((String::from_utf8(line).unwrap(), named));
            tls.write_all(answer.as_bytes()).await.unwrap();
            tls.shutdown().await.unwrap();
        }
        requests
    });
    (address, served)
}

#[tokio::test]
async fn an_agent_enrolls_without_naming_the_server_and_takes_any_certificate() {
    let (server, served) = enrollment_server(vec!["OSSEC K:'007 web-01 any 00ff'"]).await;
    let enroller = Enroller::new(vec![server]).with_password(Some("pass word".to_owned()));
    let identity = within(enroller.enroll("web-01", 0)).await.unwrap();
    assert_eq!(identity.to_string(), "007 web-01 any 00ff");
    let requests = within(served).await.unwrap();
    assert_eq!(requests, [("OSSEC PASS: pass word OSSEC A:'web-01' V:'v4.14.7'\n".to_owned(), false)]);
}

#[tokio::test]
async fn a_failed_enrollment_is_tried_again() {
    let refusal = "ERROR: Cannot comunicate with master. Unable to add agent";
    let (server, served) = enrollment_server(vec![refusal, "", "OSSEC K:'007 web-01 any 00ff'"]).await;
    let enroller = Enroller::new(vec![server]).with_attempts(3, Duration::from_millis(1));
    assert_eq!(within(enroller.enroll("web-01", 0)).await.unwrap().id, "007");
    assert_eq!(within(served).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_managers_reason_is_reported_when_attempts_run_out() {
    let (server, _served) = enrollment_server(vec!["ERROR: Duplicate agent name: web-01. Unable to add agent"]).await;
    let enroller = Enroller::new(vec![server]).with_attempts(1, Duration::ZERO);
    match within(enroller.enroll("web-01", 0)).await {
        Err(EnrollError::Refused { reason }) => {
            assert_eq!(reason, "Duplicate agent name: web-01. Unable to add agent");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_in_the_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let enroller = Enroller::new(vec![address.clone()]).with_attempts(1, Duration::ZERO);
    let error = within(enroller.enroll("web-01", 0)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no connection to {address}"));
}
