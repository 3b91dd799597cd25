//! The items, one file each: what a key's parameters mean and what its value is.

pub mod discover;
pub mod explain;
pub mod push;
pub mod stats;
pub mod version;

use std::borrow::Cow;

/// An item's parameters; one that is not given is empty.
pub struct Parameters<'a> {
    all: &'a [Cow<'a, str>],
}

impl<'a> Parameters<'a> {
    /// The parameters of the key `key`, of which there may be `names.len()`.
    ///
    /// # Errors
    /// What is wrong, when there are more, or the first is missing.
    pub fn new(key: &str, names: &[&str], all: &'a [Cow<'a, str>]) -> Result<Self, String> {
        let usage = || format!("use {key}[{}]", names.join(","));
        if all.len() > names.len() {
            return Err(format!(
                "{} parameters are too many: {}",
                all.len(),
                usage()
            ));
        }
        let parameters = Parameters { all };
        match names.first() {
            Some(first) if parameters.at(0).is_empty() => {
                Err(format!("the parameter {first} is missing: {}", usage()))
            }
            _ => Ok(parameters),
        }
    }

    /// The parameter at `index`.
    pub fn at(&self, index: usize) -> &'a str {
        self.all.get(index).map_or("", |parameter| parameter)
    }
}
