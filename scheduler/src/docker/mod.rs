//! A thin client of the Docker Engine: where it is, how it is reached, and what went wrong, in words.

mod error;
pub mod tunnel;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

pub use error::{Error, is_gone};

use crate::pem::Pems;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A host and its port.
    Tcp(String, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host, port) => write!(f, "tcp://{host}:{port}"),
        }
    }
}

impl Address {
    /// Parses `unix:///path`, `tcp://host:port`, `https://host:port` or a bare `host:port`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Address(text.to_owned());
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" | "http" | "https" => {
                let rest = rest.trim_end_matches('/');
                let (host, port) = match rest.rsplit_once(':') {
                    Some((host, port)) if !port.ends_with(']') => {
                        (host, port.parse().map_err(|_| wrong())?)
                    }
                    _ => (rest, 2376),
                };
                let bare = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
                bare.then(|| Self::Tcp(host.to_owned(), port))
                    .ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// A connection to one engine.
#[derive(Clone)]
pub struct Engine {
    /// The client.
    pub api: Docker,
    /// Where the engine is.
    pub address: Address,
}

impl Engine {
    /// Sets the client up, with TLS where there are credentials; the first request connects. No request takes longer
    /// than `limit`. There is no version to agree on: Bollard's requests name none, and the engine takes them as its own.
    pub fn connect(address: &Address, pems: Option<&Pems>, limit: Duration) -> Result<Self, Error> {
        // Bollard counts whole seconds.
        let seconds = limit.as_secs_f64().ceil().max(1.0) as u64;
        let client = match (address, pems) {
            (Address::Unix(path), _) => {
                Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
            }
            (Address::Tcp(host, port), None) => {
                let url = format!("http://{host}:{port}");
                Docker::connect_with_http(&url, seconds, API_DEFAULT_VERSION)
            }
            (Address::Tcp(host, port), Some(pems)) => {
                let url = format!("https://{host}:{port}");
                secure(pems, &url, seconds)?
            }
        };
        let failed = |source| Error::explain(address, "cannot reach the engine", source);
        let api = client
            .map_err(failed)?
            .with_timeout(Duration::from_secs(seconds));
        Ok(Self {
            api,
            address: address.clone(),
        })
    }

    /// The error of a request that was to do `what`.
    pub fn error(&self, what: impl Into<String>, source: bollard::errors::Error) -> Error {
        Error::explain(&self.address, what, source)
    }
}

/// Bollard's own TLS reads files and trusts the system's authorities besides the given one.
fn secure(
    pems: &Pems,
    url: &str,
    seconds: u64,
) -> Result<Result<Docker, bollard::errors::Error>, Error> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(pems.client_config()?)
        .https_only()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Ok(Docker::connect_with_custom_transport(
        move |request: bollard::BollardRequest| {
            let answer = client.request(request);
            async move { answer.await.map_err(bollard::errors::Error::from) }
        },
        Some(url),
        seconds,
        API_DEFAULT_VERSION,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_docker_host_may_hold() {
        let tcp = |host: &str, port| Address::Tcp(host.to_owned(), port);
        for (text, address) in [
            (
                "unix:///var/run/docker.sock",
                Address::Unix("/var/run/docker.sock".into()),
            ),
            ("tcp://engine:2376", tcp("engine", 2376)),
            ("https://engine:1234/", tcp("engine", 1234)),
            ("engine:2375", tcp("engine", 2375)),
            ("tcp://engine", tcp("engine", 2376)),
            ("tcp://[::1]:2376", tcp("[::1]", 2376)),
            ("tcp://[::1]", tcp("[::1]", 2376)),
        ] {
            assert_eq!(Address::parse(text).unwrap(), address, "{text}");
        }
        for text in [
            "",
            "ssh://engine",
            "unix://relative",
            "tcp://",
            "tcp://a:port",
            "tcp://user@a:1",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
