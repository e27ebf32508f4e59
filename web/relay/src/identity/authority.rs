//! The centre's certificate authority: small, offline but for the centre itself, for TLS between nodes and nothing else.
//!
//! ```text
//! <data>/relay/authority.pem     its key and certificate, the owner's alone; made once
//! <data>/relay/authority.crt     its certificate, for the nodes
//! <data>/relay/server.pem        key and certificate of the NATS server, the owner's alone; made anew before its end
//! ```
//!
//! Each private file says in its first line, which readers of PEM pass over, until when it holds and for which names. Key
//! and certificate stand in one file, so that no crash leaves halves of two pairs.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_storage::fs::Fs;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::files::replace;

/// Clocks of nodes may be behind by this much and still believe a certificate made now.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// Why there is no authority or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
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
    /// The file of the authority is damaged. It is not made anew: no node would believe the new one.
    #[error("{path} holds no authority ({detail}); put the copy of a backup in its place")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A time is beyond what a certificate can say.
    #[error("cannot make a certificate for the time {0:?}")]
    Time(UtcMicros),
}

/// First line of a private file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Label {
    until_us: UtcMicros,
    names: Vec<String>,
}

impl Label {
    fn line(&self) -> String {
        format!("fengsui {}\n", serde_json::to_string(self).unwrap_or_default())
    }

    fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text.lines().next()?.strip_prefix("fengsui ")?).ok()
    }
}

/// Key and certificate of the NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The file of both, PEM.
    pub path: PathBuf,
    /// The end of the certificate.
    pub until: UtcMicros,
    /// It was made just now: a running server must read it again.
    pub made: bool,
}

/// The authority.
pub struct Authority {
    folder: PathBuf,
    key: KeyPair,
    until: UtcMicros,
    certificate: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({}, until {:?})", self.folder.display(), self.until)
    }
}

impl Authority {
    /// Reads the authority in `folder`, or makes it when there is none.
    ///
    /// # Errors
    /// When files cannot be read or written, or are damaged.
    pub fn load_or_create(fs: &dyn Fs, folder: &Path, now: UtcMicros) -> Result<Self, AuthorityError> {
        let path = folder.join("authority.pem");
        let authority = match read(fs, &path)? {
            Some(text) => Self::parse(folder, &path, &text)?,
            None => Self::make(fs, folder, &path, now)?,
        };
        // For people and nodes; made again when somebody removed it.
        let public = folder.join("authority.crt");
        if read(fs, &public)?.as_deref().map(String::as_str) != Some(&authority.certificate) {
            write(fs, &public, authority.certificate.as_bytes(), false)?;
        }
        Ok(authority)
    }

