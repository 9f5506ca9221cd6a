//! The agent-URL policy: what it allows is an http(s) URL whose host the registries of addresses allow too.

#![no_main]

#[path = "../../tests/tests/properties/registries.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod registries;

use std::net::IpAddr;

use domain::agent_url::{AgentUrlPolicy, MAX_LENGTH, NO_INBOUND};
use libfuzzer_sys::fuzz_target;
use url::{Host, Url};

fuzz_target!(|text: &str| {
    let allows = |policy: AgentUrlPolicy| match policy.check(Some(text)) {
        Ok(Some(kept)) => {
            assert_eq!(kept.as_str(), text, "kept as sent");
            true
        }
        Ok(None) => {
            assert_eq!(text, NO_INBOUND);
            true
        }
        Err(_) => false,
    };
    let [public, private, any] = AgentUrlPolicy::ALL.map(allows);
    assert!(!public || private, "private allows what public does");
    assert!(!private || any, "any allows what private does");
    if !any || text == NO_INBOUND {
        return;
    }
    assert!(text.len() <= MAX_LENGTH && text.is_ascii());
    let url = Url::parse(text).expect("a URL");
    assert!(matches!(url.scheme(), "http" | "https"));
    assert!(url.username().is_empty() && url.password().is_none(), "credentials");
    let address = match url.host().expect("a host") {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address),
        Host::Domain(name) => {
            let labels: Vec<_> = name.strip_suffix('.').unwrap_or(name).rsplit('.').collect();
            assert!(!private || labels.iter().all(|label| !label.is_empty()), "{name}");
            assert!(!private || labels[0] != "localhost", "{name}");
            assert!(!public || !["local", "internal"].contains(&labels[0]), "{name}");
            return;
        }
    };
    assert_eq!((public, private), registries::verdict(address), "{address}");
});
