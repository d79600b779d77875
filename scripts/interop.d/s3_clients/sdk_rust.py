"""aws-sdk-s3 for Rust: rust/src/aws_sdk.rs carries out the operations. Over TLS it sends unsigned chunks, over HTTP
signed ones, both with a checksum in a trailer."""

import os

import remote

CHECKSUM = "CRC32"
SENDS_CHUNKS = True
globals().update(remote.operations([os.environ["S3_RUST_CLIENTS"], "aws_sdk"]))
