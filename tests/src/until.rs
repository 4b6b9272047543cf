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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_found_is_returned() {
        let mut looks = 0;
        let found = until("three looks", Duration::from_secs(10), async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(format!("{looks} looks")) }
        });
        assert_eq!(found.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "not within 100ms: the impossible; last: it is not there")]
    async fn a_wait_in_vain_says_what_was_missing() {
        until("the impossible", Duration::from_millis(100), async || Err::<(), _>("it is not there".to_owned())).await;
    }

    #[tokio::test]
    #[should_panic(expected = "not within 100ms: an answer")]
    async fn a_look_that_does_not_come_back_does_not_outlive_the_deadline() {
        until("an answer", Duration::from_millis(100), async || std::future::pending::<Result<(), String>>().await)
            .await;
    }
}
