//! TLS to servers and proxies, 1.2 and 1.3, by certificates or by a pre-shared key.
//!
//! The files are read for each delivery, so that a renewed certificate needs no restart and no secret outlives an errand.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslStream, SslVerifyMode,
    SslVersion,
};
use openssl::x509::store::{X509Lookup, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509VerifyResult};
use zeroize::Zeroizing;

use super::name;
use crate::net::Timed;
use crate::settings::tls::{Certificate, Ciphers, Psk, Tls};
use crate::tls;

/// What Zabbix's servers take, forward secrecy first.
const PSK_CIPHERS: &str = "kECDHEPSK+AES128:kPSK+AES128";
/// TLS 1.3 binds a pre-shared key of Zabbix's kind to SHA-256.
const PSK_CIPHERS_13: &str = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
const CERTIFICATE_CIPHERS: &str = "EECDH+AESGCM:EECDH+CHACHA20:EECDH+AES:kRSA+AES:!aNULL:!PSK";

/// What a key of 32 to 512 hexadecimal digits comes to, in bytes.
const PSK_BYTES: std::ops::RangeInclusive<usize> = 16..=256;
/// Larger than any file of certificates.
const MAX_FILE: u64 = 4 << 20;

/// Why a server cannot be reached under TLS. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the configuration names.
    #[error("{parameter}={}: {why}", path.display())]
    File {
        /// Its parameter.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A list of ciphers.
    #[error("OpenSSL knows none of the ciphers of {parameter}")]
    Ciphers {
        /// Its parameter.
        parameter: &'static str,
    },
    /// The handshake.
    #[error("{error}{remedy}")]
    Handshake {
        /// What happened.
        error: tls::Error,
        /// What to look at.
        remedy: &'static str,
    },
    /// A server of another name.
    #[error(
        "the server's certificate has the {what} {found:?}, where {parameter} wants {wanted:?}"
    )]
    Name {
        /// Issuer or subject.
        what: &'static str,
        /// What the certificate says.
        found: String,
        /// The parameter.
        parameter: &'static str,
        /// What it says.
        wanted: String,
    },
    /// OpenSSL itself.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] ErrorStack),
}

/// What connections to servers are made with.
pub struct Client {
    context: SslContext,
    expected: Expected,
}

/// What must hold once a handshake went well.
enum Expected {
    /// The key was the right one: that is all.
    Psk,
    Names {
        issuer: Option<String>,
        subject: Option<String>,
    },
}

impl Client {
    /// Reads what the settings name; `None` where nothing is encrypted.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(settings: &Tls) -> Result<Option<Self>, Error> {
        let mut context = match settings {
            Tls::Unencrypted => return Ok(None),
            _ => SslContext::builder(SslMethod::tls_client())?,
        };
        context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        // By a key, the server must show no certificate: none is trusted.
        context.set_verify(SslVerifyMode::PEER);
        let expected = match settings {
            Tls::Psk(psk) => {
                use_psk(&mut context, psk)?;
                Expected::Psk
            }
            Tls::Certificate(certificate) => {
                use_certificate(&mut context, certificate)?;
                Expected::Names {
                    issuer: certificate.issuer.clone(),
                    subject: certificate.subject.clone(),
                }
            }
            Tls::Unencrypted => return Ok(None),
        };
        Ok(Some(Client {
            context: context.build(),
            expected,
        }))
    }

    /// Puts TLS on a connection to a server, and makes sure that it is the right one.
    ///
    /// # Errors
    /// [`Error`].
    pub fn connect(&self, stream: Timed) -> Result<SslStream<Timed>, Error> {
        let stream = tls::connect(Ssl::new(&self.context)?, stream)
            .map_err(|error| self.explained(error))?;
        if let Expected::Names { issuer, subject } = &self.expected
            && let Some(certificate) = stream.ssl().peer_certificate()
        {
            let names = [
                (
                    "issuer",
                    certificate.issuer_name(),
                    "TLSServerCertIssuer",
                    issuer,
                ),
                (
                    "subject",
                    certificate.subject_name(),
                    "TLSServerCertSubject",
                    subject,
                ),
            ];
            for (what, found, parameter, wanted) in names {
                let found = name::text(found);
                if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != found) {
                    return Err(Error::Name {
                        what,
                        found,
                        parameter,
                        wanted: wanted.clone(),
                    });
                }
            }
        }
        Ok(stream)
    }

    /// What a connection broke by, with what to look at.
    pub fn explained(&self, error: tls::Error) -> Error {
        Error::Handshake {
            remedy: self.remedy(&error),
            error,
        }
    }

    /// What to look at when a connection broke by `error`.
    pub fn remedy(&self, error: &tls::Error) -> &'static str {
        match (error, &self.expected) {
            (tls::Error::Refused(_) | tls::Error::Closed | tls::Error::Other(_), Expected::Psk) => {
                "; is TLSPSKIdentity in Zabbix, with the key of TLSPSKFile, and known to the server for a minute?"
            }
            (tls::Error::Certificate(_), Expected::Psk) => {
                "; the server answers with a certificate and not by the key: is TLSPSKIdentity in Zabbix, and known to the server for a minute?"
            }
            (tls::Error::Refused(_) | tls::Error::Closed, Expected::Names { .. }) => {
                "; does the server have a certificate of its own, and does its TLSCAFile hold what signed TLSCertFile?"
            }
            (tls::Error::Certificate(result), Expected::Names { .. }) => why_not_accepted(*result),
            _ => "",
        }
    }
}

