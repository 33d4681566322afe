#!/usr/bin/env python3
"""The tour: one cold start with its timeline, a load wave out and back, the return to zero.

    tour.py --proxy URL --autoscaler URL --api URL [--token TOKEN]

Standard library only. Exits 1 where something did not happen in time; the text says what.
"""

import argparse
import datetime
import http.client
import json
import sys
import threading
import time
import urllib.parse

NAMESPACE = "default"
WAVE = {"function": "hello-cpp", "callers": 24, "seconds": 12, "work_ms": 100}
ZERO_WITHIN_SECONDS = 50


class Failed(Exception):
    """Something that the tour promises did not happen."""


def get(url, path, headers=None, timeout=30):
    """One request on a connection of its own: (status, headers, body)."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


class Cluster:
    """What the tour asks of the API and of the autoscaler."""

    def __init__(self, api, token, autoscaler):
        self.api, self.autoscaler = api, autoscaler
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def object(self, path):
        status, _, body = get(self.api, path, self.headers)
        if status != 200:
            raise Failed(f"the API answered {status} to {path}: {body.decode(errors='replace')[:200]}")
        return json.loads(body)

    def replicas(self, name):
        """(wanted, ready) of a Deployment."""
        deployment = self.object(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")
        return deployment["spec"].get("replicas", 0), deployment.get("status", {}).get("readyReplicas", 0)

    def pods(self, name):
        selector = urllib.parse.quote(f"app={name}")
        return self.object(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={selector}")["items"]

    def pod_started(self, name):
        """When the newest pod's process was started, in seconds since the epoch; None where unknown."""
        stamps = [int(pod["metadata"].get("annotations", {}).get("local.rouse.dev/exec-time-ns", 0))
                  for pod in self.pods(name)]
        return max(stamps, default=0) / 1e9 or None

    def scale_written(self, name):
        """When the autoscaler's last decision for a workload was accepted; None where unknown."""
        status, _, body = get(self.autoscaler, "/decisions")
        if status != 200:
            return None
        stamps = [entry["at_unix_ms"] / 1000 for workload in json.loads(body)["decisions"]
                  if workload["workload"] == f"{NAMESPACE}/{name}"
                  for entry in workload["entries"] if entry.get("wanted", 0) > 0]
        return max(stamps, default=None)


def server_timing(value):
    """`held;dur=1.2, probe;dur=3` -> {"held": 1.2, "probe": 3.0}, in milliseconds."""
    phases = {}
    for part in filter(None, (p.strip() for p in (value or "").split(","))):
        name, _, rest = part.partition(";")
        for field in rest.split(";"):
            key, _, number = field.strip().partition("=")
            if key == "dur":
                phases[name.strip()] = float(number)
    return phases


def cold_start(cluster, proxy, name):
    wanted, _ = cluster.replicas(name)
    if wanted != 0:
        raise Failed(f"{name} should be asleep, but wants {wanted} replicas")
    print(f"\n  A request for {name}, which has no process at all:\n")
    print(f"    $ curl -H 'Host: {name}.{NAMESPACE}' {proxy}/")
    began = time.time()
    status, headers, body = get(proxy, "/", {"host": f"{name}.{NAMESPACE}"}, timeout=60)
    whole = (time.time() - began) * 1000
    if status != 200:
        raise Failed(f"{name} answered {status}: {body.decode(errors='replace')[:300]}")
    print(f"    {body.decode().strip()}\n")

    rows = [(0.0, "request held by rouse-proxy")]
    phases = server_timing(headers.get("server-timing"))
    if "wake" in phases:
        rows.append((phases["wake"], "reported to rouse-autoscaler"))
        rows.append((phases["wake"] + phases.get("pod", 0), "pod found ready by the proxy's own probe"))
    if "held" in phases:
        rows.append((phases["held"], "request sent on to the pod"))
    reported = began + phases.get("wake", 0) / 1000
    written = cluster.scale_written(name)  # whole milliseconds, rounded down
    for stamp, text in ((written and max(written, reported), "scale written: 0 -> 1"),
                        (cluster.pod_started(name), "process started")):
        if stamp and began - 0.002 <= stamp <= began + whole / 1000:
            rows.append((max(0.0, (stamp - began) * 1000), text))
    rows.append((whole, "first byte at the client"))
    for at, text in sorted(rows):
        print(f"    {at:9.1f} ms  {text}")
    return whole


