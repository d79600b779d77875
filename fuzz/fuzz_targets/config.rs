//! A file that someone got wrong: it is read or refused, with a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigv4_gateway::check;

fuzz_target!(|text: &str| {
    if let Err(error) = check(text) {
        assert!(!error.is_empty());
    }
});
