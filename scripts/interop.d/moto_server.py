"""Starts moto, a stand-in for AWS, in the Python that runs this program."""

import subprocess
import sys
import time
import urllib.request


def start_moto(port):
    command = [sys.executable, "-EsB", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5)
            return process
        except OSError:
            time.sleep(0.1)
    sys.exit("moto_server has not started")
