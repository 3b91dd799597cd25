#![no_main]

use courier::settings::agent::Agent;
use courier::trapper::destination;
use courier_fuzz::{FREE, bounded};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let agent = bounded(16 * text.len() + FREE, || Agent::parse(text));
    for server in agent.servers() {
        assert!(!server.is_empty());
        for node in server {
            match destination::parse(node) {
                Ok(found) => assert!(found.others.is_empty() && !found.first.host.is_empty()),
                Err(error) => assert!(error.to_string().contains("is no destination")),
            }
        }
    }
    if let Some(name) = agent.hostname() {
        assert_eq!(name, name.trim());
        assert!(!name.contains(','));
    }
    if let Err(error) = agent.timeout() {
        assert!(error.to_string().contains("Timeout"));
    }
    if let Err(error) = agent.source_ip() {
        assert!(error.to_string().contains("SourceIP"));
    }
});
