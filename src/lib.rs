//! The Concierge Courier: an application's metrics, discovered and delivered to Zabbix in one request.
//!
//! A push is one straight line through these modules:
//!
//! 1. [`module`]: the agent calls an item; [`abi`] makes safe Rust of the call.
//! 2. [`item`]: what the key's parameters mean. [`environment`] holds what the process knows: [`settings`] of the agent
//!    and of the courier, and the [`board`] that all processes share.
//! 3. [`errand`]: finds the source that is meant and fetches its body ([`source`], over [`net`] and [`tls`]).
//! 4. [`format`](mod@format): what the body means, told as [`metric`]s, of which [`select`] says what is wanted.
//! 5. [`lld`] makes discovery rows of them; [`key`] and [`trapper`] the request, which goes out and is answered, or
//!    waits in the [`spool`].
//!
//! Everything ends by the errand's [`deadline`].

pub mod abi;
pub mod board;
pub mod deadline;
pub mod environment;
pub mod errand;
pub mod format;
pub mod item;
mod json;
pub mod key;
pub mod lld;
pub mod metric;
pub mod module;
pub mod net;
pub mod select;
pub mod settings;
pub mod source;
pub mod spool;
pub mod tls;
pub mod trapper;
