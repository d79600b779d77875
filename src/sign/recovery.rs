//! State of a layer for the recovery from a wrong clock and from expired credentials.

use super::{corrections::Corrections, recent_success::RecentSuccesses};

#[derive(Default)]
pub(super) struct Recovery {
    pub(super) successes: RecentSuccesses,
    pub(super) corrections: Corrections,
}
