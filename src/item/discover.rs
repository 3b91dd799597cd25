//! `courier.discover[source,type,include,exclude]`: the discovery rows of a source.

use std::borrow::Cow;

use super::Parameters;
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::errand::{Error, Target};
use crate::lld::Rows;

/// Answers the rows as JSON: a bare array.
///
/// # Errors
/// The reason why the item is unsupported. A failure never gives an empty array: it would delete the items.
pub fn discover(
    environment: &Environment,
    parameters: &[Cow<'_, str>],
    deadline: Deadline,
) -> Result<String, String> {
    let names = ["source", "type", "include", "exclude"];
    let parameters = Parameters::new("courier.discover", &names, parameters)?;
    rows(environment, &parameters, deadline).map_err(|error| error.to_string())
}

fn rows(
    environment: &Environment,
    parameters: &Parameters<'_>,
    deadline: Deadline,
) -> Result<String, Error> {
    let target = Target::find(environment, parameters.at(0))?;
    let selection = target.selection(parameters.at(1), parameters.at(2), parameters.at(3))?;
    let body = target.fetch(deadline)?;
    let mut rows = Rows::new(&selection, target.source.keys);
    target.read(&body, &mut rows, deadline)?;
    Ok(rows.into_json())
}
