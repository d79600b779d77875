"""@aws-sdk/client-s3 in Node. Over TLS and HTTP it sends unsigned chunks with a checksum in a trailer for streams."""

import remote

CHECKSUM = "CRC32"
globals().update(remote.operations(["node", "sdk_js.mjs"]))
