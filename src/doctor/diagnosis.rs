use std::fmt;

use super::{Cause, ClientForm, Difference, canonical_parser::redacted};

/// The cause of a rejected request, with a summary and remedies.
///
/// `Display` writes [`summary`](Diagnosis::summary) and [`remedies`](Diagnosis::remedies). None contains a secret.
#[derive(Clone)]
#[must_use]
pub struct Diagnosis {
    cause: Cause,
    summary: String,
    differences: Vec<Difference>,
    client_forms: Vec<ClientForm>,
    client_request: Option<String>,
    clock_offset: Option<i64>,
    specific_remedies: Option<&'static [&'static str]>,
    /// In place of [`Cause::remedies`].
    remedies_of_cause: Option<&'static [&'static str]>,
}

impl Diagnosis {
    pub(super) fn new(cause: Cause, summary: impl Into<String>) -> Self {
        Self {
            cause,
            summary: summary.into(),
            differences: Vec::new(),
            client_forms: Vec::new(),
            client_request: None,
            clock_offset: None,
            specific_remedies: None,
            remedies_of_cause: None,
        }
    }

    pub(super) fn with_differences(self, differences: Vec<Difference>) -> Self {
        Self {
            differences,
            ..self
        }
    }

    pub(super) fn with_clock_offset(self, clock_offset: Option<i64>) -> Self {
        Self {
            clock_offset,
            ..self
        }
    }

    /// Replaces the remedies of the cause. Specific ones stay.
    #[cfg(feature = "sign")]
    pub(crate) fn with_remedies_of_cause(
        self,
        remedies: fn(Cause) -> &'static [&'static str],
    ) -> Self {
        Self {
            remedies_of_cause: Some(remedies(self.cause)),
            ..self
        }
    }

    pub(super) fn with_remedies(self, remedies: &'static [&'static str]) -> Self {
        Self {
            specific_remedies: Some(remedies),
            ..self
        }
    }

    pub(super) fn with_client_request(self, canonical_request: &str) -> Self {
        Self {
            client_request: Some(redacted(canonical_request)),
            ..self
        }
    }

    pub(super) fn with_client_forms(self, client_forms: Vec<ClientForm>) -> Self {
        Self {
            client_forms,
            ..self
        }
    }

    /// Returns the cause. If there are several differences, it is that of the first one.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Returns the problem as a clause, without a full stop.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Returns the remedies: those of the [cause](Cause::remedies), or the
    /// [specific ones](Self::specific_remedies) if there are some. The most likely one is the first.
    ///
    /// `SigningLayer::with_remedies` replaces those of the cause.
    #[must_use]
    pub fn remedies(&self) -> &'static [&'static str] {
        self.specific_remedies
            .or(self.remedies_of_cause)
            .unwrap_or_else(|| self.cause.remedies())
    }

    /// Returns the remedies of this rejection if they differ from those of its cause.
    ///
    /// They name no setting of this library, so that programs with words of their own for each [`Cause`] can show them.
    #[must_use]
    pub fn specific_remedies(&self) -> Option<&'static [&'static str]> {
        self.specific_remedies
    }

    /// Returns all differences between the canonical requests of signer and origin, the most likely cause first.
    ///
    /// It is empty if one of the canonical requests is unknown.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Returns the parts that the client signed in another form than AWS, for [`Cause::ClientForm`].
    ///
    /// For other causes of a signature that does not match, these are the parts of this request that known clients
    /// sign in another form. It is empty for requests of a [`SigningLayer`](crate::SigningLayer).
    #[must_use]
    pub fn client_forms(&self) -> &[ClientForm] {
        &self.client_forms
    }

    /// Returns the canonical request that the client signed, without the session token, for [`Cause::ClientForm`].
    #[must_use]
    pub fn client_canonical_request(&self) -> Option<&str> {
        self.client_request.as_deref()
    }

    /// Returns the seconds by which the origin's clock was ahead of the signing time; negative if it was behind.
    ///
    /// It is `Some` only for [`Cause::ClockSkew`] with a known time.
    #[must_use]
    pub fn clock_offset(&self) -> Option<i64> {
        self.clock_offset
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        self.remedies()
            .iter()
            .try_for_each(|remedy| write!(f, "; {remedy}"))
    }
}

/// Without the canonical request of the client, whose query and headers may be secret.
impl fmt::Debug for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diagnosis")
            .field("cause", &self.cause)
            .field("summary", &self.summary)
            .field("differences", &self.differences)
            .field("client_forms", &self.client_forms)
            .field("clock_offset", &self.clock_offset)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;

    #[test]
    fn other_remedies_of_a_cause_are_not_specific() {
        let other = |_| -> &'static [&'static str] { &["ask the operator"] };
        let plain = Diagnosis::new(Cause::ClockSkew, "late").with_remedies_of_cause(other);
        assert_eq!(plain.remedies(), ["ask the operator"]);
        assert_eq!(plain.specific_remedies(), None);

        let specific = Diagnosis::new(Cause::ClockSkew, "late")
            .with_remedies(&["wait"])
            .with_remedies_of_cause(other);
        assert_eq!(specific.remedies(), ["wait"]);
        assert_eq!(specific.specific_remedies(), Some(&["wait"][..]));
    }
}
