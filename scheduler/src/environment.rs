//! The environment: the process's own variables, and below them a file of settings.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The file that is read where it exists and no other is named.
pub const DEFAULT_FILE: &str = "/etc/concierge/scheduler.env";

/// Variables by name; an empty value counts as absent.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
}

/// Why the file of settings cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the settings file {file}: {source}", file = file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// One of its lines is no setting.
    #[error("{file}, line {line}: expected NAME=VALUE, a comment or an empty line", file = file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl Environment {
    /// The process's variables over those of `file`, or over those of [`DEFAULT_FILE`] where it exists.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let mut variables = match file {
            Some(file) => read(file)?,
            None => match read(Path::new(DEFAULT_FILE)) {
                Err(Error::Unreadable { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    HashMap::new()
                }
                other => other?,
            },
        };
        variables.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        Ok(Self { variables })
    }

    /// The variable's value, unless it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The variable as an on/off setting: `false`, `0`, `no` and empty are off.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            !["false", "0", "no"].contains(&value.to_ascii_lowercase().as_str())
        })
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            variables: variables.into(),
        }
    }
}

fn read(file: &Path) -> Result<HashMap<String, String>, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    parse(&text).map_err(|line| Error::Malformed {
        file: file.to_owned(),
        line,
    })
}

/// Variables of `NAME=VALUE` lines, or the number of the first line that is none.
fn parse(text: &str) -> Result<HashMap<String, String>, usize> {
    let mut variables = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(index + 1)?;
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(index + 1);
        }
        variables.insert(name.to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(variables)
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_comments_settings_or_mistakes() {
        let variables =
            parse("# where\nDOCKER_HOST=tcp://a:1\n\nexport SCALE_MIN = \"2\"\nEMPTY=\n").unwrap();
        assert_eq!(variables["DOCKER_HOST"], "tcp://a:1");
        assert_eq!(variables["SCALE_MIN"], "2");
        assert_eq!(parse("A=1\nnonsense"), Err(2));
        assert_eq!(parse("A B=1"), Err(1));
    }

    #[test]
    fn empty_is_absent_and_a_few_words_are_off() {
        let environment = Environment::from([("A", ""), ("B", "No"), ("C", "0"), ("D", "true")]);
        assert_eq!(environment.get("A"), None);
        assert!(!environment.is_on("A") && !environment.is_on("B") && !environment.is_on("C"));
        assert!(environment.is_on("D"));
    }
}
