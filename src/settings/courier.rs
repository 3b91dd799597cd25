//! `courier.toml`: the module's own settings.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::format::Format;
use crate::key::Style;
use crate::source::Location;
use crate::source::allow::Allow;
use crate::trapper::destination::Destination;

/// The settings; [`Default`] is what holds without a file.
#[derive(Clone, Debug)]
pub struct Courier {
    /// What an item key may name beside the sources.
    pub allow: Vec<Allow>,
    /// The sources by name.
    pub sources: BTreeMap<String, Source>,
    /// How values are delivered.
    pub deliver: Deliver,
}

/// A `[source.NAME]`.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where the body comes from.
    pub url: String,
    /// What the body is.
    pub format: Format,
    /// How the keys are written.
    pub keys: Style,
    /// What stands before the series in each key.
    pub prefix: String,
    /// A metric's name must match one of these, if there are any.
    pub include: Vec<Regex>,
    /// A metric's name must match none of these.
    pub exclude: Vec<Regex>,
    /// Headers of the request, in the order of their names.
    pub headers: BTreeMap<String, String>,
    /// A file whose first line is the bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// A file whose first line is `user:password`.
    pub basic_auth_file: Option<PathBuf>,
    /// The certificate authorities that sign the source's certificate, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The largest body, in bytes, after decompression.
    pub max_bytes: u64,
}

/// `[deliver]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deliver {
    /// Servers in place of the agent's own `ServerActive`, each `host[:port]`, a cluster's nodes parted by `;`.
    pub to: Vec<Destination>,
    /// Whether requests are compressed.
    pub compress: bool,
    /// The folder where snapshots wait that could not be delivered; empty: they do not wait.
    #[serde(deserialize_with = "absolute")]
    pub spool: PathBuf,
    /// The most that may lie there, in bytes.
    pub spool_max_bytes: u64,
    /// The longest that a snapshot may wait, in seconds.
    pub spool_max_age: u64,
    /// What is done with a snapshot that was sent and never acknowledged.
    pub spool_retry: Retry,
}

/// What is done with a snapshot of which nobody knows whether the server has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// It is not sent again, and counts as lost.
    #[default]
    AtMostOnce,
    /// It is sent again. Zabbix 6.0 and later keep one of two equal values with the same clock, 5.0 keeps both.
    AtLeastOnce,
}

/// The largest body where nothing else is set: 8 MiB.
pub const MAX_BYTES: u64 = 8 << 20;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is there and cannot be read.
    #[error("cannot read the courier's settings {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A mistake in the file.
    #[error("{path}, line {line}: {mistake}")]
    Mistake {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        mistake: String,
    },
}

impl Default for Deliver {
    fn default() -> Self {
        Deliver {
            to: Vec::new(),
            compress: false,
            spool: PathBuf::new(),
            spool_max_bytes: 64 << 20,
            spool_max_age: 24 * 60 * 60,
            spool_retry: Retry::default(),
        }
    }
}

impl Default for Courier {
    fn default() -> Self {
        let allow = [
            "http://localhost:*/",
            "http://127.0.0.1:*/",
            "http://[::1]:*/",
        ];
        Courier {
            // The three entries are well formed, so none is lost.
            allow: allow.iter().filter_map(|url| url.parse().ok()).collect(),
            sources: BTreeMap::new(),
            deliver: Deliver::default(),
        }
    }
}

