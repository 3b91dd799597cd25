//! Where the API is, and who asks.

use std::fmt;
use std::time::Duration;

use reqwest::Url;

use super::Error;
use crate::environment::Environment;

/// Everything that a client needs to know before its first call.
#[derive(Debug, Clone)]
pub struct Access {
    /// The address of `api_jsonrpc.php`.
    pub url: Url,
    /// Who asks.
    pub credentials: Credentials,
    /// Whether the server's certificate must be valid.
    pub verify_tls: bool,
    /// How long one call may take.
    pub timeout: Duration,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// An API token (Zabbix 5.4 and later).
    Token(Secret),
    /// A user and the password.
    Password(String, Secret),
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Credentials {
    fn from_environment(environment: &Environment) -> Result<Self, Error> {
        let either = |a, b| environment.get(a).or_else(|| environment.get(b));
        if let Some(token) = environment.get("ZBX_API_TOKEN") {
            return Ok(Self::Token(literal_or_file(token)?));
        }
        match (
            either("ZBX_API_USER", "ZBX_USER"),
            either("ZBX_API_PASS", "ZBX_PASS"),
        ) {
            (Some(user), Some(password)) => {
                Ok(Self::Password(user.to_owned(), literal_or_file(password)?))
            }
            _ => Err(Error::NoCredentials),
        }
    }
}

/// A secret is given as itself, or as the absolute path of a file that holds it.
fn literal_or_file(value: &str) -> Result<Secret, Error> {
    if !value.starts_with('/') {
        return Ok(Secret(value.to_owned()));
    }
    let text = std::fs::read_to_string(value).map_err(|source| Error::SecretFile {
        file: value.to_owned(),
        source,
    })?;
    Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned()))
}

const ENDPOINT: &str = "api_jsonrpc.php";

impl Access {
    /// What the environment says; nothing without ZBX_API_HOST.
    pub fn from_environment(
        environment: &Environment,
        timeout: Duration,
    ) -> Result<Option<Self>, Error> {
        let Some(host) = environment.get("ZBX_API_HOST") else {
            return Ok(None);
        };
        Ok(Some(Self {
            url: Self::address(host)?,
            credentials: Credentials::from_environment(environment)?,
            verify_tls: environment.get("ZBX_TLS_VERIFY").is_none()
                || environment.is_on("ZBX_TLS_VERIFY"),
            timeout,
        }))
    }

    /// The API's address from what people write: a bare host (HTTPS), a URL, with or without `api_jsonrpc.php`.
    pub fn address(host: &str) -> Result<Url, Error> {
        let wrong = || Error::Address(host.to_owned());
        let host = host.trim();
        let text = if host.contains("://") {
            host.to_owned()
        } else {
            format!("https://{host}")
        };
        let mut url = Url::parse(&text).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        // A password in an address would end up in logs and process lists.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::AddressWithPassword);
        }
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with(ENDPOINT) {
            let path = format!("{}/{ENDPOINT}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_hosts_and_urls_lead_to_the_endpoint() {
        for (host, url) in [
            (
                "zabbix.example.com",
                "https://zabbix.example.com/api_jsonrpc.php",
            ),
            ("10.0.0.1:8443", "https://10.0.0.1:8443/api_jsonrpc.php"),
            (
                "example.com/zabbix",
                "https://example.com/zabbix/api_jsonrpc.php",
            ),
            (
                "http://localhost/zabbix/",
                "http://localhost/zabbix/api_jsonrpc.php",
            ),
            (
                "http://localhost:8080/api_jsonrpc.php",
                "http://localhost:8080/api_jsonrpc.php",
            ),
        ] {
            assert_eq!(Access::address(host).unwrap().as_str(), url);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for host in ["", "ftp://example.com", "http://", "http://a b/"] {
            assert!(
                matches!(Access::address(host), Err(Error::Address(_))),
                "{host}"
            );
        }
        assert!(matches!(
            Access::address("https://Admin:zabbix@example.com"),
            Err(Error::AddressWithPassword)
        ));
    }

    #[test]
    fn a_password_is_given_as_itself_or_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from-file\n").unwrap();
        for (value, password) in [
            ("literal", "literal"),
            (file.path().to_str().unwrap(), "from-file"),
        ] {
            let environment = Environment::from([
                ("ZBX_API_HOST", "h"),
                ("ZBX_USER", "Admin"),
                ("ZBX_PASS", value),
            ]);
            let access = Access::from_environment(&environment, Duration::from_secs(1));
            let access = access.unwrap().unwrap();
            assert!(access.verify_tls);
            assert!(matches!(access.credentials,
                Credentials::Password(user, secret) if user == "Admin" && secret.expose() == password));
        }
        let missing = Environment::from([
            ("ZBX_API_HOST", "h"),
            ("ZBX_USER", "Admin"),
            ("ZBX_PASS", "/no/such/file"),
        ]);
        let error = Access::from_environment(&missing, Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let credentials =
            Credentials::Password("Admin".into(), Secret::from("hidden-word".to_owned()));
        assert!(!format!("{credentials:?}").contains("hidden-word"));
    }
}
