//! `courier.version`: the version of the module.

/// The version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
