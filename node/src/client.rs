//! A client of a cluster's API, for the parts of this program that talk to a running cluster.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Secret;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// For so long a request is repeated that a node does not answer, or cannot meet now: a change of leader takes seconds.
const PERSISTENCE: Duration = Duration::from_secs(60);

/// Pause before a repetition if the node asks for none.
const PAUSE: Duration = Duration::from_secs(1);

/// Which cluster, and as whom.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// The API of any node of the cluster.
    #[arg(long, value_name = "URL", default_value = "https://127.0.0.1:55000")]
    api: String,
    /// Certificate in PEM that the API shows, or of the authority that signed it; .muster/server.pem of `muster dev`.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Who asks: an administrator of the cluster.
    #[arg(long, value_name = "NAME", default_value = "wazuh")]
    user: String,
    /// File with the password of the user in its first line; .muster/password of `muster dev`. Without it, the
    /// password is taken from the environment variable MUSTER_PASSWORD.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl ClusterArgs {
    fn password(&self) -> anyhow::Result<Secret> {
        let Some(file) = &self.password_file else {
            let password = std::env::var("MUSTER_PASSWORD").ok();
            return password.map(Secret::new).context("give --password-file, or set MUSTER_PASSWORD");
        };
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Secret::new(text.lines().next().unwrap_or_default().to_owned()))
    }
}

/// A client that is logged in.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    user: String,
    password: Secret,
    token: String,
}

impl Client {
    /// Logs in.
    ///
    /// # Errors
    /// When the node is not reached, is not who it should be, or knows the user under another password.
    pub(crate) async fn log_in(args: &ClusterArgs) -> anyhow::Result<Self> {
        let pem = std::fs::read(&args.ca).with_context(|| format!("cannot read {}", args.ca.display()))?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .with_context(|| format!("{} has no certificate in PEM", args.ca.display()))?;
        let builder = reqwest::Client::builder().tls_certs_only(certificates).https_only(true);
        let http = builder.no_proxy().timeout(PATIENCE).build()?;
        let mut client = Self {
            http,
            base: args.api.trim_end_matches('/').to_owned(),
            user: args.user.clone(),
            password: args.password()?,
            token: String::new(),
        };
        client.renew().await?;
        Ok(client)
    }

    /// Posts a body and reads the answer. Repeats the request when nobody knows whether it was heard, so only what does
    /// no harm when it is done twice may be asked for.
    ///
    /// # Errors
    /// When it is refused, or not answered for too long.
    pub(crate) async fn post<A: DeserializeOwned>(&mut self, path: &str, body: &impl Serialize) -> anyhow::Result<A> {
        let body = serde_json::to_vec(body)?;
        let fill =
            |request: RequestBuilder| request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        let answer = self.ask(Method::POST, path, fill).await?;
        serde_json::from_str(&answer).with_context(|| format!("{path}: not the answer of this version of muster"))
    }

    /// Gets a text.
    ///
    /// # Errors
    /// When it is refused, or not answered for too long.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<String> {
        self.ask(Method::GET, path, |request| request).await
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<String> {
        let deadline = Instant::now() + PERSISTENCE;
        let mut renewed = false;
        loop {
            let request = self.http.request(method.clone(), format!("{}{path}", self.base)).bearer_auth(&self.token);
            let (error, pause) = match read(fill(request).send().await).await {
                Ok(text) => return Ok(text),
                Err(Unmet::Stranger(_)) if !renewed => {
                    renewed = true; // the token lapsed meanwhile
                    self.renew().await?;
                    continue;
                }
                Err(Unmet::Later(error, pause)) => (error, pause),
                Err(Unmet::Stranger(error) | Unmet::Refused(error)) => return Err(error.context(path.to_owned())),
            };
            if Instant::now() + pause >= deadline {
                return Err(error.context(format!("{path}: given up after {} s", PERSISTENCE.as_secs())));
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn renew(&mut self) -> anyhow::Result<()> {
        let url = format!("{}/security/user/authenticate?raw=true", self.base);
        let request = self.http.post(url).basic_auth(&self.user, Some(self.password.reveal()));
        match read(request.send().await).await {
            Ok(token) => {
                self.token = token;
                Ok(())
            }
            Err(Unmet::Stranger(_)) => bail!("{}: wrong password for {}", self.base, self.user),
            Err(Unmet::Later(error, _) | Unmet::Refused(error)) => Err(error.context(self.base.clone())),
        }
    }
}

/// Why a request was not met.
enum Unmet {
    /// The node does not know who asks.
    Stranger(anyhow::Error),
    /// It may be met later.
    Later(anyhow::Error, Duration),
    /// It never will be.
    Refused(anyhow::Error),
}

async fn read(sent: Result<Response, reqwest::Error>) -> Result<String, Unmet> {
    let later = |error: reqwest::Error| Unmet::Later(anyhow::Error::new(error.without_url()), PAUSE);
    let response = sent.map_err(later)?;
    let status = response.status();
    let seconds = |value: &header::HeaderValue| value.to_str().ok()?.parse().ok();
    let pause = response.headers().get(header::RETRY_AFTER).and_then(seconds).map_or(PAUSE, Duration::from_secs);
    let text = response.text().await.map_err(later)?;
    if status.is_success() {
        return Ok(text);
    }
    let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let error = anyhow::anyhow!("{}: {}", status.as_u16(), problem["detail"].as_str().unwrap_or("no reason given"));
    Err(match status {
        StatusCode::UNAUTHORIZED => Unmet::Stranger(error),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Unmet::Later(error, pause)
        }
        _ => Unmet::Refused(error),
    })
}
