//! Where an agent's advertised URL may point (`AGENT_URL_POLICY`).
//!
//! The platform will connect to this URL, so it must not lead into the platform's own network. The check compares literal
//! addresses, in any spelling, with IANA's special-purpose address registries. It does not resolve names: what a name
//! resolves to can change at any time, so whoever connects must check the address again.
//!
//! Sources: [IANA IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry),
//! [IANA IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry),
//! [WHATWG URL](https://url.spec.whatwg.org/#host-parsing) for the spellings of an IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// What an agent without an inbound endpoint sends instead of a URL. It is treated as no URL.
pub const NO_INBOUND: &str = "remote://no-inbound";

/// The longest URL, in characters.
pub const MAX_LENGTH: usize = 2_048;

/// The URL that an agent advertises, as it was sent. A policy has checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentUrl(String);

impl AgentUrl {
    /// A URL as the table stores it; `None` when no policy would have let it in.
    pub fn from_stored(text: String) -> Option<Self> {
        let is_url = AgentUrlPolicy::Any.check(Some(&text)).is_ok_and(|url| url.is_some());
        is_url.then_some(Self(text))
    }

    /// The URL as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a URL may point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentUrlPolicy {
    /// Only to globally reachable addresses, and to names that are not local by their form.
    Public,
    /// Also to private addresses (RFC 1918 and `fd00::/8`) and internal names: for a registry inside a VPC.
    Private,
    /// Anywhere: for local runs.
    Any,
}

/// Why a URL is refused. The message says what to change and repeats nothing of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentUrlError {
    /// Longer than [`MAX_LENGTH`].
    #[error("`url` must have at most {MAX_LENGTH} characters.")]
    TooLong,
    /// Not an absolute http(s) URL in visible ASCII.
    #[error(
        "`url` must be an absolute `http://` or `https://` URL in visible ASCII without `\\` (write international names in Punycode), or `remote://no-inbound`, or be left out."
    )]
    NotHttp,
    /// A user name or password.
    #[error("`url` must not contain credentials.")]
    Credentials,
    /// An address or a name that the policy does not allow.
    #[error("`url` must point to a host that is reachable under this registry's agent URL policy.")]
    Host,
}

impl AgentUrlPolicy {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 3] = [Self::Public, Self::Private, Self::Any];

    /// As configured.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Any => "any",
        }
    }

    /// The policy of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }

    /// Checks the URL that an agent sent. `None` is an agent without an inbound endpoint. The URL stays as it was sent, so
    /// that a migrator can compare it.
    ///
    /// # Errors
    /// [`AgentUrlError`] says what to change.
    pub fn check(self, url: Option<&str>) -> Result<Option<AgentUrl>, AgentUrlError> {
        let Some(text) = url.filter(|text| *text != NO_INBOUND) else { return Ok(None) };
        if text.chars().count() > MAX_LENGTH {
            return Err(AgentUrlError::TooLong);
        }
        // Parsers differ in what they make of the rest: some drop tabs, some turn `\` into `/`, some fill in slashes.
        let authority = authority(text).ok_or(AgentUrlError::NotHttp)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(AgentUrlError::NotHttp);
        }
        if authority.contains('@') {
            return Err(AgentUrlError::Credentials);
        }
        let parsed = Url::parse(text).map_err(|_| AgentUrlError::NotHttp)?;
        let allowed = match parsed.host() {
            Some(Host::Ipv4(address)) => self.allows_ip(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.allows_ip(IpAddr::V6(address)),
            Some(Host::Domain(name)) => self.allows_name(name),
            None => return Err(AgentUrlError::NotHttp),
        };
        if allowed { Ok(Some(AgentUrl(text.to_owned()))) } else { Err(AgentUrlError::Host) }
    }

    fn allows_ip(self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V6(address) => embedded_ipv4(address).map_or(IpAddr::V6(address), IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        match self {
            Self::Public => is_globally_reachable(address),
            Self::Private => is_globally_reachable(address) || is_private(address),
            Self::Any => true,
        }
    }

    fn allows_name(self, name: &str) -> bool {
        // The parser has lower-cased it. A trailing dot makes no other name of it (RFC 1034, section 3.1).
        let name = name.strip_suffix('.').unwrap_or(name);
        // No name has an empty label within, but what looks it up might overlook one: `localhost..`, `127.0.0.1..`.
        let is_name = name.split('.').all(|label| !label.is_empty());
        let is_in =
            |zone: &str| name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
        match self {
            Self::Public => is_name && !["localhost", "local", "internal"].into_iter().any(is_in),
            Self::Private => is_name && !is_in("localhost"),
            Self::Any => true,
        }
    }
}

/// What stands between `http(s)://` and the path, query or fragment.
fn authority(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let authority = rest.split(['/', '?', '#']).next()?;
    (is_http && !authority.is_empty()).then_some(authority)
}

