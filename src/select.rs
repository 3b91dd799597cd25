//! Which series of a body are wanted: the type, include and exclude.

use regex::Regex;

use crate::metric::Kind;

/// What an item's parameters and a source's settings select.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    kind: Option<Kind>,
    /// A name must match one of each group; a group comes from the settings or from the item's parameters.
    include: Vec<Vec<Regex>>,
    exclude: Vec<Regex>,
}

/// A parameter that selects nothing that exists.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A type of another name.
    #[error(
        "unknown type {0:?}: use timer, gauge, counter, meter, histogram, summary, untyped, text, bucket, quantile or all"
    )]
    Kind(String),
    /// A regular expression that does not compile.
    #[error("bad regular expression in {parameter}: {error}")]
    Regex {
        /// The parameter's name.
        parameter: &'static str,
        /// What the crate `regex` says of it.
        error: regex::Error,
    },
}

impl Selection {
    /// Selects by type: a type's name, or `all` or nothing for every type.
    ///
    /// # Errors
    /// [`Error::Kind`].
    pub fn of_kind(kind: &str) -> Result<Self, Error> {
        let kind = match kind {
            "" | "all" => None,
            name => Some(name.parse().map_err(|()| Error::Kind(name.to_owned()))?),
        };
        Ok(Selection {
            kind,
            ..Selection::default()
        })
    }

    /// Narrows by an item's parameters; an empty one narrows nothing.
    ///
    /// # Errors
    /// [`Error::Regex`].
    pub fn narrow(&mut self, include: &str, exclude: &str) -> Result<(), Error> {
        let compile = |parameter, pattern: &str| {
            Regex::new(pattern).map_err(|error| Error::Regex { parameter, error })
        };
        if !include.is_empty() {
            self.include.push(vec![compile("include", include)?]);
        }
        if !exclude.is_empty() {
            self.exclude.push(compile("exclude", exclude)?);
        }
        Ok(())
    }

    /// Narrows by a source's settings.
    pub fn narrow_by(&mut self, include: &[Regex], exclude: &[Regex]) {
        if !include.is_empty() {
            self.include.push(include.to_vec());
        }
        self.exclude.extend_from_slice(exclude);
    }

    /// Whether a series of this type and metric name is wanted; exclude wins.
    pub fn wants(&self, kind: Kind, name: &str) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
            && self
                .include
                .iter()
                .all(|group| group.iter().any(|regex| regex.is_match(name)))
            && !self.exclude.iter().any(|regex| regex.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_all_are_every_type() {
        for all in ["", "all"] {
            let selection = Selection::of_kind(all).unwrap();
            assert!(selection.wants(Kind::Timer, "a") && selection.wants(Kind::Text, "b"));
        }
        let timers = Selection::of_kind("timer").unwrap();
        assert!(timers.wants(Kind::Timer, "a") && !timers.wants(Kind::Gauge, "a"));
    }

    #[test]
    fn parameters_narrow_the_settings_and_exclude_wins() {
        let mut selection = Selection::of_kind("").unwrap();
        selection.narrow_by(
            &[Regex::new("^jvm").unwrap(), Regex::new("^app").unwrap()],
            &[Regex::new("secret").unwrap()],
        );
        selection.narrow("get", "").unwrap();
        assert!(selection.wants(Kind::Timer, "app.get"));
        assert!(!selection.wants(Kind::Timer, "app.put"));
        assert!(!selection.wants(Kind::Timer, "web.get"));
        assert!(!selection.wants(Kind::Timer, "app.get.secret"));
    }

    #[test]
    fn misuse_is_named() {
        let kind = Selection::of_kind("timers").unwrap_err().to_string();
        assert!(kind.contains("\"timers\"") && kind.contains("histogram"));
        let regex = Selection::default().narrow("(", "").unwrap_err();
        assert!(regex.to_string().contains("include"), "{regex}");
    }
}
