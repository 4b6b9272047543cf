//! Waiting, the only way tests do it.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `look` finds what is waited for; an error says what is missing still.
///
/// # Panics
/// When it is not found `within` this time, with what was missing last.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + within;
    let mut missing = "the first look did not come back".to_owned();
    while let Ok(found) = timeout_at(end, look()).await {
        match found {
            Ok(found) => return found,
            Err(why) => missing = why,
        }
        if Instant::now() + PAUSE >= end {
            break;
        }
        sleep(PAUSE).await;
    }
    panic!("not within {within:?}: {what}; last: {missing}");
}
