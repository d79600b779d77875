"""Four gateways that share the rates of a route and of callers in Redis, a single server and a cluster: together they
admit the rate, and each alone while Redis is down. First argument: the gateway's program. Prints the number of passed
checks. Needs redis-server, which redis_cache.py installs."""

import contextlib
import http.client
import http.server
import signal
import sys
import tempfile
import threading
import time

import checks
import fleet
from checks import check
from fleet import PASSWORD, gateway

RATE, SECONDS, GATEWAYS = 200, 6, 4


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def load(address, end, counts):
    """Sends requests one after the other until the end, and counts the statuses."""
    connection = http.client.HTTPConnection(address, timeout=10)
    while time.monotonic() < end:
        connection.request("GET", "/", headers={"host": "h"})
        response = connection.getresponse()
        response.read()
        counts[response.status] = counts.get(response.status, 0) + 1
        if response.status == 429 and int(response.getheader("retry-after")) < 1:
            sys.exit("retry-after is less than a second")
        time.sleep(0.001)


def run(gateways, seconds):
    """Returns the admitted requests and the time that the load took."""
    start = time.monotonic()
    results = [{} for _ in gateways for _ in range(2)]
    threads = [
        threading.Thread(target=load, args=(gateways[number % len(gateways)][0], start + seconds, counts))
        for number, counts in enumerate(results)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = {status for counts in results for status in counts}
    check("statuses", statuses <= {204, 429}, True)
    return sum(counts.get(204, 0) for counts in results), time.monotonic() - start


def exact(name, gateways):
    time.sleep(1.2)  # the burst is full again
    admitted, seconds = run(gateways, SECONDS)
    expected = RATE + RATE * seconds
    print(f"{name}: {admitted} of {expected:.0f} requests", file=sys.stderr)
    check(f"{name}: {admitted} of {expected:.0f}", abs(admitted - expected) <= 0.02 * expected, True)


def start(stack, origin, cache, log):
    lines = f"{cache}\nshared_rates = true\ntimeout = \"1s\""
    return [stack.enter_context(gateway(origin, lines, log, rate=f"{RATE}/s")) for _ in range(GATEWAYS)]


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = server.server_port
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(tempfile.TemporaryFile())
        port = fleet.free_port()
        redis = fleet.start_redis(port, "--requirepass", PASSWORD, cwd=folder)
        stack.callback(redis.kill)
        gateways = start(stack, origin, fleet.single(port), log)
        exact("a server", gateways)

        # Each gateway admits the rate alone, and the burst of its own.
        redis.send_signal(signal.SIGKILL)
        redis.wait()
        admitted, seconds = run(gateways, 3)
        alone = GATEWAYS * (RATE + RATE * seconds)
        check(f"without Redis, {admitted} of {alone:.0f}", 1.5 * (RATE + RATE * seconds) < admitted <= 1.02 * alone, True)
        again = fleet.start_redis(port, "--requirepass", PASSWORD, cwd=folder)
        stack.callback(again.kill)
        time.sleep(3)  # the gateways leave a lost server alone for a second
        exact("the server again", gateways)

        ports, buses = [fleet.free_port() for _ in range(3)], [fleet.free_port() for _ in range(3)]
        for node, bus in zip(ports, buses):
            options = f"--cluster-enabled yes --cluster-port {bus} --cluster-config-file {node}.conf"
            process = fleet.start_redis(node, *options.split(), "--requirepass", PASSWORD, cwd=folder)
            stack.callback(process.kill)
        fleet.create_cluster(ports)
        exact("a cluster", start(stack, origin, fleet.cluster(ports), log))
        log.seek(0)
        check("the log has no password", PASSWORD.encode() in log.read(), False)
    print(checks.passed)


main()
