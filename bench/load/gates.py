"""Gates that noise does not move: what one warm keep-alive request costs rouse-proxy when nothing else happens.

One connection in lockstep, 1 000 requests after 200 that warm, GET with 128 bytes of answer, one shard:
  syscalls       of the shard's thread, by strace
  instructions   of the shard's thread in user space, by callgrind
  allocations    malloc, calloc, realloc and their kin on any thread, by callgrind's call counts
Each must be within 1 % of what bench/gates.json records; allocations exactly. --record writes that file.

What would differ from machine to machine is pinned: callgrind emulates the processor, libc is told (GLIBC_TUNABLES)
to choose its string functions as for any x86-64, and no other thread is counted. Compiler and libraries are Debian
12's. Exits 77, which ctest shows as skipped, where strace or valgrind cannot run.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import loads
import stats
from peers import World
from processes import Failed, wait_until

WARM, REQUESTS = 200, 1000
WITHIN = 0.01
SKIPPED = 77
DUMP_SECONDS = 30
ALLOCATORS = ("malloc", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign", "operator new(unsigned long)")
ANY_X86_64 = ("glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-BMI2,-LZCNT,-MOVBE,-RTM,-SSE4_2,-SSE4_1,"
              "-SSSE3,-ERMS,-FSRM:glibc.cpu.x86_non_temporal_threshold=0xc0000:glibc.cpu.x86_rep_movsb_threshold=0x800")


class Skipped(Exception):
    """The machine has not what a gate needs."""


def settled(proxy):
    """Warms, and waits until the proxy has nothing left to do for the warming."""
    wait_until(lambda: loads.serving(proxy), 60, "rouse-proxy does not serve")


def lockstep(world, proxy, requests):
    loads.run([world.options.bin / "paced_client", proxy.port, "/", 1, 0, requests], world.options, 60, "lockstep")


def count_syscalls(world):
    """Of the thread that carries traffic, per request."""
    proxy = world.start("rouse")
    settled(proxy)
    lockstep(world, proxy, WARM)
    shard = proxy.processes[0].busiest_task()
    table = world.directory / "strace.txt"
    with subprocess.Popen(["strace", "-c", "-q", "-o", table, "-p", str(shard)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, start_new_session=True) as tracer:
        try:
            path = Path(f"/proc/{shard}/status")
            wait_until(lambda: "TracerPid:\t0\n" not in path.read_text() or tracer.poll() is not None, 10,
                       "strace did not attach")
            if tracer.poll() is not None:
                raise Skipped("strace may not attach to a process here")
            lockstep(world, proxy, REQUESTS)
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
    proxy.processes[0].stop()
    return sum(stats.parse_strace(table.read_text()).values()) / REQUESTS


def control(pid, *words):
    subprocess.run(["callgrind_control", *words, str(pid)], check=True, capture_output=True, timeout=DUMP_SECONDS)


def count_instructions(world):
    """(instructions of the busiest thread, allocations of all threads), per request."""
    out = world.directory / "callgrind.out"
    tool = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}", "--quiet"]
    proxy = world.start("rouse", {"under": tool, "env": {"GLIBC_TUNABLES": ANY_X86_64}})
    settled(proxy)
    lockstep(world, proxy, WARM)
    pid = proxy.processes[0].process.pid
    control(pid, "--zero")
    lockstep(world, proxy, REQUESTS)
    control(pid, "--dump")
    totals, allocations = [], 0
    for path in sorted(world.directory.glob("callgrind.out.*")):
        if not re.fullmatch(r"callgrind\.out\.1-\d+", path.name):
            continue
        total, calls = stats.parse_callgrind(path.read_text())
        totals.append(total)
        allocations += sum(calls.get(name, 0) for name in ALLOCATORS)
    proxy.processes[0].stop()
    if not totals:
        raise Failed("callgrind wrote no figures")
    return max(totals) / REQUESTS, allocations / REQUESTS


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