    fn make(fs: &dyn Fs, folder: &Path, path: &Path, now: UtcMicros) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let until = now + limits::RELAY_AUTHORITY_LIFETIME;
        let certificate = params(&key, now, until)?.self_signed(&key)?.pem();
        let label = Label { until_us: until, names: Vec::new() };
        let pem = Zeroizing::new(key.serialize_pem());
        let text = Zeroizing::new(format!("{}{certificate}{}", label.line(), *pem));
        write(fs, path, text.as_bytes(), true)?;
        tracing::info!(path = %path.display(), "made the authority for certificates between nodes");
        Ok(Self { folder: folder.to_owned(), key, until, certificate })
    }

    fn parse(folder: &Path, path: &Path, text: &str) -> Result<Self, AuthorityError> {
        let damaged =
            |detail: &str| AuthorityError::Damaged { path: path.to_owned(), detail: detail.to_owned() };
        let label =
            Label::of(text).ok_or_else(|| damaged("its first line does not say until when it holds"))?;
        let certificate = block(text, "CERTIFICATE").ok_or_else(|| damaged("no certificate"))?;
        let key = block(text, "PRIVATE KEY").ok_or_else(|| damaged("no private key"))?;
        let key = KeyPair::from_pem(key).map_err(|e| damaged(&e.to_string()))?;
        let der =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| damaged(&e.to_string()))?;
        let public = key.public_key_raw();
        if !der.windows(public.len()).any(|bytes| bytes == public) {
            return Err(damaged("key and certificate do not belong together"));
        }
        Ok(Self {
            folder: folder.to_owned(),
            key,
            until: label.until_us,
            certificate: certificate.to_owned(),
        })
    }

    /// Its certificate, PEM: what nodes are given.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The end of its certificate.
    #[must_use]
    pub fn until(&self) -> UtcMicros {
        self.until
    }

    /// Key and certificate of the NATS server for these host names and addresses: what is there, or a new pair when there
    /// is none, its names are others, or its end is near.
    ///
    /// # Errors
    /// When files cannot be read or written, or a name is none.
    pub fn server(
        &self,
        fs: &dyn Fs,
        names: &[String],
        now: UtcMicros,
    ) -> Result<ServerIdentity, AuthorityError> {
        let path = self.folder.join("server.pem");
        let there = read(fs, &path)?.and_then(|text| Label::of(&text));
        if let Some(label) = there
            && label.names == names
            && now + limits::RELAY_CERTIFICATE_RENEW_BEFORE < label.until_us
        {
            return Ok(ServerIdentity { path, until: label.until_us, made: false });
        }
        let until = (now + limits::RELAY_CERTIFICATE_LIFETIME).min(self.until);
        let text = self.issue(names, now, until)?;
        write(fs, &path, text.as_bytes(), true)?;
        tracing::info!(path = %path.display(), "made a certificate for the server between nodes");
        Ok(ServerIdentity { path, until, made: true })
    }

    /// A new key and its certificate for these names, PEM in one text, with the label above: for a server of a cluster on
    /// another machine. It serves and, between servers, logs in.
    ///
    /// # Errors
    /// When a name is none.
    pub fn issue(
        &self,
        names: &[String],
        now: UtcMicros,
        until: UtcMicros,
    ) -> Result<Zeroizing<String>, AuthorityError> {
        let mut asked = CertificateParams::new(names.to_vec())?;
        asked.distinguished_name = DistinguishedName::new();
        asked.distinguished_name.push(DnType::CommonName, "Fengsui relay server");
        asked.use_authority_key_identifier_extension = true;
        asked.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        asked.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (asked.not_before, asked.not_after) = (calendar(now - BACKDATED)?, calendar(until)?);
        let key = KeyPair::generate()?;
        let mine = params(&self.key, now, self.until)?;
        let signed = asked.signed_by(&key, &Issuer::from_params(&mine, &self.key))?;
        let label = Label { until_us: until, names: names.to_vec() };
        let pem = Zeroizing::new(key.serialize_pem());
        Ok(Zeroizing::new(format!("{}{}{}", label.line(), signed.pem(), *pem)))
    }
}

/// What the authority's certificate says. Its name comes from the key, so that the same key always issues by the same.
fn params(key: &KeyPair, now: UtcMicros, until: UtcMicros) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let id = hex::encode(Sha256::digest(key.public_key_raw()));
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Fengsui authority {}", id.get(..16).unwrap_or(&id)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (calendar(now - BACKDATED)?, calendar(until)?);
    Ok(params)
}

fn calendar(at: UtcMicros) -> Result<time::OffsetDateTime, AuthorityError> {
    time::OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000))
        .map_err(|_| AuthorityError::Time(at))
}

/// A block of a PEM text, its frame included.
fn block<'a>(text: &'a str, kind: &str) -> Option<&'a str> {
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----\n"));
    let from = text.find(&begin)?;
    let to = from + text.get(from..)?.find(&end)? + end.len();
    text.get(from..to)
}

fn read(fs: &dyn Fs, path: &Path) -> Result<Option<Zeroizing<String>>, AuthorityError> {
    match fs.read(path, limits::SECRET_FILE_BYTES_MAX) {
        Ok(bytes) => {
            Ok(Some(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned().replace("\r\n", "\n"))))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AuthorityError::File { what: "read", path: path.to_owned(), source }),
    }
}

