use super::WireForm;
use crate::SigningSettings;

/// What is done with requests to an origin, whichever way the origin was found.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) settings: SigningSettings,
    pub(crate) behavior: SigningBehavior,
    pub(crate) wire: WireForm,
    pub(crate) body_limit: u64,
    pub(crate) forwarded: bool,
}

/// Which requests are signed. The names and their meaning are those of CloudFront's origin access
/// control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningBehavior {
    /// Every request is signed; a signature that it came with is replaced.
    #[default]
    Always,
    /// A request that comes with an `authorization` header, or is presigned, is passed on with it;
    /// others are signed.
    NoOverride,
    /// No request is signed.
    Never,
}

impl Options {
    /// 16 MiB.
    const BODY_LIMIT: u64 = 16 * 1024 * 1024;

    pub(crate) fn new(settings: SigningSettings, forwarded: bool) -> Self {
        Self {
            settings,
            behavior: SigningBehavior::default(),
            wire: WireForm::default(),
            body_limit: Self::BODY_LIMIT,
            forwarded,
        }
    }
}

/// The setters that [`Origin`](super::Origin) and [`Direct`](super::Direct) share.
macro_rules! option_setters {
    () => {
        /// Sets which requests are signed: [`Always`](crate::origin::SigningBehavior::Always) by default.
        pub fn with_signing(mut self, behavior: $crate::origin::SigningBehavior) -> Self {
            self.options_mut().behavior = behavior;
            self
        }

        /// Sets how path and query are sent: [`Preserve`](crate::origin::WireForm::Preserve) by default.
        pub fn with_wire_form(mut self, form: $crate::origin::WireForm) -> Self {
            self.options_mut().wire = form;
            self
        }

        /// Sets how many bytes a body may have; 16 MiB by default.
        ///
        /// A signed body is held in memory as a whole, since its hash goes ahead of it. A larger one
        /// is an error of kind [`BodyTooLarge`](crate::ErrorKind::BodyTooLarge), before the first
        /// byte is read if its length is known. Bodies that are passed on unsigned have no limit.
        pub fn with_body_limit(mut self, bytes: u64) -> Self {
            self.options_mut().body_limit = bytes;
            self
        }

        /// Sets whether `x-forwarded-for`, `-host` and `-proto` tell the origin of the client.
        ///
        /// Each is set, or appended to what is there after a comma; without a
        /// [`Peer`](crate::origin::Peer) in the request's extensions the address is not known and
        /// `x-forwarded-for` is left alone. None of them is signed.
        pub fn with_forwarded(mut self, sent: bool) -> Self {
            self.options_mut().forwarded = sent;
            self
        }
    };
}
