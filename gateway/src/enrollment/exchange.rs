//! One enrollment connection.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::registrar::{Registrar, Verdict};
use crate::codec::enrollment::{MAX_REQUEST, Rejection};

/// How an enrollment connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The agent has its identity.
    Enrolled,
    /// The agent got an error.
    Rejected,
    /// Too many requests under way.
    TooMany,
    /// No TLS handshake in time, or none that succeeded.
    NoHandshake,
    /// No end of the request line in time.
    NoRequest,
    /// The answer could not be written; what was registered is removed again.
    Unanswered,
    /// This node stops, and no request had come.
    Stopping,
}

impl Ending {
    /// A word for a metric label, stable.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Rejected => "rejected",
            Self::TooMany => "too_many",
            Self::NoHandshake => "no_handshake",
            Self::NoRequest => "no_request",
            Self::Unanswered => "unanswered",
            Self::Stopping => "stopping",
        }
    }
}

/// Serves one connection to its end.
///
/// The order is: commit, answer, close. An agent that was answered is registered on a quorum; one whose answer was
/// lost is removed again, or its name would be taken for an hour.
pub(crate) async fn run(
    stream: TcpStream,
    peer: IpAddr,
    acceptor: &TlsAcceptor,
    registrar: &Registrar,
    within: Duration,
    stop: &CancellationToken,
) -> Ending {
    // Until a request is there nothing is lost by closing; from then on it is answered.
    let request = async {
        let Ok(Ok(mut stream)) = timeout(within, acceptor.accept(stream)).await else {
            return Err(Ending::NoHandshake);
        };
        match timeout(within, read_line(&mut stream)).await {
            Ok(Ok(line)) => Ok((stream, Ok(line))),
            Ok(Err(LineError::TooLong)) => Ok((stream, Err(Rejection::InvalidRequest))),
            Ok(Err(LineError::Broken)) | Err(_) => Err(Ending::NoRequest),
        }
    };
    let (mut stream, line) = tokio::select! {
        request = request => match request {
            Ok(request) => request,
            Err(ending) => return ending,
        },
        () = stop.cancelled() => return Ending::Stopping,
    };
    let verdict = match line {
        Ok(line) => registrar.register(&line, peer).await,
        Err(rejection) => Verdict::Rejected(rejection),
    };
    let answer = verdict.answer();
    let write = async {
        // One write is one TLS record: agents judge each record on its own.
        stream.write_all(&answer).await?;
        stream.flush().await
    };
    let written = timeout(within, write).await.is_ok_and(|result| result.is_ok());
    let ending = match &verdict {
        Verdict::Enrolled { .. } if written => Ending::Enrolled,
        Verdict::Enrolled { agent, .. } => {
            registrar.undo(*agent);
            Ending::Unanswered
        }
        Verdict::Rejected(_) if written => Ending::Rejected,
        Verdict::Rejected(_) => Ending::Unanswered,
    };
    // The agent has what it needs; whether it hears of the close does not matter.
    _ = timeout(within, stream.shutdown()).await;
    ending
}

/// Why there is no request line.
#[derive(Debug, PartialEq, Eq)]
enum LineError {
    /// It has no end.
    TooLong,
    /// The connection ended before it did.
    Broken,
}

impl From<io::Error> for LineError {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Reads to the first line end.
async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, LineError> {
    let mut line = Vec::with_capacity(512);
    loop {
        let begin = line.len();
        if stream.read_buf(&mut line).await? == 0 {
            return Err(LineError::Broken);
        }
        if line[begin..].contains(&b'\n') {
            return Ok(line);
        }
        if line.len() >= MAX_REQUEST {
            return Err(LineError::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_may_come_in_pieces() {
        let mut stream = in_pieces(&[b"OSSEC A:'we", b"b-01'", b"\n"]);
        assert_eq!(read_line(&mut stream).await, Ok(b"OSSEC A:'web-01'\n".to_vec()));
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_off() {
        let endless = vec![b'a'; 2 * MAX_REQUEST];
        assert_eq!(read_line(&mut &endless[..]).await, Err(LineError::TooLong));
        assert_eq!(read_line(&mut &b"OSSEC A:'web-01'"[..]).await, Err(LineError::Broken));
    }

    /// The pieces one after the other, each in a read of its own.
    fn in_pieces(pieces: &'static [&'static [u8]; 3]) -> impl AsyncRead + Unpin {
        pieces[0].chain(pieces[1]).chain(pieces[2])
    }
}
