"""minio-py. It sends the hash over HTTP, and `UNSIGNED-PAYLOAD` over TLS."""

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from table import BUCKET, CA, ENDPOINT, KEY, PART, REGION, SECRET

UNABLE_KEYS = {"v/../w": "minio-py rejects `.` and `..` in keys"}
UNABLE_AT = {"s3s-fs": {"list": "it takes the empty `delimiter` that minio-py sends for a delimiter"}}

pool = urllib3.PoolManager(ca_certs=CA or None, retries=False, timeout=60)
client = Minio(
    ENDPOINT.split("//")[1], access_key=KEY, secret_key=SECRET, region=REGION, secure=bool(CA), http_client=pool
)


def put(key, path):
    client.fput_object(BUCKET, key, str(path))


def get(key, path):
    client.fget_object(BUCKET, key, str(path))


def head(key):
    return client.stat_object(BUCKET, key).size


def list(prefix):
    return [found.object_name for found in client.list_objects(BUCKET, prefix, recursive=True)]


def multipart(key, path):
    client.fput_object(BUCKET, key, str(path), part_size=PART)


def copy(source, target):
    client.copy_object(BUCKET, target, CopySource(BUCKET, source))


def delete_objects(keys):
    errors = [*client.remove_objects(BUCKET, map(DeleteObject, keys))]
    assert not errors, errors


def presigned_get(key):
    return client.presigned_get_object(BUCKET, key)


def presigned_put(key):
    return client.presigned_put_object(BUCKET, key)
