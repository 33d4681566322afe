#!/usr/bin/env python3
"""What an open, idle HTTP/2 stream costs: resident memory of a proxy per stream.

    bench/load/h2_idle.py --bin build/release/bin [--connections 1000] [--streams 100] [--peers nghttpx,haproxy,nginx]
        [--envoy FILE] [--json FILE]

Clients open their streams (a gRPC call's head, no message) and fall silent. `parked`: their workload sleeps, so each
waits for a pod. `open`: each has been forwarded to a pod by HTTP/2 that does not answer (another rouse-proxy, whose
workload sleeps); both sides of the stream are counted. Connections are counted in. Growth of VmRSS, once it stands still.
Peers are measured as `open`. nginx opens a connection for every call that it forwards: with it, --connections 100.
"""

import argparse
import contextlib
import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from h2_compare import start_proxy
from loads import metric
from processes import Process, free_port, wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WITHIN_SECONDS = 20
STILL_SECONDS = 3
BATCH = 100  # connections
FIELDS = ((":method", "POST"), (":scheme", "http"), (":authority", "fn.example"), (":path", "/echo.Echo/Chat"),
          ("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "bench"))
CONFIG = """listeners: [{{address: "127.0.0.1:{port}"}}]
health: {{address: "127.0.0.1:{health}"}}
admin: {{address: "127.0.0.1:{admin}"}}
workloads: [{{name: ns/fn, endpoints: [{endpoints}], protocol: h2c, hold_timeout: 10m, parked_max: 1000000}}]
routes: [{{host: "*", path: /, workload: ns/fn}}]
"""


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def head():
    """Literals without indexing: name and value as they are."""
    block = b""
    for name, value in FIELDS:
        block += b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
    return block


def start(options, directory, log, name, endpoints, cpu):
    port, health = free_port(), free_port()
    config = directory / f"{name}.yaml"
    config.write_text(CONFIG.format(port=port, health=health, admin=free_port(), endpoints=endpoints))
    limits = {"connections-per-client-max": 0, "parked-max": 1_000_000, "parked-bytes-max": "16GiB",
              "first-byte-timeout": "1h", "keep-alive-timeout": "1h", "response-start-timeout": "1h"}
    flags = [word for flag, value in limits.items() for word in (f"--{flag}", value)]
    proxy = Process(name, [options.bin / "rouse-proxy", "--config", config, *flags], cpu, log)
    proxy.port, proxy.health = port, health
    wait_until(lambda: subprocess.run(["curl", "-sf", "-o", "/dev/null", f"http://127.0.0.1:{health}/livez"],
                                      check=False).returncode == 0, WITHIN_SECONDS, f"{name} does not start")
    return proxy


def resting(proxy):
    """KiB, once they have stood still."""
    last, since = proxy.rss_kib(), time.monotonic()
    while time.monotonic() - since < STILL_SECONDS:
        time.sleep(0.2)
        now = proxy.rss_kib()
        if now != last:
            last, since = now, time.monotonic()
    return last


def open_all(proxy, pod, options, running):
    """A batch at a time, each once the one before has arrived: what is measured is rest, not a rush."""
    block = head()
    streams = b"".join(frame(1, 4, 2 * number + 1, block) for number in range(options.streams))
    for opened in range(1, options.connections + 1):
        client = socket.create_connection(("127.0.0.1", proxy.port))
        running.callback(client.close)
        client.sendall(PREFACE + frame(4, 0, 0) + frame(4, 1, 0) + streams)
        if opened % BATCH == 0 or opened == options.connections:
            wait_until(lambda count=opened: metric(pod.health, "rouse_proxy_parked_requests") >= count * options.streams,
                       WITHIN_SECONDS, f"not all streams of {opened} connections are open")


def accepts(port):
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def start_peer(options, directory, log, name, pod):
    options.case, options.cpu_proxy = "grpc", 1
    peer = start_proxy(name, options, directory, pod.port, log)
    wait_until(lambda: accepts(peer.port), WITHIN_SECONDS, f"{name} does not start")
    return peer


def measure(options, through):
    """KiB a stream of the proxy that the clients talk to: `through`, where it forwards them to another, or that other."""
    count = options.connections * options.streams
    with contextlib.ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="rouse-bench-")))
        log = running.enter_context(open(directory / "log", "wb"))
        proxy = pod = start(options, directory, log, "pod", "", 0)
        running.callback(pod.stop)
        if through == "rouse":
            proxy = start(options, directory, log, "proxy", f'"127.0.0.1:{pod.port}"', 1)
        elif through:
            proxy = start_peer(options, directory, log, through, pod)
        if through:
            running.callback(proxy.stop)
        before = resting(proxy)
        open_all(proxy, pod, options, running)
        return round((resting(proxy) - before) / count, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--peers", default="")
    parser.add_argument("--envoy", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    peers = [name for name in options.peers.split(",") if name] + (["envoy"] if options.envoy else [])
    result = {"parked": measure(options, ""), "open": measure(options, "rouse")}
    result.update({name: measure(options, name) for name in peers})
    print(f"h2_idle: {options.connections} connections, {options.streams} streams each")
    for name, kib in result.items():
        ratio = f"   open to it {result['open'] / kib:.3f}" if name in peers else ""
        print(f"{name:<8} {kib:.3f} KiB/stream{ratio}")
    if options.json:
        options.json.write_text(json.dumps({"h2_idle": result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
