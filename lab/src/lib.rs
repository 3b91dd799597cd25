//! A real Zabbix, PostgreSQL, Docker and sample applications, for the demo, the tests and the benchmarks alike.
//!
//! A [`Lab`] is one pod of containers around one network namespace: nothing of it reaches another lab, and all of it
//! goes when its owner goes.
//!
//! ```no_run
//! # fn main() -> Result<(), lab::Error> {
//! use lab::{App, Lab, Version};
//!
//! let lab = Lab::builder().zabbix(Version::V7_0).start()?;
//! let shop = lab.start_app(App::Dropwizard)?;
//! let rows = lab.agent().get(&format!("courier.discover[{}]", shop.url()))?;
//! // A fault, injected: whoever connects to port 9000 in the lab talks to this test.
//! let broken_application = lab.pod().listen(9000)?;
//! # Ok(())
//! # }
//! ```

mod agent;
mod api;
mod apps;
pub mod bench;
pub mod build;
mod container;
mod docker;
mod engine;
mod error;
pub mod image;
mod lab;
mod passive;
mod pki;
mod pod;
pub mod prepare;
pub mod progress;
pub mod proof;
mod proxy;
mod version;

pub use agent::{Agent, AgentSpec, Program};
pub use api::{Api, Item, Sample};
pub use apps::{App, Application};
pub use container::{LABEL, containers, run_id};
pub use engine::{Compose, Engine, SAMPLE_IMAGE};
pub use error::Error;
pub use lab::{Lab, LabBuilder};
pub use pki::{Authority, Pair};
pub use pod::Pod;
pub use proxy::{Proxy, ProxySpec};
pub use version::Version;

/// The image of one version of Zabbix.
fn zabbix_image(version: Version) -> image::Recipe {
    // Debian's 5.0 has no agent 2.
    let extra = if version == Version::V5_0 {
        ""
    } else {
        "zabbix-agent2"
    };
    image::Recipe {
        name: "zabbix",
        tag: version.to_string(),
        suite: version.suite(),
        folder: "images/zabbix",
        copies: &["images/run"],
        arguments: vec![("EXTRA", extra)],
    }
}
