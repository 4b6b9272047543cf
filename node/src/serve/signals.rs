//! When to stop: SIGTERM, SIGINT, or the end of standard input. A second signal stops at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Exit, Failure};

/// Exit code of a process that a signal ended, as shells show it.
const INTERRUPTED: i32 = 128 + 2;
const TERMINATED: i32 = 128 + 15;

/// A token that is cancelled by the first signal, and with `with_stdin` when standard input ends.
///
/// # Errors
/// When the signals cannot be caught.
pub(super) fn watch(with_stdin: bool) -> Result<CancellationToken, Failure> {
    let catch = |kind| signal(kind).map_err(|error| Failure::new(Exit::Other, error));
    let mut signals = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            let first = next(&mut signals).await;
            tracing::info!(signal = first.1, "stopping");
            stop.cancel();
            let second = next(&mut signals).await;
            tracing::warn!(signal = second.1, "stopping at once");
            std::process::exit(second.0);
        }
    });
    if with_stdin {
        let stop = stop.clone();
        // A thread of its own, since such a read cannot be called off; it does not hold up the end of the process.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            tracing::info!("standard input ended: stopping");
            stop.cancel();
        });
    }
    Ok(stop)
}

async fn next(signals: &mut (Signal, Signal)) -> (i32, &'static str) {
    tokio::select! {
        _ = signals.0.recv() => (INTERRUPTED, "SIGINT"),
        _ = signals.1.recv() => (TERMINATED, "SIGTERM"),
    }
}
