"""Two gateways that share a cache in a cluster of three primaries and three replicas: hits, removals and purges across
them, and the failover of a primary under load, in which no client sees an error or a response that is older than a
change. Then a server with TLS and an ACL user, and servers in another mode. First argument: the gateway's program.
Prints the number of passed checks. Needs redis-server, which redis_cache.py installs, and openssl."""

import http.client
import http.server
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

import checks
import fleet
from checks import check
from fleet import PASSWORD, gateway, send

TARGETS = [f"/{number}" for number in range(60)]
versions = dict.fromkeys(TARGETS, 0)
lock = threading.Lock()


class Origin(http.server.BaseHTTPRequestHandler):
    """Each POST makes a new version of its resource."""

    def do_GET(self):
        with lock:
            body = str(versions.get(self.path, 0)).encode()
        self.send_response(200)
        self.send_header("cache-control", "max-age=600")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        with lock:
            versions[self.path] += 1
        self.do_GET()

    def log_message(self, *_):
        pass


class Cluster:
    def __init__(self, folder):
        self.nodes = {}
        for _ in range(6):
            port, bus = fleet.free_port(), fleet.free_port()
            home = pathlib.Path(folder, str(port))
            home.mkdir()
            options = f"""--cluster-enabled yes --cluster-port {bus} --cluster-node-timeout 1000
                --cluster-require-full-coverage no --requirepass {PASSWORD} --masterauth {PASSWORD}"""
            self.nodes[port] = fleet.start_redis(port, *options.split(), cwd=home)
        self.cli("--cluster", "create", *[f"127.0.0.1:{port}" for port in self.nodes],
                 "--cluster-replicas", "1", "--cluster-yes")
        while len([line for line in self.lines() if "slave" in line]) < 3 or not self.is_whole():
            time.sleep(0.1)

    def alive(self):
        return [port for port, process in self.nodes.items() if process.poll() is None]

    def cli(self, *words, port=None):
        port = port or self.alive()[0]
        command = ["redis-cli", "--no-auth-warning", "-a", PASSWORD, "-p", str(port), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def lines(self):
        return self.cli("cluster", "nodes").splitlines()

    def is_whole(self):
        """Returns True if every slot has a primary, as all nodes see it."""
        infos = [self.cli("cluster", "info", port=port) for port in self.alive()]
        return all("cluster_slots_ok:16384" in info for info in infos)

    def kill_a_primary(self):
        line = next(line for line in self.lines() if "master" in line and "fail" not in line)
        port = int(re.search(r":(\d+)@", line)[1])
        self.nodes[port].kill()
        self.nodes[port].wait()
        return port

    def end(self):
        for process in self.nodes.values():
            process.kill()
            process.wait()


class Load:
    """Clients that read and write through both gateways, until the end."""

    def __init__(self, gateways):
        self.gateways, self.ended, self.wrong = gateways, threading.Event(), []
        self.floor, self.statuses = dict.fromkeys(TARGETS, 0), []
        readers = [threading.Thread(target=self.read, args=(seed,)) for seed in range(4)]
        self.threads = [*readers, threading.Thread(target=self.write)]
        for thread in self.threads:
            thread.start()

    def request(self, choose, target, method):
        """Returns the version, which is not older than one that a client has seen, or a change has made, before."""
        floor = self.floor[target]
        try:
            status, body, cache_status = send(choose.choice(self.gateways), target, method)
        except (OSError, http.client.HTTPException) as error:
            status, body, cache_status = repr(error), b"-1", ""
        if status != 200 or int(body) < floor:
            self.wrong.append((target, method, status, body, floor, cache_status))
        return int(body), cache_status

    def read(self, seed):
        choose = random.Random(seed)
        while not self.ended.is_set():
            target = choose.choice(TARGETS)
            _, cache_status = self.request(choose, target, "GET")
            self.statuses.append(cache_status)

    def write(self):
        choose = random.Random(9)
        while not self.ended.wait(0.02):
            target = choose.choice(TARGETS)
            version, _ = self.request(choose, target, "POST")
            self.floor[target] = max(self.floor[target], version)

    def hits(self, seconds):
        """Returns the share of hits from now on."""
        start = len(self.statuses)
        time.sleep(seconds)
        latest = self.statuses[start:]
        return latest.count("hit") / max(1, len(latest))

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def post(admin, path, body=""):
    connection = http.client.HTTPConnection(admin, timeout=10)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    connection.request("POST", path, body=body, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def all_hits(address):
    return all(send(address, target)[2] == "hit" for target in TARGETS)


def until(name, condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        check(f"{name} in time", time.monotonic() < end, True)
        time.sleep(0.1)


def in_cluster(folder, origin, log):
    cluster = Cluster(folder)
    try:
        seeds = fleet.cluster(list(cluster.nodes)[:2])
        with gateway(origin, seeds, log) as (one, admin), gateway(origin, seeds, log) as (two, _):
            until("all stored", lambda: all_hits(one))
            check("hits through the other", all_hits(two), True)
            check("a change", send(one, "/1", "POST")[:2], (200, b"1"))
            check("is seen by the other", send(two, "/1")[1:], (b"1", "fwd=uri-miss; stored"))
            for path, body, purged, kept in [
                ("/cache/purge", "url=http://h/2", ["/2"], ["/20", "/3"]),
                ("/cache/purge", "prefix=http://h/3", ["/3", "/30"], ["/4"]),
                ("/cache/purge", "host=H", ["/0", "/59"], []),
                ("/cache/clear", "", ["/0", "/59"], []),
            ]:
                until("all stored", lambda: all_hits(one))
                check(f"purge {body}", post(admin, path, body), 204)
                for target in kept:
                    check(f"{body} keeps {target}", send(two, target)[2], "hit")
                for target in purged:
                    check(f"{body} removes {target}", send(two, target)[2], "fwd=uri-miss; stored")
            load = Load([one, two])
            try:
                before = load.hits(2)
                cluster.kill_a_primary()
                during = load.hits(2)
                until("failover", cluster.is_whole)
                # Responses are not used for two seconds after a failover, and every change removes one.
                time.sleep(3)
                after = load.hits(2)
            finally:
                load.end()
            check("no error, and nothing older than a change", load.wrong[:3], [])
            check("hits before", before > 0.5, True)
            check("hits while a primary is down", during > before / 3, True)
            check("hits after", after > before * 0.7, True)
            check("under load", len(load.statuses) > 500, True)
            until("all stored after a failover", lambda: all_hits(one))
            check("hits through the other again", all_hits(two), True)
            print(f"hits: {before:.2f}, {during:.2f}, {after:.2f}", file=sys.stderr)
        in_another_mode(cluster, origin, log)
    finally:
        cluster.end()


def degraded(admin):
    connection = http.client.HTTPConnection(admin, timeout=10)
    connection.request("GET", "/readyz")
    response = connection.getresponse()
    reasons = json.loads(response.read())["degraded"]
    connection.close()
    return response.status, " ".join(reasons)


def in_another_mode(cluster, origin, log):
    """A gateway that takes a node of a cluster for a single server forwards requests, and says so."""
    with gateway(origin, fleet.single(cluster.alive()[0]), log) as (address, admin):
        until("degraded", lambda: "configure it as a cluster" in degraded(admin)[1])
        check("ready", degraded(admin)[0], 200)
        for target in TARGETS:
            check("no error", send(address, target)[0], 200)


def with_tls(folder, origin, log):
    certificate, key = pathlib.Path(folder, "cert.pem"), pathlib.Path(folder, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-addext", "basicConstraints=critical,CA:FALSE", "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )
    port, plain = fleet.free_port(), fleet.free_port()
    redis = fleet.start_redis(
        plain, "--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
        "--tls-auth-clients", "no",
        "--user", "cache", "on", f">{PASSWORD}", "~sigv4-gateway:*", "+@all",
    )
    try:
        section = f'redis = "rediss://cache:{PASSWORD}@localhost:{port}/"'
        trust = {**os.environ, "SSL_CERT_FILE": str(certificate)}
        with gateway(origin, section, log, trust) as (one, _), gateway(origin, section, log) as (two, _):
            until("stored over TLS", lambda: send(one, "/1")[2] == "hit")
            check("an unknown certificate", send(two, "/1")[2].startswith("fwd="), True)
    finally:
        redis.kill()
        redis.wait()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
    in_cluster(folder, server.server_address[1], log)
    with_tls(folder, server.server_address[1], log)
    log.seek(0)
    check("logs without the password", PASSWORD in log.read(), False)
server.shutdown()
print(checks.passed)
