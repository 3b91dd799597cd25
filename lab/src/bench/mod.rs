//! The courier measured beside what a user would have instead of it.
//!
//! `benches/README.md` says what is measured and how.

mod body;
mod container;
mod floor;
mod hosts;
mod instructions;
mod meter;
mod report;
mod serve;
mod side_by_side;
mod sink;
mod stand;
mod ways;
mod wire;

use std::{fs, path::PathBuf};

pub use container::{Contained, in_a_small_container};
pub use instructions::Instructions;
pub(crate) use meter::resident;
pub use report::Report;
pub use side_by_side::side_by_side;

use crate::{Error, image};

/// Where results go: target/bench.
fn results_folder() -> Result<PathBuf, Error> {
    let folder = image::lab().join("../target/bench");
    fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
    Ok(folder)
}
