//! TLS as the agent's configuration says it: the parameters `TLS*` of connections that the agent makes.

use std::path::PathBuf;

use super::agent::{Agent, Error};

/// How connections to servers and proxies are protected: `TLSConnect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    #[default]
    Unencrypted,
    /// By a key that both sides have.
    Psk(Psk),
    /// By certificates of both sides.
    Certificate(Certificate),
}

/// A pre-shared key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psk {
    /// `TLSPSKIdentity`: what the server knows the key by.
    pub identity: String,
    /// `TLSPSKFile`: holds the key, in hexadecimal.
    pub file: PathBuf,
    /// `TLSCipherPSK` and `TLSCipherPSK13`.
    pub ciphers: Ciphers,
}

/// The agent's certificate, and what the server's must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// `TLSCAFile`: the authorities that sign servers' certificates.
    pub ca_file: PathBuf,
    /// `TLSCRLFile`: the certificates that they have revoked.
    pub crl_file: Option<PathBuf>,
    /// `TLSCertFile`: the agent's certificate, and those between it and an authority.
    pub cert_file: PathBuf,
    /// `TLSKeyFile`: its private key.
    pub key_file: PathBuf,
    /// `TLSServerCertIssuer`, as RFC 4514 writes names.
    pub issuer: Option<String>,
    /// `TLSServerCertSubject`, as RFC 4514 writes names.
    pub subject: Option<String>,
    /// `TLSCipherCert` and `TLSCipherCert13`.
    pub ciphers: Ciphers,
}

/// Ciphers in place of the courier's own choice, as OpenSSL lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ciphers {
    /// Of TLS 1.2.
    pub tls12: Option<String>,
    /// Of TLS 1.3.
    pub tls13: Option<String>,
}

impl Agent {
    /// What the parameters `TLS*` say of connections that the agent makes.
    ///
    /// # Errors
    /// [`Error::Value`] and [`Error::Missing`].
    pub fn tls(&self) -> Result<Tls, Error> {
        match self.get("TLSConnect") {
            None | Some("unencrypted") => Ok(Tls::Unencrypted),
            Some("psk") => Ok(Tls::Psk(Psk {
                identity: self.needed("TLSPSKIdentity", "psk")?.to_owned(),
                file: self.needed("TLSPSKFile", "psk")?.into(),
                ciphers: self.ciphers("TLSCipherPSK", "TLSCipherPSK13"),
            })),
            Some("cert") => Ok(Tls::Certificate(Certificate {
                ca_file: self.needed("TLSCAFile", "cert")?.into(),
                crl_file: self.get("TLSCRLFile").map(PathBuf::from),
                cert_file: self.needed("TLSCertFile", "cert")?.into(),
                key_file: self.needed("TLSKeyFile", "cert")?.into(),
                issuer: self.get("TLSServerCertIssuer").map(str::to_owned),
                subject: self.get("TLSServerCertSubject").map(str::to_owned),
                ciphers: self.ciphers("TLSCipherCert", "TLSCipherCert13"),
            })),
            Some(value) => Err(Error::Value {
                parameter: "TLSConnect",
                value: value.to_owned(),
                expected: "unencrypted, psk or cert",
            }),
        }
    }

    fn needed(&self, parameter: &'static str, mode: &'static str) -> Result<&str, Error> {
        self.get(parameter)
            .ok_or(Error::Missing { parameter, mode })
    }

    /// An agent that was built with GnuTLS, as Debian's is, has a priority string there, which OpenSSL cannot read:
    /// the courier's own choice holds then.
    fn ciphers(&self, tls12: &str, tls13: &str) -> Ciphers {
        let list = |parameter| {
            let list: &str = self.get(parameter)?;
            (!is_gnutls(list)).then(|| list.to_owned())
        };
        Ciphers {
            tls12: list(tls12),
            tls13: list(tls13),
        }
    }
}

/// Whether a list of ciphers begins with one of GnuTLS's keywords.
fn is_gnutls(list: &str) -> bool {
    let keywords = [
        "NONE",
        "NORMAL",
        "PERFORMANCE",
        "SECURE",
        "SUITEB",
        "PFS",
        "LEGACY",
        "@",
    ];
    keywords.iter().any(|keyword| list.starts_with(keyword))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(text: &str) -> Result<Tls, String> {
        Agent::parse(text).tls().map_err(|error| error.to_string())
    }

    #[test]
    fn without_tls_connect_nothing_is_encrypted_whatever_else_is_set() {
        assert_eq!(
            tls("TLSAccept=psk\nTLSPSKFile=/k").unwrap(),
            Tls::Unencrypted
        );
        assert_eq!(tls("TLSConnect=unencrypted").unwrap(), Tls::Unencrypted);
    }

    #[test]
    fn a_pre_shared_key_has_its_parameters() {
        let psk = tls(
            "TLSConnect=psk\nTLSPSKIdentity=lab 1\nTLSPSKFile=/k\nTLSCipherPSK=PSK-AES128-GCM-SHA256",
        );
        let ciphers = Ciphers {
            tls12: Some("PSK-AES128-GCM-SHA256".into()),
            tls13: None,
        };
        let expected = Psk {
            identity: "lab 1".into(),
            file: "/k".into(),
            ciphers,
        };
        assert_eq!(psk.unwrap(), Tls::Psk(expected));
    }

    #[test]
    fn a_certificate_has_its_parameters() {
        let text = "TLSConnect=cert\nTLSCAFile=/ca\nTLSCertFile=/c\nTLSKeyFile=/k\nTLSCRLFile=/r\n\
            TLSServerCertIssuer=CN=CA,O=x\nTLSServerCertSubject=CN=s\nTLSCipherCert13=TLS_AES_256_GCM_SHA384";
        let Tls::Certificate(certificate) = tls(text).unwrap() else {
            panic!("no certificate");
        };
        assert_eq!(certificate.issuer.as_deref(), Some("CN=CA,O=x"));
        assert_eq!(certificate.subject.as_deref(), Some("CN=s"));
        assert_eq!(certificate.crl_file, Some("/r".into()));
        assert_eq!(
            certificate.ciphers.tls13.as_deref(),
            Some("TLS_AES_256_GCM_SHA384")
        );
    }

    #[test]
    fn gnutls_priority_strings_are_left_to_the_agent() {
        let text = "TLSConnect=psk\nTLSPSKIdentity=a\nTLSPSKFile=/k\nTLSCipherPSK=NONE:+VERS-TLS1.2:+ECDHE-PSK";
        let Tls::Psk(psk) = tls(text).unwrap() else {
            panic!("no key");
        };
        assert_eq!(psk.ciphers, Ciphers::default());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(
            tls("TLSConnect=psk\nTLSPSKFile=/k").unwrap_err(),
            "the agent's configuration has TLSConnect=psk, which needs TLSPSKIdentity"
        );
        assert_eq!(
            tls("TLSConnect=tls").unwrap_err(),
            "the agent's configuration has TLSConnect=tls, which is no unencrypted, psk or cert"
        );
    }
}
