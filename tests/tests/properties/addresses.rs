//! Compares the agent-URL policy with the registries, at the edges of their blocks and in every spelling.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::agent_url::{AgentUrl, AgentUrlError, AgentUrlPolicy};
use fastrand::Rng;

use crate::registries::{EMBEDDED, IPV4, IPV6, METADATA, PRIVATE, block, verdict};

const ADDRESSES: usize = 100_000;
const SEED: u64 = 0x2026;

/// An address in, just before or just after a block.
fn near(dice: &mut Rng, (first, free): (u128, u32)) -> u128 {
    let size = if free == 128 { u128::MAX } else { (1 << free) - 1 };
    let step = dice.u128(..3);
    match dice.usize(..5) {
        0 => first.wrapping_add(step),
        1 => first.wrapping_sub(step),
        2 => first.wrapping_add(size).wrapping_add(step),
        3 => first.wrapping_add(size).wrapping_sub(step),
        _ => first.wrapping_add(dice.u128(..) & size),
    }
}

fn ipv4(dice: &mut Rng) -> Ipv4Addr {
    let rows: Vec<_> = IPV4.iter().map(|(row, _)| *row).chain(PRIVATE.iter().copied()).collect();
    let rows: Vec<_> = rows.into_iter().filter(|row| !row.contains(':')).collect();
    let row: &str = rows[dice.usize(..rows.len())];
    let row = block(row);
    Ipv4Addr::from(near(dice, row) as u32)
}

fn ipv6(dice: &mut Rng) -> Ipv6Addr {
    if dice.bool() {
        // Another spelling of an IPv4 address, or an address next to the block of such spellings.
        let (row, shift) = dice.choice(EMBEDDED).unwrap();
        let (first, free) = block(row);
        if dice.usize(..8) == 0 {
            return Ipv6Addr::from(near(dice, (first, free)));
        }
        let rest = dice.u128(..) & ((1 << shift) - 1);
        return Ipv6Addr::from(first | (u128::from(u32::from(ipv4(dice))) << shift) | rest);
    }
    let rows = IPV6.iter().map(|(row, _)| *row).chain(PRIVATE.iter().copied()).chain([METADATA]);
    let rows: Vec<_> = rows.filter(|row| row.contains(':')).collect();
    let row: &str = rows[dice.usize(..rows.len())];
    let row = block(row);
    Ipv6Addr::from(near(dice, row))
}

/// Decimal, octal or hexadecimal, with leading zeros.
fn number(dice: &mut Rng, number: u32) -> String {
    match dice.usize(..5) {
        0 => format!("0{number:o}"),
        1 => format!("000{number:o}"),
        2 => format!("0x{number:x}"),
        3 => format!("0X{number:08X}"),
        _ => number.to_string(),
    }
}

/// Every kind of spelling that the URL standard reads as this IPv4 address.
fn spellings_of_ipv4(dice: &mut Rng, address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets().map(u32::from);
    let whole = u32::from(address);
    let mut spellings = vec![
        address.to_string(),
        format!("{address}."),
        whole.to_string(),
        format!("0{whole:o}"),
        format!("0x{whole:x}"),
        format!("0X{whole:012X}"),
        [a, b, c, d].map(|part| format!("0{part:o}")).join("."),
        [a, b, c, d].map(|part| format!("0x{part:02x}")).join("."),
        [a, b, c, d].map(|part| number(dice, part)).join("."),
        [a, b, (c << 8) | d].map(|part| number(dice, part)).join("."),
        [a, (b << 16) | (c << 8) | d].map(|part| number(dice, part)).join("."),
        number(dice, whole),
    ];
    spellings.push(address.to_string().bytes().fold(String::new(), |mut all, byte| {
        write!(all, "%{byte:02x}").unwrap();
        all
    }));
    spellings
}

/// Every kind of spelling of this IPv6 address (RFC 4291, section 2.2).
fn spellings_of_ipv6(dice: &mut Rng, address: Ipv6Addr) -> Vec<String> {
    let groups = address.segments();
    let joined = |groups: &[u16], width: usize| {
        groups.iter().map(|group| format!("{group:0width$x}")).collect::<Vec<_>>().join(":")
    };
    let (short, padded) = (1, 4);
    let tail = Ipv4Addr::from(u128::from(address) as u32);
    let mut spellings = vec![
        address.to_string(),
        address.to_string().to_uppercase(),
        joined(&groups, short),
        joined(&groups, padded),
        joined(&groups, padded).to_uppercase(),
        format!("{}:{tail}", joined(&groups[..6], short)),
    ];
    // `::` for any run of zeros, not only for the longest.
    let runs: Vec<_> = (0..8)
        .flat_map(|start| (start + 1..=8).map(move |end| (start, end)))
        .filter(|(start, end)| groups[*start..*end].iter().all(|group| *group == 0))
        .collect();
    if !runs.is_empty() {
        let (start, end) = *dice.choice(&runs).unwrap();
        spellings.push(format!("{}::{}", joined(&groups[..start], short), joined(&groups[end..], padded)));
        if end <= 6 {
            let middle = joined(&groups[end..6], short);
            let separator = if middle.is_empty() { "" } else { ":" };
            spellings.push(format!("{}::{middle}{separator}{tail}", joined(&groups[..start], short)));
        }
    }
    spellings.into_iter().map(|spelling| format!("[{spelling}]")).collect()
}

fn is_allowed(policy: AgentUrlPolicy, url: &str) -> bool {
    match policy.check(Some(url)) {
        Ok(kept) => {
            assert_eq!(kept.as_ref().map(AgentUrl::as_str), Some(url));
            true
        }
        Err(AgentUrlError::Host) => false,
        Err(error) => panic!("{url}: {error}"),
    }
}

#[test]
fn the_url_policy_agrees_with_the_registries_on_every_spelling_of_100_000_addresses() {
    let mut dice = Rng::with_seed(SEED);
    let (mut spelled, mut allowed) = (0_usize, 0_usize);
    for position in 0..ADDRESSES {
        let is_ipv4 = position % 2 == 0;
        let address = if is_ipv4 { IpAddr::V4(ipv4(&mut dice)) } else { IpAddr::V6(ipv6(&mut dice)) };
        let (public, private) = verdict(address);
        let spellings = match address {
            IpAddr::V4(address) => spellings_of_ipv4(&mut dice, address),
            IpAddr::V6(address) => spellings_of_ipv6(&mut dice, address),
        };
        for spelling in spellings {
            let scheme = dice.choice(&["http", "https", "HTTP"]).unwrap();
            let rest = dice.choice(&["", "/", ":8080/a", "?a=b", "#c", ":1/@"]).unwrap();
            let url = format!("{scheme}://{spelling}{rest}");
            assert_eq!(is_allowed(AgentUrlPolicy::Public, &url), public, "public: {url} is {address}");
            assert_eq!(is_allowed(AgentUrlPolicy::Private, &url), private, "private: {url} is {address}");
            spelled += 1;
            allowed += usize::from(public);
        }
        let any = match address {
            IpAddr::V4(address) => format!("http://{address}"),
            IpAddr::V6(address) => format!("http://[{address}]"),
        };
        assert!(is_allowed(AgentUrlPolicy::Any, &any), "{any}");
    }
    assert!(spelled > 8 * ADDRESSES && allowed > spelled / 10 && allowed < spelled, "{allowed} of {spelled}");
}
