use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::*;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn analysis(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn read(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

struct Site {
    directory: tempfile::TempDir,
    metrics: Metrics,
    events: Events,
    source: EventSource,
}

impl Site {
    fn with_backlog(backlog: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let metrics = Metrics::default();
        let config = EventsConfig { socket: Some(directory.path().join("queue")), backlog };
        let events = Events::start(&config, metrics.clone()).unwrap();
        Self { directory, metrics, events, source: EventSource::new("001", "web-01", "any") }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("queue")
    }

    fn offer(&self, text: &str) {
        self.events.offer(&self.source, &Event { queue: b'1', text: text.as_bytes() });
    }

    async fn finish(&self) {
        self.events.finish(Instant::now() + PATIENCE).await;
    }
}

#[tokio::test]
async fn an_event_names_its_agent_and_keeps_its_place() {
    let site = Site::with_backlog(1 << 20);
    let analysis = analysis(&site.path());
    site.offer("/var/log/a:first");
    site.offer("keepalive mark");
    site.offer("/var/log/a:second");
    assert_eq!(read(&analysis), "1:[001] (web-01) any->/var/log/a:first");
    assert_eq!(read(&analysis), "1:[001] (web-01) any->/var/log/a:second");
    site.finish().await;
    assert_eq!((site.metrics.events_forwarded.get(), site.metrics.events_dropped("mark")), (2, 1));
}

#[tokio::test]
async fn without_somebody_who_listens_events_are_dropped_and_counted() {
    let site = Site::with_backlog(1 << 20);
    site.offer("a:b");
    site.offer("a:c");
    site.finish().await;
    assert_eq!((site.metrics.events_forwarded.get(), site.metrics.events_dropped("absent")), (0, 2));
}

#[tokio::test]
async fn an_analysis_side_that_starts_anew_is_found_again() {
    let site = Site::with_backlog(1 << 20);
    let first = analysis(&site.path());
    site.offer("a:before");
    assert_eq!(read(&first), "1:[001] (web-01) any->a:before");
    drop(first);
    std::fs::remove_file(site.path()).unwrap();
    let second = analysis(&site.path());
    site.offer("a:after");
    assert_eq!(read(&second), "1:[001] (web-01) any->a:after");
    site.finish().await;
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_and_not_the_end() {
    let site = Site::with_backlog(1_000);
    let _analysis = analysis(&site.path());
    let began = std::time::Instant::now();
    for _ in 0..100_000 {
        site.offer("/var/log/a:text");
    }
    assert!(began.elapsed() < PATIENCE);
    assert!(site.metrics.events_dropped("busy") > 90_000);
    site.events.finish(Instant::now()).await;
    assert!(site.metrics.events_dropped("stopped") > 0);
}

#[tokio::test]
async fn no_sink_takes_nothing() {
    let metrics = Metrics::default();
    let events = Events::start(&EventsConfig { socket: None, backlog: 1 }, metrics.clone()).unwrap();
    events.offer(&EventSource::new("001", "web-01", "any"), &Event { queue: b'1', text: b"a:b" });
    events.finish(Instant::now()).await;
    assert_eq!(metrics.events_dropped("no_sink"), 1);
}
