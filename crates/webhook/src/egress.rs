//! The egress guard: to which addresses a call may go.
//!
//! Callbacks are POST requests from a machine inside the operator's network, with content that others choose. The guard
//! judges addresses, not names: what a name resolves to is judged for each new connection, and the connection goes to an
//! address that was judged (`connect.rs`). So a name that changes its mind in between changes nothing.
//!
//! The ranges are those of IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890), and the clouds' own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Host;

/// Which addresses may be called: public ones always, private ones and loopback where it is said so, some never.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allow: Vec<IpNet>,
    loopback: bool,
    private: bool,
}

/// Why an address or a host is not called. Its words are for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is, or resolves to, an address that may not be called.
    Address(Box<RefusedAddress>),
    /// It looks like an address, and is none.
    Host(String),
    /// The name has no address at all.
    Nothing(String),
}

/// An address that may not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAddress {
    /// How it was written, if it was written otherwise: a name, or a number.
    pub host: Option<String>,
    /// The address.
    pub address: IpAddr,
    /// The IPv4 address that it stands for, if it does.
    pub stands_for: Option<Ipv4Addr>,
    /// What is there: `link-local`, `private`.
    pub what: &'static str,
    /// Whether no configuration could allow it.
    pub never: bool,
}

/// What is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Public,
    Loopback,
    Private,
    Never(&'static str),
}

/// Never called. The narrower ranges come first, so that the words are the more exact ones.
const NEVER_V4: [(Ipv4Net, &str); 14] = [
    (v4([0, 0, 0, 0], 32), "unspecified"),
    // Linux connects to itself here.
    (v4([0, 0, 0, 0], 8), "of no network (0.0.0.0/8)"),
    // The metadata services of AWS, Google, Azure and most others are here, at 169.254.169.254.
    (v4([169, 254, 0, 0], 16), "link-local"),
    // Inside the range that providers share, which may be allowed.
    (v4([100, 100, 100, 200], 32), "the metadata service of Alibaba's cloud"),
    // Public by its number, and answered by the host of the virtual machine.
    (v4([168, 63, 129, 16], 32), "the wire server of Azure's cloud"),
    // Oracle's old metadata service is among them.
    (v4([192, 0, 0, 0], 24), "reserved for protocols"),
    (v4([192, 0, 2, 0], 24), "for documentation"),
    (v4([198, 51, 100, 0], 24), "for documentation"),
    (v4([203, 0, 113, 0], 24), "for documentation"),
    (v4([192, 88, 99, 0], 24), "reserved (once for 6to4 relays)"),
    (v4([198, 18, 0, 0], 15), "for benchmarks"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

const PRIVATE_V4: [Ipv4Net; 4] =
    [v4([10, 0, 0, 0], 8), v4([172, 16, 0, 0], 12), v4([192, 168, 0, 0], 16), v4([100, 64, 0, 0], 10)];

const NEVER_V6: [(Ipv6Net, &str); 18] = [
    (v6([0; 8], 128), "unspecified"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
    // These are inside the private range, which may be allowed. Amazon has several services in its own part of it: the
    // metadata at ::254, the credentials of pods at ::23.
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), "of the services of Amazon's cloud"),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), "the metadata service of Google's cloud"),
    (v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), "the metadata service of Oracle's cloud"),
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), "the metadata service of Scaleway's cloud"),
    (v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1], 128), "the metadata service of Linode's cloud"),
    (v6([0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200], 128), "the metadata service of Alibaba's cloud"),
    // Where in it the IPv4 address is, only the network's operator knows (RFC 8215).
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "a translated address of a local kind"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "for what is discarded"),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), "for benchmarks"),
    // Teredo, 2001::/32, is judged by what is inside.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "reserved for protocols"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "for documentation"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation"),
    (v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), "reserved (once for experiments)"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "for segment routing"),
];

/// Addresses that anyone may have are handed out from here only.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(address: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = address;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(address: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = address;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

impl Guard {
    /// Public addresses, those in `allow`, and with `loopback` all of loopback.
    pub fn new(allow: Vec<IpNet>, loopback: bool) -> Self {
        Self { allow, loopback, private: false }
    }

    /// Everything but what is never called: for a proxy, which the operator named himself.
    pub fn lenient() -> Self {
        Self { allow: Vec::new(), loopback: true, private: true }
    }

