//! Memory of a layer about its origins.

use super::{accepted::Accepted, corrections::Corrections};

/// State for the recovery from a wrong clock and from expired credentials.
#[derive(Default)]
pub(super) struct Recovery {
    pub(super) accepted: Accepted,
    pub(super) corrections: Corrections,
}