fn why_not_accepted(result: X509VerifyResult) -> &'static str {
    match result.as_raw() {
        // X509_V_ERR_UNABLE_TO_GET_CRL, CRL_HAS_EXPIRED, CRL_NOT_YET_VALID
        3 | 11 | 12 => {
            "; TLSCRLFile must hold a current list of each authority of the server's certificate"
        }
        // X509_V_ERR_CERT_NOT_YET_VALID, CERT_HAS_EXPIRED
        9 | 10 => "; renew the server's certificate, or set this machine's clock",
        // X509_V_ERR_CERT_REVOKED
        23 => "; TLSCRLFile lists it",
        _ => "; TLSCAFile must hold the authority that signed the server's certificate",
    }
}

fn use_psk(context: &mut SslContextBuilder, psk: &Psk) -> Result<(), Error> {
    set_ciphers(
        context,
        &psk.ciphers,
        (PSK_CIPHERS, "TLSCipherPSK"),
        (Some(PSK_CIPHERS_13), "TLSCipherPSK13"),
    )?;
    let text = read("TLSPSKFile", &psk.file)?;
    let key = key(&text).ok_or_else(|| Error::File {
        parameter: "TLSPSKFile",
        path: psk.file.clone(),
        why: "its first line must be a key of 32 to 512 hexadecimal digits, an even number"
            .to_owned(),
    })?;
    let identity = psk.identity.clone().into_bytes();
    context.set_psk_client_callback(move |_, _, identity_out, key_out| {
        // What is too long for OpenSSL, or holds a NUL, is no key: the handshake fails.
        let fits = identity.len() < identity_out.len() && key.len() <= key_out.len();
        if !fits || identity.contains(&0) {
            return Ok(0);
        }
        identity_out[..identity.len()].copy_from_slice(&identity);
        identity_out[identity.len()] = 0;
        key_out[..key.len()].copy_from_slice(&key);
        Ok(key.len())
    });
    Ok(())
}

/// The key that the first line of a file says; `None` where that is none.
fn key(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let line = text.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut key = Zeroizing::new(Vec::with_capacity(line.len() / 2));
    for pair in line.chunks(2) {
        let &[high, low] = pair else {
            return None;
        };
        key.push(digit(high)? << 4 | digit(low)?);
    }
    PSK_BYTES.contains(&key.len()).then_some(key)
}