    /// Judges an address. An IPv6 address that stands for an IPv4 address is judged as that one.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let inside = match address {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(address) => inside(address),
        };
        if inside.is_empty() {
            return self.judge(address, address, None);
        }
        inside.into_iter().try_for_each(|inner| self.judge(address, inner.into(), Some(inner)))
    }

    /// Judges a URL's host as far as it can be judged without resolving it. What a resolver would take for an address
    /// (`2130706433`, `0177.0.0.1`, `127.1`) is one here, too.
    pub fn check_host(&self, host: &str) -> Result<(), Refused> {
        // What a connector takes for an address without asking a resolver. The parser below agrees; should it ever not,
        // this is what counts.
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            self.check(address)?;
        }
        let address: IpAddr = match Host::parse(host) {
            Ok(Host::Ipv4(address)) => address.into(),
            Ok(Host::Ipv6(address)) => address.into(),
            Ok(Host::Domain(_)) => return Ok(()),
            Err(_) => return Err(Refused::Host(host.to_owned())),
        };
        self.check(address).map_err(|refused| refused.of(host))
    }

    /// Of the addresses that a name has, those that may be called; refused if there are none.
    pub fn filter(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Result<Vec<IpAddr>, Refused> {
        let mut refused = Refused::Nothing(name.to_owned());
        let mut good = Vec::new();
        for address in addresses {
            match self.check(address) {
                Ok(()) => good.push(address),
                Err(why) => refused = why.of(name),
            }
        }
        if good.is_empty() { Err(refused) } else { Ok(good) }
    }

    fn judge(&self, address: IpAddr, judged: IpAddr, stands_for: Option<Ipv4Addr>) -> Result<(), Refused> {
        let (what, never) = match place(judged) {
            Place::Public => return Ok(()),
            Place::Never(what) => (what, true),
            _ if self.allow.iter().any(|net| net.contains(&judged)) => return Ok(()),
            Place::Loopback if self.loopback => return Ok(()),
            Place::Private if self.private => return Ok(()),
            Place::Loopback => ("loopback", false),
            Place::Private => ("private", false),
        };
        Err(Refused::Address(Box::new(RefusedAddress { host: None, address, stands_for, what, never })))
    }
}

/// What is in a network, if nothing in it is ever called: then allowing it would do nothing.
pub fn never(net: &IpNet) -> Option<&'static str> {
    match net {
        IpNet::V4(net) => NEVER_V4.iter().find(|(never, _)| never.contains(net)).map(|found| found.1),
        IpNet::V6(net) => NEVER_V6.iter().find(|(never, _)| never.contains(net)).map(|found| found.1),
    }
}

fn place(address: IpAddr) -> Place {
    let never = never(&IpNet::from(address));
    match (never, address) {
        (Some(what), _) => Place::Never(what),
        _ if address.is_loopback() => Place::Loopback,
        (None, IpAddr::V4(address)) if PRIVATE_V4.iter().any(|net| net.contains(&address)) => Place::Private,
        (None, IpAddr::V4(_)) => Place::Public,
        (None, IpAddr::V6(address)) if address.is_unique_local() => Place::Private,
        (None, IpAddr::V6(address)) if GLOBAL_V6.contains(&address) => Place::Public,
        (None, IpAddr::V6(_)) => Place::Never("reserved"),
    }
}

/// The IPv4 addresses that an IPv6 address leads to, through one translation or another.
fn inside(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // Compatible (RFC 4291), mapped, translated (RFC 7915's elder), and NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => vec![v4(high, low)],
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => vec![v4(high, low)],
        // Teredo (RFC 4380): its server, and the client behind it, written the wrong way round.
        [0x2001, 0, high, low, _, _, client_high, client_low] => vec![v4(high, low), v4(!client_high, !client_low)],
        _ => Vec::new(),
    }
}

