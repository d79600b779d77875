"""Public keys of SigV4a."""

import functools
import hmac

from awscrt.crypto import EC

ALGORITHM = "AWS4-ECDSA-P256-SHA256"
# P-256: the field, the order, the base point (NIST SP 800-186), and the DER prefix of a point.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


@functools.cache
def public_key(id, secret):
    """Derives the key by the AWS IAM User Guide, "Create a signed AWS API request" (NIST SP 800-108 in counter mode);
    awscrt does not expose its own."""
    key = b"AWS4A" + secret.encode()
    for counter in range(1, 255):
        fixed = ALGORITHM.encode() + b"\0" + id.encode() + bytes([counter]) + b"\0\0\1\0"
        candidate = int.from_bytes(hmac.digest(key, b"\0\0\0\1" + fixed, "sha256"), "big")
        if candidate <= N - 2:
            break
    point = b"".join(number.to_bytes(32, "big") for number in multiply(candidate + 1))
    return EC.new_key_from_der_data(SPKI + point)


def multiply(factor):
    """Returns a multiple of the base point of P-256."""
    product, power = None, G
    while factor:
        if factor & 1:
            product = add(product, power) if product else power
        power = add(power, power)
        factor >>= 1
    return product


def add(one, other):
    (x, y), (u, v) = one, other
    slope = (3 * x * x - 3) * pow(2 * y, -1, P) if one == other else (v - y) * pow(u - x, -1, P)
    w = (slope * slope - x - u) % P
    return w, (slope * (x - w) - y) % P
