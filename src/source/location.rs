//! What a source's URL says.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

use super::Error;

/// Where a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A regular file.
    File(PathBuf),
    /// An HTTP endpoint.
    Http {
        /// What is asked; over a unix socket its host is `localhost`.
        uri: Uri,
        /// The socket, where it is no TCP port.
        socket: Option<PathBuf>,
    },
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::Unknown(text.to_owned());
        if let Some(path) = text.strip_prefix("file://") {
            return absolute(path).map(Location::File).ok_or_else(unknown);
        }
        if let Some(rest) = text.strip_prefix("unix://") {
            let (socket, path) = rest.split_once(":/").ok_or_else(unknown)?;
            let socket = absolute(socket).ok_or_else(unknown)?;
            let uri = http_uri(&format!("http://localhost/{path}"), text)?;
            return Ok(Location::Http {
                uri,
                socket: Some(socket),
            });
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Location::Http {
                uri: http_uri(text, text)?,
                socket: None,
            });
        }
        absolute(text).map(Location::File).ok_or_else(unknown)
    }
}

impl Location {
    /// The location that `reference`, an absolute URL or an absolute path, means when this one redirects to it.
    ///
    /// # Errors
    /// [`Error`] where it is none.
    pub fn redirected(&self, reference: &str) -> Result<Self, Error> {
        let Location::Http { uri, socket } = self else {
            return Err(Error::Unknown(reference.to_owned()));
        };
        let scheme = uri.scheme_str().unwrap_or("http");
        // RFC 3986, section 4.2: two slashes begin a host, one a path.
        if reference.starts_with("//") {
            return format!("{scheme}:{reference}").parse();
        }
        if !reference.starts_with('/') {
            return reference.parse();
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        Ok(Location::Http {
            uri: http_uri(&format!("{scheme}://{authority}{reference}"), reference)?,
            socket: socket.clone(),
        })
    }

    /// The location one path segment below this one; the query stays.
    ///
    /// # Errors
    /// [`Error`] where there can be none.
    pub fn below(&self, segment: &str) -> Result<Self, Error> {
        let Location::Http { uri, .. } = self else {
            return Err(Error::Unusable {
                url: self.to_string(),
                why: "an index of meters needs an HTTP endpoint, where the meters can be asked for",
            });
        };
        let path = uri.path().trim_end_matches('/');
        let query = uri
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        self.redirected(&format!("{path}/{segment}{query}"))
    }

    /// The port of an HTTP location.
    pub fn port(uri: &Uri) -> u16 {
        let default = if uri.scheme() == Some(&Scheme::HTTPS) {
            443
        } else {
            80
        };
        uri.port_u16().unwrap_or(default)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => write!(f, "{}", path.display()),
            Location::Http { uri, socket: None } => write!(f, "{uri}"),
            Location::Http {
                uri,
                socket: Some(socket),
            } => {
                let path = uri.path_and_query().map_or("/", |path| path.as_str());
                write!(f, "unix://{}:{path}", socket.display())
            }
        }
    }
}

fn absolute(path: &str) -> Option<PathBuf> {
    Path::new(path).is_absolute().then(|| PathBuf::from(path))
}

/// A URL that can be asked as it stands: a host, no credentials, and no way up in its path.
fn http_uri(url: &str, shown: &str) -> Result<Uri, Error> {
    let uri: Uri = url.parse().map_err(|_| Error::Unknown(shown.to_owned()))?;
    let authority = uri
        .authority()
        .filter(|authority| !authority.host().is_empty())
        .ok_or_else(|| Error::Unknown(shown.to_owned()))?;
    let unusable = |why| {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Err(Error::Unusable {
            url: format!(
                "{}://{}{path}",
                uri.scheme_str().unwrap_or("http"),
                authority.host()
            ),
            why,
        })
    };
    if authority.as_str().contains('@') {
        return unusable(
            "credentials belong into a file (basic_auth_file of a source in courier.toml)",
        );
    }
    let climbs = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == ".." || segment == "."
    };
    let path = uri
        .path()
        .to_ascii_lowercase()
        .replace("%2f", "/")
        .replace("%5c", "/");
    if path.split(['/', '\\']).any(climbs) {
        return unusable("its path must not hold . or .. segments");
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> String {
        text.parse::<Location>()
            .map_or_else(|error| error.to_string(), |location| location.to_string())
    }

    #[test]
    fn each_way_to_name_a_source_is_understood() {
        assert_eq!(
            location("http://localhost:80/m?a=b"),
            "http://localhost:80/m?a=b"
        );
        assert_eq!(location("http://localhost"), "http://localhost/");
        assert_eq!(location("file:///a/b.json"), "/a/b.json");
        assert_eq!(location("/a/b.json"), "/a/b.json");
        assert_eq!(
            location("unix:///run/a.sock:/m/x"),
            "unix:///run/a.sock:/m/x"
        );
        assert_eq!(location("https://[::1]:8443/"), "https://[::1]:8443/");
    }

    #[test]
    fn what_is_no_source_is_said_to_be_none() {
        for text in [
            "app",
            "",
            "ftp://a/b",
            "file://a",
            "a/b",
            "http://",
            "unix:///run/a.sock",
        ] {
            assert!(location(text).contains("is no source"), "{text}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        let error = location("http://user:secret@localhost/");
        assert!(
            error.contains("basic_auth_file") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn a_path_cannot_climb() {
        for url in [
            "http://h/a/../b",
            "http://h/a/%2e%2E/b",
            "http://h/a%2f..%2fb",
            "http://h/./a",
        ] {
            assert!(location(url).contains("segments"), "{url}");
        }
        assert_eq!(location("http://h/a..b"), "http://h/a..b");
    }

    #[test]
    fn a_redirect_may_be_a_url_or_a_path() {
        let from: Location = "http://h:1/a".parse().unwrap();
        assert_eq!(
            from.redirected("/b?c").unwrap().to_string(),
            "http://h:1/b?c"
        );
        assert_eq!(
            from.redirected("http://g/").unwrap().to_string(),
            "http://g/"
        );
        assert_eq!(from.redirected("//g/b").unwrap().to_string(), "http://g/b");
    }

    #[test]
    fn a_meter_lies_below_its_index() {
        let below = |index: &str| {
            index
                .parse::<Location>()
                .unwrap()
                .below("a%20b")
                .unwrap()
                .to_string()
        };
        assert_eq!(
            below("http://h/actuator/metrics"),
            "http://h/actuator/metrics/a%20b"
        );
        assert_eq!(below("http://h/metrics/?x=1"), "http://h/metrics/a%20b?x=1");
        assert_eq!(below("unix:///s:/m"), "unix:///s:/m/a%20b");
        assert!("/file".parse::<Location>().unwrap().below("a").is_err());
    }
}