impl Refused {
    /// The same, with how it was written.
    fn of(self, written: &str) -> Self {
        match self {
            Self::Address(mut refused) if written.trim_matches(['[', ']']) != refused.address.to_string() => {
                refused.host = Some(written.to_owned());
                Self::Address(refused)
            }
            other => other,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused by the egress guard: ")?;
        match self {
            Self::Address(refused) => refused.fmt(f),
            Self::Host(host) => write!(f, "{host:?} is neither a name nor an address"),
            Self::Nothing(name) => write!(f, "{name:?} has no address"),
        }
    }
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is = " is";
        if let Some(host) = &self.host {
            write!(f, "{host:?} leads to ")?;
            is = ", which is";
        }
        write!(f, "{}", self.address)?;
        if let Some(inside) = self.stands_for {
            write!(f, "{} {inside}", if self.host.is_some() { ", which stands for" } else { " stands for" })?;
            is = ", which is";
        }
        let then = if self.never { "never called" } else { "not in callbacks.allow" };
        write!(f, "{is} {} and {then}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> Guard {
        Guard::new(Vec::new(), false)
    }

    fn refused(guard: &Guard, address: &str) -> Option<RefusedAddress> {
        match guard.check(address.parse().unwrap()) {
            Ok(()) => None,
            Err(Refused::Address(refused)) => Some(*refused),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn public_addresses_are_called() {
        // The neighbours of what is refused, and some that are well known.
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00::1",
            "3ffd::1",
            "::ffff:1.1.1.1",
            "::1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            // 1.1.1.1 behind the server 8.8.8.8.
            "2001:0:808:808::fefe:fefe",
        ] {
            assert_eq!(refused(&strict(), address), None, "{address}");
        }
    }

    #[test]
    fn some_are_never_called_whatever_is_allowed() {
        let all = Guard::new(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()], true);
        for (address, what) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "of no network (0.0.0.0/8)"),
            ("169.254.0.1", "link-local"),
            ("169.254.169.254", "link-local"),
            ("169.254.255.255", "link-local"),
            ("100.100.100.200", "the metadata service of Alibaba's cloud"),
            ("168.63.129.16", "the wire server of Azure's cloud"),
            ("192.0.0.192", "reserved for protocols"),
            ("192.0.2.1", "for documentation"),
            ("198.51.100.255", "for documentation"),
            ("203.0.113.7", "for documentation"),
            ("192.88.99.1", "reserved (once for 6to4 relays)"),
            ("198.18.0.0", "for benchmarks"),
            ("198.19.255.255", "for benchmarks"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.254", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("fd00:ec2::254", "of the services of Amazon's cloud"),
            ("fd00:ec2::23", "of the services of Amazon's cloud"),
            ("fd00:ec2:ffff::1", "of the services of Amazon's cloud"),
            ("fd00:c1::a9fe:a9fe", "the metadata service of Oracle's cloud"),
            ("fd00:42::42", "the metadata service of Scaleway's cloud"),
            ("fd00:a9fe:a9fe::1", "the metadata service of Linode's cloud"),
            ("fd00:100::100:200", "the metadata service of Alibaba's cloud"),
            ("fd20:ce::254", "the metadata service of Google's cloud"),
            ("64:ff9b:1::a00:1", "a translated address of a local kind"),
            ("100::1", "for what is discarded"),
            ("2001:2::1", "for benchmarks"),
            ("2001:1::1", "reserved for protocols"),
            ("2001:db8::1", "for documentation"),
            ("3fff::1", "for documentation"),
            ("3ffe::1", "reserved (once for experiments)"),
            ("5f00::1", "for segment routing"),
            ("4000::1", "reserved"),
            ("1::1", "reserved"),
            // 169.254.169.254 in every dress.
            ("::ffff:169.254.169.254", "link-local"),
            ("::169.254.169.254", "link-local"),
            ("::ffff:0:169.254.169.254", "link-local"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("2002:a9fe:a9fe::1", "link-local"),
            ("2001:0:a9fe:a9fe::1", "link-local"),
            ("2001:0:808:808::5601:5601", "link-local"),
        ] {
            for guard in [&all, &strict(), &Guard::lenient()] {
                let refused = refused(guard, address).unwrap_or_else(|| panic!("{address} is let through"));
                assert_eq!((refused.what, refused.never), (what, true), "{address}");
            }
        }
    }

    #[test]
    fn private_ones_and_loopback_are_called_where_it_is_said_so() {
        for (address, what, allow) in [
            ("10.0.0.0", "private", "10.0.0.0/8"),
            ("10.255.255.255", "private", "10.255.255.255/32"),
            ("172.16.0.1", "private", "172.16.0.0/12"),
            ("172.31.255.255", "private", "172.31.0.0/16"),
            ("192.168.0.1", "private", "192.168.0.0/24"),
            ("100.64.0.1", "private", "100.64.0.0/10"),
            ("100.127.255.255", "private", "100.64.0.0/10"),
            ("127.0.0.1", "loopback", "127.0.0.1/32"),
            ("127.255.255.255", "loopback", "127.0.0.0/8"),
            ("::1", "loopback", "::1/128"),
            ("fc00::1", "private", "fc00::/7"),
            ("fdff::1", "private", "fd00::/8"),
            // The neighbours of what is never called.
            ("fd00:ec1:ffff:ffff:ffff:ffff:ffff:ffff", "private", "fd00::/8"),
            ("fd00:ec3::", "private", "fd00::/8"),
            ("fd00:c1::a9fe:a9ff", "private", "fd00::/8"),
            // An IPv4 network allows what leads into it.
            ("::ffff:10.0.0.1", "private", "10.0.0.0/8"),
            ("::10.0.0.1", "private", "10.0.0.0/8"),
            ("::ffff:0:10.0.0.1", "private", "10.0.0.0/8"),
            ("64:ff9b::a00:1", "private", "10.0.0.0/8"),
            ("2002:a00:1::", "private", "10.0.0.0/8"),
            ("2001:0:808:808::f5ff:fffe", "private", "10.0.0.0/8"),
            ("::ffff:127.0.0.1", "loopback", "127.0.0.0/8"),
        ] {
            let refused_address = refused(&strict(), address).unwrap_or_else(|| panic!("{address} is let through"));
            assert_eq!((refused_address.what, refused_address.never), (what, false), "{address}");
            let allowed = Guard::new(vec![allow.parse().unwrap()], false);
            assert_eq!(refused(&allowed, address), None, "{address} in {allow}");
            let elsewhere = Guard::new(vec!["10.77.0.0/16".parse().unwrap()], false);
            assert!(refused(&elsewhere, address).is_some(), "{address}");
            assert_eq!(refused(&Guard::lenient(), address), None, "{address}");
            let on_loopback = Guard::new(Vec::new(), true);
            assert_eq!(refused(&on_loopback, address).is_none(), what == "loopback", "{address}");
        }
    }

    /// Whatever a URL's host is written as.
    #[test]
    fn hosts_in_disguise() {
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "017700000001",
            "0177.0.0.1",
            "0177.0x0.0.01",
            "127.1",
            "127.0.1",
            "127.0.0.1.",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:0:0:1]",
        ] {
            let Err(Refused::Address(refused)) = strict().check_host(host) else { panic!("{host} is let through") };
            assert_eq!(refused.what, "loopback", "{host}");
            assert_eq!(Guard::new(Vec::new(), true).check_host(host), Ok(()), "{host}");
        }
        for host in ["1.2.3.4.5", "256.1.1.1", "4294967296", "0x100000000", "1.2.3.08", "[::1%25lo]", "[::g]", ""] {
            assert_eq!(strict().check_host(host), Err(Refused::Host(host.to_owned())), "{host}");
        }
        for host in ["example.com", "localhost", "my_service", "1e100.net", "xn--bcher-kva.example", "8.8.8.8"] {
            assert_eq!(strict().check_host(host), Ok(()), "{host}");
        }
    }

    #[test]
    fn of_a_name_with_good_and_bad_addresses_the_good_ones_are_called() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let mixed = addresses(&["169.254.169.254", "1.1.1.1", "::1", "2a00::1", "10.0.0.1"]);
        assert_eq!(strict().filter("mixed.example", mixed).unwrap(), addresses(&["1.1.1.1", "2a00::1"]));
        let bad = strict().filter("bad.example", addresses(&["10.0.0.1", "::1"])).unwrap_err();
        assert!(bad.to_string().contains("bad.example"), "{bad}");
        assert_eq!(strict().filter("no.example", []), Err(Refused::Nothing("no.example".to_owned())));
    }

    #[test]
    fn the_words_say_what_and_why() {
        let words = |host: &str| strict().check_host(host).unwrap_err().to_string();
        let start = "refused by the egress guard: ";
        assert_eq!(words("169.254.169.254"), format!("{start}169.254.169.254 is link-local and never called"));
        assert_eq!(words("10.0.0.5"), format!("{start}10.0.0.5 is private and not in callbacks.allow"));
        let written = "\"2130706433\" leads to 127.0.0.1, which is loopback and not in callbacks.allow";
        assert_eq!(words("2130706433"), format!("{start}{written}"));
        let inside = "::ffff:10.0.0.5 stands for 10.0.0.5, which is private and not in callbacks.allow";
        assert_eq!(words("[::ffff:10.0.0.5]"), format!("{start}{inside}"));
    }

    #[test]
    fn to_allow_what_is_never_called_does_nothing() {
        let never = |net: &str| never(&net.parse().unwrap());
        assert_eq!(never("169.254.0.0/16"), Some("link-local"));
        assert_eq!(never("fe80::/64"), Some("link-local"));
        assert_eq!(never("fd00:ec2::254/128"), Some("of the services of Amazon's cloud"));
        for net in ["0.0.0.0/0", "10.0.0.0/8", "128.0.0.0/1", "::/0", "fc00::/7", "8.8.8.8/32"] {
            assert_eq!(never(net), None, "{net}");
        }
    }
}