/// The IPv4 address that an IPv6 address is another spelling of: mapped (RFC 4291), compatible (RFC 4291, deprecated),
/// 6to4 (RFC 3056) or NAT64 under the well-known prefix (RFC 6052).
fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        // `::` and `::1` come out as 0.0.0.0 and 0.0.0.1, which are reachable from nowhere either.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        _ => None,
    }
}

/// RFC 1918 and the locally assigned half of RFC 4193, but for the block in which AWS has its metadata service for IPv6.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => match address.segments() {
            [0xfd00, 0x0ec2, ..] => false,
            [first, ..] => first >> 8 == 0xfd,
        },
    }
}

/// Whether IANA's registries call the address globally reachable, as of 2026. More specific entries are stated
/// before the blocks that hold them.
fn is_globally_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [192, 0, 0, 9 | 10] => true,       // PCP and TURN anycast (RFC 7723, RFC 8155)
            [0, ..]                            // "this network" (RFC 791)
            | [10, ..]                         // private use (RFC 1918)
            | [100, 64..=127, ..]              // shared address space (RFC 6598)
            | [127, ..]                        // loopback (RFC 1122)
            | [169, 254, ..]                   // link local, cloud metadata (RFC 3927)
            | [172, 16..=31, ..]               // private use (RFC 1918)
            | [192, 0, 0, _]                   // IETF protocol assignments (RFC 6890)
            | [192, 0, 2, _]                   // documentation (RFC 5737)
            | [192, 88, 99, _]                 // deprecated 6to4 relay anycast (RFC 7526)
            | [192, 168, ..]                   // private use (RFC 1918)
            | [198, 18 | 19, ..]               // benchmarking (RFC 2544)
            | [198, 51, 100, _]                // documentation (RFC 5737)
            | [203, 0, 113, _]                 // documentation (RFC 5737)
            | [224..=239, ..]                  // multicast (RFC 5771): nothing answers HTTP there
            | [240..=255, ..] => false,        // reserved, limited broadcast (RFC 1112, RFC 8190)
            _ => true,
        },
        IpAddr::V6(address) => match address.segments() {
            [0x2001, 1, 0, 0, 0, 0, 0, 1..=3]  // PCP, TURN and DNS-SD anycast (RFC 7723, RFC 8155, RFC 9665)
            | [0x2001, 3, ..]                  // AMT (RFC 7450)
            | [0x2001, 4, 0x112, ..]           // AS112 (RFC 7535)
            | [0x2001, 0x20..=0x2f, ..]        // ORCHIDv2 (RFC 7343)
            | [0x2001, 0x30..=0x3f, ..] => true, // drone remote id (RFC 9374)
            [0x2001, 0..=0x1ff, ..]            // IETF protocol assignments, Teredo (RFC 2928, RFC 4380)
            | [0x2001, 0xdb8, ..]              // documentation (RFC 3849)
            | [0x2002, ..]                     // 6to4: judged by its IPv4 address before
            | [0x3fff, 0..=0xfff, ..] => false, // documentation (RFC 9637)
            // All that is allocated for global unicast. Outside it are loopback, mapped, NAT64, discard-only, SRv6,
            // unique local, link local, multicast, and what nobody has been given.
            [0x2000..=0x3fff, ..] => true,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(policy: AgentUrlPolicy, url: &str) -> Option<AgentUrlError> {
        policy.check(Some(url)).err()
    }

    #[test]
    fn a_url_is_kept_as_sent() {
        for url in ["https://agent.example.com/a2a?x=1#y", "HTTP://Example.COM:8080", "https://8.8.8.8"] {
            let checked = AgentUrlPolicy::Public.check(Some(url)).unwrap().unwrap();
            assert_eq!(checked.as_str(), url);
            assert_eq!(AgentUrl::from_stored(url.to_owned()), Some(checked));
        }
        assert_eq!(AgentUrlPolicy::Public.check(Some(NO_INBOUND)), Ok(None));
        assert_eq!(AgentUrlPolicy::Public.check(None), Ok(None));
    }

    /// The table may hold what another policy let in, and nothing that none lets in.
    #[test]
    fn a_stored_url_is_one_that_some_policy_lets_in() {
        assert!(AgentUrl::from_stored("http://127.0.0.1:8080".to_owned()).is_some());
        for url in ["", NO_INBOUND, "agent.example.com", "http://u:p@a.example"] {
            assert_eq!(AgentUrl::from_stored(url.to_owned()), None, "{url}");
        }
    }

    #[test]
    fn what_is_no_absolute_http_url_is_refused() {
        for url in [
            "",
            " ",
            "agent.example.com",
            "/a",
            "//agent.example.com",
            "ftp://agent.example.com",
            "http:",
            "http://",
            "http:///a",
            "http:agent.example.com",
            "http:/agent.example.com",
            "file:///etc/passwd",
            "javascript:alert(1)",
            " http://a.example",
            "http://a.example ",
            "http://a\t.example",
            "http://a.example\n",
            "http://a.example\\b",
            "http://é.example",
            "http://127。0。0。1",
            "http://[::1",
            "http://a b",
            "http://1.2.3.4.5",
            "http://256.1.1.1",
            "http://a.example:99999",
            "remote://other",
            "http://%00",
            "http://a%20b",
        ] {
            for policy in AgentUrlPolicy::ALL {
                assert_eq!(refused(policy, url), Some(AgentUrlError::NotHttp), "{url:?}");
            }
        }
    }

    #[test]
    fn each_policy_has_its_name() {
        let names = [
            ("public", AgentUrlPolicy::Public),
            ("private", AgentUrlPolicy::Private),
            ("any", AgentUrlPolicy::Any),
        ];
        for (name, policy) in names {
            assert_eq!((policy.as_str(), AgentUrlPolicy::parse(name)), (name, Some(policy)));
        }
        assert_eq!(AgentUrlPolicy::parse("Public"), None);
    }

    #[test]
    fn credentials_are_refused() {
        for url in ["http://u@a.example", "http://u:p@a.example", "http://@a.example", "http://:@a.example/x"]
        {
            assert_eq!(refused(AgentUrlPolicy::Any, url), Some(AgentUrlError::Credentials), "{url:?}");
        }
        assert_eq!(refused(AgentUrlPolicy::Any, "http://a.example/@b"), None);
    }

    #[test]
    fn the_length_is_counted_in_characters() {
        let longest = format!("http://a.example/{}", "x".repeat(MAX_LENGTH - 17));
        assert_eq!(refused(AgentUrlPolicy::Public, &longest), None);
        assert_eq!(refused(AgentUrlPolicy::Public, &format!("{longest}x")), Some(AgentUrlError::TooLong));
    }

    /// Addresses by who allows them, in all the spellings that parsers know.
    #[test]
    fn addresses_are_judged_in_every_spelling() {
        let global = [
            "8.8.8.8",
            "134744072",
            "0x08.010.8.8",
            "192.0.0.9",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::8.8.8.8]",
            "[2002:808:808::1]",
            "[2001:4860::8]",
            "%38.8.8.8",
            "192.0.0.10",
            "[2001:1::1]",
            "[2001:1::3]",
            "[2001:3::1]",
            "[2001:4:112::1]",
            "[2001:20::1]",
            "[2001:3f:ffff::1]",
            "[2001:200::1]",
            "[3fff:1000::1]",
        ];
        let private = [
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "0xa.1",
            "167772161",
            "[fd00::1]",
            "[fd00:ec1:ffff::1]",
            "[fd00:ec3::1]",
            "[fdff::1]",
            "[::ffff:10.0.0.1]",
            "[::10.0.0.1]",
            "[2002:a00:1::]",
            "[64:ff9b::10.0.0.1]",
        ];
        let local = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "%31%32%37.0.0.1",
            "0",
            "0.0.0.0",
            "169.254.169.254",
            "0xa9fea9fe",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[2002:7f00:1::]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::8.8.8.8]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fd00:0ec2:ffff::1]",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[ff02::1]",
            "[100::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[5f00::1]",
            "[4000::1]",
            "[fec0::1]",
            "192.0.0.11",
            "[2001:1::4]",
            "[2001:1ff::1]",
            "[3fff:fff::1]",
        ];
        let expect = |hosts: &[&str], allowed: [bool; 3]| {
            for host in hosts {
                for (policy, allowed) in AgentUrlPolicy::ALL.into_iter().zip(allowed) {
                    let url = format!("http://{host}:8080/x");
                    let expected = (!allowed).then_some(AgentUrlError::Host);
                    assert_eq!(refused(policy, &url), expected, "{policy:?} {url}");
                }
            }
        };
        expect(&global, [true, true, true]);
        expect(&private, [false, true, true]);
        expect(&local, [false, false, true]);
    }

    #[test]
    fn names_are_judged_by_their_form() {
        let expect = |host: &str, allowed: [bool; 3]| {
            for (policy, allowed) in AgentUrlPolicy::ALL.into_iter().zip(allowed) {
                let expected = (!allowed).then_some(AgentUrlError::Host);
                assert_eq!(refused(policy, &format!("http://{host}/")), expected, "{policy:?} {host}");
            }
        };
        for host in ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.LocalHost."] {
            expect(host, [false, false, true]);
        }
        for host in ["localhost..", "a.localhost...", "127.0.0.1..", "a..example.com", ".example.com", "."] {
            expect(host, [false, false, true]);
        }
        for host in ["a.local", "metadata.google.internal", "ip-10-0-0-1.ec2.internal.", "a.INTERNAL"] {
            expect(host, [false, true, true]);
        }
        for host in ["agent.example.com", "notlocalhost", "local.example", "xn--bcher-kva.example", "agent"] {
            expect(host, [true, true, true]);
        }
    }
}
