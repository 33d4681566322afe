"""Compares the CPU that proxies spend per request, against a raw TCP relay, on one machine.

All proxies run at once, each pinned to one CPU, the origin and wrk to the other. A round gives each
of them the same load in turn; every other round goes in reverse order, so that drift cancels. The
figure is the CPU time of a proxy's whole process tree divided by the requests that wrk saw
completed; a proxy's ratio in a round is to the relay's figure of that round. bench/README.md says
why.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

CASE = "h1_get_128"
BODY_BYTES = 128
START_SECONDS = 15
PROXIES = ["relay", "shard_relay", "nginx", "haproxy", "rouse"]
RELAYS = {"relay": "rouse_relay", "shard_relay": "shard_relay"}

NGINX = """
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen bench
  bind 127.0.0.1:{port}
  server origin 127.0.0.1:{origin}
"""

ROUSE = """
listeners: [{{address: "127.0.0.1:{port}"}}]
health: {{address: "127.0.0.1:{health}"}}
admin: {{address: "127.0.0.1:{admin}"}}
shards: 1
workloads: [{{name: bench/echo, endpoints: ["127.0.0.1:{origin}"]}}]
routes: [{{host: "*", path: /, workload: bench/echo}}]
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A process of ours and its children, pinned to a CPU."""

    def __init__(self, name, command, cpu, log, prints_port=False, port=None):
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE if prints_port else log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
        )
        self.port = int(self.process.stdout.readline()) if prints_port else port

    def tree(self):
        """The ids of the process and all that descend from it."""
        pids = [self.process.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pids += [int(child) for child in (task / "children").read_text().split()]
        return pids

    def cpu_seconds(self):
        total = 0
        for pid in self.tree():
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def wait_until_serving(self):
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode}")
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2) as answer:
                    if len(answer.read()) == BODY_BYTES:
                        return
            time.sleep(0.05)
        raise SystemExit(f"{self.name} does not serve on port {self.port}")

    def stop(self):
        """Ends this process and its own session's group, nothing else."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=3)
                return


def start_proxy(name, options, directory, origin, log):
    """Writes the proxy's configuration and starts it."""
    if name in RELAYS:
        command = [str(options.bin / RELAYS[name]), str(origin)]
        return Program(name, command, options.cpu_proxy, log, prints_port=True)
    port = free_port()
    text = {"nginx": NGINX, "haproxy": HAPROXY, "rouse": ROUSE}[name].format(
        dir=directory, port=port, origin=origin, health=free_port(), admin=free_port()
    )
    config = directory / f"{name}.conf"
    config.write_text(text)
    command = {
        "nginx": ["nginx", "-p", str(directory), "-c", str(config)],
        "haproxy": ["haproxy", "-db", "-q", "-f", str(config)],
        "rouse": [str(options.bin / "rouse-proxy"), "--config", str(config),
                  "--access-log", "off"],
    }[name]
    return Program(name, command, options.cpu_proxy, log, port=port)


def load(program, seconds, options):
    """One run of wrk; CPU microseconds per request and requests per second."""
    command = ["wrk", "-t1", f"-c{options.connections}", f"-d{seconds}s",
               f"http://127.0.0.1:{program.port}/"]
    before, start = program.cpu_seconds(), time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 20, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {options.cpu_load}),
    )
    spent, elapsed = program.cpu_seconds() - before, time.monotonic() - start
    text = done.stdout
    if "Socket errors" in text or "Non-2xx" in text:
        raise SystemExit(f"{program.name} failed requests:\n{text}")
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    if requests == 0:
        raise SystemExit(f"{program.name} completed no request:\n{text}")
    return {"cpu_us": spent * 1e6 / requests, "rps": rate, "requests": requests,
            "busy": spent / elapsed}


def interval(values):
    """A 95 % bootstrap interval of the median; the extremes where there are few values."""
    if len(values) < 5:
        return min(values), max(values)
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[1949]


def summarize(rounds):
    result = {}
    for name in rounds[0]:
        ratios = [one[name]["cpu_us"] / one["relay"]["cpu_us"] for one in rounds]
        low, high = interval(ratios)
        result[name] = {
            "cpu_us": round(statistics.median(one[name]["cpu_us"] for one in rounds), 3),
            "ratio_to_relay": round(statistics.median(ratios), 3),
            "ratio_low": round(low, 3),
            "ratio_high": round(high, 3),
            "rps": round(statistics.median(one[name]["rps"] for one in rounds)),
            "busy": round(statistics.median(one[name]["busy"] for one in rounds), 3),
            "requests": sum(one[name]["requests"] for one in rounds),
            "rounds": len(rounds),
        }
    return result


def print_table(result, options):
    print(f"{CASE}: {options.connections} connections, "
          f"{options.rounds} rounds of {options.seconds} s")
    print(f"{'proxy':<11} {'CPU us/request':>14} {'to relay':>9} {'95 % interval':>15} "
          f"{'busy':>5} "
          f"{'requests/s':>11}")
    for name, row in result.items():
        span = f"{row['ratio_low']:.3f}-{row['ratio_high']:.3f}"
        print(f"{name:<11} {row['cpu_us']:>14.2f} {row['ratio_to_relay']:>9.3f} {span:>15} "
              f"{row['busy']:>5.0%} {row['rps']:>11}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, required=True, help="where the built programs are")
    parser.add_argument("--quick", action="store_true",
                        help="3 rounds of 1 s: a look, not a result")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=3, help="of load per proxy and round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--proxies", default=",".join(PROXIES), help="of " + ",".join(PROXIES))
    parser.add_argument("--cpu-proxy", type=int, default=1)
    parser.add_argument("--cpu-load", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 3, 1
    options.proxies = [name for name in PROXIES if name in {"relay", *options.proxies.split(",")}]
    return options


def check_machine(options):
    tools = ["wrk"] + [name for name in ("nginx", "haproxy") if name in options.proxies]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise SystemExit("not installed: " + " ".join(missing))
    if not {options.cpu_proxy, options.cpu_load} <= os.sched_getaffinity(0):
        raise SystemExit("needs two CPUs: one for the proxy, one for the load")


def main():
    options = parse_options()
    check_machine(options)
    rounds = []
    with contextlib.ExitStack() as running:
        name = running.enter_context(tempfile.TemporaryDirectory(prefix="rouse-bench-"))
        directory = Path(name)
        os.chmod(directory, 0o755)  # nginx's worker may be another user
        log = running.enter_context(open(directory / "log", "wb"))

        def keep(program):
            running.callback(program.stop)
            return program

        try:
            origin = keep(Program("origin", [str(options.bin / "echo_upstream"), str(BODY_BYTES)],
                                  options.cpu_load, log, prints_port=True))
            proxies = [keep(start_proxy(proxy, options, directory, origin.port, log))
                       for proxy in options.proxies]
            for proxy in proxies:
                proxy.wait_until_serving()
                load(proxy, 1, options)  # warm
            for number in range(options.rounds):
                order = proxies if number % 2 == 0 else proxies[::-1]
                measured = {proxy.name: load(proxy, options.seconds, options) for proxy in order}
                rounds.append({proxy: measured[proxy] for proxy in options.proxies})
        except (SystemExit, subprocess.SubprocessError):
            log.flush()
            sys.stderr.write((directory / "log").read_text(errors="replace")[-4000:])
            raise
    result = summarize(rounds)
    print_table(result, options)
    if options.json:
        options.json.write_text(json.dumps({CASE: result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