fn use_certificate(context: &mut SslContextBuilder, settings: &Certificate) -> Result<(), Error> {
    set_ciphers(
        context,
        &settings.ciphers,
        (CERTIFICATE_CIPHERS, "TLSCipherCert"),
        (None, "TLSCipherCert13"),
    )?;
    let mut store = X509StoreBuilder::new()?;
    for authority in certificates("TLSCAFile", &settings.ca_file)? {
        store.add_cert(authority)?;
    }
    if let Some(path) = &settings.crl_file {
        let wrong = wrong("TLSCRLFile", path);
        // OpenSSL would not say that a file cannot be read.
        File::open(path).map_err(|error| wrong(&error))?;
        store
            .add_lookup(X509Lookup::file())?
            .load_crl_file(path, SslFiletype::PEM)
            .map_err(|_| wrong(&"it holds no list of revoked certificates in PEM form"))?;
        store.set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)?;
    }
    context.set_cert_store(store.build());

    let mut chain = certificates("TLSCertFile", &settings.cert_file)?.into_iter();
    if let Some(own) = chain.next() {
        context.set_certificate(&own)?;
    }
    for above in chain {
        context.add_extra_chain_cert(above)?;
    }
    let wrong = wrong("TLSKeyFile", &settings.key_file);
    let pem = read("TLSKeyFile", &settings.key_file)?;
    // Nobody is there to type a passphrase.
    let key = PKey::private_key_from_pem_callback(&pem, |_| Ok(0))
        .map_err(|_| wrong(&"it holds no private key in PEM form without a passphrase"))?;
    context
        .set_private_key(&key)
        .map_err(|_| wrong(&"it is not the key of the certificate in TLSCertFile"))
}

/// The list of the configuration, else the courier's own, where it has one.
fn set_ciphers(
    context: &mut SslContextBuilder,
    asked: &Ciphers,
    (own12, parameter12): (&str, &'static str),
    (own13, parameter13): (Option<&str>, &'static str),
) -> Result<(), Error> {
    context
        .set_cipher_list(asked.tls12.as_deref().unwrap_or(own12))
        .map_err(|_| Error::Ciphers {
            parameter: parameter12,
        })?;
    if let Some(list) = asked.tls13.as_deref().or(own13) {
        context.set_ciphersuites(list).map_err(|_| Error::Ciphers {
            parameter: parameter13,
        })?;
    }
    Ok(())
}

fn certificates(parameter: &'static str, path: &Path) -> Result<Vec<X509>, Error> {
    let found = X509::stack_from_pem(&read(parameter, path)?);
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(wrong(parameter, path)(
            &"it holds no certificate in PEM form",
        )),
    }
}

/// The bytes of a file, gone from memory when they are dropped.
fn read(parameter: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let wrong = wrong(parameter, path);
    let file = File::open(path).map_err(|error| wrong(&error))?;
    let length = file.metadata().map_err(|error| wrong(&error))?.len();
    if length > MAX_FILE {
        return Err(wrong(&"it is too large"));
    }
    // Room from the start: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(vec![0; length as usize]);
    let mut file = file.take(length);
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(wrong(&error)),
        _ => Ok(bytes),
    }
}

fn wrong(parameter: &'static str, path: &Path) -> impl Fn(&dyn std::fmt::Display) -> Error {
    move |why| Error::File {
        parameter,
        path: path.to_owned(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_first_line_in_hexadecimal() {
        let text = format!("{}0f\r\nmore", "aB".repeat(15));
        let read = key(text.as_bytes()).unwrap();
        assert_eq!((read.len(), read[0], read[15]), (16, 0xab, 0x0f));
        assert_eq!(key("00".repeat(256).as_bytes()).unwrap().len(), 256);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "",
            &"0".repeat(31),
            &"0".repeat(33),
            &"00".repeat(257),
            &"+f".repeat(16),
            &"0 ".repeat(16),
        ] {
            assert!(key(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "secret").unwrap();
        let psk = |file: &Path| {
            let psk = Psk {
                identity: "a".into(),
                file: file.to_owned(),
                ciphers: Ciphers::default(),
            };
            Client::new(&Tls::Psk(psk)).err().unwrap().to_string()
        };
        let error = psk(&file);
        assert!(
            error.starts_with("TLSPSKFile=") && error.contains("hexadecimal"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
        let error = psk(&folder.path().join("none"));
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn ciphers_that_openssl_does_not_know_are_refused() {
        let mut context = SslContext::builder(SslMethod::tls_client()).unwrap();
        let asked = Ciphers {
            tls12: Some("NO-SUCH".into()),
            tls13: None,
        };
        let error =
            set_ciphers(&mut context, &asked, ("", "TLSCipherPSK"), (None, "")).unwrap_err();
        assert!(error.to_string().contains("TLSCipherPSK"), "{error}");
    }
}
