//! Tokens: getting them, showing them, losing them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use muster_http::{ApiConfig, generate_signing_key};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::limits::tls;
use crate::sample::assert_like;
use crate::server::{Answer, Server, USER, config, eventually};

const LOGIN: &str = "/security/user/authenticate";

async fn try_log_in(server: &Server, user: &str, password: &str) -> Answer {
    Answer::of(server.bare("POST", LOGIN).basic_auth(user, Some(password))).await
}

async fn agents_with(server: &Server, authorization: &str) -> Answer {
    Answer::of(server.bare("GET", "/agents").header("authorization", authorization)).await
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A token under the cluster's own key that says what it likes.
fn forged(server: &Server, claims: &Value) -> String {
    let key = server.replica.view().control.signing_key().unwrap().pkcs8.clone();
    jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &EncodingKey::from_ec_der(&key)).unwrap()
}

#[tokio::test]
async fn all_three_ways_to_log_in_are_answered_like_the_reference() {
    let server = Server::start().await;
    assert_like("authenticate_post_ok", &try_log_in(&server, USER.0, USER.1).await, &[]);
    let get = Answer::of(server.bare("GET", LOGIN).basic_auth(USER.0, Some(USER.1))).await;
    assert_like("authenticate_get_deprecated", &get, &[]);
    let raw = server.bare("POST", &format!("{LOGIN}?raw=true")).basic_auth(USER.0, Some(USER.1));
    assert_like("authenticate_raw", &Answer::of(raw).await, &[]);
    let unknown = server.bare("POST", &format!("{LOGIN}?pretty=true")).basic_auth(USER.0, Some(USER.1));
    assert_eq!(Answer::of(unknown).await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn wrong_password_unknown_user_and_no_credentials_are_answered_alike() {
    let server = Server::start().await;
    let wrong = try_log_in(&server, USER.0, "wrong").await;
    assert_like("authenticate_bad_password", &wrong, &[]);
    assert_eq!(try_log_in(&server, "nobody", USER.1).await.text, wrong.text);
    assert_eq!(Answer::of(server.bare("POST", LOGIN)).await.text, wrong.text);
    assert_eq!(Answer::of(server.bare("POST", LOGIN).bearer_auth(&server.token)).await.text, wrong.text);
    server.stop().await;
}

#[tokio::test]
async fn a_request_without_a_good_token_is_refused() {
    let server = Server::start().await;
    assert_like("no_token", &Answer::of(server.bare("GET", "/agents")).await, &[]);
    let good = claims(&server.token);
    let with = |changes: Value| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        format!("Bearer {}", forged(&server, &claims))
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(agents_with(&server, &with(json!({}))).await.status, 200);
    let payload = server.token.split('.').nth(1).unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let other_key = {
        let key = EncodingKey::from_ec_der(&generate_signing_key().unwrap().pkcs8);
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &good, &key).unwrap()
    };
    for authorization in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer x".to_owned(),
        server.token.clone(),
        format!("Token {}", server.token),
        format!("Bearer {} ", &server.token[..server.token.len() - 2]),
        format!("Bearer {none}.{payload}."),
        format!("Bearer {other_key}"),
        with(json!({"nbf": now - 1000, "exp": now - 100})),
        with(json!({"exp": now + 1_000_000})),
        with(json!({"sub": "nobody"})),
        with(json!({"iss": "somebody"})),
        with(json!({"aud": "something"})),
        with(json!({"rbac_mode": "black"})),
        with(json!({"rbac_roles": [1, 2]})),
    ] {
        let answer = agents_with(&server, &authorization).await;
        assert_like("bad_token", &answer, &[]);
    }
    server.stop().await;
}

#[tokio::test]
async fn logging_out_kills_the_tokens_of_the_user_at_once_and_of_nobody_else() {
    let server = Server::start().await;
    let (second, other) = (server.log_in(USER.0).await, server.log_in("other").await);
    assert_eq!(agents_with(&server, &format!("Bearer {second}")).await.status, 200);
    assert_like("logout", &server.send("DELETE /security/user/authenticate").await, &[]);
    for dead in [&server.token, &second] {
        assert_eq!(agents_with(&server, &format!("Bearer {dead}")).await.status, 401);
    }
    assert_eq!(agents_with(&server, &format!("Bearer {other}")).await.status, 200);
    // A login in the same second gives a token that works, and that was issued after the revocation.
    let third = server.log_in(USER.0).await;
    assert_eq!(agents_with(&server, &format!("Bearer {third}")).await.status, 200);
    let revoked = server.replica.view().control.user(&USER.0.parse().unwrap()).unwrap().revoked_at.unwrap();
    assert!(claims(&third)["nbf"].as_u64().unwrap() > revoked.as_secs());
    server.stop().await;
}

/// The token is looked at before the body comes, on a state without the revocation: that of a node that is behind
/// would be no other. The change comes after the revocation, and that counts.
#[tokio::test]
async fn a_token_that_dies_between_the_head_and_the_body_of_a_request_changes_nothing() {
    let server = Server::start().await;
    let mut stream = tls(&server).await;
    let body = json!({"group_id": "late"}).to_string();
    let head = format!(
        "POST /groups HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        server.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    eventually("the request waits for its body beside the one that asks", async || {
        Answer::of(server.bare("GET", "/metrics")).await.text.contains("muster_http_requests_in_flight 2")
    })
    .await;
    assert_eq!(server.send("DELETE /security/user/authenticate").await.status, 200);
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("Invalid token"), "{answer}");
    assert!(server.replica.view().control.group(&"late".parse().unwrap()).is_none());
    server.stop().await;
}

#[tokio::test]
async fn writes_take_no_token_that_reads_do_not_take() {
    let server = Server::start().await;
    let dead = server.token.clone();
    server.send("DELETE /security/user/authenticate").await;
    let good = claims(&server.log_in(USER.0).await);
    let mut nobody = good.clone();
    nobody["sub"] = json!("nobody");
    let mut long = good.clone();
    long["exp"] = json!(good["exp"].as_u64().unwrap() + 1);
    for token in [dead, forged(&server, &nobody), forged(&server, &long)] {
        for (method, path) in [
            ("PUT", "/agents/restart"),
            ("PUT", "/agents/99999999999/restart"),
            ("PUT", "/agents/group?group_id=default&agents_list=99999999999"),
            ("DELETE", "/agents?agents_list=all&status=all&older_than=0s&name=x"),
            ("DELETE", LOGIN),
        ] {
            let answer = Answer::of(server.bare(method, path).bearer_auth(&token)).await;
            assert_like("bad_token", &answer, &[]);
        }
    }
    assert_eq!(Answer::of(server.bare("PUT", "/agents/restart").bearer_auth(forged(&server, &good))).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_address_is_blocked_after_too_many_failed_logins_for_the_right_password_too() {
    let server = Server::start_with(ApiConfig { failed_logins: 3, ..config() }).await;
    for _ in 0..3 {
        assert_eq!(try_log_in(&server, USER.0, "wrong").await.status, 401);
    }
    assert_like("login_throttled", &try_log_in(&server, USER.0, USER.1).await, &[]);
    assert_eq!(server.send("GET /agents").await.status, 200);
    server.stop().await;
}
