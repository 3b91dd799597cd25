//! What the courier withstands, shown on real parts and counted: each of these is a verb of the lab at full length, and
//! a test at a short one.

mod faults;
mod memcheck;
mod outages;
mod soak;
pub(crate) mod stand;

pub use faults::{Faults, faults};
pub use memcheck::{Memcheck, memcheck};
pub use outages::{Outages, Plan, outages};
pub use soak::{Soak, soak};
