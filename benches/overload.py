#!/usr/bin/env python3
"""Compares the latency of accepted requests with and without a flood of requests that are rejected (429):
overload.py SERVER [ROUNDS [QUEUE]]. SERVER is tts-server; ORT_DYLIB_PATH names its library unless it lies beside it. The aim: at 20
rejections per accepted request, p99 of the accepted ones is unchanged within noise.

A request is rejected only while every place (one worker, QUEUE waiting) is taken, so the server is full in both conditions: as many
clients as there are places each send their next request when the last is answered. With the flood, further clients send at 20 times
the accepted rate, evenly spaced, each on a kept-alive connection that waits for its answer.

- A place is free for a moment between an answer and the next request. A flood request that takes it is an accepted one, and its
  latency counts. All requests have the same text, so that the work ahead of an accepted one is the same whoever sent it. A client
  that finds no place tries again after 10 ms; that 429 counts as a rejection.
- Latency is from sending the request that was accepted to the last byte of its answer.
- The clients and the flood are processes of their own on the last CPU; the server has the others. On two CPUs its threads share one,
  as in a pod of one CPU: what a rejection costs, the worker lacks. With OVERLOAD_SPLIT=1 in the environment its worker has the first
  CPU alone and its other threads the last: that shows whether rejections cost accepted requests more than that.
- Phases without (a) and with the flood (b) take turns, and what counts is the median over the rounds of b to the mean of the phases
  a before and after it. The noise is the ratio of neighbouring phases a."""

import multiprocessing
import os
import re
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque

PHASE_SECONDS = 6.0
# The first part of a phase is not measured: the flood begins, the queue fills.
SETTLING_SECONDS = 1.0
FLOOD = 20
RETRY_SECONDS = 0.01
BODY = b'{"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "wav"}'
REQUEST = b"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
LENGTH = re.compile(rb"content-length: (\d+)")


class Connection:
    def __init__(self, address: tuple[str, int], poll: select.epoll):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.poll = poll
        poll.register(self.socket, select.EPOLLIN)

    def send(self) -> None:
        self.missing = None
        self.head = b""
        self.sent_at = time.perf_counter()
        if self.socket.send(REQUEST) != len(REQUEST):
            sys.exit("a request was sent in part")

    def status(self) -> int | None:
        """The status, once the answer is complete."""
        try:
            received = self.socket.recv(1 << 20)
        except BlockingIOError:
            return None
        if not received:
            sys.exit("the server closed a connection")
        if self.missing is None:
            self.head += received
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return None
            length = int(LENGTH.search(self.head, 0, end).group(1))
            self.missing = end + 4 + length - len(self.head)
        else:
            self.missing -= len(received)
        return int(self.head[9:12]) if self.missing == 0 else None


class Counts:
    def __init__(self):
        self.latencies, self.rejected = [], 0

    def add(self, connection: Connection, status: int) -> None:
        if status == 429:
            self.rejected += 1
        elif status == 200:
            self.latencies.append(time.perf_counter() - connection.sent_at)
        else:
            sys.exit(f"status {status}")

    def clear(self) -> None:
        self.__init__()


def saturate(address: tuple[str, int], clients: int, pipe) -> None:
    """Each client sends its next request when the last one is answered. Answers each message with what was counted since the last."""
    with select.epoll() as poll:
        connections = {}
        for _ in range(clients):
            connection = Connection(address, poll)
            connections[connection.socket.fileno()] = connection
            connection.send()
        poll.register(pipe, select.EPOLLIN)
        retries: deque[tuple[float, Connection]] = deque()
        counts = Counts()
        while True:
            wait = max(0.0, retries[0][0] - time.perf_counter()) if retries else -1
            for file, _ in poll.poll(wait):
                if file == pipe.fileno():
                    if pipe.recv() is None:
                        return
                    pipe.send((counts.latencies, counts.rejected, time.process_time()))
                    counts.clear()
                    continue
                connection = connections[file]
                if (status := connection.status()) is None:
                    continue
                counts.add(connection, status)
                if status == 200:
                    connection.send()
                else:
                    retries.append((time.perf_counter() + RETRY_SECONDS, connection))
            while retries and retries[0][0] <= time.perf_counter():
                retries.popleft()[1].send()


def flood(address: tuple[str, int], connections: int, pipe) -> None:
    """Sends at the rate that the last message says; 0 is none. Answers each message with what was counted since the one before."""
    with select.epoll() as poll:
        all_of_them = [Connection(address, poll) for _ in range(connections)]
        by_file = {connection.socket.fileno(): connection for connection in all_of_them}
        idle = deque(all_of_them)
        poll.register(pipe, select.EPOLLIN)
        counts, rate, due = Counts(), 0.0, 0.0
        while True:
            for file, _ in poll.poll(max(0.0, due - time.perf_counter()) if rate else -1):
                if file == pipe.fileno():
                    if (rate := pipe.recv()) is None:
                        return
                    pipe.send((counts.latencies, counts.rejected, time.process_time()))
                    counts.clear()
                    due = time.perf_counter()
                    continue
                connection = by_file[file]
                if (status := connection.status()) is not None:
                    counts.add(connection, status)
                    idle.append(connection)
            # Behind by more than 50 ms is not caught up: it would be a burst.
            due = max(due, time.perf_counter() - 0.05)
            while rate and due <= time.perf_counter() and idle:
                idle.popleft().send()
                due += 1 / rate