impl Courier {
    /// Reads the file; without one the defaults hold.
    ///
    /// # Errors
    /// [`Error`], which names the file, the line and the mistake.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = super::read(path).and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        match text {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::Read {
                path: path.to_owned(),
                error,
            }),
        }
    }

    /// The settings that `text` holds; `path` is where it came from.
    ///
    /// # Errors
    /// [`Error::Mistake`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let mistake = |at: usize, mistake: String| Error::Mistake {
            path: path.to_owned(),
            line: 1 + text[..at.min(text.len())].matches('\n').count(),
            mistake,
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            mistake(
                at,
                format!(
                    "{}{}",
                    key_at(text, at),
                    without_value(&one_line(error.message()))
                ),
            )
        })?;
        let mut settings = Courier {
            deliver: file.deliver,
            ..Courier::default()
        };
        if let Some(allow) = file.allow {
            settings.allow = checked(allow, |url| {
                url.parse::<Allow>().map_err(|error| error.to_string())
            })
            .map_err(|(at, error)| mistake(at, format!("allow: {error}")))?;
        }
        for (name, source) in file.source {
            let url = source.url.get_ref();
            url.parse::<Location>().map_err(|error| {
                mistake(
                    source.url.span().start,
                    format!("source.{name}.url: {error}"),
                )
            })?;
            let regexes = |key: &str, patterns| {
                checked(patterns, |pattern: &str| {
                    Regex::new(pattern).map_err(|error| one_line(&error.to_string()))
                })
                .map_err(|(at, error)| mistake(at, format!("source.{name}.{key}: {error}")))
            };
            settings.sources.insert(
                name.clone(),
                Source {
                    include: regexes("include", source.include)?,
                    exclude: regexes("exclude", source.exclude)?,
                    url: source.url.into_inner(),
                    format: source.format,
                    keys: source.keys,
                    prefix: source.prefix,
                    headers: source.headers,
                    bearer_token_file: source.bearer_token_file,
                    basic_auth_file: source.basic_auth_file,
                    ca_file: source.ca_file,
                    max_bytes: source.max_bytes,
                },
            );
        }
        Ok(settings)
    }
}

impl Source {
    /// What holds for a URL that an item key names itself.
    pub fn of_url(url: &str) -> Self {
        Source {
            url: url.to_owned(),
            format: Format::Auto,
            keys: Style::Concierge,
            prefix: String::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            headers: BTreeMap::new(),
            bearer_token_file: None,
            basic_auth_file: None,
            ca_file: None,
            max_bytes: MAX_BYTES,
        }
    }
}

/// The file as it is written, before its texts are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    allow: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    source: BTreeMap<String, FileSource>,
    #[serde(default)]
    deliver: Deliver,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSource {
    url: Spanned<String>,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    keys: Style,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    include: Vec<Spanned<String>>,
    #[serde(default)]
    exclude: Vec<Spanned<String>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    bearer_token_file: Option<PathBuf>,
    basic_auth_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default = "max_bytes")]
    max_bytes: u64,
}

/// A folder's path; the agent's working directory is not what anybody thinks of.
fn absolute<'de, D: Deserializer<'de>>(text: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(text)?;
    if path.as_os_str().is_empty() || path.is_absolute() {
        return Ok(path);
    }
    Err(serde::de::Error::custom("write the whole path, from / on"))
}

fn max_bytes() -> u64 {
    MAX_BYTES
}

/// Checks each text; the first that fails is told with its place.
fn checked<T>(
    texts: Vec<Spanned<String>>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, (usize, String)> {
    texts
        .into_iter()
        .map(|text| check(text.get_ref()).map_err(|error| (text.span().start, error)))
        .collect()
}

/// The key of the line that holds `at`, for a mistake in its value; never the value, which may be a secret.
fn key_at(text: &str, at: usize) -> String {
    let at = at.min(text.len());
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let key = match key_of(line) {
        Some(key) if start + key.len() < at => Some(key),
        Some(_) => None,
        // An element of a list, which began on a line before.
        None => text[..start]
            .lines()
            .rev()
            .take_while(|line| !line.trim_start().starts_with('['))
            .find_map(key_of)
            .filter(|_| !line.trim_start().starts_with('[')),
    };
    key.map_or_else(String::new, |key| format!("{}: ", key.trim()))
}

/// The bare key that a line begins with; what else stands before a `=` is part of a value.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    key.trim().chars().all(bare).then_some(key)
}

