"""Gates that noise does not move: what one warm keep-alive request costs rouse-proxy when nothing else happens.

One connection in lockstep, 1 000 requests after 200 that warm, GET with 128 bytes of answer; of the one shard's thread:
  syscalls       by strace
  instructions   in user space, by callgrind
  allocations    calls of malloc, calloc, realloc, by callgrind's call counts
Each is that of the least of five windows of 200 requests: what comes by the clock (a timer, a report)
misses one of them. What is left of it is why allocations are told in whole tenths, rounded down.
Each must be within 1 % of what bench/gates.json records. --record writes that file.

What would differ from machine to machine is pinned: callgrind emulates the processor, libc is told (GLIBC_TUNABLES)
to choose its string functions as for any x86-64, and no other thread is counted. Compiler and libraries are Debian
12's. Exits 77, which ctest shows as skipped, where strace or valgrind cannot run.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import loads
import stats
from peers import World
from processes import START_SECONDS, Failed, wait_until

WARM, REQUESTS, WINDOWS = 200, 1000, 5
WITHIN = 0.01
SKIPPED = 77
DUMP_SECONDS = 30
ANSWER_SECONDS = 20
REQUEST = b"GET /a/b?c=d HTTP/1.1\r\nHost: fn.ns\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
BODY = b"\r\n\r\n" + b"x" * 128
ALLOCATORS = ("malloc", "calloc", "realloc")  # operator new and memalign call the first
ANY_X86_64 = ("glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-BMI2,-LZCNT,-MOVBE,-RTM,-SSE4_2,-SSE4_1,"
              "-SSSE3,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load,-Fast_Unaligned_Copy:glibc.cpu.x86_non_temporal_threshold=0xc0000:glibc.cpu.x86_rep_movsb_threshold=0x800")


class Skipped(Exception):
    """The machine has not what a gate needs."""


class Client:
    """One keep-alive connection that asks again when it has been answered. A context manager."""

    def __init__(self, proxy):
        wait_until(lambda: loads.serving(proxy), START_SECONDS, "rouse-proxy does not serve")
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), timeout=ANSWER_SECONDS)
        self.ask(WARM)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, times):
        for _ in range(times):
            self.socket.sendall(REQUEST)
            answer = self.socket.recv(4096)
            while not answer.endswith(BODY):
                more = self.socket.recv(4096)
                if not more:
                    raise Failed(f"rouse-proxy closed the connection after {answer[:80]!r}")
                answer += more


def count_syscalls(world):
    """Of the thread that carries traffic, per request."""
    proxy = world.start("rouse")
    with Client(proxy) as client:
        shard = proxy.processes[0].busiest_task(lambda: client.ask(REQUESTS))
        counts = [traced(client, shard, world.directory / "strace.txt") for _ in range(WINDOWS)]
    proxy.processes[0].stop()
    return min(counts) * WINDOWS / REQUESTS


def traced(client, shard, table):
    """System calls of a thread in one window."""
    with subprocess.Popen(["strace", "-c", "-q", "-o", table, "-p", str(shard)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, start_new_session=True) as tracer:
        try:
            path = Path(f"/proc/{shard}/status")
            wait_until(lambda: "TracerPid:\t0\n" not in path.read_text() or tracer.poll() is not None, 10,
                       "strace did not attach")
            if tracer.poll() is not None:
                raise Skipped("strace may not attach to a process here")
            client.ask(REQUESTS // WINDOWS)
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
    return sum(stats.parse_strace(table.read_text()).values())


def control(pid, *words):
    subprocess.run(["callgrind_control", *words, str(pid)], check=True, capture_output=True, timeout=DUMP_SECONDS)


def shard_of(paths):
    """(instructions, calls by name) of the thread that carries traffic: the one that works."""
    return max((stats.parse_callgrind(path.read_text()) for path in paths), key=lambda one: one[0])


def count_instructions(world):
    """(instructions, allocations) of the thread that carries traffic, per request."""
    out = world.directory / "callgrind.out"
    tool = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}", "--quiet"]
    proxy = world.start("rouse", {"under": tool, "env": {"GLIBC_TUNABLES": ANY_X86_64}})
    pid = proxy.processes[0].process.pid
    totals, allocations = [], []
    with Client(proxy) as client:
        control(pid, "--zero")
        for window in range(1, WINDOWS + 1):
            client.ask(REQUESTS // WINDOWS)
            control(pid, "--dump")
            total, calls = shard_of(world.directory.glob(f"callgrind.out.{window}-*"))
            totals.append(total)
            allocations.append(sum(calls.get(name, 0) for name in ALLOCATORS))
    proxy.processes[0].stop()
    return min(totals) * WINDOWS / REQUESTS, min(allocations) * 10 * WINDOWS // REQUESTS / 10


def measure(options, directory, log):
    """The three figures."""
    for tool in ("strace", "valgrind", "callgrind_control"):
        if shutil.which(tool) is None:
            raise Skipped(f"{tool} is not installed")
    with World(options, directory, log) as world:
        syscalls = count_syscalls(world)
        instructions, allocations = count_instructions(world)
    return {"syscalls": round(syscalls, 3), "instructions": round(instructions, 1),
            "allocations": round(allocations, 3)}


def compare(recorded, found):
    """A line per gate, and whether all hold."""
    lines, good = [], True
    for name, want in recorded.items():
        off = abs(found[name] - want)
        held = off <= want * WITHIN
        good &= held
        lines.append(f"{name:<14} {found[name]:>10g} recorded {want:>10g} {'' if held else 'MISSED'}")
    return lines, good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--recorded", type=Path, required=True)
    parser.add_argument("--record", action="store_true", help="write what was found")
    given = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    options = types.SimpleNamespace(bin=given.bin, tools=Path("/nonexistent"), cpu_load=cpus[0], cpu_proxy=cpus[-1])
    with tempfile.TemporaryDirectory(prefix="rouse-gates-") as name:
        path = Path(name)
        with open(path / "log", "wb") as log:
            try:
                found = measure(options, path, log)
            except Skipped as why:
                print(f"skipped: {why}")
                return SKIPPED
            except Failed as failure:
                print(f"{failure}\n{(path / 'log').read_text(errors='replace')[-2000:]}")
                return 1
    if given.record:
        given.recorded.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(found))
        return 0
    lines, good = compare(json.loads(given.recorded.read_text(encoding="utf-8")), found)
    print("\n".join(lines))
    if not good:
        print("A gate moved. If the change means it, say why in its commit and record: bench/gates.sh --record")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
