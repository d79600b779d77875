"""boto3. Over TLS it sends unsigned chunks with a checksum in a trailer, over HTTP the hash with a checksum in a
header. Its presigned URLs are of version 2 by default."""

import os

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from table import BUCKET, CA, ENDPOINT, HAS_VERIFY, KEY, PART, REGION, SECRET, SERVER

CHECKSUM = "CRC32"
SENDS_CHUNKS = True


def client(signature_version=None):
    config = Config(
        signature_version=signature_version,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
    )
    given = {"region_name": REGION, "aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    return boto3.client("s3", endpoint_url=ENDPOINT, config=config, verify=CA or None, **given)


s3, s3v4 = client(), client("s3v4")


def put(key, path):
    with open(path, "rb") as body:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"a": "b c"})


def get(key, path):
    s3.download_file(BUCKET, key, path)


def head(key):
    return s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"]


def list(prefix):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 5})
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def multipart(key, path):
    s3.upload_file(path, BUCKET, key, Config=TransferConfig(multipart_threshold=PART, multipart_chunksize=PART))


def copy(source, target):
    s3.copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": source})


def delete_objects(keys):
    response = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert not response.get("Errors"), response["Errors"]


def presigned_get(key):
    return s3v4.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key})


def presigned_put(key):
    return s3v4.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": key})


def checksums():
    """Each algorithm that S3 has and botocore computes without awscrt."""
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        object = {"Bucket": BUCKET, "Key": f"checksums/{algorithm}"}
        body = os.urandom(70_000)
        sent = s3.put_object(Body=body, ChecksumAlgorithm=algorithm, **object)
        kept = s3.head_object(ChecksumMode="ENABLED", **object)
        name = f"Checksum{algorithm}"
        if SERVER == "s3s-fs":  # Swift verifies checksums and does not keep them
            assert kept.get(name), f"{algorithm} was lost on the way: {kept}"
            assert kept[name] == sent.get(name), (kept, sent)
        s3.delete_object(**object)


MORE = {"checksums": checksums}
if not HAS_VERIFY:  # the gateway verifies no signatures of version 2

    def presigned_get_version_2(key):
        return s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key})
