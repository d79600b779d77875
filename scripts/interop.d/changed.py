"""Presigned URLs, and requests changed after botocore signed them, against two verify_server examples. Prints the
number of passed checks."""

import time

import common
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from common import API, INVALID, KEY, KEYS, MISMATCH, OK, REGION, S3
from common import check, client, fetch, skewed

CREDENTIALS = Credentials(*KEY.values())


def presigned():
    s3 = client("s3", signature_version="s3v4")
    for key in KEYS:
        object = {"Bucket": "bucket", "Key": key}
        get = s3.generate_presigned_url("get_object", object)
        put = s3.generate_presigned_url("put_object", {**object, "ContentType": "text/plain"})
        check(f"get {key}", fetch(get), OK)
        typed = {"content-type": "text/plain"}
        check(f"put {key}", fetch(put, "PUT", b"any data", typed), OK)
    repeated = (400, "AuthorizationQueryParametersError")
    check("another method", fetch(get, "DELETE"), MISMATCH)
    check("another signature", fetch(get[:-1] + "10"[get[-1] == "1"]), MISMATCH)
    check("a repeated expiry", fetch(get + "&X-Amz-Expires=9999"), repeated)
    check("a longer expiry", fetch(get.replace("Expires=3600", "Expires=3601")), MISMATCH)
    check("another content type", fetch(put, "PUT", b"any data", {"content-type": "a/b"}), MISMATCH)
    untyped = s3.generate_presigned_url("put_object", object)
    check("without a content type", fetch(untyped, "PUT", b"any data"), OK)
    unsigned = (403, "There were headers present in the request which were not signed")
    check("an unsigned content type", fetch(untyped, "PUT", b"any data", typed), OK)  # as S3
    check("an unsigned ACL", fetch(untyped, "PUT", b"any data", {"x-amz-acl": "private"}), unsigned)
    check("two authorizations", fetch(get, headers={"authorization": "x"}), (400, "InvalidArgument"))
    version_2 = client("s3").generate_presigned_url("get_object", object)  # boto3's default
    check("version 2", fetch(version_2), (400, "InvalidArgument"))
    with skewed(20):
        early = s3.generate_presigned_url("get_object", object)
    check("in the future", fetch(early), (403, "Request is not yet valid"))

    repeated = (403, "IncompleteSignatureException")
    for method in ["GET", "POST"]:
        url = presigned_api(method, "/a%20b/c?x=1%2B1&a=%C3%A9", 60)
        check(f"{method} for the API", fetch(url, method), OK)
        check("an added body", fetch(url, method, b"any data"), INVALID)
        check("another query", fetch(url + "&b", method), INVALID)
        check("a repeated expiry", fetch(url + "&X-Amz-Expires=60", method), repeated)

    short = s3.generate_presigned_url("get_object", object, ExpiresIn=1)
    short_api = presigned_api("GET", "/", 1)
    time.sleep(2.2)
    check("expired", fetch(short), (403, "Request has expired"))
    check("expired", fetch(short_api), INVALID)


def presigned_api(method, target, seconds):
    request = AWSRequest(method, API + target)
    SigV4QueryAuth(CREDENTIALS, "execute-api", REGION, seconds).add_auth(request)
    return request.url


def changed_in_transit():
    body = b"any data"
    for signer, base, rejection, body_rejection, header_rejection in [
        (SigV4Auth(CREDENTIALS, "execute-api", REGION), API, INVALID, INVALID, INVALID),
        (
            S3SigV4Auth(CREDENTIALS, "s3", REGION),
            S3,
            MISMATCH,
            (400, "XAmzContentSHA256Mismatch"),
            (403, "There were headers present in the request which were not signed"),
        ),
    ]:
        url = f"{base}/a%20b/c?x=1%2B1&y="
        given = {"content-type": "text/plain", "x-amz-meta-a": "b"}
        request = AWSRequest("PUT", url, data=body, headers=given)
        signer.add_auth(request)
        headers = dict(request.headers.items())
        length = AWSRequest("PUT", url, data=body, headers={"content-length": str(len(body))})
        signer.add_auth(length)
        framed = {**length.headers, "transfer-encoding": "chunked"}
        del framed["content-length"]
        for name, wanted, *sent in [
            ("unchanged", OK, url, "PUT", body, headers),
            ("method", rejection, url, "POST", body, headers),
            ("path", rejection, url.replace("/c", "/d"), "PUT", body, headers),
            ("longer path", rejection, url.replace("/c", "/c/"), "PUT", body, headers),
            ("query", rejection, url.replace("x=1", "x=2"), "PUT", body, headers),
            ("longer query", rejection, url + "&z", "PUT", body, headers),
            ("host", rejection, url, "PUT", body, {**headers, "host": "localhost"}),
            ("added header", header_rejection, url, "PUT", body, {**headers, "x-amz-acl": "a"}),
            ("header", rejection, url, "PUT", body, {**headers, "x-amz-meta-a": "c"}),
            ("content type", rejection, url, "PUT", body, {**headers, "content-type": "a/b"}),
            ("body", body_rejection, url, "PUT", b"any date", headers),
            ("no body", body_rejection, url, "PUT", None, headers),
            ("same body in chunks", OK, url, "PUT", body, headers, True),
            ("other body in chunks", body_rejection, url, "PUT", b"any date", headers, True),
            ("chunks for a signed length", rejection, url, "PUT", body, framed, True),
        ]:
            check(f"changed: {name}, {base}", fetch(*sent), wanted)


presigned()
changed_in_transit()
print(common.passed)
