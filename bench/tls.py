#!/usr/bin/env python3
"""TLS 1.3 through rouse-proxy, nginx and HAProxy in one interleaved run: CPU per request on connections that stay, by
HTTP/1.1 and by HTTP/2, and per full and resumed handshake. The same certificate (ECDSA P-256), groups, suite, origin and one worker for each.

    bench/tls.py [--bin build/release/bin] [--rounds 3] [--seconds 4]

Needs wrk, h2load, nginx-light, haproxy, openssl (third_party/install.sh bench). CPU is that of the proxy's processes, from
/proc; client and origin are not counted. Prints medians over the rounds, and the ratio of ours to each other's within a
round: its median, with a bootstrap interval.
"""
import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "load"))
from stats import interval  # pylint: disable=wrong-import-position

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def cpu_seconds(pid):
    total = 0
    for each in [pid, *children(pid)]:
        with open(f"/proc/{each}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def wait_for(port):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"tls.py: nothing listens on {port}")


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def certify(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", "key", "-out", "cert", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    with open(os.path.join(folder, "both"), "wb") as both:
        for part in ("cert", "key"):
            with open(os.path.join(folder, part), "rb") as file:
                both.write(file.read())


NGINX = """daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder}; {body} }}
"""


def start(args, folder, origin):
    """Name -> (port, process) of each proxy; and the origin."""
    body = f"server {{ listen 127.0.0.1:{origin} backlog=4096; location / {{ return 200 '{'x' * 128}'; }} }}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    nginx = lambda name, text: subprocess.Popen(
        ["nginx", "-c", write(folder, name, NGINX.format(folder=folder, name=name, body=text))], **quiet)
    started = {"origin": (origin, nginx("origin.conf", body))}
    port = free_port()
    config = write(folder, "rouse.yaml", f"""listeners:
- address: "127.0.0.1:{port}"
  tls: {{certificates: [{{cert: {folder}/cert, key: {folder}/key}}]}}
health: {{address: "127.0.0.1:{free_port()}"}}
admin: {{address: "127.0.0.1:{free_port()}"}}
workloads: [{{name: ns/fn, endpoints: ["127.0.0.1:{origin}"]}}]
routes: [{{host: "*", path: /, workload: ns/fn}}]
""")
    started["rouse"] = (port, subprocess.Popen([os.path.join(args.bin, "rouse-proxy"), "--config", config], **quiet))
    port = free_port()
    started["nginx"] = (port, nginx("nginx.conf", f"""upstream o {{ server 127.0.0.1:{origin}; keepalive 128;
    keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} ssl http2 backlog=4096; ssl_certificate {folder}/cert; ssl_certificate_key {folder}/key;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519; ssl_session_tickets on;
    location / {{ proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}"""))
    port = free_port()
    config = write(folder, "haproxy.cfg", f"""global
  nbthread 1
  ssl-default-bind-curves X25519
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend f
  bind 127.0.0.1:{port} ssl crt {folder}/both alpn h2,http/1.1
  option forwardfor
  default_backend b
backend b
  server o 127.0.0.1:{origin}
""")
    started["haproxy"] = (port, subprocess.Popen(["haproxy", "-db", "-f", config], **quiet))
    for each, _ in started.values():
        wait_for(each)
    return started


def keep_alive(port, seconds):
    out = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds}s", f"https://localhost:{port}/"],
                         capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(out)
    return int(re.search(r"(\d+) requests in", out).group(1))


def keep_alive_h2(port, seconds):
    out = subprocess.run(["h2load", "-t1", "-c8", "-m32", f"-D{seconds}", "--warm-up-time=0", f"https://localhost:{port}/"],
                         capture_output=True, text=True, check=True).stdout
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", out)
    if "Application protocol: h2" not in out or done is None or done.group(2, 3) != ("0", "0"):
        raise SystemExit(out)
    return int(done.group(1))


def handshakes(port, seconds, kind):
    """TLS 1.3 full ones; resumed ones by TLS 1.2, since s_time does not wait for TLS 1.3's tickets."""
    version = "-tls1_3" if kind == "-new" else "-tls1_2"
    out = subprocess.run(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", kind, version, "-time", str(seconds)],
                         capture_output=True, text=True, check=False).stdout
    return int(re.search(r"(\d+) connections in \d+ real seconds", out).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    args = parser.parse_args()
    loads = {"HTTP/1.1 request, TLS 1.3 keep-alive": keep_alive,
             "HTTP/2 request, TLS 1.3 keep-alive": keep_alive_h2,
             "full handshake, TLS 1.3": lambda port, seconds: handshakes(port, seconds, "-new"),
             "resumption, TLS 1.2": lambda port, seconds: handshakes(port, seconds, "-reuse")}
    names = ("rouse", "nginx", "haproxy")
    seen = {(load, name): [] for load in loads for name in names}
    with tempfile.TemporaryDirectory(prefix="rouse-tls-bench-") as folder:
        certify(folder)
        started = start(args, folder, free_port())
        try:
            for round_number in range(args.rounds):
                for load, drive in loads.items():
                    for name in names[round_number % 3:] + names[:round_number % 3]:
                        port, process = started[name]
                        before = cpu_seconds(process.pid)
                        count = drive(port, args.seconds)
                        seen[load, name].append((cpu_seconds(process.pid) - before) / max(count, 1) * 1e6)
        finally:
            for _, process in started.values():
                process.terminate()
            for _, process in started.values():
                process.wait(10)
    print("| CPU in us per | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for load in loads:
        cells = [f"{statistics.median(seen[load, name]):.1f}" for name in names]
        for at, name in enumerate(names[1:], 1):
            ratios = [ours / theirs for ours, theirs in zip(seen[load, "rouse"], seen[load, name])]
            low, high = interval(ratios)
            cells[at] += f": {statistics.median(ratios):.3f} ({low:.3f}-{high:.3f})"
        print(f"| {load} | " + " | ".join(cells) + " |")


main()
