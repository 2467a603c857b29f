//! The beginning of a connection: the server's properties, TLS if it is wanted, and the export.
//! The crate `nbd` does this in one step, and knows neither STARTTLS nor the answer of a server without such an export. So it is
//! done here, by the protocol's "fixed newstyle" negotiation.

use std::io::{self, ErrorKind, Read, Write};

use super::stream::Stream;
use super::tls::Tls;

const GREETING: [u8; 8] = *b"NBDMAGIC";
const HAS_OPTIONS: [u8; 8] = *b"IHAVEOPT";
const REPLY: u64 = 0x0003_e889_0455_65a9;

/// The server answers every option.
const IS_FIXED: u16 = 1;

const EXPORT_NAME: u32 = 1;
const START_TLS: u32 = 5;
const GO: u32 = 7;

const ACKNOWLEDGED: u32 = 1;
const INFORMATION: u32 = 3;
const ERROR: u32 = 1 << 31;
const UNSUPPORTED: u32 = ERROR + 1;
const TLS_REQUIRED: u32 = ERROR + 5;

/// The kind of information that describes an export.
const ABOUT_EXPORT: u16 = 0;
/// Zeros behind flags and size without "go".
const PADDING_BYTES: usize = 124;
/// The longest reply to an option.
const MOST_REPLY_BYTES: u32 = 64 << 10;

/// Why a negotiation failed.
pub(super) enum Failed {
    Io(io::Error),
    /// There is no such export, or it is for other clients.
    Refused,
    /// The server wants TLS.
    WantsTls,
    /// We want TLS, but the server has none.
    HasNoTls,
    /// TLS failed.
    Tls(io::Error),
    /// The connection ended right after TLS had begun, as it does when the server rejects our certificate.
    NotAdmitted,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An export that was agreed on.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    pub(super) size_bytes: u64,
    pub(super) flags: u16,
}

/// Negotiates with a server, and asks for an export.
pub(super) fn negotiate(stream: &mut Stream, export: &[u8], tls: Option<Tls>) -> Result<Agreed, Failed> {
    if read::<8>(stream)? != GREETING || read::<8>(stream)? != HAS_OPTIONS {
        return Err(io::Error::new(ErrorKind::InvalidData, "it greets otherwise").into());
    }
    let is_fixed = u16::from_be_bytes(read(stream)?) & IS_FIXED != 0;
    stream.write_all(&u32::from(u16::from(is_fixed) * IS_FIXED).to_be_bytes())?;
    let is_enciphered = tls.is_some();
    if let Some(Tls { config, server }) = tls {
        if !is_fixed {
            return Err(Failed::HasNoTls);
        }
        ask(stream, START_TLS, &[])?;
        if answer(stream, START_TLS)?.0 != ACKNOWLEDGED {
            return Err(Failed::HasNoTls);
        }
        stream.start_tls(config, server).map_err(Failed::Tls)?;
    }
    if !is_fixed {
        return by_name(stream, export);
    }
    match go(stream, export) {
        Err(Failed::Io(error)) if is_enciphered && error.kind() != ErrorKind::TimedOut => Err(Failed::NotAdmitted),
        done => done,
    }
}

/// Asks for an export with the option that a server can refuse in words.
fn go(stream: &mut Stream, export: &[u8]) -> Result<Agreed, Failed> {
    let length = (export.len() as u32).to_be_bytes();
    ask(stream, GO, &[&length[..], export, &[0, 0]].concat())?;
    let mut agreed = None;
    loop {
        match answer(stream, GO)? {
            (INFORMATION, data) => {
                if let Some((about, [size @ .., first, second])) = data.split_first_chunk::<2>()
                    && u16::from_be_bytes(*about) == ABOUT_EXPORT
                    && let Ok(size) = size.try_into()
                {
                    let flags = u16::from_be_bytes([*first, *second]);
                    agreed = Some(Agreed { size_bytes: u64::from_be_bytes(size), flags });
                }
            }
            (ACKNOWLEDGED, _) => {
                return agreed.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "it doesn't say its size").into());
            }
            (UNSUPPORTED, _) => return by_name(stream, export),
            (TLS_REQUIRED, _) => return Err(Failed::WantsTls),
            (refusal, _) if refusal & ERROR != 0 => return Err(Failed::Refused),
            _ => {}
        }
    }
}

/// Asks for an export with the option that every server knows, which refuses it by hanging up.
fn by_name(stream: &mut Stream, export: &[u8]) -> Result<Agreed, Failed> {
    ask(stream, EXPORT_NAME, export)?;
    let size_bytes = u64::from_be_bytes(read(stream)?);
    let flags = u16::from_be_bytes(read(stream)?);
    read::<PADDING_BYTES>(stream)?;
    Ok(Agreed { size_bytes, flags })
}

fn ask(stream: &mut Stream, option: u32, data: &[u8]) -> io::Result<()> {
    stream.write_all(&HAS_OPTIONS)?;
    stream.write_all(&option.to_be_bytes())?;
    stream.write_all(&(data.len() as u32).to_be_bytes())?;
    stream.write_all(data)?;
    stream.flush()
}

/// The kind and the content of the next reply to an option.
fn answer(stream: &mut Stream, option: u32) -> io::Result<(u32, Vec<u8>)> {
    let magic = u64::from_be_bytes(read(stream)?);
    let [to, kind, bytes] = [read(stream)?, read(stream)?, read(stream)?].map(u32::from_be_bytes);
    if magic != REPLY || to != option || bytes > MOST_REPLY_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidData, "it answers something else"));
    }
    let mut data = vec![0; bytes as usize];
    stream.read_exact(&mut data)?;
    Ok((kind, data))
}

fn read<const BYTES: usize>(stream: &mut Stream) -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
