//! The Zabbix agent's configuration file: what the courier takes from it, as `zabbix_sender -c` does.
//!
//! The format is that of Zabbix 5.0 to 7.0: `Parameter=value` lines, `#` at the beginning of a line for a comment,
//! the last value of a parameter wins, and `Include` reads a file, a folder or a folder's files that match a pattern.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// What the courier needs to know of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    parameters: HashMap<String, String>,
}

/// Why a configuration file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that cannot be read.
    #[error("cannot read the agent's configuration {path}: {error}")]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it cannot be.
        error: io::Error,
    },
    /// Files that include each other without end.
    #[error("{path}: more than {MAX_DEPTH} files include each other")]
    Depth {
        /// The file that would be the next.
        path: PathBuf,
    },
    /// A value that is none.
    #[error("the agent's configuration has {parameter}={value}, which is no {expected}")]
    Value {
        /// The parameter's name.
        parameter: &'static str,
        /// What it is set to.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A parameter that another one needs.
    #[error("the agent's configuration has TLSConnect={mode}, which needs {parameter}")]
    Missing {
        /// The parameter that is not set.
        parameter: &'static str,
        /// What needs it.
        mode: &'static str,
    },
}

const MAX_DEPTH: usize = 10;

impl Agent {
    /// Reads the file and what it includes.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Depth`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut agent = Agent::default();
        agent.read_file(path, 0)?;
        Ok(agent)
    }

    /// What one file says, without following `Include`.
    pub fn parse(text: &str) -> Self {
        let mut agent = Agent::default();
        for (name, value) in parameters(text) {
            agent.parameters.insert(name.to_owned(), value.to_owned());
        }
        agent
    }

    /// A parameter's value; `None` where it is not set or empty.
    pub fn get(&self, parameter: &str) -> Option<&str> {
        self.parameters
            .get(parameter)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The agent's host name: the first of `Hostname`.
    pub fn hostname(&self) -> Option<&str> {
        self.get("Hostname")?.split(',').next().map(str::trim)
    }

    /// `ServerActive`: independent servers, each of which is a cluster of one or more nodes (`host[:port]`).
    pub fn servers(&self) -> Vec<Vec<&str>> {
        let entries = self.get("ServerActive").unwrap_or_default().split(',');
        entries
            .map(|entry| {
                let nodes = entry.split(';').map(str::trim);
                nodes.filter(|node| !node.is_empty()).collect::<Vec<_>>()
            })
            .filter(|nodes| !nodes.is_empty())
            .collect()
    }

    /// `SourceIP`: the address that connections come from.
    ///
    /// # Errors
    /// [`Error::Value`] where it is no IP address.
    pub fn source_ip(&self) -> Result<Option<IpAddr>, Error> {
        self.parsed("SourceIP", "IP address")
    }

    /// `Timeout`, 3 s where it is not set.
    ///
    /// # Errors
    /// [`Error::Value`] where it is no number of seconds.
    pub fn timeout(&self) -> Result<Duration, Error> {
        let seconds = self.parsed("Timeout", "number of seconds")?;
        Ok(Duration::from_secs(seconds.unwrap_or(3)))
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        parameter: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(parameter) else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| Error::Value {
            parameter,
            value: value.to_owned(),
            expected,
        })
    }

    fn read_file(&mut self, path: &Path, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Depth {
                path: path.to_owned(),
            });
        }
        let bytes = super::read(path).map_err(|error| Error::Read {
            path: path.to_owned(),
            error,
        })?;
        // The agent reads bytes; what is no UTF-8 can only stand in a comment or make a value that is not found.
        let text = String::from_utf8_lossy(&bytes);
        for (name, value) in parameters(&text) {
            if name != "Include" {
                self.parameters.insert(name.to_owned(), value.to_owned());
            } else if !value.is_empty() {
                for file in included(Path::new(value))? {
                    self.read_file(&file, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

/// The files that an `Include` names, in the order of their names.
fn included(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let pattern = path.file_name().and_then(|name| name.to_str());
    let (folder, pattern) = match pattern {
        Some(pattern) if pattern.contains('*') => (path.parent().unwrap_or(path), Some(pattern)),
        _ if path.is_dir() => (path, None),
        _ => return Ok(vec![path.to_owned()]),
    };
    let unreadable = |error| Error::Read {
        path: folder.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let named = pattern.is_none_or(|pattern| matches(pattern, &name.to_string_lossy()));
        if named && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Whether `name` is what `pattern` describes, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_parameter_wins_and_comments_do_not_count() {
        let agent = Agent::parse(" Hostname = a, b \n#Hostname=c\nTimeout=4\nTimeout=30\n");
        assert_eq!(agent.hostname(), Some("a"));
        assert_eq!(agent.timeout().unwrap(), Duration::from_secs(30));
        assert_eq!(Agent::parse("").timeout().unwrap(), Duration::from_secs(3));
    }

    #[test]
    fn commas_part_servers_and_semicolons_the_nodes_of_one() {
        let agent = Agent::parse("ServerActive=a:1, [::1]:10051;b ,,c");
        assert_eq!(
            agent.servers(),
            [vec!["a:1"], vec!["[::1]:10051", "b"], vec!["c"]]
        );
        assert!(Agent::parse("ServerActive=").servers().is_empty());
    }

    #[test]
    fn a_value_that_is_none_is_named() {
        let error = Agent::parse("SourceIP=host").source_ip().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the agent's configuration has SourceIP=host, which is no IP address"
        );
    }

    #[test]
    fn include_follows_files_folders_and_patterns() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("conf.d")).unwrap();
        fs::write(at("conf.d/b.conf"), "Hostname=b\n").unwrap();
        fs::write(at("conf.d/a.conf"), "Hostname=a\nSourceIP=127.0.0.2\n").unwrap();
        fs::write(at("conf.d/c.off"), "Hostname=off\n").unwrap();
        let main = at("main.conf");
        let includes = |target: &str| {
            let text = format!("Hostname=main\nInclude={}\n", at(target).display());
            fs::write(&main, text).unwrap();
            Agent::read(&main).unwrap()
        };
        assert_eq!(includes("conf.d/*.conf").hostname(), Some("b"));
        assert_eq!(includes("conf.d").hostname(), Some("off"));
        let one = includes("conf.d/a.conf");
        assert_eq!(one.hostname(), Some("a"));
        assert_eq!(one.source_ip().unwrap(), "127.0.0.2".parse().ok());
    }

    #[test]
    fn a_file_that_includes_itself_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loop.conf");
        fs::write(&path, format!("Include={}\n", path.display())).unwrap();
        assert!(matches!(Agent::read(&path), Err(Error::Depth { .. })));
    }

    #[test]
    fn patterns_match_as_the_agent_matches_them() {
        assert!(matches("*.conf", "a.conf") && matches("a*", "a") && matches("a*b*c", "aXbYc"));
        assert!(!matches("*.conf", "a.conf.dpkg-old") && !matches("a*b", "ab.c"));
    }
}
