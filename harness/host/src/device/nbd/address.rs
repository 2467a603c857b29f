//! Addresses of exports, in the form of NBD URIs: `nbd://HOST[:PORT][/EXPORT]`, `nbds://` for TLS, and
//! `nbd+unix:///[EXPORT]?socket=PATH` and `nbds+unix:///` for a socket of this machine.

use std::fmt;
use std::path::PathBuf;

use nbd::server::DEFAULT_TCP_PORT;
use percent_encoding::percent_decode_str;

use super::tls::TlsNames;

/// The schemes that addresses of exports begin with.
const SCHEMES: [&str; 4] = ["nbd", "nbds", "nbd+unix", "nbds+unix"];
const BEHIND_SCHEME: &str = "://";

/// The name in the certificate of a server on a socket of this machine, unless the address names another.
const THIS_MACHINE: &str = "localhost";

/// Where an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportAddress {
    text: String,
    pub(super) place: Place,
    pub(super) export: Vec<u8>,
    pub(super) tls: Option<TlsNames>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// Why a text isn't an export's address, though it begins like one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}': write nbd://HOST[:PORT]/EXPORT, or nbd+unix:///EXPORT?socket=PATH, or nbds for nbd")]
pub struct AddressError(String);

/// The options that may stand behind the name of an export.
#[derive(Default)]
struct Query {
    socket: Option<String>,
    certificates: Option<String>,
    server: Option<String>,
}

impl Query {
    fn read(text: &str) -> Option<Self> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=')?;
            let value = String::from_utf8(percent_decode_str(value).collect()).ok()?;
            let place = match key {
                "socket" => &mut query.socket,
                "tls-certificates" => &mut query.certificates,
                "tls-hostname" => &mut query.server,
                _ => return None,
            };
            *place = Some(value);
        }
        Some(query)
    }
}

impl ExportAddress {
    /// Parses an address; none for a text that isn't meant to be one.
    pub fn parse(text: &str) -> Option<Result<Self, AddressError>> {
        let (scheme, rest) = text.split_once(BEHIND_SCHEME)?;
        SCHEMES.contains(&scheme).then(|| Self::read(text, scheme, rest).ok_or_else(|| AddressError(text.to_owned())))
    }

    fn read(text: &str, scheme: &str, rest: &str) -> Option<Self> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Query { socket, certificates, server } = Query::read(query)?;
        let (authority, export) = rest.split_once('/').unwrap_or((rest, ""));
        let place = match socket {
            Some(path) if scheme.ends_with("+unix") && authority.is_empty() && !path.is_empty() => {
                Place::Unix(path.into())
            }
            None if !scheme.ends_with("+unix") => tcp(authority)?,
            _ => return None,
        };
        let is_enciphered = scheme.starts_with("nbds");
        if !is_enciphered && (certificates.is_some() || server.is_some()) {
            return None;
        }
        let tls = is_enciphered.then(|| TlsNames {
            server: server.unwrap_or_else(|| match &place {
                Place::Tcp { host, .. } => host.clone(),
                Place::Unix(_) => THIS_MACHINE.to_owned(),
            }),
            folder: certificates.map(PathBuf::from),
        });
        Some(Self { text: text.to_owned(), place, export: percent_decode_str(export).collect(), tls })
    }

    /// The length of the address that `bytes` begin with, in a longer argument: it ends at the first `@`, `+` or `:` that isn't
    /// the port's. In an export's own name, and behind it, these characters are written %40, %2B and %3A.
    pub fn length_at(bytes: &[u8]) -> Option<usize> {
        let begins = |scheme: &&str| {
            bytes.strip_prefix(scheme.as_bytes()).is_some_and(|rest| rest.starts_with(BEHIND_SCHEME.as_bytes()))
        };
        let rest_at = SCHEMES.iter().find(|scheme| begins(scheme))?.len() + BEHIND_SCHEME.len();
        let rest = &bytes[rest_at..];
        let bracket = rest.starts_with(b"[").then(|| rest.iter().position(|byte| *byte == b']')).flatten();
        let host_end = bracket.map_or(0, |bracket| bracket + 1);
        let is_end = |byte: &u8| b"@+:".contains(byte);
        let end_of = |from: usize| from + rest[from..].iter().take_while(|byte| !is_end(byte)).count();
        let mut end = end_of(host_end);
        let in_authority = !rest[..end].contains(&b'/');
        if in_authority && rest.get(end) == Some(&b':') && rest.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = end_of(end + 1);
        }
        Some(rest_at + end)
    }
}

