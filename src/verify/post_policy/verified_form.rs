use std::{fmt, sync::Arc};

use super::multipart::Fields;

/// Fields that belong to the signature of the caller.
const SIGNATURE_FIELDS: [&str; 6] = [
    "policy",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];

/// Proof that a form was signed with a policy of a caller, which allows its fields.
///
/// [`Verify`](crate::Verify) puts it into the extensions of each form that
/// [`with_post_policy`](crate::verify::VerifySettings::with_post_policy) accepts, besides the
/// [`Verified`](crate::verify::Verified). A service that stores the file itself, or sends it as another request, takes
/// the file from the body with [`into_form_file`](crate::body::VerifiedBody::into_form_file).
#[derive(Clone)]
pub struct VerifiedForm {
    inner: Arc<Inner>,
}

struct Inner {
    bucket: String,
    file_name: Option<String>,
    /// Without those of the signature.
    fields: Vec<(String, String)>,
}

impl VerifiedForm {
    pub(super) fn new(bucket: String, form: Fields) -> Self {
        let is_own = |name: &str| {
            let mut names = SIGNATURE_FIELDS.iter();
            !names.any(|other| name.eq_ignore_ascii_case(other))
        };
        let own_fields = form.fields.iter().filter(|(name, _)| is_own(name));
        let fields = own_fields
            .map(|(name, value)| (name.to_ascii_lowercase(), form.with_file_name(value)))
            .collect();
        Self {
            inner: Arc::new(Inner {
                bucket,
                fields,
                file_name: form.file_name,
            }),
        }
    }

    /// Returns the bucket, from the path or the host of the request.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.inner.bucket
    }

    /// Returns the key of the object. It is not a path: nothing in it is encoded, and it may contain dot segments.
    #[must_use]
    pub fn key(&self) -> &str {
        self.field("key").unwrap_or_default()
    }

    /// Returns the name of the file that the client has sent, which nothing verifies.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.inner.file_name.as_deref()
    }

    /// Returns the value of a field, whose name is in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    /// Returns the fields before the file, without those of the signature, with names in lower case.
    ///
    /// `${filename}` in a value is replaced by the name of the file, as S3 does.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.inner.fields.iter();
        fields.map(|(name, value)| (&**name, &**value))
    }
}

impl fmt::Debug for VerifiedForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedForm")
            .field("bucket", &self.bucket())
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}
