//! The hub's certificate authority: what is stored, and how it is rotated. Pure but for key
//! generation.
//!
//! A rotation loses no connection: the next authority is first published beside the current one,
//! signs only after every SDK server had time to learn it, and the former one stays trusted until
//! nothing that it signed is valid.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;

/// How long an authority is valid.
const CA_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// The next authority is made this long after the current one.
const CA_ROTATE_AFTER: SignedDuration = SignedDuration::from_hours(24 * 240);
/// Published this long before it signs; mounted ConfigMaps are refreshed within minutes.
const PUBLISH_FIRST: SignedDuration = SignedDuration::from_hours(24);
/// How long a serving certificate is valid; it is renewed daily.
const SERVING_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 7);

/// An authority with its key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) certificate: String,
    key: String,
    /// When it was made; for the next one also the start of its publication.
    pub(crate) since: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of every log.
        formatter
            .debug_struct("Authority")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// What the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) current: Authority,
    pub(crate) next: Option<Authority>,
    /// The former authority's certificate, and when it stopped signing.
    pub(crate) former: Option<(String, Timestamp)>,
}

/// Why an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The Secret lacks a key or holds something else there.
    #[error("Secret key {0} is missing or unreadable; delete the Secret to have a new one made")]
    Malformed(&'static str),
    /// Key generation or signing failed.
    #[error("make or sign a certificate")]
    Certificate(#[source] rcgen::Error),
    /// The serving certificate does not fit the TLS library.
    #[error("use the serving certificate")]
    Tls(#[source] rustls::Error),
    /// The time is outside what certificates can hold.
    #[error("the clock shows a time that certificates cannot hold")]
    Clock,
}

impl Stored {
    /// Makes the first authority.
    pub(crate) fn first(now: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            current: Authority::make(now)?,
            next: None,
            former: None,
        })
    }

    /// Returns what shall be stored instead, or none while nothing is due.
    pub(crate) fn rotate(&self, now: Timestamp) -> Result<Option<Self>, Error> {
        let age = |since: Timestamp| now.duration_since(since);
        let mut rotated = self.clone();
        if let Some((_, since)) = &self.former
            && age(*since) >= SERVING_LIFETIME
        {
            rotated.former = None;
        }
        match &self.next {
            None if age(self.current.since) >= CA_ROTATE_AFTER => {
                rotated.next = Some(Authority::make(now)?);
            }
            Some(next) if age(next.since) >= PUBLISH_FIRST => {
                rotated.former = Some((self.current.certificate.clone(), now));
                rotated.current = next.clone();
                rotated.next = None;
            }
            None | Some(_) => {}
        }
        Ok((rotated != *self).then_some(rotated))
    }

    /// Every certificate that SDK servers shall trust, PEM.
    pub(crate) fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| next.certificate.as_str());
        let former = self
            .former
            .as_ref()
            .map(|(certificate, _)| certificate.as_str());
        [Some(self.current.certificate.as_str()), next, former]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Writes the data of the Secret.
    pub(crate) fn to_data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, value: &str| {
            data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        };
        put("ca.crt", &self.current.certificate);
        put("ca.key", &self.current.key);
        put("ca.since", &self.current.since.to_string());
        if let Some(next) = &self.next {
            put("next.crt", &next.certificate);
            put("next.key", &next.key);
            put("next.since", &next.since.to_string());
        }
        if let Some((certificate, since)) = &self.former {
            put("former.crt", certificate);
            put("former.since", &since.to_string());
        }
        data
    }

    /// Reads the data of the Secret.
    pub(crate) fn from_data(data: &BTreeMap<String, ByteString>) -> Result<Self, Error> {
        let text = |key: &'static str| {
            let bytes = data.get(key).ok_or(Error::Malformed(key))?;
            String::from_utf8(bytes.0.clone()).map_err(|_| Error::Malformed(key))
        };
        let time = |key: &'static str| text(key)?.parse().map_err(|_| Error::Malformed(key));
        let current = Authority {
            certificate: text("ca.crt")?,
            key: text("ca.key")?,
            since: time("ca.since")?,
        };
        let next = data
            .contains_key("next.crt")
            .then(|| {
                Ok(Authority {
                    certificate: text("next.crt")?,
                    key: text("next.key")?,
                    since: time("next.since")?,
                })
            })
            .transpose()?;
        let former = data
            .contains_key("former.crt")
            .then(|| Ok((text("former.crt")?, time("former.since")?)))
            .transpose()?;
        Ok(Self {
            current,
            next,
            former,
        })
    }
}

impl Authority {
    fn make(now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(Error::Certificate)?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("muster-hub-ca {now}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params, now, CA_LIFETIME)?;
        let certificate = params.self_signed(&key).map_err(Error::Certificate)?;
        Ok(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            since: now,
        })
    }

    /// Signs a serving certificate for these names; returns the chain and key, PEM.
    pub(crate) fn serving(
        &self,
        now: Timestamp,
        names: &[String],
    ) -> Result<(String, String), Error> {
        let ca_key = KeyPair::from_pem(&self.key).map_err(Error::Certificate)?;
        let issuer =
            Issuer::from_ca_cert_pem(&self.certificate, ca_key).map_err(Error::Certificate)?;
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(Error::Certificate)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "muster-hub");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut params, now, SERVING_LIFETIME)?;
        let certificate = params
            .signed_by(&key, &issuer)
            .map_err(Error::Certificate)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// Sets the validity, with an hour before now for clocks that are behind.
fn valid(
    params: &mut CertificateParams,
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<(), Error> {
    let at = |time: Timestamp| {
        OffsetDateTime::from_unix_timestamp(time.as_second()).map_err(|_| Error::Clock)
    };
    params.not_before = at(now - SignedDuration::from_hours(1))?;
    params.not_after = at(now + lifetime)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_published_before_it_signs_and_trusted_after_it_stopped() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let day = |days: i64| start + SignedDuration::from_hours(24 * days);
        let first = Stored::first(start).unwrap();
        assert_eq!(first.rotate(day(239)).unwrap(), None);

        let published = first.rotate(day(240)).unwrap().unwrap();
        assert_eq!(published.current, first.current);
        let next = published.next.clone().unwrap();
        assert!(published.bundle().contains(&next.certificate));
        assert_eq!(published.rotate(day(240)).unwrap(), None);

        let promoted = published.rotate(day(241)).unwrap().unwrap();
        assert_eq!(promoted.current, next);
        assert!(promoted.bundle().contains(&first.current.certificate));
        assert_eq!(promoted.rotate(day(247)).unwrap(), None);

        let cleaned = promoted.rotate(day(248)).unwrap().unwrap();
        assert_eq!(cleaned.former, None);
        assert_eq!(cleaned.bundle(), next.certificate);
    }

    #[test]
    fn the_secret_round_trips_and_says_what_is_wrong() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut stored = Stored::first(start).unwrap();
        stored.next = Some(Authority::make(start).unwrap());
        stored.former = Some(("old".to_owned(), start));
        let mut data = stored.to_data();
        assert_eq!(Stored::from_data(&data).unwrap(), stored);
        data.remove("ca.key");
        let error = Stored::from_data(&data).unwrap_err().to_string();
        assert!(error.contains("ca.key"), "{error}");
    }

    #[test]
    fn a_serving_certificate_fits_its_authority() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let stored = Stored::first(start).unwrap();
        let (chain, key) = stored
            .current
            .serving(start, &["hub.test".to_owned()])
            .unwrap();
        assert!(chain.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(KeyPair::from_pem(&key).is_ok());
    }
}
