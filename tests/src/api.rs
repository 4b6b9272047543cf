//! A client of the API of one node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, Method, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::answer::{Answer, NoAnswer};
use crate::place::PASSWORD;

/// Longer than any node may take to say that it cannot answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Items asked for at a time.
const PAGE: usize = 500;

/// A client of one node. Cheap to clone; all clients of a cluster share one token.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client,
    base: String,
    token: Arc<Mutex<Option<String>>>,
    is_stale: bool,
}

/// One delivery of a command, as `GET /v1/commands/{id}` tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Delivery {
    /// The agent.
    pub agent: String,
    /// How far it came.
    pub stage: String,
    /// What ended it.
    pub reason: Option<String>,
    /// The command that carries it.
    pub shares: Option<u64>,
    /// How often it was allowed to be sent.
    pub attempts: u32,
}

impl Delivery {
    /// Whether nothing can become of it any more.
    pub fn is_final(&self) -> bool {
        !matches!(&*self.stage, "queued" | "sent" | "acknowledged")
    }
}

impl Api {
    /// A client for each of these nodes, which show this certificate.
    pub(crate) fn of(addresses: impl IntoIterator<Item = std::net::SocketAddr>, certificate: &str) -> Vec<Self> {
        let certificate = Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
        let http = Client::builder().tls_certs_only([certificate]).no_proxy().timeout(PATIENCE).build();
        let http = http.expect("a client");
        let token = Arc::default();
        let new = |address| Self {
            http: http.clone(),
            base: format!("https://{address}"),
            token: Arc::clone(&token),
            is_stale: false,
        };
        addresses.into_iter().map(new).collect()
    }

    /// The same client, content with what its node has.
    #[must_use]
    pub fn stale(&self) -> Self {
        Self { is_stale: true, ..self.clone() }
    }

    /// `GET`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.ask(Method::GET, path, None).await
    }

    /// `PUT` without a body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn put(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.ask(Method::PUT, path, None).await
    }

    /// `POST` with a body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer, NoAnswer> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// `DELETE` without a body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.ask(Method::DELETE, path, None).await
    }

    /// `GET` of what needs no token.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn probe(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, NoAnswer> {
        let token = match self.token().await? {
            Ok(token) => token,
            Err(refused) => return Ok(refused),
        };
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(token);
        if self.is_stale {
            request = request.header("muster-consistency", "stale");
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    /// The token, or the answer to the login that did not give one.
    async fn token(&self) -> Result<Result<String, Answer>, NoAnswer> {
        let mut token = self.token.lock().await;
        if let Some(token) = &*token {
            return Ok(Ok(token.clone()));
        }
        let login = self.http.post(format!("{}/security/user/authenticate", self.base));
        let answer = self.send(login.basic_auth("wazuh", Some(PASSWORD))).await?;
        match answer.body["data"]["token"].as_str() {
            Some(granted) => Ok(Ok(token.insert(granted.to_owned()).clone())),
            None => Ok(Err(answer)),
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, NoAnswer> {
        let response = request.send().await.map_err(no_answer)?;
        read(response).await.map_err(no_answer)
    }

    /// All items of a list, page after page.
    ///
    /// # Panics
    /// When a page is not answered.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let separator = if path.contains('?') { '&' } else { '?' };
        loop {
            let path = format!("{path}{separator}limit={PAGE}&offset={}", items.len());
            let mut body = self.get(&path).await.expect("the node answers").success();
            let total = body["data"]["total_affected_items"].as_u64().expect("a list has a total");
            let Value::Array(page) = body["data"]["affected_items"].take() else { panic!("no list: {body}") };
            let is_last = page.is_empty();
            items.extend(page);
            if is_last || items.len() as u64 >= total {
                return items;
            }
        }
    }

    /// One field of all items of a list.
    ///
    /// # Panics
    /// When a page is not answered, or the field is no text.
    pub async fn texts(&self, path: &str, field: &str) -> BTreeSet<String> {
        let text = |item: Value| item[field].as_str().unwrap_or_else(|| panic!("{field} in {item}")).to_owned();
        self.all(path).await.into_iter().map(text).collect()
    }

    /// How many commands wait for something.
    ///
    /// # Errors
    /// When the node does not tell.
    pub async fn commands_open(&self) -> Result<u64, String> {
        let answer = self.get("/v1/commands?finished=false&limit=1").await.map_err(|error| format!("{error:?}"))?;
        answer.body["total"].as_u64().ok_or_else(|| format!("{answer:?}"))
    }

    /// The ids of all commands that are remembered, newest first.
    ///
    /// # Panics
    /// When a page is not answered.
    pub async fn commands(&self) -> Vec<u64> {
        let mut ids = Vec::new();
        loop {
            let path = format!("/v1/commands?limit={PAGE}&offset={}", ids.len());
            let body = self.get(&path).await.expect("the node answers").success();
            let page = body["commands"].as_array().expect("commands are a list");
            if page.is_empty() {
                return ids;
            }
            ids.extend(page.iter().map(|command| command["id"].as_u64().expect("an id is a number")));
        }
    }

    /// The deliveries of a command.
    ///
    /// # Panics
    /// When a page is not answered.
    pub async fn deliveries(&self, command: u64) -> Vec<Delivery> {
        let mut deliveries: Vec<Delivery> = Vec::new();
        loop {
            let path = format!("/v1/commands/{command}?limit={PAGE}&offset={}", deliveries.len());
            let mut body = self.get(&path).await.expect("the node answers").success();
            let page: Vec<Delivery> = serde_json::from_value(body["deliveries"].take()).expect("deliveries");
            let total = body["total"].as_u64().expect("a total");
            let is_last = page.is_empty();
            deliveries.extend(page);
            if is_last || deliveries.len() as u64 >= total {
                return deliveries;
            }
        }
    }
}

fn no_answer(error: reqwest::Error) -> NoAnswer {
    let text = format!("{error:?}");
    if error.is_connect() { NoAnswer::NotAsked(text) } else { NoAnswer::Unknown(text) }
}

async fn read(response: Response) -> Result<Answer, reqwest::Error> {
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let number = |name: &str| header(name).and_then(|text| text.parse().ok());
    let (index, command) = (number("muster-index"), number("muster-command"));
    let media_type = header("content-type").unwrap_or_default().to_owned();
    let bytes = response.bytes().await?;
    Ok(Answer { status, media_type, body: serde_json::from_slice(&bytes).unwrap_or_default(), index, command })
}
