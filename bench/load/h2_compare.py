#!/usr/bin/env python3
"""Compares the CPU that proxies spend per HTTP/2 request, in one run.

    bench/load/h2_compare.py --bin build/release/bin [--case h2c_h1] [--rounds 9] [--requests 60000] [--json FILE]

h2load -c8 -m32. Cases: h2c_h1, 128 bytes from an HTTP/1.1 origin; h2c_h2c, the same from nghttpd by HTTP/2; grpc, unary
calls to gRPC's own server (--grpc-server, as tests/conformance/run.sh builds it). Envoy joins where --envoy names it. All proxies run at once, pinned to one CPU, origin and h2load to the other;
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

from peers import ENVOY, HAPROXY, NGINX
from processes import Process, free_port
from rouse_config import static_config
from stats import interval

CASES = ("h2c_h1", "h2c_h2c", "grpc")
PROXIES = ["rouse", "nghttpx", "haproxy"]
ENVOY_H2 = """  - name: origin
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 100}}
"""
GRPC_CALL = "/grpc.testing.TestService/EmptyCall"
BODY_BYTES = 128
WITHIN_SECONDS = 120


def start_origin(options, directory, log):
    if options.case == "h2c_h1":
        return Process("origin", [str(options.bin / "echo_upstream"), str(BODY_BYTES)], options.cpu_load, log,
                       prints_port=True)
    port = free_port()
    if options.case == "grpc":
        command = [str(options.grpc_server), "-port", str(port)]
    else:
        (directory / "index.html").write_bytes(b"x" * BODY_BYTES)
        command = ["nghttpd", "--no-tls", "-d", str(directory), str(port)]
    origin = Process("origin", command, options.cpu_load, log)
    origin.port = port
    return origin


def start_proxy(name, options, directory, origin, log):
    port = free_port()
    http2 = options.case != "h2c_h1"
    config = directory / f"{name}.conf"
    if name == "haproxy":
        text = HAPROXY.format(port=port, origin=origin).replace(
            f"bind 127.0.0.1:{port} ", f"bind 127.0.0.1:{port} proto h2 ")
        text = text.replace(f"origin 127.0.0.1:{origin}", f"origin 127.0.0.1:{origin}{' proto h2' if http2 else ''}")
        command = ["haproxy", "-db", "-q", "-f", str(config)]
    elif name == "nghttpx":
        text = (f"frontend=127.0.0.1,{port};no-tls\nbackend=127.0.0.1,{origin}{';;proto=h2' if http2 else ''}\nworkers=1\n"
                "accesslog-file=/dev/null\nerrorlog-file=/dev/null\n")
        command = ["nghttpx", f"--conf={config}"]
    elif name == "nginx":
        text = NGINX.format(port=port, origin=origin, dir=directory).replace("backlog=4096", "backlog=4096 http2")
        text = text.replace("proxy_pass http://origin", "grpc_pass grpc://origin") if http2 else text
        command = ["nginx", "-c", str(config), "-p", str(directory)]
    elif name == "envoy":
        config = directory / "envoy.yaml"
        text = ENVOY.format(port=port, origin=origin)
        text = text.replace("  - name: origin\n", ENVOY_H2) if http2 else text
        text = text.replace("max_requests: 20000", "max_requests: 200000")
        command = [options.envoy, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error",
                   "--config-path", config]
    else:
        static_config(config, origin, 1, 0)
        if http2:
            config.write_text(config.read_text().replace("concurrency_limit: 0", "protocol: h2c"))
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
        ["h2load", f"-c{options.connections}", f"-m{options.streams}", f"-n{requests}", *options.fields,
         f"http://127.0.0.1:{program.port}{GRPC_CALL if options.case == 'grpc' else '/'}"],
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
    parser.add_argument("--case", choices=CASES, default=CASES[0])
    parser.add_argument("--envoy", type=Path)
    parser.add_argument("--grpc-server", type=Path, default=Path("build/conformance/interop-server"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=60000, help="per proxy and round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--proxies", default=",".join(PROXIES))
    parser.add_argument("--cpu-proxy", type=int, default=1)
    parser.add_argument("--cpu-load", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = options.proxies.split(",") + (["envoy"] if options.envoy else [])
    options.fields = []
    rounds = []
    with contextlib.ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="rouse-bench-")))
        log = running.enter_context(open(directory / "log", "wb"))

        def keep(program):
            running.callback(program.stop)
            return program

        if options.case == "grpc":  # one message, empty
            (directory / "message").write_bytes(bytes(5))
            options.fields = ["-d", str(directory / "message"), "-H", "content-type: application/grpc",
                              "-H", "te: trailers"]
        origin = keep(start_origin(options, directory, log))
        proxies = [keep(start_proxy(name, options, directory, origin.port, log)) for name in names]
        for proxy in proxies:
            subprocess.run(["curl", "-s", "--http2-prior-knowledge", "--retry", "20",
                            "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null",
                            f"http://127.0.0.1:{proxy.port}/"], check=True, timeout=WITHIN_SECONDS)
            load(proxy, options.requests // 4, options)  # warm
        for number in range(options.rounds):
            order = proxies if number % 2 == 0 else proxies[::-1]
            rounds.append({proxy.name: load(proxy, options.requests, options) for proxy in order})
    result = {}
    print(f"{options.case}: {options.connections} connections, {options.streams} streams each, "
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
        options.json.write_text(json.dumps({options.case: result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
