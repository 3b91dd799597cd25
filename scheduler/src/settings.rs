//! The scaling verbs' settings: flags over macros over the environment over the defaults.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::cli;
use crate::docker::{self, Address};
use crate::environment::Environment;
use crate::pem::{self, Pems};
use crate::quantity::{bytes, cores, seconds};
use crate::scale::plan::{Ceiling, Rules};

const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_STATE_DIR: &str = "/var/lib/concierge";

/// Everything that a scaling verb needs to know about its component.
#[derive(Debug)]
pub struct Settings {
    /// Where the engine is.
    pub docker_host: Address,
    /// The Compose project or Swarm stack, where it is known.
    pub project: Option<String>,
    /// The service's name.
    pub service: String,
    /// The compose files, where they are known.
    pub files: Vec<PathBuf>,
    /// The engine, where it is known.
    pub engine: Option<cli::Engine>,
    /// How far and how often the service may be scaled.
    pub rules: Rules,
    /// How far a replica may grow.
    pub ceiling: Ceiling,
    /// How long one request to the engine may take.
    pub request_limit: Option<Duration>,
}

/// What a setting's mistake is.
#[derive(Debug, Error)]
pub enum Error {
    /// The value is none of its kind.
    #[error("{name}: {reason}")]
    Value {
        /// The macro or variable.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bounds leave nothing between them.
    #[error("the minimum {min} is above the maximum {max}; mend {{$SCALE.MIN}} or {{$SCALE.MAX}}")]
    Bounds {
        /// The lower bound.
        min: u32,
        /// The upper bound.
        max: u32,
    },
    /// The engine's address.
    #[error(transparent)]
    Address(#[from] docker::Error),
}

/// The macros of a service host, by name (`{$SCALE.MIN}`), as they are inherited.
pub type Macros = HashMap<String, String>;

impl Settings {
    /// The strongest of each.
    pub fn resolve(
        component: &str,
        target: &cli::Target,
        bounds: &cli::Bounds,
        limits: &cli::Limits,
        macros: &Macros,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let layers = Layers {
            macros,
            environment,
        };
        let docker_host = layers
            .find(
                target.docker_host.clone(),
                "{$DOCKER.HOST}",
                "DOCKER_HOST",
                text,
            )?
            .unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let rules = Rules {
            min: layers
                .find(bounds.min, "{$SCALE.MIN}", "SCALE_MIN", count)?
                .unwrap_or(1),
            max: layers.find(bounds.max, "{$SCALE.MAX}", "SCALE_MAX", count)?,
            paused: layers
                .find(None, "{$SCALE.PAUSED}", "SCALE_PAUSED", switch)?
                .unwrap_or(false),
            cooldown_up: layers
                .find(
                    bounds.cooldown_up,
                    "{$SCALE.COOLDOWN.UP}",
                    "SCALE_COOLDOWN_UP",
                    seconds,
                )?
                .unwrap_or_default(),
            cooldown_down: layers
                .find(
                    bounds.cooldown_down,
                    "{$SCALE.COOLDOWN.DOWN}",
                    "SCALE_COOLDOWN_DOWN",
                    seconds,
                )?
                .unwrap_or_default(),
        };
        if let Some(max) = rules.max.filter(|max| *max < rules.min) {
            return Err(Error::Bounds {
                min: rules.min,
                max,
            });
        }
        let file = target
            .file
            .as_ref()
            .map(|file| file.to_string_lossy().into_owned());
        Ok(Self {
            docker_host: Address::parse(&docker_host)?,
            project: layers.find(
                target.project.clone(),
                "{$COMPOSE.PROJECT}",
                "COMPOSE_PROJECT_NAME",
                text,
            )?,
            service: layers
                .find(
                    target.service_name.clone(),
                    "{$SCALE.SERVICE}",
                    "SCALE_SERVICE",
                    text,
                )?
                .unwrap_or_else(|| component.to_owned()),
            files: layers
                .find(file, "{$COMPOSE.FILE}", "COMPOSE_FILE", text)?
                .map(paths)
                .unwrap_or_default(),
            engine: layers.find(target.engine, "{$SCALE.ENGINE}", "SCALE_ENGINE", engine)?,
            rules,
            ceiling: Ceiling {
                cpu: layers.find(limits.cpu_max, "{$SCALE.CPU.MAX}", "SCALE_CPU_MAX", cores)?,
                memory: layers.find(
                    limits.memory_max,
                    "{$SCALE.MEMORY.MAX}",
                    "SCALE_MEMORY_MAX",
                    bytes,
                )?,
            },
            request_limit: match layers.find(None, "", "COMPOSE_HTTP_TIMEOUT", seconds)? {
                Some(limit) => Some(limit),
                None => layers.find(None, "", "DOCKER_CLIENT_TIMEOUT", seconds)?,
            },
        })
    }
}

/// How long a whole run may take.
pub fn timeout(target: &cli::Target, environment: &Environment) -> Result<Duration, Error> {
    let layers = Layers {
        macros: &Macros::new(),
        environment,
    };
    let limit = layers.find(target.timeout, "", "SCALE_TIMEOUT", seconds)?;
    Ok(limit.unwrap_or(DEFAULT_TIMEOUT))
}

/// Where locks, cool-down times and the audit lie.
pub fn state_dir(environment: &Environment) -> PathBuf {
    environment
        .get("CONCIERGE_STATE_DIR")
        .unwrap_or(DEFAULT_STATE_DIR)
        .into()
}

/// The credentials in the files of DOCKER_CERT_PATH, where all three are there.
pub fn cert_path(environment: &Environment) -> Result<Option<Pems>, pem::Error> {
    let Some(folder) = environment.get("DOCKER_CERT_PATH") else {
        return Ok(None);
    };
    let read = |name: &str| {
        let path = PathBuf::from(folder).join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(pem::Error::File { path, source }),
        }
    };
    match (read("key.pem")?, read("ca.pem")?, read("cert.pem")?) {
        (Some(key), Some(ca), Some(certificate)) => Pems::mend(
            &key,
            &ca,
            &certificate,
            &format!("DOCKER_CERT_PATH {folder}"),
        )
        .map(Some),
        _ => Ok(None),
    }
}

struct Layers<'a> {
    macros: &'a Macros,
    environment: &'a Environment,
}