fn write(fs: &dyn Fs, path: &Path, bytes: &[u8], private: bool) -> Result<(), AuthorityError> {
    replace(fs, path, bytes, private).map_err(|source| AuthorityError::File {
        what: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use fengsui_storage::fs::RealFs;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;

    const NOW: UtcMicros = UtcMicros(1_800_000_000_000_000);

    fn believed(authority: &Authority, server: &Path, name: &str, at: UtcMicros) -> Result<(), String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let leaf = CertificateDer::from_pem_file(server).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_micros(u64::try_from(at.0).unwrap()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&leaf, &[], &name, &[], at).map(drop).map_err(|e| e.to_string())
    }

    #[test]
    fn the_authority_is_made_once_and_issues_what_its_certificate_vouches_for() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["centre.test".to_owned(), "127.0.0.1".to_owned()];
        let first = Authority::load_or_create(&RealFs, dir.path(), NOW).unwrap();
        let again = Authority::load_or_create(&RealFs, dir.path(), NOW + Duration::from_secs(1)).unwrap();
        assert_eq!(first.certificate(), again.certificate());
        for file in ["authority.pem", "server.pem"] {
            again.server(&RealFs, &names, NOW).unwrap();
            let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        assert!(!std::fs::read_to_string(dir.path().join("authority.crt")).unwrap().contains("PRIVATE"));
        let server = again.server(&RealFs, &names, NOW).unwrap();
        assert!(!server.made);
        believed(&first, &server.path, "centre.test", NOW).unwrap();
        believed(&first, &server.path, "127.0.0.1", NOW).unwrap();
        believed(&first, &server.path, "other.test", NOW).unwrap_err();
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Authority::load_or_create(&RealFs, elsewhere.path(), NOW).unwrap();
        believed(&other, &server.path, "centre.test", NOW).unwrap_err();
    }

    #[test]
    fn a_server_certificate_is_renewed_before_its_end_and_for_other_names() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(&RealFs, dir.path(), NOW).unwrap();
        let names = ["centre.test".to_owned()];
        let first = authority.server(&RealFs, &names, NOW).unwrap();
        assert_eq!((first.made, first.until), (true, NOW + limits::RELAY_CERTIFICATE_LIFETIME));
        let near = first.until - limits::RELAY_CERTIFICATE_RENEW_BEFORE;
        assert!(!authority.server(&RealFs, &names, near - Duration::from_secs(1)).unwrap().made);
        believed(&authority, &first.path, "centre.test", near).unwrap();
        let renewed = authority.server(&RealFs, &names, near).unwrap();
        assert!(renewed.made);
        believed(&authority, &renewed.path, "centre.test", first.until + Duration::from_secs(60)).unwrap();
        assert!(authority.server(&RealFs, &["b.test".to_owned()], near).unwrap().made);
        // A damaged pair is made anew, a damaged authority never: no node would believe another.
        std::fs::write(dir.path().join("server.pem"), "x").unwrap();
        assert!(authority.server(&RealFs, &names, NOW).unwrap().made);
        let elsewhere = tempfile::tempdir().unwrap();
        Authority::load_or_create(&RealFs, elsewhere.path(), NOW).unwrap();
        let path = dir.path().join("authority.pem");
        let good = std::fs::read_to_string(&path).unwrap();
        let other = std::fs::read_to_string(elsewhere.path().join("authority.pem")).unwrap();
        let key = |text: &str| block(text, "PRIVATE KEY").unwrap().to_owned();
        for bad in
            ["x".to_owned(), good.replace("-----END", "-----"), good.replace(&key(&good), &key(&other))]
        {
            std::fs::write(&path, bad).unwrap();
            let refused = Authority::load_or_create(&RealFs, dir.path(), NOW).unwrap_err();
            assert!(refused.to_string().contains("backup"), "{refused}");
        }
    }
}
