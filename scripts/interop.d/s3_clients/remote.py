"""Operations of a client in another language. Its program reads a line of JSON for each call, and writes the result as
a line of JSON."""

import functools
import json
import subprocess

from table import OPERATIONS


def operations(command, unable=()):
    """Starts the program. Returns its operations as functions by name."""
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(name, *given):
        given = [value if isinstance(value, list) else str(value) for value in given]
        print(json.dumps({"call": name, "given": given}), file=program.stdin, flush=True)
        line = program.stdout.readline()
        assert line, f"{command} ended with {program.wait()}"
        response = json.loads(line)
        assert "error" not in response, response["error"]
        return response.get("result")

    return {name: functools.partial(call, name) for name in OPERATIONS if name not in unable}
