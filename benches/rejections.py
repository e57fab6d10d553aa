#!/usr/bin/env python3
"""Compares the CPU time of a rejected request (429) with that of `GET /livez` on the same kept-alive connection:
rejections.py SERVER [ROUNDS]. SERVER is tts-server; ORT_DYLIB_PATH names its library unless it lies beside it. The median of
the ratios of neighbouring rounds counts; the aim is at most 1.5."""

import os
import re
import socket
import statistics
import subprocess
import sys
import time

REQUESTS = 6000
HEAD = "POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"


def post(text: str) -> bytes:
    body = '{"model": "tts-1", "voice": "alloy", "input": "%s", "response_format": "wav"}' % text
    return (HEAD.format(len(body)) + body).encode()


def start(server: str) -> tuple[subprocess.Popen, tuple[str, int]]:
    # One byte of unsent audio is the limit: after one client that does not read, every request is rejected.
    process = subprocess.Popen(
        [server, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--max-unsent-bytes", "1"],
        stderr=subprocess.PIPE,
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
        text=True,
    )
    log, port = "", None
    for line in process.stderr:
        log += line
        port = port or re.search(r"address=127\.0\.0\.1:(\d+)", line)
        if "every voice produced audio" in line:
            return process, ("127.0.0.1", int(port.group(1)))
    sys.exit(f"the server ended:\n{log}")


def answer(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, body = received.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"content-length: (\d+)", head).group(1))
    while len(body) < length:
        body += connection.recv(65536)
    return head.split(b" ", 2)[1]


def cpu_seconds(process: subprocess.Popen) -> float:
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    rounds = int((sys.argv + ["7"])[2])
    process, address = start(sys.argv[1])
    try:
        stuck = socket.create_connection(address)
        stuck.sendall(post("The birch canoe slid on the smooth planks. " * 90))
        connection = socket.create_connection(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.monotonic() + 30
        while answer(connection, post("Hello.")) != b"429":
            if time.monotonic() > deadline:
                sys.exit("the server does not reject")
        kinds = {"livez": (b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"200"), "rejected": (post("Hello there."), b"429")}
        times = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, (request, status) in kinds.items():
                before = cpu_seconds(process)
                for _ in range(REQUESTS):
                    if (found := answer(connection, request)) != status:
                        sys.exit(f"{name}: status {found.decode()}")
                times[name].append((cpu_seconds(process) - before) / REQUESTS)
        ratio = statistics.median(one / other for one, other in zip(times["rejected"], times["livez"]))
        for name, seconds in times.items():
            print(f"{name}: {statistics.median(seconds) * 1e6:.1f} µs of CPU per request")
        print(f"ratio: {ratio:.2f}")
    finally:
        process.kill()


main()
