"""Four gateways that share the rates of a route and of callers in Redis, a single server and a cluster: together they
admit each rate, and each alone while the server that counts it is down. First argument: the gateway's program. Prints
the number of passed checks. Needs redis-server, which redis_cache.py installs."""

import contextlib
import http.client
import http.server
import signal
import subprocess
import sys
import tempfile
import threading
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials

import checks
import fleet
from checks import check
from fleet import PASSWORD, gateway

RATE, SECONDS, GATEWAYS = 100, 3, 4
KEYS = ["AKIDBUSY", "AKIDCALM"]
# A busy caller and a calm one have the same rate, each its own.
LIMITS = f"""
    [[route]]
    name = "limited"
    path = "/limited"
    origin = "a"
    rate = "{RATE}/s"
    verify = false
    [[caller]]
    name = "partners"
    match = {{ any = true }}
    allow = ["all"]
    rate = "{RATE}/s"
    [verify]
    service = "execute-api"
    region = "us-east-1"
""" + "".join(f"""
    [[verify.key]]
    access_key_id = "{key}"
    secret_access_key = "secret-of-{key}"
""" for key in KEYS)


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Load:
    """Clients of all gateways that send a request, one after the other, with a pause in between."""

    def __init__(self, target, key=None, pause=0.001):
        self.target, self.pause = target, pause
        request = botocore.awsrequest.AWSRequest("GET", f"http://h{target}")
        if key:
            credentials = botocore.credentials.Credentials(key, f"secret-of-{key}")
            botocore.auth.SigV4Auth(credentials, "execute-api", "us-east-1").add_auth(request)
        self.headers = dict(request.headers) | {"host": "h"}

    def send(self, address, end, responses):
        """Sends requests until the end, and appends each status with the times of the request and the response."""
        connection = http.client.HTTPConnection(address, timeout=10)
        while (sent := time.monotonic()) < end:
            connection.request("GET", self.target, headers=self.headers)
            response = connection.getresponse()
            response.read()
            responses.append((response.status, sent, time.monotonic()))
            if response.status == 429 and int(response.getheader("retry-after")) < 1:
                sys.exit("retry-after is less than a second")
            time.sleep(self.pause)


ROUTE, BUSY, CALM = Load("/limited"), Load("/", KEYS[0]), Load("/", KEYS[1], pause=0.2)


def run(gateways, seconds, loads):
    """Returns the times of the admitted requests and of their responses, for each load."""
    end = time.monotonic() + seconds
    results = [[] for _ in loads]
    threads = [
        threading.Thread(target=load.send, args=(gateways[number % GATEWAYS][0], end, responses))
        for load, responses in zip(loads, results)
        for number in range(2 * GATEWAYS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("statuses", {status for responses in results for status, *_ in responses} <= {204, 429}, True)
    if CALM in loads:
        statuses = [status for status, *_ in results[loads.index(CALM)]]
        check("requests of a calm caller that are limited", statuses.count(429), 0)
    return [[times for status, *times in responses if status == 204] for responses in results]


def measure(name, gateways, seconds, alone=()):
    """Checks that the gateways admit the rates together, and those of the loads in `alone` each."""
    time.sleep(1.2)  # the burst is full again
    results = run(gateways, seconds, [ROUTE, BUSY, CALM])
    for load, kind, admitted in zip([ROUTE, BUSY], ["a route", "a caller"], results):
        # Redis counted each request between these times.
        sent, received = zip(*admitted)
        least = RATE + RATE * (max(sent) - min(received))
        most = RATE + RATE * (max(received) - min(sent))
        text = f"{name}, {kind}: {len(admitted)} of {least:.0f} to {most:.0f}"
        print(text, file=sys.stderr)
        if load in alone:
            check(f"{text} for each gateway", 1.02 * most < len(admitted) <= 1.02 * GATEWAYS * most, True)
        else:
            check(text, 0.98 * least <= len(admitted) <= 1.02 * most, True)


def start(stack, origin, cache, log):
    lines = f"{cache}\nshared_rates = true"
    return [stack.enter_context(gateway(origin, lines, log, more=LIMITS)) for _ in range(GATEWAYS)]


def on_a_server(stack, origin, folder, log):
    port = fleet.free_port()
    redis = fleet.start_redis(port, "--requirepass", PASSWORD, cwd=folder)
    stack.callback(redis.kill)
    gateways = start(stack, origin, fleet.single(port), log)
    measure("a server", gateways, SECONDS)

    redis.send_signal(signal.SIGKILL)
    redis.wait()
    measure("without the server", gateways, 2, alone=[ROUTE, BUSY])
    again = fleet.start_redis(port, "--requirepass", PASSWORD, cwd=folder)
    stack.callback(again.kill)
    time.sleep(1.5)  # the gateways leave a lost server alone for a second
    measure("the server again", gateways, SECONDS)


def on_a_cluster(stack, origin, folder, log):
    ports, buses = [fleet.free_port() for _ in range(3)], [fleet.free_port() for _ in range(3)]

    def start_node(node):
        options = f"--cluster-enabled yes --cluster-port {buses[ports.index(node)]} --cluster-config-file {node}.conf"
        options += " --cluster-node-timeout 1000 --cluster-require-full-coverage no"
        process = fleet.start_redis(node, *options.split(), "--requirepass", PASSWORD, cwd=folder)
        stack.callback(process.kill)
        return process

    nodes = {node: start_node(node) for node in ports}
    fleet.create_cluster(ports)
    gateways = start(stack, origin, fleet.cluster(ports), log)
    measure("a cluster", gateways, SECONDS)

    def owner(load):
        """Returns the primary that counts the requests of a load."""
        time.sleep(1.2)  # the keys of other loads expire
        run(gateways, 0.3, [load])
        cli = ["redis-cli", "--no-auth-warning", "-a", PASSWORD, "--scan", "--pattern", "*:rate:*", "-p"]
        (found,) = [node for node in ports if subprocess.run([*cli, str(node)], check=True, capture_output=True).stdout]
        return found

    lost = owner(BUSY)
    check("the rates are on two primaries", owner(ROUTE) != lost, True)
    nodes[lost].send_signal(signal.SIGKILL)
    nodes[lost].wait()
    measure("without a primary", gateways, 2, alone=[BUSY])
    start_node(lost)
    time.sleep(2)  # the other nodes have to see it again
    measure("the primary again", gateways, SECONDS)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(tempfile.TemporaryFile())
        for kind in [on_a_server, on_a_cluster]:
            with contextlib.ExitStack() as processes:
                kind(processes, server.server_port, folder, log)
        log.seek(0)
        text = log.read()
        for secret in [PASSWORD, *(f"secret-of-{key}" for key in KEYS)]:
            check("the log has no secret", secret.encode() in text, False)
    print(checks.passed)


main()
