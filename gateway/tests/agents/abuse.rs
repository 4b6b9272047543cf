//! What nobody should send: a closed connection and a counter, and nothing else is disturbed.

use muster_control::Status;
use muster_gateway::codec::envelope::{PING, PONG};
use muster_gateway::codec::{FromAgent, Startup, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::support::{Agent, PATIENCE, Site};

fn closed(cause: &str) -> String {
    format!("muster_agent_connections_closed_total{{cause=\"{cause}\"}}")
}

/// What comes back for these bytes until the connection is closed.
async fn reply(site: &Site, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(site.gateway(1).channel_address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    _ = timeout(PATIENCE, stream.read_to_end(&mut reply)).await.expect("the connection is closed");
    reply
}

fn framed(envelope: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put(envelope, &mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_close_their_connection_and_are_counted() {
    let site = Site::start().await;
    let mut bystander = site.active("bystander").await;
    for (bytes, cause) in [
        (u32::MAX.to_le_bytes().to_vec(), "frame_too_long"),
        (65_537u32.to_le_bytes().to_vec(), "frame_too_long"),
        (vec![0; 4], "close_frame"),
        (framed(b"GET / HTTP/1.1"), "unknown_method"),
        (framed(b"!1a!#AES:0123456789abcdef"), "malformed_id"),
        (framed(b"!999!#AES:0123456789abcdef"), "unknown_agent"),
        (framed(b"!1!#AES:0123456789abcdef"), "unknown_agent"),
        (framed(b"#AES:0123456789abcdef"), "unknown_agent"),
        (framed(b"!001!#AES:0123456789abcdef"), "undecryptable"),
        (framed(b"!001!:01234567"), "undecryptable"),
    ] {
        let before = site.count(1, &closed(cause));
        assert_eq!(reply(&site, &bytes).await, b"", "{cause}");
        site.until_count(&closed(cause), before + 1).await;
    }
    bystander.keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_opens_nothing_and_takes_nothing_over() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let mut thief = agent.identity.clone();
    thief.key = "ab".repeat(32).parse().unwrap();
    let mut thief = Agent::connect(site.gateway(1).channel_address(), &thief).await;
    thief.say(&FromAgent::Startup(Startup::Silent)).await;
    thief.expect_close().await;
    agent.keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_one_agents() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let other = site.enroll("web-02").await;
    let other = Agent::connect(site.gateway(1).channel_address(), &other).await;
    let frame = other.frame(&FromAgent::Startup(Startup::Silent));
    agent.stream().write_all(&frame).await.unwrap();
    agent.expect_close().await;
    site.until_count(&closed("other_agent"), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_disturb_nothing() {
    let site = Site::start_with(1, 1, |config| {
        config.channel.startup_within = std::time::Duration::from_secs(2);
    })
    .await;
    let mut half_open = Vec::new();
    for number in 0..1000 {
        let mut stream = TcpStream::connect(site.gateway(1).channel_address()).await.unwrap();
        // Silent, with half a length, or with a length that promises more.
        let beginning: &[u8] = [&b""[..], b"\x10\0", b"\0\0\x01\0", b"\x20\0\0\0!001!"][number % 4];
        stream.write_all(beginning).await.unwrap();
        half_open.push(stream);
    }
    let mut agent = site.active("web-01").await;
    agent.keepalive().await;
    site.until_count(&closed("no_startup"), 1000).await;
    agent.keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_strangers_than_allowed_are_turned_away() {
    let site = Site::start_with(1, 1, |config| config.channel.max_strangers = 2).await;
    let mut agent = site.active("web-01").await;
    let address = site.gateway(1).channel_address();
    let strangers = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let mut third = TcpStream::connect(address).await.unwrap();
    assert_eq!(timeout(PATIENCE, third.read(&mut [0; 1])).await.unwrap().unwrap_or(0), 0);
    site.until_count(&closed("too_many"), 1).await;
    agent.keepalive().await;
    drop(strangers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_answered_without_a_key() {
    let site = Site::start().await;
    let mut stream = TcpStream::connect(site.gateway(1).channel_address()).await.unwrap();
    for _ in 0..2 {
        stream.write_all(&framed(PING)).await.unwrap();
        let mut pong = vec![0; framed(PONG).len()];
        timeout(PATIENCE, stream.read_exact(&mut pong)).await.unwrap().unwrap();
        assert_eq!(pong, framed(PONG));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_read_is_cut_off_and_blocks_nobody() {
    let site = Site::start_with(1, 1, |config| config.channel.write_backlog = 4096).await;
    let mut other = site.active("other").await;
    let identity = site.enroll("deaf").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let stream = socket.connect(site.gateway(1).channel_address()).await.unwrap();
    let mut deaf = Agent::over(stream, &identity);
    deaf.startup().await;
    let body = b"Linux - Wazuh v4.14.7\nx merged.mg\n";
    let keepalive = deaf.frame(&FromAgent::Keepalive(body));
    while deaf.stream().write_all(&keepalive).await.is_ok() {}
    other.keepalive().await;
    site.until_count(&closed("stalled"), 1).await;
    site.until_agent(deaf.id(), "its session waits for it", |agent| agent.status == Status::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_any_cutting_are_understood() {
    let site = Site::start().await;
    let identity = site.enroll("web-01").await;
    let mut agent = Agent::connect(site.gateway(1).channel_address(), &identity).await;
    agent.stream().set_nodelay(true).unwrap();
    for byte in agent.frame(&FromAgent::Startup(Startup::Silent)) {
        agent.stream().write_all(&[byte]).await.unwrap();
    }
    agent.expect_ack().await;
    let several = [agent.frame(&FromAgent::Keepalive(b"x\n")), agent.frame(&FromAgent::Keepalive(b"y\n"))].concat();
    agent.stream().write_all(&several).await.unwrap();
    agent.expect_ack().await;
    agent.expect_ack().await;
}
