use std::fmt;

/// The fields of a form that [`PostPolicy::sign`](super::PostPolicy::sign) signed.
///
/// They are a secret: with them, any client can upload until the policy expires. `Debug` prints only the names.
#[derive(Clone)]
pub struct PostForm {
    fields: Vec<(String, String)>,
}

impl PostForm {
    pub(super) fn new(fields: Vec<(String, String)>) -> Self {
        Self { fields }
    }

    /// Returns names and values in the order of the form. The file follows as the last field, `file`: S3 ignores what
    /// comes after it.
    #[must_use]
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }
}

impl fmt::Debug for PostForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.fields.iter().map(|(name, _)| name))
            .finish()
    }
}