impl Layers<'_> {
    /// The flag, else the macro, else the variable; an empty one counts as absent.
    fn find<T>(
        &self,
        flag: Option<T>,
        macro_name: &str,
        variable: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        if flag.is_some() {
            return Ok(flag);
        }
        let in_macro = self
            .macros
            .get(macro_name)
            .map(|value| (macro_name, value.trim()));
        let in_variable = || {
            self.environment
                .get(variable)
                .map(|value| (variable, value))
        };
        in_macro
            .filter(|(_, value)| !value.is_empty())
            .or_else(in_variable)
            .map(|(name, value)| {
                parse(value).map_err(|reason| Error::Value {
                    name: name.to_owned(),
                    reason,
                })
            })
            .transpose()
    }
}

fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

fn count(value: &str) -> Result<u32, String> {
    value
        .parse()
        .map_err(|_| format!("{value:?} is not a whole number of replicas"))
}

fn switch(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{value:?} is neither 1 nor 0")),
    }
}

fn engine(value: &str) -> Result<cli::Engine, String> {
    clap::ValueEnum::from_str(value, true)
        .map_err(|_| format!("{value:?} is neither compose nor swarm"))
}

/// Compose's own separator of several files.
fn paths(value: String) -> Vec<PathBuf> {
    std::env::split_paths(&value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(
        flag: Option<u32>,
        macros: &[(&str, &str)],
        environment: Environment,
    ) -> Result<Settings, Error> {
        let bounds = cli::Bounds {
            min: flag,
            ..cli::Bounds::default()
        };
        let macros = macros
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::resolve(
            "web",
            &cli::Target::default(),
            &bounds,
            &cli::Limits::default(),
            &macros,
            &environment,
        )
    }

    #[test]
    fn flags_win_over_macros_over_the_environment_over_defaults() {
        let min = |flag, macros: &[_], environment| {
            resolved(flag, macros, environment).unwrap().rules.min
        };
        let environment = || Environment::from([("SCALE_MIN", "2")]);
        assert_eq!(min(Some(4), &[("{$SCALE.MIN}", "3")], environment()), 4);
        assert_eq!(min(None, &[("{$SCALE.MIN}", "3")], environment()), 3);
        assert_eq!(min(None, &[("{$SCALE.MIN}", " ")], environment()), 2);
        assert_eq!(min(None, &[], Environment::default()), 1);
    }

    #[test]
    fn the_defaults_hold_without_any_setting() {
        let settings = resolved(None, &[], Environment::default()).unwrap();
        assert_eq!(settings.service, "web");
        assert_eq!(settings.docker_host.to_string(), DEFAULT_HOST);
        assert_eq!((settings.rules.max, settings.rules.paused), (None, false));
        assert_eq!(settings.rules.cooldown_up, Duration::ZERO);
    }

    #[test]
    fn a_wrong_value_names_the_setting_that_holds_it() {
        let said = |macros: &[_]| {
            resolved(None, macros, Environment::default())
                .unwrap_err()
                .to_string()
        };
        assert!(said(&[("{$SCALE.MIN}", "two")]).contains("{$SCALE.MIN}"));
        assert!(said(&[("{$SCALE.PAUSED}", "maybe")]).contains("{$SCALE.PAUSED}"));
        assert!(said(&[("{$SCALE.ENGINE}", "podman")]).contains("{$SCALE.ENGINE}"));
        assert!(
            said(&[("{$SCALE.MIN}", "5"), ("{$SCALE.MAX}", "2")]).contains("above the maximum")
        );
    }

    #[test]
    fn incomplete_certificate_folders_count_as_absent() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), "").unwrap();
        let environment =
            Environment::from([("DOCKER_CERT_PATH", folder.path().to_str().unwrap())]);
        assert!(cert_path(&environment).unwrap().is_none());
        assert!(cert_path(&Environment::default()).unwrap().is_none());
    }

    #[test]
    fn a_certificate_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        // Root, who runs the tests, may read every file, but no folder as one.
        std::fs::create_dir(&key).unwrap();
        let environment =
            Environment::from([("DOCKER_CERT_PATH", folder.path().to_str().unwrap())]);
        let Err(error) = cert_path(&environment) else {
            panic!("it was read")
        };
        let error = error.to_string();
        assert!(error.contains(key.to_str().unwrap()), "{error}");
        assert!(error.contains("directory"), "{error}");
    }
}
