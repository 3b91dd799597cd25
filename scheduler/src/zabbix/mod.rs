//! The Zabbix API: requests as data, what differs between versions as small functions, one thin client.

mod access;
mod client;
pub mod dialect;
mod request;
pub mod sender;
mod version;

pub use access::{Access, Credentials, Secret};
pub use client::{Client, Error};
pub use request::Request;
pub use version::Version;
