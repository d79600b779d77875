//! A configuration file, valid or not. An error has a message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigv4_gateway::check;

fuzz_target!(|text: &str| {
    if let Err(error) = check(text) {
        assert!(!error.is_empty());
    }
});
