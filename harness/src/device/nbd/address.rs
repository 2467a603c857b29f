//! How an export is named: `nbd://HOST[:PORT][/EXPORT]`.

use std::fmt;

use nbd::server::DEFAULT_TCP_PORT;
use percent_encoding::percent_decode_str;

/// What every name of an export begins with.
const SCHEME: &str = "nbd://";

/// Where an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportAddress {
    text: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) export: Vec<u8>,
}

/// Why something is no name of an export, though it begins like one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}': write nbd://HOST[:PORT]/EXPORT")]
pub struct AddressError(String);

impl ExportAddress {
    /// Reads a name; none for what isn't meant to be an export's.
    pub fn parse(text: &str) -> Option<Result<Self, AddressError>> {
        let rest = text.strip_prefix(SCHEME)?;
        let (authority, export) = rest.split_once('/').unwrap_or((rest, ""));
        let port_at = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
        let (host, port) = match port_at {
            Some(colon) => (&authority[..colon], authority[colon + 1..].parse().ok()),
            None => (authority, Some(DEFAULT_TCP_PORT)),
        };
        let bare_host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(match port {
            Some(port) if !bare_host.is_empty() => Ok(Self {
                text: text.to_owned(),
                host: bare_host.to_owned(),
                port,
                export: percent_decode_str(export).collect(),
            }),
            _ => Err(AddressError(text.to_owned())),
        })
    }

    /// The length of the name that `bytes` begin with, in a longer argument: a name ends at the first `@`, `+` or `:` that isn't
    /// the port's. Of an export's own name, these are written %40, %2B and %3A.
    pub(crate) fn length_at(bytes: &[u8]) -> Option<usize> {
        let rest = bytes.strip_prefix(SCHEME.as_bytes())?;
        let bracket = rest.starts_with(b"[").then(|| rest.iter().position(|byte| *byte == b']')).flatten();
        let host_end = bracket.map_or(0, |bracket| bracket + 1);
        let is_end = |byte: &u8| b"@+:".contains(byte);
        let end_of = |from: usize| from + rest[from..].iter().take_while(|byte| !is_end(byte)).count();
        let mut end = end_of(host_end);
        let in_authority = !rest[..end].contains(&b'/');
        if in_authority && rest.get(end) == Some(&b':') && rest.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = end_of(end + 1);
        }
        Some(SCHEME.len() + end)
    }
}

impl fmt::Display for ExportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_host_and_may_have_the_rest() {
        let parsed = |text| {
            let address = ExportAddress::parse(text).unwrap().unwrap();
            (address.host, address.port, String::from_utf8(address.export).unwrap())
        };
        assert_eq!(parsed("nbd://disk.example:1234/data"), ("disk.example".into(), 1234, "data".into()));
        assert_eq!(parsed("nbd://disk"), ("disk".into(), 10809, String::new()));
        assert_eq!(parsed("nbd://[::1]/a%2Bb/c"), ("::1".into(), 10809, "a+b/c".into()));
        assert_eq!(parsed("nbd://[::1]:7/"), ("::1".into(), 7, String::new()));
        assert!(ExportAddress::parse("disk.img").is_none() && ExportAddress::parse("nbd:/disk.img").is_none());
        for wrong in ["nbd://", "nbd:///data", "nbd://host:/data", "nbd://host:99999/data", "nbd://:10809/data"] {
            assert!(ExportAddress::parse(wrong).unwrap().is_err(), "{wrong}");
        }
    }

    #[test]
    fn in_an_argument_a_name_ends_where_another_part_begins() {
        for name in ["nbd://h", "nbd://h:1", "nbd://h:1/e/x", "nbd://[::1]:7/e", "nbd://[::1]", "nbd://h/"] {
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
