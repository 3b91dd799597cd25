//! The client: one connection pool, one session, every call through one door.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use thiserror::Error;

use super::{Access, Credentials, Request, Secret, Version, dialect};

/// How many calls run side by side; PHP serves no more at once on a small server.
const PARALLEL: usize = 4;
/// Pauses before a lost call is sent again.
const RETRIES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1800),
];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER: usize = 1 << 30;

/// Why the API cannot be used, or what it refused.
#[derive(Debug, Error)]
pub enum Error {
    /// The setting is no address.
    #[error(
        "ZBX_API_HOST: \"{0}\" is no address; give a host, or a URL such as https://zabbix.example.com"
    )]
    Address(String),
    /// The setting carries a password.
    #[error("ZBX_API_HOST holds a user or a password; give them in ZBX_API_USER and ZBX_API_PASS")]
    AddressWithPassword,
    /// Nobody to log in as.
    #[error("no login for the Zabbix API: set ZBX_API_TOKEN, or ZBX_API_USER and ZBX_API_PASS")]
    NoCredentials,
    /// The file of a password or token is not there.
    #[error("cannot read the password file {file}: {source}")]
    SecretFile {
        /// The file.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No TLS, no HTTP client.
    #[error("cannot set up HTTPS: {0}")]
    Setup(String),
    /// The call did not come through.
    #[error(
        "cannot reach the Zabbix API at {url}: {reason}; check ZBX_API_HOST, the network and, for HTTPS, the certificate"
    )]
    Unreachable {
        /// The API's address.
        url: String,
        /// The system's reason.
        reason: String,
    },
    /// The call took too long.
    #[error("the Zabbix API at {url} did not answer {method} within {} s", timeout.as_secs())]
    Timeout {
        /// The API's address.
        url: String,
        /// The method called.
        method: String,
        /// The limit.
        timeout: Duration,
    },
    /// The web server answered an error.
    #[error("the web server at {url} answered {method} with status {status}; {}", advice(*status))]
    Status {
        /// The API's address.
        url: String,
        /// The method called.
        method: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// Something answered that is no Zabbix API.
    #[error("{url} is no Zabbix API: its answer to {method} is no JSON-RPC; check ZBX_API_HOST")]
    NotTheApi {
        /// The address.
        url: String,
        /// The method called.
        method: String,
    },
    /// The user or password is wrong.
    #[error("Zabbix refused the login of {user}: {reason}")]
    Login {
        /// The user's name, or "the API token".
        user: String,
        /// Zabbix's own words.
        reason: String,
    },
    /// Tokens came with 5.4.
    #[error("Zabbix {0} knows no API tokens; give ZBX_API_USER and ZBX_API_PASS")]
    NoTokens(Version),
    /// Zabbix refused a call.
    #[error("{method}: {reason}")]
    Refused {
        /// The method called.
        method: String,
        /// Zabbix's own words.
        reason: String,
    },
}

impl Error {
    /// Whether Zabbix itself said no, so that other calls may still go through.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// A session with one Zabbix server.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: reqwest::Url,
    timeout: Duration,
    version: Version,
    session: Secret,
    logged_in: bool,
}

