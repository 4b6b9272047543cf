//! A client of the API that costs as little as possible: HTTP/1.1 on one TLS connection, one request at a time.
//!
//! Client and servers share the cores of one machine: whatever the client takes is missing on the other side.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::bytes::{Buf, BytesMut};

/// What all connections to a cluster have in common.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) token: String,
}

/// One connection.
pub(crate) struct Wire {
    stream: TlsStream<TcpStream>,
    authorization: String,
    received: BytesMut,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The log index it rests on.
    pub(crate) index: Option<u64>,
    /// The command it issued.
    pub(crate) command: Option<u64>,
    pub(crate) body: BytesMut,
}

impl Caller {
    /// Connects to the API of a node.
    ///
    /// # Errors
    /// When TCP or TLS fails.
    pub(crate) async fn connect(&self, node: SocketAddr) -> anyhow::Result<Wire> {
        let socket = TcpStream::connect(node).await?;
        socket.set_nodelay(true)?;
        let stream = TlsConnector::from(self.tls.clone()).connect(ServerName::from(node.ip()), socket).await?;
        let authorization = format!("host: {node}\r\nauthorization: Bearer {}\r\n", self.token);
        Ok(Wire { stream, authorization, received: BytesMut::with_capacity(64 * 1024) })
    }
}

impl Wire {
    /// `GET` of a path with its query.
    ///
    /// # Errors
    /// When the connection fails; no status is an error.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\n{}\r\n", self.authorization)).await
    }

    /// `PUT` without a body.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn put(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.ask(&format!("PUT {path} HTTP/1.1\r\n{}content-length: 0\r\n\r\n", self.authorization)).await
    }

    /// `POST` of a body in JSON.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let (authorization, body) = (&self.authorization, body.to_string());
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\n{authorization}content-type: application/json\r\ncontent-length: {length}\r\n\r\n\
             {body}"
        ))
        .await
    }

    /// The token for a user's name and password.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn log_in(&mut self, user: &str, password: &str) -> anyhow::Result<String> {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        let request = format!(
            "POST /security/user/authenticate?raw=true HTTP/1.1\r\nhost: bench\r\nauthorization: Basic {credentials}\r\n\
             content-length: 0\r\n\r\n"
        );
        let answer = self.ask(&request).await?.success()?;
        Ok(String::from_utf8(answer.body.to_vec())?)
    }

    async fn ask(&mut self, request: &str) -> anyhow::Result<Answer> {
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let head_length = loop {
            if let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            self.receive().await?;
        };
        let head = self.received.split_to(head_length);
        self.received.advance(4);
        let head = std::str::from_utf8(&head).context("a head that is no text")?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).context("an answer without a status")?;
        let length = number(head, "content-length").context("an answer without a length")? as usize;
        while self.received.len() < length {
            self.received.reserve(length - self.received.len());
            self.receive().await?;
        }
        let body = self.received.split_to(length);
        Ok(Answer { status, index: number(head, "muster-index"), command: number(head, "muster-command"), body })
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the node closed the connection");
        Ok(())
    }
}

impl Answer {
    /// The answer, if it is one of success.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn success(self) -> anyhow::Result<Self> {
        if !(200..300).contains(&self.status) {
            let start = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]).into_owned();
            bail!("status {}: {start}", self.status);
        }
        Ok(self)
    }

    /// Whether these characters are in its body.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// Its body.
    ///
    /// # Errors
    /// When it is not JSON.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).context("a body that is not JSON")
    }
}

/// The number in a header; the server writes their names in lower case.
fn number(head: &str, name: &str) -> Option<u64> {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    line.trim().parse().ok()
}
