"""Compares the CPU that proxies spend per HTTP/2 request in front of an HTTP/1.1 origin, in one run.

    bench/load/h2_compare.py --bin build/release/bin [--rounds 9] [--requests 60000] [--json FILE]

h2load -c8 -m32, 128 bytes. All proxies run at once, pinned to one CPU, origin and h2load to the other;
rounds go forward and back in turn, so that drift cancels. A proxy's ratio in a round is ours to its own.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from peers import HAPROXY
from processes import Process, free_port
from rouse_config import static_config
from stats import interval

PROXIES = ["rouse", "nghttpx", "haproxy"]
BODY_BYTES = 128
WITHIN_SECONDS = 120


def start_proxy(name, options, directory, origin, log):
    port = free_port()
    config = directory / f"{name}.conf"
    if name == "haproxy":
        text = HAPROXY.format(port=port, origin=origin).replace(
            f"bind 127.0.0.1:{port} ", f"bind 127.0.0.1:{port} proto h2 ")
        command = ["haproxy", "-db", "-q", "-f", str(config)]
    elif name == "nghttpx":
        text = (f"frontend=127.0.0.1,{port};no-tls\nbackend=127.0.0.1,{origin}\nworkers=1\n"
                "accesslog-file=/dev/null\nerrorlog-file=/dev/null\n")
        command = ["nghttpx", f"--conf={config}"]
    else:
        static_config(config, origin, 1, 0)
        command = [options.bin / "rouse-proxy", "--config", config, "--access-log", "off",
                   "--listen", f"127.0.0.1:{port}", "--health", f"127.0.0.1:{free_port()}",
                   "--admin", f"127.0.0.1:{free_port()}"]
    if name != "rouse":
        config.write_text(text)
    proxy = Process(name, [str(word) for word in command], options.cpu_proxy, log)
    proxy.port = port
    return proxy


def load(program, requests, options):
    """One run of h2load; CPU microseconds per request and requests per second."""
    before = program.cpu_seconds()
    done = subprocess.run(
        ["h2load", f"-c{options.connections}", f"-m{options.streams}", f"-n{requests}",
         f"http://127.0.0.1:{program.port}/"],
        capture_output=True, text=True, timeout=WITHIN_SECONDS, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {options.cpu_load}))
    spent = program.cpu_seconds() - before
    good = int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))
    if good != requests:
        raise SystemExit(f"{program.name}: {good} of {requests} requests were answered:\n{done.stdout}")
    rate = float(re.search(r"([\d.]+) req/s", done.stdout).group(1))
    return {"cpu_us": spent * 1e6 / requests, "rps": rate}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=60000, help="per proxy and round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--proxies", default=",".join(PROXIES))
    parser.add_argument("--cpu-proxy", type=int, default=1)
    parser.add_argument("--cpu-load", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = options.proxies.split(",")
    rounds = []
    with contextlib.ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="rouse-bench-")))
        log = running.enter_context(open(directory / "log", "wb"))

        def keep(program):
            running.callback(program.stop)
            return program

        origin = keep(Process("origin", [str(options.bin / "echo_upstream"), str(BODY_BYTES)],
                              options.cpu_load, log, prints_port=True))
        proxies = [keep(start_proxy(name, options, directory, origin.port, log)) for name in names]
        for proxy in proxies:
            subprocess.run(["curl", "-sf", "--http2-prior-knowledge", "--retry", "20",
                            "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null",
                            f"http://127.0.0.1:{proxy.port}/"], check=True, timeout=WITHIN_SECONDS)
            load(proxy, options.requests // 4, options)  # warm
        for number in range(options.rounds):
            order = proxies if number % 2 == 0 else proxies[::-1]
            rounds.append({proxy.name: load(proxy, options.requests, options) for proxy in order})
    result = {}
    print(f"h2c_get_128: {options.connections} connections, {options.streams} streams each, "
          f"{options.rounds} rounds of {options.requests} requests")
    for name in names:
        ratios = [one[names[0]]["cpu_us"] / one[name]["cpu_us"] for one in rounds]
        low, high = interval(ratios)
        result[name] = {"cpu_us": round(statistics.median(one[name]["cpu_us"] for one in rounds), 2),
                        "rps": round(statistics.median(one[name]["rps"] for one in rounds)),
                        "ours_to_it": round(statistics.median(ratios), 3),
                        "low": round(low, 3), "high": round(high, 3)}
        row = result[name]
        print(f"{name:<10} {row['cpu_us']:>8.2f} us/request {row['rps']:>9} requests/s   "
              f"{names[0]} to it {row['ours_to_it']:.3f} ({row['low']:.3f}-{row['high']:.3f})")
    if options.json:
        options.json.write_text(json.dumps({"h2c_get_128": result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