class Wave:
    """Callers that each send one request after the other, and count what they see."""

    def __init__(self, proxy):
        self.proxy = urllib.parse.urlsplit(proxy)
        self.lock = threading.Lock()
        self.done = self.failed = 0
        self.slowest_ms = 0.0
        self.stop = threading.Event()

    def call(self):
        path = f"/?ms={WAVE['work_ms']}"
        headers = {"host": f"{WAVE['function']}.{NAMESPACE}"}
        connection = http.client.HTTPConnection(self.proxy.hostname, self.proxy.port, timeout=60)
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                good = answer.status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
                good = False
            took = (time.monotonic() - began) * 1000
            with self.lock:
                self.done += 1
                self.failed += 0 if good else 1
                self.slowest_ms = max(self.slowest_ms, took)
        connection.close()


def progress(text):
    end = "\r" if sys.stdout.isatty() else "\n"
    print(f"    {text:<74}", end=end, flush=True)


def load_wave(cluster, proxy):
    name, callers = WAVE["function"], WAVE["callers"]
    print(f"\n  A wave: {callers} callers of {name} for {WAVE['seconds']} s, each request {WAVE['work_ms']} ms of work:\n")
    wave = Wave(proxy)
    threads = [threading.Thread(target=wave.call, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    most, began, before = 0, time.monotonic(), 0
    while time.monotonic() - began < WAVE["seconds"]:
        wave.stop.wait(1)
        wanted, ready = cluster.replicas(name)
        most = max(most, ready)
        with wave.lock:
            done, failed, slowest = wave.done, wave.failed, wave.slowest_ms
        progress(f"{time.monotonic() - began:4.0f} s  pods {ready}/{wanted}  {done - before:5d} requests/s  "
                 f"failed {failed}  slowest {slowest:.0f} ms")
        before = done
    wave.stop.set()
    for thread in threads:
        thread.join()
    print(f"\n    {wave.done} requests, {wave.failed} failed, up to {most} pods")
    if wave.failed:
        raise Failed(f"{wave.failed} of {wave.done} requests of the wave failed")
    if most < 2:
        raise Failed("the wave did not scale the function out")


def back_to_zero(cluster, names):
    print("\n  Silence, and the way back to zero:\n")
    began = time.monotonic()
    while time.monotonic() - began < ZERO_WITHIN_SECONDS:
        counts = {name: (*cluster.replicas(name), len(cluster.pods(name))) for name in names}
        progress(f"{time.monotonic() - began:4.0f} s  " +
                 "  ".join(f"{name} {ready}/{wanted}" for name, (wanted, ready, _) in counts.items()))
        if all(wanted == 0 and pods == 0 for wanted, _, pods in counts.values()):
            print(f"\n    everything is asleep again after {time.monotonic() - began:.0f} s")
            return
        threading.Event().wait(1)
    raise Failed(f"not back at zero within {ZERO_WITHIN_SECONDS} s: {counts}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", required=True, help="URL of rouse-proxy's listener")
    parser.add_argument("--autoscaler", required=True, help="URL of rouse-autoscaler's admin port")
    parser.add_argument("--api", required=True, help="URL of the Kubernetes API")
    parser.add_argument("--token", default="", help="bearer token for the API")
    options = parser.parse_args()
    cluster = Cluster(options.api, options.token, options.autoscaler)
    functions = ["hello-cpp", "hello-python", "hello-slow"]
    try:
        for name in functions:
            cold_start(cluster, options.proxy, name)
        load_wave(cluster, options.proxy)
        back_to_zero(cluster, functions)
    except (Failed, OSError) as problem:
        print(f"\ntour: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
