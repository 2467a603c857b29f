//! The certificates for TLS, in a folder with the file names of libnbd and nbdkit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::ExportError;

/// The folder of certificates, unless the address names another.
const FOLDER: &str = "/etc/pki/libnbd";
/// The certificate of the authority that signs servers' certificates.
const AUTHORITY: &str = "ca-cert.pem";
/// Our own certificate and key, for servers that ask for one; optional.
const OWN: (&str, &str) = ("client-cert.pem", "client-key.pem");

/// The name of the server, and where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TlsNames {
    /// The name that the server's certificate must be for.
    pub(super) server: String,
    pub(super) folder: Option<PathBuf>,
}

/// Everything needed to begin TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) server: ServerName<'static>,
}

impl Tls {
    /// Reads the certificates for the export `name`.
    pub(super) fn read(names: &TlsNames, name: &str) -> Result<Self, ExportError> {
        let folder = names.folder.as_deref().unwrap_or(Path::new(FOLDER));
        let failed = |file: &str, reason: String| {
            let (name, file) = (name.to_owned(), folder.join(file).display().to_string());
            ExportError::Certificates { name, file, reason }
        };
        let certificates = |file: &str| -> Result<Vec<CertificateDer<'static>>, ExportError> {
            let read =
                CertificateDer::pem_file_iter(folder.join(file)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            match read {
                Ok(read) if read.is_empty() => Err(failed(file, "it holds no certificate".into())),
                read => read.map_err(|error| failed(file, error.to_string())),
            }
        };
        let mut roots = RootCertStore::empty();
        for root in certificates(AUTHORITY)? {
            roots.add(root).map_err(|error| failed(AUTHORITY, error.to_string()))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(AUTHORITY, error.to_string()))?
            .with_root_certificates(roots);
        let (certificate, key) = OWN;
        let config = match folder.join(certificate).exists() {
            true => {
                let own = certificates(certificate)?;
                let secret = PrivateKeyDer::from_pem_file(folder.join(key));
                let secret = secret.map_err(|error| failed(key, error.to_string()))?;
                builder.with_client_auth_cert(own, secret).map_err(|error| failed(key, error.to_string()))?
            }
            false => builder.with_no_client_auth(),
        };
        let server = ServerName::try_from(names.server.clone());
        let server = server.map_err(|_| ExportError::Untrusted {
            name: name.to_owned(),
            reason: format!("'{}' is no name of a machine", names.server),
        })?;
        Ok(Self { config: Arc::new(config), server })
    }
}
