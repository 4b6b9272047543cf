//! When a development cluster can be used.

use std::time::Duration;

use super::layout::Layout;

/// How often a node that is not ready is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Returns when every node says that it is ready; asks for ever.
pub(super) async fn all(layout: &Layout) {
    let Some(client) = client(layout) else {
        eprintln!("cannot ask the nodes whether they are ready");
        return std::future::pending().await;
    };
    for node in layout.nodes() {
        let url = format!("https://{}/readyz", node.api);
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

/// A client that trusts the certificate of this cluster and nothing else.
fn client(layout: &Layout) -> Option<reqwest::Client> {
    let pem = std::fs::read(layout.server_certificate()).ok()?;
    let certificate = reqwest::Certificate::from_pem(&pem).ok()?;
    reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().timeout(Duration::from_secs(5)).build().ok()
}
