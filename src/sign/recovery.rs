//! Memory of a layer about its origins.

use super::{corrections::Corrections, recent_success::Accepted};

/// State for the recovery from a wrong clock and from expired credentials.
#[derive(Default)]
pub(super) struct Recovery {
    pub(super) accepted: Accepted,
    pub(super) corrections: Corrections,
}
