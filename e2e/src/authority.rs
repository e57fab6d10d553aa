//! A certificate authority that only this suite trusts.
use std::{
    fs::OpenOptions, io::Write as _, net::IpAddr, os::unix::fs::OpenOptionsExt as _, path::Path,
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Kept beside the cluster's other facts, so that every test binary signs with the one that the operator was given.
pub struct Authority {
    key: KeyPair,
    /// PEM.
    pub certificate: String,
}

impl Authority {
    /// The one of `folder`, made if there is none yet.
    pub fn of(folder: &Path) -> Result<Self> {
        let (key_file, certificate_file) =
            (folder.join("authority.key"), folder.join("authority.pem"));
        if !certificate_file.exists() {
            let key = KeyPair::generate()?;
            write_private(&key_file, &key.serialize_pem())?;
            std::fs::write(&certificate_file, parameters()?.self_signed(&key)?.pem())?;
        }
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Self {
            key: KeyPair::from_pem(&read(&key_file)?)?,
            certificate: read(&certificate_file)?,
        })
    }

    /// A certificate for a server at `address`.
    pub fn sign(
        &self,
        address: IpAddr,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![SanType::IpAddress(address)];
        let issuer = Issuer::new(parameters()?, &self.key);
        let certificate = leaf.signed_by(&key, &issuer)?;
        let der = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok((certificate.der().clone(), der))
    }
}

/// Readable by this user alone.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

fn parameters() -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters
        .distinguished_name
        .push(DnType::CommonName, "tts-operator e2e");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters)
}
