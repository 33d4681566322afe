"""Starts an echoing pod, rouse-proxy and Envoy by the two files beside this one, and checks what reaches the pod.

    check.py ROUSE_PROXY ENVOY      run.sh does it

Standard library only. Ends what it started.
"""
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 30
CLUSTERS = 3


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def get(port, path="/", headers=None, source=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE,
                                            source_address=(source, 0) if source else None)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


def wait_for(what, done):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if done():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"check.py: {what} did not come within {PATIENCE} s")


def healthy(count):
    status, body, _ = get(10083, "/clusters?format=json")
    statuses = json.loads(body)["cluster_statuses"]
    hosts = [host["health_status"] for cluster in statuses for host in cluster.get("host_statuses", [])]
    good = [host for host in hosts if host.get("eds_health_status") == "HEALTHY"
            and not host.get("failed_active_health_check")]
    return len(good) == count and len(hosts) == CLUSTERS


def check(name, good, saw):
    print(("ok   " if good else "FAIL ") + name + ("" if good else f": {saw}"))
    return good


def checks(rouse):
    passed = []
    for path, version in (("/", "1.1"), ("/v2", "1.1"), ("/h2", "2")):
        # A client that claims to be another, from an address of its own.
        forged = {"X-Forwarded-For": "203.0.113.9", "x-envoy-expected-rq-timeout-ms": "1",
                  "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        status, body, headers = get(10080, path, forged, "127.0.0.77")
        seen = json.loads(body) if status == 200 else {}
        passed += [
            check(f"{path}: the pod answers", status == 200, status),
            check(f"{path}: the PROXY header tells the client", "127.0.0.77" in seen.get("x-forwarded-for", ""), seen),
            check(f"{path}: one request id all the way",
                  seen.get("x-request-id") and seen["x-request-id"] == headers.get("x-request-id"), (seen, headers)),
            check(f"{path}: rouse-proxy was spoken to in HTTP/{version}", seen.get("via", "").startswith(f"{version} "), seen),
            check(f"{path}: traceparent is kept", seen.get("traceparent") == forged["traceparent"], seen),
            check(f"{path}: Envoy's own timeout comes, shortened by what has passed",
                  70000 < int(seen.get("x-envoy-expected-rq-timeout-ms", 0)) <= 75000, seen),
        ]
    start = time.monotonic()
    status, body, headers = get(10080, "/soon", {"Host": "asleep.example"})
    took = time.monotonic() - start
    passed += [check("a held request is given up by Envoy's deadline", status == 504 and 0.8 < took < 5, (status, took))]
    wait_for("health", lambda: healthy(CLUSTERS))
    passed += [check("Envoy's active check finds /readyz", True, "")]
    rouse.send_signal(signal.SIGTERM)  # not ready at once; taking requests until the delay is over
    wait_for("the drain in Envoy's eyes", lambda: healthy(0))
    status, _, _ = get(10080, "/")
    passed += [check("a draining proxy is seen as such", status in (200, 503), status)]
    return passed


def main():
    rouse_bin, envoy_bin = sys.argv[1:]
    pod = http.server.ThreadingHTTPServer(("127.0.0.1", 10085), Echo)
    threading.Thread(target=pod.serve_forever, daemon=True).start()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    rouse = subprocess.Popen([rouse_bin, "--config", os.path.join(HERE, "rouse.yaml"), "--drain-delay=10s"], **quiet)
    envoy = subprocess.Popen([envoy_bin, "-c", os.path.join(HERE, "envoy.yaml"), "--concurrency", "1",
                              "--disable-hot-restart", "-l", "error"], **quiet)
    try:
        wait_for("rouse-proxy", lambda: get(10082, "/readyz")[0] == 200)
        wait_for("Envoy", lambda: get(10083, "/ready")[0] == 200)
        wait_for("Envoy's first health check", lambda: healthy(CLUSTERS))
        passed = checks(rouse)
    finally:
        for process in (envoy, rouse):
            process.terminate()
        for process in (envoy, rouse):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        pod.shutdown()
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    sys.exit(0 if all(passed) else 1)


main()