def start(server: str, queue: int, cpus: set[int]) -> tuple[subprocess.Popen, tuple[str, int]]:
    # A file: the server logs each answered request, and a pipe that nobody reads would stop it.
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(
        [server, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--queue", str(queue)],
        stderr=log,
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        # Not `seek`: the server writes at the same offset.
        text = os.pread(log.fileno(), 1 << 16, 0).decode()
        if "every voice produced audio" in text:
            return process, ("127.0.0.1", int(re.search(r"address=127\.0\.0\.1:(\d+)", text).group(1)))
        time.sleep(0.05)
    process.kill()
    sys.exit(f"the server is not ready:\n{text}")


def cpu_seconds(process: subprocess.Popen) -> float:
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, server: str, queue: int):
        cpus = sorted(os.sched_getaffinity(0))
        self.process, address = start(server, queue, set(cpus[:-1] or cpus))
        if os.environ.get("OVERLOAD_SPLIT") == "1":
            for thread in map(int, os.listdir(f"/proc/{self.process.pid}/task")):
                with open(f"/proc/{self.process.pid}/task/{thread}/comm") as file:
                    os.sched_setaffinity(thread, cpus[:1] if file.read().startswith("worker") else cpus[-1:])
        self.children = []
        os.sched_setaffinity(0, cpus[-1:])
        self.saturating = self.child(saturate, address, 1 + queue)
        # Those that were accepted wait, and 16 remain.
        self.flooding = self.child(flood, address, 1 + queue + 16)

    def child(self, function, *arguments):
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.Process(target=function, args=(*arguments, theirs), daemon=True)
        child.start()
        self.children.append(child)
        return ours

    def ask(self, rate: float) -> list[tuple]:
        """Sets the rate of the flood; what was counted since the last call, by both processes."""
        answers = []
        for pipe in (self.saturating, self.flooding):
            pipe.send(rate)
            if not pipe.poll(10):
                sys.exit("a client process ended")
            answers.append(pipe.recv())
        return answers

    def phase(self, rate: float) -> dict[str, float]:
        self.ask(rate)
        time.sleep(SETTLING_SECONDS)
        before, server_before, began = self.ask(rate), cpu_seconds(self.process), time.perf_counter()
        time.sleep(PHASE_SECONDS)
        after, server_after = self.ask(rate), cpu_seconds(self.process)
        seconds = time.perf_counter() - began
        latencies = sorted(latency for answer in after for latency in answer[0])
        return {
            "p50": statistics.median(latencies) * 1e3,
            "p99": latencies[int(len(latencies) * 0.99)] * 1e3,
            "accepted/s": len(latencies) / seconds,
            "of the flood/s": len(after[1][0]) / seconds,
            "rejected/s": sum(answer[1] for answer in after) / seconds,
            "server CPU": (server_after - server_before) / seconds,
            "clients CPU": sum(one[2] - other[2] for one, other in zip(after, before)) / seconds,
        }

    def end(self) -> None:
        for child in self.children:
            child.terminate()
        self.process.kill()
        self.process.wait()


def main() -> None:
    server, rounds, queue = sys.argv[1:] + ["7", "4"][len(sys.argv) - 2 :]
    rounds, queue = int(rounds), int(queue)
    bench = Bench(server, queue)
    try:
        alone, flooded = [bench.phase(0)], []
        for _ in range(rounds):
            flooded.append(bench.phase(FLOOD * alone[-1]["accepted/s"]))
            alone.append(bench.phase(0))
    finally:
        bench.end()
    print(f"{queue + 1} places, {rounds} rounds, medians; latencies in ms")
    for name in alone[0]:
        a, b = (statistics.median(phase[name] for phase in phases) for phases in (alone, flooded))
        print(f"{name:>15}: alone {a:8.2f}   with the flood {b:8.2f}")
    for name in ("p50", "p99"):
        pairs = zip(flooded, alone, alone[1:])
        ratios = sorted(2 * b[name] / (before[name] + after[name]) for b, before, after in pairs)
        noise = sorted(after[name] / before[name] for before, after in zip(alone, alone[1:]))
        print(
            f"{name}: with the flood / alone {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}), "
            f"alone / alone {statistics.median(noise):.3f} ({noise[0]:.3f} to {noise[-1]:.3f})"
        )


main()
