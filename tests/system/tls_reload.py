"""Replaces certificate files under load: no handshake and no request may fail.

    tests/system/tls_reload.py [--bin build/release/bin] [--replacements 10000] [--names 100]

Clients verify what they are shown, over connections that stay and over new ones, while the files of all names are
replaced round after round. Prints what was done; exit code 1 where anything failed. Standard library and openssl.
"""
import argparse
import http.server
import os
import random
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from cluster import free_port

REQUEST = b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n"
PATIENCE = 600


class Pod(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certify(folder, names, variants=2):
    """PEM of certificate and key together, so that one rename replaces both; per name and variant."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=reload", cwd=folder)
    made = {}
    for name in names:
        with open(os.path.join(folder, "ext"), "w", encoding="utf-8") as file:
            file.write(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
        made[name] = []
        for _ in range(variants):
            openssl("req", *curve, "-keyout", "k", "-out", "r", "-subj", f"/CN={name}", cwd=folder)
            openssl("x509", "-req", "-in", "r", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "c",
                    "-days", "20", "-extfile", "ext", cwd=folder)
            made[name].append(b"".join(open(os.path.join(folder, part), "rb").read() for part in ("c", "k")))
    return made


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        for line in page.read().decode().splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
    return 0


class Client(threading.Thread):
    """Every tenth request on a connection that stays, the others each on a new one."""

    def __init__(self, port, authority, names, stop):
        super().__init__()
        self.port, self.names, self.stop = port, names, stop
        self.context = ssl.create_default_context(cafile=authority)
        self.handshakes = self.requests = 0
        self.failures = []

    def dial(self, name):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        secured = self.context.wrap_socket(raw, server_hostname=name)
        self.handshakes += 1
        return secured

    def ask(self, connection, name):
        connection.sendall(REQUEST % name.encode())
        answer = b""
        while b"\r\n\r\nok" not in answer:
            piece = connection.recv(4096)
            if not piece:
                raise ConnectionError(f"ended after {answer[:80]}")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(answer[:80])
        self.requests += 1

    def run(self):
        standing = {name: self.dial(name) for name in random.sample(self.names, min(5, len(self.names)))}
        while not self.stop.is_set():
            try:
                name = random.choice(self.names)
                with self.dial(name) as fresh:
                    self.ask(fresh, name)
                if self.handshakes % 10 == 0:
                    for stays, connection in standing.items():
                        self.ask(connection, stays)
            except OSError as error:
                self.failures.append(f"{type(error).__name__}: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--replacements", type=int, default=10000)
    parser.add_argument("--names", type=int, default=100)
    args = parser.parse_args()
    names = [f"host-{i}.example" for i in range(args.names)]
    pod = Server(("127.0.0.1", 0), Pod)
    threading.Thread(target=pod.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="rouse-reload-") as folder:
        made = certify(folder, names)
        path = lambda name: os.path.join(folder, name + ".pem")
        for name in names:
            open(path(name), "wb").write(made[name][0])
        port, health, admin = free_port(), free_port(), free_port()
        config = os.path.join(folder, "proxy.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'listeners:\n- address: "127.0.0.1:{port}"\n  tls:\n    certificates:\n')
            file.writelines(f"    - {{cert: {path(name)}, key: {path(name)}}}\n" for name in names)
            file.write(f'tls_watch_interval: 10ms\nhealth: {{address: "127.0.0.1:{health}"}}\n'
                       f'admin: {{address: "127.0.0.1:{admin}"}}\n'
                       f'workloads: [{{name: ns/fn, endpoints: ["127.0.0.1:{pod.server_port}"]}}]\n'
                       'routes: [{host: "*", path: /, workload: ns/fn}]\n')
        with open(os.path.join(folder, "log"), "w", encoding="utf-8") as log:
            proxy = subprocess.Popen([os.path.join(args.bin, "rouse-proxy"), "--config", config],
                                     stdout=subprocess.DEVNULL, stderr=log)
        stop = threading.Event()
        clients = [Client(port, os.path.join(folder, "ca.pem"), names, stop) for _ in range(4)]
        try:
            end = time.monotonic() + 20
            while time.monotonic() < end:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{health}/readyz", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.05)
            began = time.monotonic()
            for client in clients:
                client.start()
            replaced = 0
            loads = "rouse_proxy_tls_certificate_loads_total"
            while replaced < args.replacements and time.monotonic() - began < PATIENCE:
                variant = (replaced // len(names) + 1) % 2
                for name in names:
                    open(path(name) + ".new", "wb").write(made[name][variant])
                    os.rename(path(name) + ".new", path(name))
                replaced += len(names)
                while metric(health, loads) < len(names) + replaced and time.monotonic() - began < PATIENCE:
                    time.sleep(0.01)
            took = time.monotonic() - began
            taken = metric(health, loads) - len(names)
            refused = metric(health, "rouse_proxy_tls_certificate_failures_total")
        finally:
            stop.set()
            for client in clients:
                client.join(30)
            proxy.terminate()
            proxy.wait(20)
    failures = [failure for client in clients for failure in client.failures]
    print(f"{taken} replacements taken in {took:.0f} s ({refused} refused); "
          f"{sum(c.handshakes for c in clients)} handshakes, {sum(c.requests for c in clients)} requests, "
          f"{len(failures)} failed")
    for failure in failures[:5]:
        print("  " + failure)
    sys.exit(0 if taken >= args.replacements and not failures and not refused else 1)


main()