/// What a parser found in place of what it expected, without the value itself.
fn without_value(message: &str) -> String {
    let told = message.split_once(": ").and_then(|(what, rest)| {
        let (found, expected) = rest.rsplit_once(", expected ")?;
        let kind = found.split([' ', '`', '"']).next()?;
        what.starts_with("invalid ")
            .then(|| format!("{what}: {kind}, expected {expected}"))
    });
    told.unwrap_or_else(|| message.to_owned())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Courier, String> {
        Courier::parse(text, Path::new("courier.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_setting_of_a_source_is_read() {
        let settings = parse(
            r#"
            allow = []
            [source.app]
            url = "http://127.0.0.1:8081/metrics"
            format = "dropwizard"
            keys = "enfield"
            prefix = "app."
            include = ["^jvm"]
            exclude = ["x", "y"]
            headers = { Authorization = "Bearer secret" }
            bearer_token_file = "/t"
            basic_auth_file = "/b"
            ca_file = "/ca"
            max_bytes = 100
            [deliver]
            to = ["a:1", "b"]
            compress = true
            spool = "/var/lib/zabbix/courier"
            spool_max_bytes = 1000
            spool_max_age = 60
            spool_retry = "at-least-once"
            "#,
        )
        .unwrap();
        let app = &settings.sources["app"];
        assert_eq!(app.format, Format::Dropwizard);
        assert_eq!(app.keys, Style::Enfield);
        assert_eq!((&*app.prefix, app.max_bytes), ("app.", 100));
        assert_eq!((app.include.len(), app.exclude.len()), (1, 2));
        assert_eq!(app.headers["Authorization"], "Bearer secret");
        let to: Vec<String> = settings
            .deliver
            .to
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(to, ["a:1", "b:10051"]);
        assert!(settings.allow.is_empty() && settings.deliver.compress);
        let deliver = &settings.deliver;
        assert_eq!(deliver.spool, Path::new("/var/lib/zabbix/courier"));
        assert_eq!((deliver.spool_max_bytes, deliver.spool_max_age), (1000, 60));
        assert_eq!(deliver.spool_retry, Retry::AtLeastOnce);
    }

    #[test]
    fn without_a_file_the_local_machine_may_be_read() {
        let settings = Courier::read(Path::new("/nonexistent/courier.toml")).unwrap();
        assert_eq!(settings.allow.len(), 3);
        assert!(settings.sources.is_empty() && settings.deliver.to.is_empty());
    }

    #[test]
    fn mistakes_name_the_file_the_line_and_the_key() {
        for (text, expected) in [
            (
                "allow = []\nalow = []",
                "courier.toml, line 2: unknown field `alow`",
            ),
            (
                "[source.a]\nurl = '/x'\nmax_bytes = 'secret'",
                "courier.toml, line 3: max_bytes: invalid type: string, expected u64",
            ),
            (
                "[source.a]\nurl = '/x'\nheaders = 'Authorization: Bearer secret'",
                "courier.toml, line 3: headers: invalid type: string, expected a map",
            ),
            (
                "[source.a]\nurl = 'htp://x/'",
                "courier.toml, line 2: source.a.url: \"htp://x/\" is no source",
            ),
            (
                "[deliver]\nto = [\n 'a',\n 'b:c']",
                "courier.toml, line 2: to: \"b:c\" is no destination",
            ),
            (
                "[deliver]\nto = [\n 'secret=', 'secret=',\n 5]",
                "courier.toml, line 4: to: invalid type: integer",
            ),
            (
                "[deliver]\nto = [\n 'a',\n 5]",
                "courier.toml, line 4: to: invalid type: integer",
            ),
            (
                "[source.a]\nurl = '/x'\ninclude = [\n 'ok',\n '(']",
                "courier.toml, line 5: source.a.include: regex parse error",
            ),
            ("allow = ['ftp://x/']", "courier.toml, line 1: allow: "),
            ("[source.a]\n", "courier.toml, line 1: missing field `url`"),
            (
                "[deliver]\nto = 5",
                "courier.toml, line 2: to: invalid type",
            ),
            (
                "[deliver]\nspool = 'spool'",
                "courier.toml, line 2: spool: write the whole path",
            ),
            (
                "[deliver]\nspool_retry = 'always'",
                "courier.toml, line 2: spool_retry: unknown variant",
            ),
            (
                "[source.a]\nurl = '/x'\nformat = 'xml'",
                "courier.toml, line 3: format: unknown variant",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
            assert!(
                !error.contains('\n') && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
