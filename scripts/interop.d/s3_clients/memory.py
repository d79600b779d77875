"""16 uploads of 300 MiB at once, in the shapes of the SDKs, to an origin that verifies each head and discards the body:
the gateway must stay under 64 MiB. Argument: the gateway's program. Prints the number of checks."""

import concurrent.futures
import pathlib
import re
import socket
import sys
import tempfile
import time

import client_shapes
import origin
import servers

GATEWAY = sys.argv[1]
MIB = 2**20
SIZE, UPLOADS, LIMIT = 300 * MIB, 16, 64 * MIB
# A gateway without optimization hashes 100 MB a second. Most uploads of the SDKs over TLS are unsigned.
SHAPES = ["hash", "signed_chunks", "signed_chunks_and_trailer", "unsigned", *4 * ["unsigned_trailer"]]


class Discard(origin.Connection):
    """Counts the bytes of the body instead of decoding them."""

    def handle(self):
        buffer = memoryview(bytearray(MIB))
        while head := origin.read_head(self.rfile):
            length = left = int(origin.value(head, "content-length"))
            while left:
                count = self.rfile.readinto(buffer[: min(left, MIB)])
                if not count:
                    break
                left -= count
            try:
                if left:
                    raise origin.Wrong(f"the body ended {left} bytes before its length")
                origin.judge_head(head)
                outcome, status = (origin.value(head, "x-amz-content-sha256"), length), "200 OK"
            except Exception as error:  # whatever is malformed is the gateway's mistake
                outcome, status = f"{type(error).__name__}: {error}", "403 Forbidden"
            self.server.requests.append(outcome)
            self.wfile.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())


def upload(address, number, body):
    """Sends one upload. Returns the status."""
    shape = SHAPES[number % len(SHAPES)]
    sent = getattr(client_shapes, shape)("s3", f"http://{address}/bucket/{number}", body)
    with socket.create_connection(address.split(":"), timeout=300) as connection:
        connection.sendall(sent.head)
        for part in sent.parts:
            connection.sendall(part)
        response = b""
        while b"\r\n" not in response:
            data = connection.recv(65536)
            assert data, f"{shape}: the connection ended: {response}"
            response += data
    status = response.split(b"\r\n")[0].decode()
    assert status == "HTTP/1.1 200 OK", f"{shape}: {response}"


def main():
    body = client_shapes.Body(SIZE)
    with tempfile.TemporaryDirectory() as folder:
        sink = origin.Origin(Discard)
        settings = servers.s3_settings(GATEWAY, sink.url)
        with servers.gateway(GATEWAY, pathlib.Path(folder, "gateway"), settings, origin.KEYS) as (url, process, _):
            started = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(UPLOADS) as pool:
                address = url.split("//")[1]
                tasks = [pool.submit(upload, address, number, body) for number in range(UPLOADS)]
            errors = [str(task.exception()) for task in tasks if task.exception()]
            seconds = time.monotonic() - started
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024
    errors += [outcome for outcome in sink.requests if isinstance(outcome, str) or outcome[1] < SIZE]
    if errors or len(sink.requests) != UPLOADS:
        servers.fail(f"{len(sink.requests)} uploads at the origin, {len(errors)} errors: {errors[:3]} {errors[-1:]}")
    text = f"{UPLOADS} uploads of 300 MiB at once: {peak // MIB} MiB of memory, {seconds:.1f} s"
    if peak >= LIMIT:
        servers.fail(f"{text}; the limit is 64 MiB")
    print(text, file=sys.stderr)
    print(UPLOADS + 1)


main()
