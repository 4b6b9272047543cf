//! Enrollment as an agent does it (agent protocol, section 1).

use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use muster_gateway::codec::enrollment::{Answer, RequestLine};
use muster_gateway::codec::{ClientKeyLine, InvalidKeyLine};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::trust;

/// Largest answer agents read, in bytes.
const MAX_ANSWER: usize = 2_048;

/// Why an agent was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// TCP or TLS failed, or nothing came within the time.
    #[error("no connection to {server}")]
    Connection {
        /// The enrollment server tried.
        server: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The manager closed without an answer.
    #[error("{server} closed without an answer")]
    NoAnswer {
        /// The enrollment server tried.
        server: String,
    },
    /// The manager answered with an error.
    #[error("refused: {reason}")]
    Refused {
        /// Its words, without `ERROR: `.
        reason: String,
    },
    /// The manager granted a key that an agent can not use.
    #[error("the granted key can not be used")]
    Unusable(#[from] InvalidKeyLine),
}

/// Enrolls agents at one of several servers. Cheap to clone.
#[derive(Clone)]
pub struct Enroller {
    /// `host:port` of each enrollment server; tried in turn.
    servers: Vec<String>,
    password: Option<String>,
    version: Option<String>,
    /// Bound of one attempt.
    patience: Duration,
    /// Wait after the first failed attempt; one more of it after each further one.
    retry: Duration,
    attempts: usize,
    tls: TlsConnector,
}

impl Enroller {
    /// Enrolls at these servers, without a password, with up to six attempts a second and more apart.
    ///
    /// # Panics
    /// If there are no servers.
    pub fn new(servers: Vec<String>) -> Self {
        assert!(!servers.is_empty(), "an agent needs a server to enroll at");
        Self {
            servers,
            password: None,
            version: Some("v4.14.7".to_owned()),
            patience: Duration::from_secs(60),
            retry: Duration::from_secs(1),
            attempts: 6,
            tls: TlsConnector::from(trust::unverified()),
        }
    }

    /// Sends this password.
    #[must_use]
    pub fn with_password(mut self, password: Option<String>) -> Self {
        self.password = password;
        self
    }

    /// Makes so many attempts, the second one `retry` after the first.
    #[must_use]
    pub fn with_attempts(mut self, attempts: usize, retry: Duration) -> Self {
        self.attempts = attempts.max(1);
        self.retry = retry;
        self
    }

    /// Enrolls one agent, first at the server of this index and then at the ones behind it.
    ///
    /// # Errors
    /// What the last attempt met.
    pub async fn enroll(&self, name: &str, first_server: usize) -> Result<ClientKeyLine, EnrollError> {
        let mut attempt = 0;
        loop {
            let server = &self.servers[(first_server + attempt) % self.servers.len()];
            let result = self.enroll_once(name, server).await;
            attempt += 1;
            match result {
                Err(error) if attempt < self.attempts => {
                    tracing::debug!(name, %error, attempt, "enrollment failed");
                    tokio::time::sleep(self.retry * attempt as u32).await;
                }
                done => return done,
            }
        }
    }

    /// Enrolls many agents, `parallel` at a time, spread over the servers; results come as they are ready.
    pub fn enroll_all(
        &self,
        names: impl IntoIterator<Item = String>,
        parallel: usize,
    ) -> impl Stream<Item = Result<ClientKeyLine, EnrollError>> {
        let tasks = names.into_iter().enumerate().map(move |(index, name)| {
            let enroller = self.clone();
            // A task each: the handshakes are work for all cores.
            tokio::spawn(async move { enroller.enroll(&name, index).await })
        });
        stream::iter(tasks)
            .buffer_unordered(parallel.max(1))
            .map(|ended| ended.expect("enrolling neither panics nor is aborted"))
    }

    /// One attempt: one connection, one line, one answer.
    async fn enroll_once(&self, name: &str, server: &str) -> Result<ClientKeyLine, EnrollError> {
        let failed = |source| EnrollError::Connection { server: server.to_owned(), source };
        let answer = tokio::time::timeout(self.patience, self.ask(name, server));
        match answer.await.map_err(|elapsed| failed(elapsed.into()))?.map_err(failed)? {
            Some(answer) => match answer? {
                Answer::Enrolled(identity) => Ok(identity),
                Answer::Refused(reason) => Err(EnrollError::Refused { reason }),
            },
            None => Err(EnrollError::NoAnswer { server: server.to_owned() }),
        }
    }

    async fn ask(&self, name: &str, server: &str) -> io::Result<Option<Result<Answer, InvalidKeyLine>>> {
        let socket = TcpStream::connect(server).await?;
        // Never sent and never compared, but TLS wants a name.
        let unsent = ServerName::try_from("manager").expect("a word is a valid name");
        let mut tls = self.tls.connect(unsent, socket).await?;
        let line = RequestLine {
            password: self.password.as_deref(),
            name,
            version: self.version.as_deref(),
            ..RequestLine::default()
        };
        tls.write_all(line.to_string().as_bytes()).await?;
        tls.flush().await?;
        let mut record = [0; MAX_ANSWER];
        loop {
            let length = match tls.read(&mut record).await {
                // Managers may close without close_notify.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                other => other?,
            };
            if length == 0 {
                return Ok(None);
            }
            // Agents judge what one read gave them, and skip what is no answer.
            if let Some(answer) = Answer::parse(&record[..length]).transpose() {
                return Ok(Some(answer));
            }
        }
    }
}
