"""@aws-sdk/client-s3 in Node: sdk_js.mjs carries out the operations. It sends streams in unsigned chunks with a
checksum in a trailer, also over HTTP."""

import remote

CHECKSUM = "CRC32"
SENDS_CHUNKS = True
globals().update(remote.operations(["node", "sdk_js.mjs"]))
