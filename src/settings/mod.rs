//! Settings: the agent's own configuration file and the module's `courier.toml`.

pub mod agent;
pub mod courier;
pub mod tls;
