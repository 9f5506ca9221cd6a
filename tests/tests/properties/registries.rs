//! IANA's special-purpose address registries as data, row by row. The policy is compared with them:
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry> as updated on 2025-10-09. If several rows contain an
//! address, the longest prefix counts. "N/A" in the column "Globally Reachable" is `false` here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Block, globally reachable.
pub const IPV4: &[(&str, bool)] = &[
    ("0.0.0.0/0", true),           // any address without a row
    ("0.0.0.0/8", false),          // "This network", RFC 791
    ("0.0.0.0/32", false),         // "This host on this network", RFC 1122
    ("10.0.0.0/8", false),         // Private-Use, RFC 1918
    ("100.64.0.0/10", false),      // Shared Address Space, RFC 6598
    ("127.0.0.0/8", false),        // Loopback, RFC 1122
    ("169.254.0.0/16", false),     // Link Local, RFC 3927
    ("172.16.0.0/12", false),      // Private-Use, RFC 1918
    ("192.0.0.0/24", false),       // IETF Protocol Assignments, RFC 6890
    ("192.0.0.0/29", false),       // IPv4 Service Continuity Prefix, RFC 7335
    ("192.0.0.8/32", false),       // IPv4 dummy address, RFC 7600
    ("192.0.0.9/32", true),        // Port Control Protocol Anycast, RFC 7723
    ("192.0.0.10/32", true),       // TURN Anycast, RFC 8155
    ("192.0.0.170/32", false),     // NAT64/DNS64 Discovery, RFC 7050
    ("192.0.0.171/32", false),     // NAT64/DNS64 Discovery, RFC 7050
    ("192.0.2.0/24", false),       // Documentation (TEST-NET-1), RFC 5737
    ("192.31.196.0/24", true),     // AS112-v4, RFC 7535
    ("192.52.193.0/24", true),     // AMT, RFC 7450
    ("192.88.99.0/24", false),     // Deprecated (6to4 Relay Anycast), RFC 7526: N/A
    ("192.88.99.2/32", false),     // 6a44-relay anycast address, RFC 6751
    ("192.168.0.0/16", false),     // Private-Use, RFC 1918
    ("192.175.48.0/24", true),     // Direct Delegation AS112 Service, RFC 7534
    ("198.18.0.0/15", false),      // Benchmarking, RFC 2544
    ("198.51.100.0/24", false),    // Documentation (TEST-NET-2), RFC 5737
    ("203.0.113.0/24", false),     // Documentation (TEST-NET-3), RFC 5737
    ("240.0.0.0/4", false),        // Reserved, RFC 1112
    ("255.255.255.255/32", false), // Limited Broadcast, RFC 8190
    // Not in that registry but in the one of the whole IPv4 address space: multicast, RFC 5771, is no host's address.
    ("224.0.0.0/4", false),
];

/// Block, globally reachable.
pub const IPV6: &[(&str, bool)] = &[
    // Of the whole IPv6 address space only 2000::/3 is given out for global unicast (RFC 4291 and IANA's registry of it).
    ("::/0", false),
    ("2000::/3", true),
    ("::1/128", false),          // Loopback Address, RFC 4291
    ("::/128", false),           // Unspecified Address, RFC 4291
    ("64:ff9b:1::/48", false),   // IPv4-IPv6 Translation, local use, RFC 8215
    ("100::/64", false),         // Discard-Only Address Block, RFC 6666
    ("100:0:0:1::/64", false),   // Dummy IPv6 Prefix, RFC 9780
    ("2001::/23", false),        // IETF Protocol Assignments, RFC 2928
    ("2001::/32", false),        // TEREDO, RFC 4380: N/A
    ("2001:1::1/128", true),     // Port Control Protocol Anycast, RFC 7723
    ("2001:1::2/128", true),     // TURN Anycast, RFC 8155
    ("2001:1::3/128", true),     // DNS-SD Service Registration Protocol Anycast, RFC 9665
    ("2001:2::/48", false),      // Benchmarking, RFC 5180
    ("2001:3::/32", true),       // AMT, RFC 7450
    ("2001:4:112::/48", true),   // AS112-v6, RFC 7535
    ("2001:10::/28", false),     // Deprecated (previously ORCHID), RFC 4843: N/A
    ("2001:20::/28", true),      // ORCHIDv2, RFC 7343
    ("2001:30::/28", true),      // Drone Remote ID Protocol Entity Tags, RFC 9374
    ("2001:db8::/32", false),    // Documentation, RFC 3849
    ("2620:4f:8000::/48", true), // Direct Delegation AS112 Service, RFC 7534
    ("3fff::/20", false),        // Documentation, RFC 9637
    ("5f00::/16", false),        // Segment Routing (SRv6) SIDs, RFC 9602
    ("fc00::/7", false),         // Unique-Local, RFC 4193
    ("fe80::/10", false),        // Link-Local Unicast, RFC 4291
];

/// IPv6 blocks that contain an IPv4 address, and the number of bits to its right. The policy goes by the IPv4 address.
/// `::` and `::1` contain none.
pub const EMBEDDED: &[(&str, u32)] = &[
    ("::ffff:0:0/96", 0), // IPv4-mapped, RFC 4291
    ("::/96", 0),         // IPv4-compatible, deprecated, RFC 4291
    ("64:ff9b::/96", 0),  // NAT64 under the well-known prefix, RFC 6052
    ("2002::/16", 80),    // 6to4, RFC 3056
];

/// What the policy `private` allows as well, except [`METADATA`].
pub const PRIVATE: &[&str] = &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"];

/// A block as its first address, widened to 128 bits, and the number of bits that may differ in it.
pub fn block(text: &str) -> (u128, u32) {
    let (address, length) = text.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    match address.parse().unwrap() {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32 - length),
        IpAddr::V6(address) => (u128::from(address), 128 - length),
    }
}

fn holds(text: &str, number: u128) -> bool {
    let (first, free) = block(text);
    free == 128 || number >> free == first >> free
}

/// The IPv4 address inside this one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let number = u128::from(address);
    let (_, shift) = EMBEDDED.iter().find(|(block, _)| number > 1 && holds(block, number))?;
    Some(Ipv4Addr::from((number >> shift) as u32))
}

fn is_global(rows: &[(&str, bool)], number: u128) -> bool {
    let matching = rows.iter().filter(|(row, _)| holds(row, number));
    matching.min_by_key(|(row, _)| block(row).1).unwrap().1
}

/// AWS's metadata service for IPv6, and its other services next to it (EC2's user guide, "Access instance metadata").
pub const METADATA: &str = "fd00:ec2::/32";

/// Whether the policies `public` and `private` must allow this address.
pub fn verdict(address: IpAddr) -> (bool, bool) {
    let address = match address {
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    let (rows, number) = match address {
        IpAddr::V4(v4) => (IPV4, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (IPV6, u128::from(v6)),
    };
    let is_private = |row: &str| row.contains(':') == address.is_ipv6() && holds(row, number);
    let is_global = is_global(rows, number);
    (is_global, is_global || !is_private(METADATA) && PRIVATE.iter().any(|row| is_private(row)))
}