impl Client {
    /// Asks for the version, then logs in.
    pub async fn connect(access: &Access) -> Result<Self, Error> {
        // Fails only where another provider was installed before, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(access.timeout))
            .timeout(access.timeout)
            .tls_danger_accept_invalid_certs(!access.verify_tls)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Setup(error.to_string()))?;
        let mut client = Self {
            http,
            url: access.url.clone(),
            timeout: access.timeout,
            version: Version(0, 0, 0),
            session: Secret::from(String::new()),
            logged_in: false,
        };
        client.version = client.ask_version().await?;
        client.log_in(&access.credentials).await?;
        Ok(client)
    }

    /// The server's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sends one call and returns its result.
    pub async fn call(&self, request: &Request) -> Result<Value, Error> {
        let mut retries = RETRIES.iter();
        loop {
            let (error, undone) = match self.send(request).await {
                Ok(answer) => return answer,
                Err(failure) => failure,
            };
            // Whoever waits for the whole of the time limit does not wait for it again.
            let silent = matches!(error, Error::Timeout { .. });
            match retries.next() {
                Some(pause) if !silent && (request.is_read() || undone) => {
                    tokio::time::sleep(*pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Sends the calls side by side; their results come in the calls' order.
    pub async fn call_all(&self, requests: &[Request]) -> Vec<Result<Value, Error>> {
        self.call_each(requests, &|_, answer| answer).await
    }

    /// The same, with each answer given to `take` as soon as it is there, while Zabbix works on the others.
    pub async fn call_each<T>(
        &self,
        requests: &[Request],
        take: &dyn Fn(usize, Result<Value, Error>) -> T,
    ) -> Vec<T> {
        let mut taken: Vec<(usize, T)> = stream::iter(requests.iter().enumerate())
            .map(|(index, request)| async move { (index, take(index, self.call(request).await)) })
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        taken.sort_unstable_by_key(|(index, _)| *index);
        taken.into_iter().map(|(_, taken)| taken).collect()
    }

    /// Ends the session, if a login began it.
    pub async fn logout(&self) {
        if self.logged_in {
            // The work is done; a session that stays open ends by itself.
            let _ = self.call(&Request::new("user.logout", json!([]))).await;
        }
    }

    async fn ask_version(&self) -> Result<Version, Error> {
        let request = Request::new("apiinfo.version", json!([]));
        let answer = self.call(&request).await?;
        let version = answer.as_str().and_then(|text| text.parse().ok());
        version.ok_or_else(|| self.not_the_api(&request))
    }

    async fn log_in(&mut self, credentials: &Credentials) -> Result<(), Error> {
        match credentials {
            Credentials::Token(_) if self.version < Version(5, 4, 0) => {
                return Err(Error::NoTokens(self.version));
            }
            Credentials::Token(token) => {
                self.session = token.clone();
                let probe = Request::new("user.get", json!({"output": ["userid"], "limit": 1}));
                self.call(&probe)
                    .await
                    .map_err(|error| refused_login("the API token", error))?;
            }
            Credentials::Password(user, password) => {
                let request = Request::new(
                    "user.login",
                    json!({dialect::login_name(self.version): user, "password": password.expose()}),
                );
                let answer = self.call(&request).await;
                let answer = answer.map_err(|error| refused_login(user, error))?;
                let session = answer.as_str().ok_or_else(|| self.not_the_api(&request))?;
                self.session = Secret::from(session.to_owned());
                self.logged_in = true;
            }
        }
        Ok(())
    }

    /// One attempt. The failure says whether the call certainly did not reach Zabbix.
    #[allow(clippy::type_complexity)]
    async fn send(&self, request: &Request) -> Result<Result<Value, Error>, (Error, bool)> {
        let mut body =
            json!({"jsonrpc": "2.0", "method": request.method, "params": request.params, "id": 1});
        let mut call = self.http.post(self.url.clone());
        if !self.session.expose().is_empty() {
            if dialect::bearer(self.version) {
                call = call.header(AUTHORIZATION, format!("Bearer {}", self.session.expose()));
            } else {
                body["auth"] = json!(self.session.expose());
            }
        }
        let call = call
            .header(CONTENT_TYPE, "application/json-rpc")
            .body(body.to_string());
        let lost = |error: reqwest::Error| {
            let undone = error.is_connect();
            (self.lost(request, error), undone)
        };
        let response = call.send().await.map_err(lost)?;
        let status = response.status();
        if !status.is_success() {
            let error = Error::Status {
                url: self.url.to_string(),
                method: request.method.clone(),
                status,
            };
            return Err((error, false));
        }
        let text = read(response).await.map_err(lost)?;
        Ok(self.answer(request, &text))
    }

    fn answer(&self, request: &Request, text: &[u8]) -> Result<Value, Error> {
        let not_the_api = || self.not_the_api(request);
        let mut answer: Value = serde_json::from_slice(text).map_err(|_| not_the_api())?;
        if let Some(error) = answer.get("error") {
            let part = |name| error.get(name).and_then(Value::as_str).unwrap_or_default();
            let reason = format!("{} {}", part("message"), part("data"));
            return Err(Error::Refused {
                method: request.method.clone(),
                reason: reason.trim().to_owned(),
            });
        }
        let result = answer.get_mut("result").map(Value::take);
        result.ok_or_else(not_the_api)
    }

    fn not_the_api(&self, request: &Request) -> Error {
        Error::NotTheApi {
            url: self.url.to_string(),
            method: request.method.clone(),
        }
    }

    fn lost(&self, request: &Request, error: reqwest::Error) -> Error {
        if error.is_timeout() && !error.is_connect() {
            return Error::Timeout {
                url: self.url.to_string(),
                method: request.method.clone(),
                timeout: self.timeout,
            };
        }
        Error::Unreachable {
            url: self.url.to_string(),
            reason: root_cause(&error),
        }
    }
}

fn refused_login(user: &str, error: Error) -> Error {
    match error {
        Error::Refused { reason, .. } => Error::Login {
            user: user.to_owned(),
            reason,
        },
        other => other,
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_ANSWER {
            // Cut short, it is no JSON, and is refused as such.
            break;
        }
    }
    Ok(text)
}

/// What is most often the reason that a web server answers with such a status.
fn advice(status: StatusCode) -> &'static str {
    if status.is_redirection() || status == StatusCode::NOT_FOUND {
        "check ZBX_API_HOST: https or http, and the folder of the frontend, such as /zabbix"
    } else {
        "see the log of PHP there"
    }
}

/// The innermost reason: reqwest's own texts only say that something was wrong.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::environment::Environment;

    #[tokio::test]
    async fn a_server_that_stays_silent_is_asked_once() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", server.local_addr().unwrap());
        let environment = Environment::from([
            ("ZBX_API_HOST", address.as_str()),
            ("ZBX_API_TOKEN", "token"),
        ]);
        let access = Access::from_environment(&environment, Duration::from_secs(5));
        let error = Client::connect(&access.unwrap().unwrap())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        // The system took whatever calls there were.
        server.set_nonblocking(true).unwrap();
        let calls = std::iter::from_fn(|| server.accept().ok()).count();
        assert_eq!(calls, 1);
    }

    #[test]
    fn an_address_that_leads_elsewhere_is_told_from_a_broken_frontend() {
        let told = |status| {
            let url = "https://zabbix.example.com/api_jsonrpc.php".to_owned();
            let method = "apiinfo.version".to_owned();
            let error = Error::Status {
                url,
                method,
                status,
            };
            error.to_string()
        };
        for status in [StatusCode::NOT_FOUND, StatusCode::MOVED_PERMANENTLY] {
            assert!(told(status).contains("ZBX_API_HOST"), "{status}");
        }
        assert!(told(StatusCode::INTERNAL_SERVER_ERROR).contains("the log of PHP"));
    }
}
