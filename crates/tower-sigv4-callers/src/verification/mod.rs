//! One future for the services of this crate, which verify callers by different credentials.

mod future;
mod verify_caller;

pub(crate) use self::{
    future::VerificationFuture,
    verify_caller::{LayerConfig, Verification, VerifyCaller},
};
