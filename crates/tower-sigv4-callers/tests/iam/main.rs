//! Callers by their IAM principal, against a stand-in for STS that verifies signatures.

mod hostile_urls;
mod layer;
mod principals;
mod relay;
mod sts;
