//! TLS of the node: the operator's certificate, or one made and signed by the node itself on first start.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file holds no certificate or key in PEM.
    #[error("{path} holds no usable {what}: {detail}")]
    Content {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the parser said.
        detail: String,
    },
    /// The self-signed certificate cannot be made.
    #[error("cannot make a self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// Certificate and key do not fit together, or are of a kind we do not know.
    #[error("cannot use the certificate: {0}")]
    Use(#[from] rustls::Error),
}

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub enum Identity {
    /// Files of the operator.
    Files {
        /// Certificate chain, PEM, leaf first.
        certificate: PathBuf,
        /// Private key, PEM.
        key: PathBuf,
    },
    /// Made on first start under `folder`, for `names`.
    SelfSigned {
        /// Folder of `cert.pem` and `key.pem`.
        folder: PathBuf,
        /// Host names and addresses.
        names: Vec<String>,
    },
}

/// An acceptor that offers HTTP/2 and HTTP/1.1 by TLS 1.3 and 1.2.
///
/// # Errors
/// When files cannot be read or written, or do not hold a usable pair.
pub fn acceptor(identity: &Identity) -> Result<TlsAcceptor, TlsError> {
    let (certificate, key) = match identity {
        Identity::Files { certificate, key } => (certificate.clone(), key.clone()),
        Identity::SelfSigned { folder, names } => self_signed(folder, names)?,
    };
    let chain = CertificateDer::pem_slice_iter(&read(&certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| content("certificate", &certificate, &e))?;
    if chain.is_empty() {
        return Err(content("certificate", &certificate, &"it has no CERTIFICATE block"));
    }
    let private =
        PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|e| content("private key", &key, &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificate that an acceptor of this identity shows.
///
/// # Errors
/// As [`acceptor`].
pub fn leaf(identity: &Identity) -> Result<CertificateDer<'static>, TlsError> {
    let certificate = match identity {
        Identity::Files { certificate, .. } => certificate.clone(),
        Identity::SelfSigned { folder, names } => self_signed(folder, names)?.0,
    };
    let first = CertificateDer::pem_slice_iter(&read(&certificate)?).next();
    let first = first.ok_or_else(|| content("certificate", &certificate, &"it has no CERTIFICATE block"))?;
    first.map_err(|e| content("certificate", &certificate, &e))
}

fn self_signed(folder: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    fs::create_dir_all(folder).map_err(|e| file("write", folder, e))?;
    let mut params = rcgen::CertificateParams::new(names.to_vec())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Fengsui node");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let pair = rcgen::KeyPair::generate()?;
    let made = params.self_signed(&pair)?;
    // The key first: a certificate without its key would be kept as if it were whole.
    write(&key, pair.serialize_pem().as_bytes(), 0o600)?;
    write(&certificate, made.pem().as_bytes(), 0o644)?;
    tracing::info!(path = %certificate.display(), "made a self-signed certificate");
    Ok((certificate, key))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|e| file("read", path, e))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()))
        .map_err(|e| file("write", path, e))
}

fn file(what: &'static str, path: &Path, source: io::Error) -> TlsError {
    TlsError::File { what, path: path.to_owned(), source }
}

fn content(what: &'static str, path: &Path, detail: &dyn std::fmt::Display) -> TlsError {
    TlsError::Content { what, path: path.to_owned(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_self_signed_pair_is_made_once_and_the_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::SelfSigned {
            folder: folder.path().join("tls"),
            names: vec!["localhost".into(), "127.0.0.1".into()],
        };
        acceptor(&identity).unwrap();
        let key = folder.path().join("tls/key.pem");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&key).unwrap();
        acceptor(&identity).unwrap();
        assert_eq!(fs::read(&key).unwrap(), before);
    }

    #[test]
    fn a_file_without_a_certificate_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        fs::write(&certificate, "hello").unwrap();
        fs::write(&key, "hello").unwrap();
        let error = acceptor(&Identity::Files { certificate, key }).err().unwrap().to_string();
        assert!(error.contains("c.pem") && error.contains("certificate"), "{error}");
    }
}
