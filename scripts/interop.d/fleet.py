"""Gateways that share a cache in Redis. First argument: the gateway's program."""

import contextlib
import http.client
import re
import socket
import subprocess
import sys
import tempfile
import time

import debian

GATEWAY, PASSWORD = sys.argv[1], "not-to-be-logged"


def ensure_redis():
    debian.ensure(**{"redis-server": "redis-server"})


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_redis(port, *options, cwd=None):
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    # A replica writes a file, which another server in the same folder would load.
    command += ["--dbfilename", f"{port}.rdb", "--rdb-del-sync-files", "yes", *options]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL)
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return process
        time.sleep(0.1)
    sys.exit("redis-server has not started")


def single(port):
    """Returns the lines of [cache] for one server."""
    return f'redis = "redis://:{PASSWORD}@127.0.0.1:{port}/"'


def cluster(ports):
    """Returns the lines of [cache] for a cluster."""
    urls = ", ".join(f'"redis://:{PASSWORD}@127.0.0.1:{port}"' for port in ports)
    return f'redis = [{urls}]\nredis_mode = "cluster"'


def start_gateway(origin, cache, log, env=None, more=""):
    """Returns the process, its address, and the address of its admin port. More tables come before the route."""
    config = f"""
        [server]
        listen = "127.0.0.1:0"
        drain_delay = "1s"
        [admin]
        listen = "127.0.0.1:0"
        [credentials]
        source = "static"
        access_key_id = "AKID"
        secret_access_key = "secret"
        [cache]
        {cache}
        [[origin]]
        name = "a"
        url = "http://127.0.0.1:{origin}"
        service = "execute-api"
        region = "us-east-1"
        {more}
        [[route]]
        name = "all"
        path = "/"
        origin = "a"
        cache = true
    """
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        command = [GATEWAY, "--config", file.name]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        return process, *addresses(process)


def addresses(process):
    """Returns the address of a gateway that starts, and that of its admin port."""
    admin = re.match("admin http://([^ /]*)/? ", process.stdout.readline())[1]
    return re.match("gateway http://([^ ]*) ", process.stdout.readline())[1], admin


def create_cluster(ports):
    """Makes a cluster of primaries, and waits until each node knows all slots."""
    cli = ["redis-cli", "--no-auth-warning", "-a", PASSWORD]
    nodes = [f"127.0.0.1:{port}" for port in ports]
    subprocess.run([*cli, "--cluster", "create", *nodes, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL)
    for port in ports:
        info = [*cli, "-p", str(port), "cluster", "info"]
        while "cluster_state:ok" not in subprocess.run(info, capture_output=True, text=True).stdout:
            time.sleep(0.1)


@contextlib.contextmanager
def gateway(origin, cache, log, env=None, more=""):
    process, address, admin = start_gateway(origin, cache, log, env, more)
    with process:
        try:
            yield address, admin
        finally:
            process.kill()


def send(address, target, method="GET", color="none"):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, target, headers={"host": "h", "x-color": color})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    cache_status = response.getheader("cache-status").removeprefix("sigv4-gateway; ")
    return response.status, body, cache_status
