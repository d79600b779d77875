use http::HeaderValue;

use super::{Checksum, PayloadHash, aws_chunk::Framing, client_chunks::ClientChecksum};

/// Payload of a request that [`Verify`](crate::Verify) has verified, or verifies as its body is read.
///
/// It is in the extensions of each request whose client declared a hash, or chunks that are decoded by then.
/// [`PayloadMode::Mirror`](crate::origin::PayloadMode::Mirror) sends such a payload in the form that the client chose,
/// and does not check it again. Remove it from the extensions if you replace the body.
#[derive(Clone, Debug)]
pub struct VerifiedPayload {
    form: PayloadForm,
}

#[derive(Clone, Debug)]
enum PayloadForm {
    Hash(PayloadHash),
    Chunks(DecodedChunks),
}

/// Chunks as the client sent them, before they were decoded.
#[derive(Clone, Debug)]
pub(crate) struct DecodedChunks {
    pub(crate) framing: Framing,
    pub(crate) checksum: Option<ClientChecksum>,
    /// Value of `x-amz-sdk-checksum-algorithm`, which is removed with the trailer.
    pub(crate) sdk_algorithm: Option<HeaderValue>,
}

impl VerifiedPayload {
    pub(crate) fn hash(hash: PayloadHash) -> Self {
        Self {
            form: PayloadForm::Hash(hash),
        }
    }

    pub(crate) fn chunks(chunks: DecodedChunks) -> Self {
        Self {
            form: PayloadForm::Chunks(chunks),
        }
    }

    pub(crate) fn is_hash(&self, declared: &PayloadHash) -> bool {
        matches!(&self.form, PayloadForm::Hash(hash) if hash == declared)
    }

    pub(crate) fn decoded_chunks(&self) -> Option<&DecodedChunks> {
        match &self.form {
            PayloadForm::Hash(_) => None,
            PayloadForm::Chunks(chunks) => Some(chunks),
        }
    }

    /// Returns the algorithm of the checksum that the client sent in a trailer.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        self.decoded_chunks()?.framing.checksum()
    }

    /// Returns the value of that checksum, in base64. It is known once the body has been read to its end.
    #[must_use]
    pub fn checksum_value(&self) -> Option<&str> {
        self.decoded_chunks()?.checksum.as_ref()?.value()
    }
}
