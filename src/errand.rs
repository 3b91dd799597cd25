//! The first half of every errand, which discovery and push share: from an item's source to what a body holds.

use std::sync::Arc;

use crate::deadline::Deadline;
use crate::environment::{self, Environment};
use crate::format::{self, Budget, Format, actuator};
use crate::metric::Collector;
use crate::select::{self, Selection};
use crate::settings::courier::{Courier, Source};
use crate::source::{self, Access, Body, Location};

/// A source, ready to be fetched.
pub struct Target {
    /// What the board knows it by.
    pub id: String,
    /// Its settings.
    pub source: Source,
    /// All settings, as they were when the errand began.
    pub settings: Arc<Courier>,
    location: Location,
    /// Whether the settings name it.
    named: bool,
}

/// Why an errand failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings.
    #[error(transparent)]
    Environment(#[from] environment::Error),
    /// The item's parameters.
    #[error(transparent)]
    Selection(#[from] select::Error),
    /// No body.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// A body that cannot be read.
    #[error("{url}: {error}")]
    Format {
        /// Where the body is from.
        url: String,
        /// What is wrong with it.
        error: format::Error,
    },
}

impl Error {
    /// Whether the deadline passed.
    pub fn timed_out(&self) -> bool {
        matches!(self, Error::Source(error) if error.timed_out())
    }

    /// Whether the settings or the item's key must change before it can work.
    pub fn is_misuse(&self) -> bool {
        match self {
            Error::Environment(_) | Error::Selection(_) => true,
            Error::Source(error) => error.is_misuse(),
            Error::Format { .. } => false,
        }
    }
}

impl Target {
    /// Finds the source that an item names.
    ///
    /// # Errors
    /// [`Error`], always misuse.
    pub fn find(environment: &Environment, name: &str) -> Result<Self, Error> {
        let settings = environment.settings()?;
        let (source, named) = match settings.sources.get(name) {
            Some(source) => (source.clone(), true),
            None => (Source::of_url(name), false),
        };
        let location: Location = source.url.parse()?;
        Ok(Target {
            id: if named {
                name.to_owned()
            } else {
                location.to_string()
            },
            source,
            settings,
            location,
            named,
        })
    }

    /// What of the body is wanted.
    ///
    /// # Errors
    /// [`Error::Selection`].
    pub fn selection(&self, kind: &str, include: &str, exclude: &str) -> Result<Selection, Error> {
        let mut selection = Selection::of_kind(kind)?;
        selection.narrow(include, exclude)?;
        selection.narrow_by(&self.source.include, &self.source.exclude);
        Ok(selection)
    }

    /// Fetches the body.
    ///
    /// # Errors
    /// [`Error::Source`].
    pub fn fetch(&self, deadline: Deadline) -> Result<Body, Error> {
        Ok(source::fetch(&self.location, &self.access(), deadline)?)
    }

    /// Tells `out` what the body holds.
    ///
    /// # Errors
    /// [`Error::Format`], and [`Error::Source`] where the format has more bodies to fetch.
    pub fn read(
        &self,
        body: &Body,
        out: &mut dyn Collector,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let mut out = Budget::new(out);
        let wrong = |error| Error::Format {
            url: self.location.to_string(),
            error,
        };
        let format = match self.source.format {
            Format::Auto => {
                format::detect(body.content_type.as_deref(), &body.bytes).map_err(wrong)?
            }
            format => format,
        };
        let names = match format {
            Format::Actuator => actuator::names(&body.bytes).map_err(wrong)?,
            _ => None,
        };
        let Some(names) = names else {
            return format::read(format, &body.bytes, &mut out).map_err(wrong);
        };
        // The index names the meters; each is asked for below it, over the same connection.
        let mut bytes = body.bytes.len() as u64;
        for name in names {
            let location = self.location.below(&actuator::segment(&name))?;
            let meter = source::fetch(&location, &self.access(), deadline)?;
            bytes += meter.bytes.len() as u64;
            if bytes > self.source.max_bytes {
                return Err(Error::Source(source::Error::TooLarge {
                    url: format!("{} with all its meters", self.location),
                    max_bytes: self.source.max_bytes,
                }));
            }
            format::read(format, &meter.bytes, &mut out).map_err(|error| Error::Format {
                url: location.to_string(),
                error,
            })?;
        }
        Ok(())
    }

    fn access(&self) -> Access<'_> {
        Access {
            source: &self.source,
            allow: (!self.named).then_some(&self.settings.allow),
        }
    }
}
