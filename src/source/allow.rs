//! The rule of what may be read: an item's key comes from the server, and must not turn the agent into a proxy or a
//! reader of files.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ureq::http::Uri;

use super::Location;

/// One entry of `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// What lies below a folder, `file:///folder/`.
    File(PathBuf),
    /// Sockets that lie below a folder, `unix:///folder/`.
    Unix(PathBuf),
    /// Scheme and host are compared whole, the path is a prefix.
    Http {
        /// `http` or `https`.
        scheme: String,
        /// The host in lower case, as it is written.
        host: String,
        /// The port; `None` for any, written `*`.
        port: Option<u16>,
        /// What the path begins with.
        path: String,
    },
}

/// An entry that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no entry of allow: write http://host[:port]/path, https://host[:port]/path (`*` is any port), file:///folder/ or unix:///folder/"
)]
pub struct Error(String);

impl FromStr for Allow {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error = || Error(text.to_owned());
        let folder = |path: &str| {
            let path = PathBuf::from(path);
            path.is_absolute().then_some(path).ok_or_else(error)
        };
        if let Some(path) = text.strip_prefix("file://") {
            return folder(path).map(Allow::File);
        }
        if let Some(path) = text.strip_prefix("unix://") {
            return folder(path).map(Allow::Unix);
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(error)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let any_port = authority.strip_suffix(":*");
        let uri: Uri = format!("{scheme}://{}/", any_port.unwrap_or(authority))
            .parse()
            .map_err(|_| error())?;
        match (uri.host(), scheme) {
            (Some(host), "http" | "https") if !host.is_empty() && !authority.contains('@') => {
                Ok(Allow::Http {
                    scheme: scheme.to_owned(),
                    host: host.to_ascii_lowercase(),
                    port: any_port.is_none().then(|| Location::port(&uri)),
                    path: if path.is_empty() { "/" } else { path }.to_owned(),
                })
            }
            _ => Err(error()),
        }
    }
}

impl Allow {
    /// Whether this entry permits to ask `uri`, over `socket` where there is one.
    pub fn permits(&self, uri: &Uri, socket: Option<&Path>) -> bool {
        match (self, socket) {
            (Allow::Unix(folder), Some(socket)) => below(socket, folder),
            (
                Allow::Http {
                    scheme,
                    host,
                    port,
                    path,
                },
                None,
            ) => {
                uri.scheme_str() == Some(scheme)
                    && uri
                        .host()
                        .is_some_and(|asked| asked.eq_ignore_ascii_case(host))
                    && port.is_none_or(|port| port == Location::port(uri))
                    && uri.path().starts_with(path.as_str())
            }
            _ => false,
        }
    }

    /// Whether this entry permits to read the file at `path`, whose links are resolved.
    pub fn permits_file(&self, path: &Path) -> bool {
        match self {
            Allow::File(folder) => {
                fs::canonicalize(folder).is_ok_and(|folder| path.starts_with(folder))
            }
            _ => false,
        }
    }
}

/// Whether `path` lies below `folder` once the links of both are resolved.
fn below(path: &Path, folder: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(folder)) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(allow: &str, url: &str) -> bool {
        let allow: Allow = allow.parse().unwrap();
        match url.parse().unwrap() {
            Location::Http { uri, socket } => allow.permits(&uri, socket.as_deref()),
            Location::File(path) => allow.permits_file(&fs::canonicalize(path).unwrap()),
        }
    }

    #[test]
    fn scheme_and_host_are_compared_whole_and_the_path_is_a_prefix() {
        let local = "http://localhost:*/";
        assert!(permits(local, "http://localhost:8081/metrics"));
        assert!(permits(local, "http://LOCALHOST/"));
        assert!(!permits(local, "https://localhost/"));
        assert!(!permits(local, "http://localhost.evil.example/"));
        assert!(!permits("http://h:80/metrics/", "http://h/admin"));
        assert!(permits("http://h:80/metrics/", "http://h/metrics/a"));
        assert!(permits("http://h", "http://h:80/x"));
        assert!(!permits("http://h/", "http://h:81/"));
        assert!(permits("http://[::1]:*/", "http://[::1]:9/"));
    }

    #[test]
    fn files_lie_below_the_folder_once_links_are_resolved() {
        let root = tempfile::tempdir().unwrap();
        let (inside, outside) = (root.path().join("in"), root.path().join("out"));
        for folder in [&inside, &outside] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("m.json"), "{}").unwrap();
        }
        std::os::unix::fs::symlink(outside.join("m.json"), inside.join("link.json")).unwrap();
        let allow = format!("file://{}/", inside.display());
        let at = |name: &str| format!("file://{}/{name}", inside.display());
        assert!(permits(&allow, &at("m.json")));
        assert!(!permits(&allow, &at("link.json")));
        assert!(!permits(&allow, &at("../out/m.json")));
        assert!(!permits("http://localhost:*/", &at("m.json")));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for text in [
            "localhost",
            "ftp://a/",
            "http://",
            "file://relative",
            "http://u@h/",
            "*",
        ] {
            assert!(text.parse::<Allow>().is_err(), "{text}");
        }
    }
}