/// Parses a host, and the port if it isn't the usual one.
fn tcp(authority: &str) -> Option<Place> {
    let port_at = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
    let (host, port) = match port_at {
        Some(colon) => (&authority[..colon], authority[colon + 1..].parse().ok()?),
        None => (authority, DEFAULT_TCP_PORT),
    };
    let bare_host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!bare_host.is_empty()).then(|| Place::Tcp { host: bare_host.to_owned(), port })
}

impl fmt::Display for ExportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ExportAddress {
        ExportAddress::parse(text).unwrap().unwrap()
    }

    #[test]
    fn names_have_a_host_and_may_have_the_rest() {
        let tcp = |text| {
            let address = parsed(text);
            let Place::Tcp { host, port } = address.place else { panic!("{text}: no host") };
            (host, port, String::from_utf8(address.export).unwrap())
        };
        assert_eq!(tcp("nbd://disk.example:1234/data"), ("disk.example".into(), 1234, "data".into()));
        assert_eq!(tcp("nbd://disk"), ("disk".into(), 10809, String::new()));
        assert_eq!(tcp("nbd://[::1]/a%2Bb/c"), ("::1".into(), 10809, "a+b/c".into()));
        assert_eq!(tcp("nbds://[::1]:7/"), ("::1".into(), 7, String::new()));
        assert!(ExportAddress::parse("disk.img").is_none() && ExportAddress::parse("nbd:/disk.img").is_none());
        let wrong = ["nbd://", "nbd:///data", "nbd://host:/data", "nbd://host:99999/data", "nbd://:10809/data"];
        let unix = ["nbd+unix:///data", "nbd+unix://host/data?socket=/s", "nbd://host/data?socket=/s"];
        let query = ["nbd://h/e?tls-hostname=h", "nbds://h/e?tls-hostname", "nbds://h/e?tls-verify=no"];
        for wrong in wrong.into_iter().chain(unix).chain(query) {
            assert!(ExportAddress::parse(wrong).unwrap().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sockets_and_certificates_stand_behind_the_name() {
        let address = parsed("nbds+unix:///a%3Fb?socket=/run/a%2Bb.sock&tls-certificates=/etc/pki/x");
        assert_eq!(address.place, Place::Unix("/run/a+b.sock".into()));
        assert_eq!(address.export, b"a?b");
        let tls = TlsNames { server: "localhost".into(), folder: Some("/etc/pki/x".into()) };
        assert_eq!(address.tls, Some(tls));
        let server = |text| parsed(text).tls.map(|tls| tls.server);
        assert_eq!(server("nbds://disk.example/e"), Some("disk.example".into()));
        assert_eq!(server("nbds://10.0.0.1/e?tls-hostname=disk.example"), Some("disk.example".into()));
        assert_eq!(server("nbd+unix:///?socket=/s"), None);
    }

    #[test]
    fn in_an_argument_a_name_ends_where_another_part_begins() {
        let tcp = ["nbd://h", "nbd://h:1", "nbds://h:1/e/x", "nbd://[::1]:7/e", "nbd://[::1]", "nbd://h/"];
        let others =
            ["nbd+unix:///e?socket=/s", "nbds+unix:///?socket=/s&tls-hostname=h", "nbds://h:1/?tls-hostname=h"];
        for name in tcp.into_iter().chain(others) {
            for rest in ["", "@LABEL", "+b.img", ":/path", ":c.img", "@:/path:1"] {
                assert_eq!(
                    ExportAddress::length_at(format!("{name}{rest}").as_bytes()),
                    Some(name.len()),
                    "{name}{rest}"
                );
            }
        }
        assert_eq!(ExportAddress::length_at(b"a.img"), None);
    }
}
