#!/usr/bin/env python3
"""The project's bars, measured on the three programs as users run them. See README.md.

    bars.py [--list] [--json FILE] [NAME ...]

Exits 1 where a bar is missed; the table says which, and by how much.
"""

import argparse
import asyncio
import datetime
import itertools
import json
import multiprocessing
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
import urllib.request

from client import Callers, Connection, quantile
from cluster import Cluster, wait_until, workload

BARS = {}


def bar(name, what):
    def register(function):
        BARS[name] = (what, function)
        return function
    return register


class Figures:
    """What was measured, and whether it meets its bar."""

    def __init__(self):
        self.rows = []

    def most(self, what, value, limit, unit=""):
        self.rows.append((what, value, f"<= {limit}", unit, value <= limit))

    def least(self, what, value, limit, unit=""):
        self.rows.append((what, value, f">= {limit}", unit, value >= limit))

    def tell(self, what, value, unit=""):
        self.rows.append((what, value, "", unit, True))


@bar("cold_start", "overhead of a cold start, 200 wakes: all but the function's own exec-to-listening")
def cold_start(figures, rounds=200):
    with Cluster() as cluster:
        names = [f"cold-{i}" for i in range(rounds)]
        for name in names:
            cluster.apply(*workload(name, grace=1))
        cluster.routed(names)
        overheads, wholes, own = [], [], []
        connection = Connection(cluster.proxy_port)
        for name in names:
            answer = asyncio.run(fresh(connection, f"{name}.default"))
            assert answer.status == 200, answer
            start = float(answer.headers.get("x-exec-to-listening-ms", "nan")) / 1000
            wholes.append(answer.seconds * 1000)
            own.append(start * 1000)
            overheads.append((answer.seconds - start) * 1000)
    figures.tell("whole, p50", quantile(wholes, 0.5), "ms")
    figures.tell("function's exec to listening, p50", quantile(own, 0.5), "ms")
    figures.most("overhead, p50", quantile(overheads, 0.5), 15, "ms")
    figures.most("overhead, p99", quantile(overheads, 0.99), 40, "ms")


async def fresh(connection, host):
    connection.close()
    answer = await connection.request(host)
    connection.close()
    return answer


@bar("hundred_at_once", "100 sleeping functions, one request each at the same moment")
def hundred_at_once(figures):
    with Cluster() as cluster:
        names = [f"fn-{i}" for i in range(100)]
        for name in names:
            cluster.apply(*workload(name))
        cluster.routed(names)

        async def ask():
            began = time.monotonic()
            answers = await asyncio.gather(
                *(Connection(cluster.proxy_port).request(f"{name}.default") for name in names))
            return answers, time.monotonic() - began
        answers, seconds = asyncio.run(ask())
    figures.least("answered 200", sum(a.status == 200 for a in answers), 100)
    figures.most("until the last answer", seconds, 3, "s")


@bar("parked_in_order", "1 000 requests parked on one sleeping function with a limit of 10 per pod")
def parked_in_order(figures):
    """The function answers every 8 ms, so one slot becomes free after the other. Arrival and dispatch are taken from
    the access log; the function, too, says in which place a request came."""
    for shards in (1, 2):
        with Cluster(shards=shards, proxy_flags=("--access-log", "json")) as cluster:
            cluster.apply(*workload("queue", env={"START_DELAY_MS": 5000}, annotations={
                "rouse.dev/concurrency-limit": "10", "autoscaling.knative.dev/max-scale": "1"}))
            cluster.routed(["queue"])

            async def ask():
                tasks = []
                for i in range(1000):
                    connection = Connection(cluster.proxy_port)
                    tasks.append(asyncio.create_task(
                        connection.request("queue.default", f"/?every=8&order={i}")))
                    await asyncio.sleep(0.003)
                answers = await asyncio.gather(*tasks)
                stats = await Connection(cluster.proxy_port).request("queue.default", "/stats")
                return answers, json.loads(stats.body)
            answers, stats = asyncio.run(ask())
            wait_until(lambda: len(parked_calls(cluster)) == 1000, 5, "the access log has not all calls")
            calls = parked_calls(cluster)
            figures.least(f"{shards} shards: answered 200", sum(a.status == 200 for a in answers), 1000)
            figures.most(f"{shards} shards: in flight at the pod", stats["in_flight_max"], 10)
            figures.most(f"{shards} shards: dispatched before somebody older", overtaken(calls, 0 if shards == 1 else 0.001), 0)
            off = [abs(int(a.headers.get("x-place", -1)) - i) for i, a in enumerate(answers)]
            figures.tell(f"{shards} shards: not in their place at the function, most places off",
                         f"{sum(o > 0 for o in off)}, {max(off)}")


def parked_calls(cluster):
    """(arrival, dispatch) in seconds of each parked call in the proxy's access log."""
    calls = []
    for line in cluster.proxy.log.read_text(errors="replace").splitlines():
        if '"wait_ms"' in line and "order=" in line:
            record = json.loads(line)
            end = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()
            arrival = end - record["duration_ms"] / 1000
            calls.append((arrival, arrival + record["wait_ms"] / 1000))
    return calls


def overtaken(calls, grace, clock=0.0005):
    """How many were dispatched after somebody who arrived later. `grace`: by how much a waiter of the freeing shard may
    be younger (design 15.6); `clock`: to which the log tells arrivals, by two clocks, from each other."""
    return sum(any(later > arrival + grace + clock and earlier < dispatch - clock for later, earlier in calls)
               for arrival, dispatch in calls)


def run_callers(cluster, host, seconds, faults, callers=8):
    async def drive():
        await Connection(cluster.proxy_port).request(host)
        async with Callers(cluster.proxy_port, host, callers) as running:
            stop = time.monotonic() + seconds
            while time.monotonic() < stop:
                await asyncio.to_thread(faults)
                await asyncio.sleep(0.05)
        return running
    return asyncio.run(drive())


def wrk(cluster, host, seconds, connections=32):
    """Warm traffic by wrk in the background: fast enough for counts that Python cannot make."""
    return subprocess.Popen(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", f"Host: {host}",
         f"http://127.0.0.1:{cluster.proxy_port}/"], stdout=subprocess.PIPE, text=True)


def wrk_result(process):
    text = process.communicate()[0]
    total = int(re.search(r"(\d+) requests in", text).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = (int(bad.group(1)) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0)
    return total, failed


@bar("warm_under_faults", "warm traffic while the API is down, watches are cut, the autoscaler is killed every 2 s")
def warm_under_faults(figures):
    subprocess.run([str(pathlib.Path(__file__).resolve().parents[2] / "third_party/install.sh"), "bench"], check=True)
    with Cluster() as cluster:
        cluster.apply(*workload("warm", annotations={"autoscaling.knative.dev/min-scale": "1"}))
        cluster.routed(["warm"])
        asyncio.run(Connection(cluster.proxy_port).request("warm.default"))
        total = 0
        for what, act in (
                ("API down", lambda: cluster.faults({"down": {"duration": "10s"}})),
                ("watches cut each second", lambda: cluster.faults({"cutWatchesEvery": "1s"})),
                ("autoscaler killed every 2 s", None)):
            load = wrk(cluster, "warm.default", 12)
            if act:
                act()
            while load.poll() is None:
                if not act:
                    cluster.autoscaler.kill()
                    cluster.autoscaler.start()
                try:
                    load.wait(2)
                except subprocess.TimeoutExpired:
                    pass
            done, failed = wrk_result(load)
            total += done
            figures.most(f"{what}: failed of {done}", failed, 0)
            cluster.start(cluster.autoscaler, cluster.scaler_health) if not act else None
            wait_until(lambda: cluster.status(cluster.api_port, "/readyz") == 200, 15, "the API is not back")
            try:
                cluster.call("DELETE", "/rouse.local/faults")
            except OSError:
                pass
        figures.least("requests in all", total, 100_000)


@bar("removed_while_serving", "pods removed under load, half GET, half POST; functions that drain on SIGTERM")
def removed_while_serving(figures):
    with Cluster() as cluster:
        getting, posting = remove_pods(figures, cluster, {})
    figures.most("failed GET", len(getting.failures), 0)
    figures.most("failed POST", len(posting.failures), 0)


@bar("removed_at_once", "the same with functions that exit at once: a POST may fail only in a pod's hands")
def removed_at_once(figures):
    with Cluster() as cluster:
        log = cluster.directory / "calls"
        getting, posting = remove_pods(figures, cluster, {"EXIT_AT_ONCE": 1, "CALL_LOG": log})
        begun = set(map(int, log.read_text().split()))
    figures.most("failed GET", len(getting.failures), 0)
    figures.tell("failed POST", len(posting.failures))
    figures.tell("of these begun by a pod, as it says itself", len(begun.intersection(posting.failed)))
    figures.most("failed POST other than in flight", sum("upstream_reset" not in f for f in posting.failures), 0)


def remove_pods(figures, cluster, env, rounds=500):
    """Deletes a ready pod after the other under 12 callers; the calls' outcomes."""
    cluster.apply(*workload("churn", env=env, annotations={"autoscaling.knative.dev/min-scale": "2",
                                                           "autoscaling.knative.dev/max-scale": "3"}))
    cluster.routed(["churn"])

    async def drive():
        await Connection(cluster.proxy_port).request("churn.default")
        removed = 0
        async with Callers(cluster.proxy_port, "churn.default", 6, "/?ms=3") as getting:
            async with Callers(cluster.proxy_port, "churn.default", 6, "/?ms=3", "POST", b"x" * 512) as posting:
                posting.numbers = itertools.count(1_000_000_000)  # apart from those of GET
                while removed < rounds:
                    pods = await asyncio.to_thread(cluster.pods, "churn")
                    ready = [p for p in pods if not p["metadata"].get("deletionTimestamp") and any(
                        c["type"] == "Ready" and c["status"] == "True"
                        for c in p.get("status", {}).get("conditions", []))]
                    if len(ready) >= 2:
                        name = ready[0]["metadata"]["name"]
                        await asyncio.to_thread(
                            cluster.call, "DELETE", f"/api/v1/namespaces/default/pods/{name}")
                        removed += 1
                    await asyncio.sleep(0.02)
        return getting, posting, removed
    getting, posting, removed = asyncio.run(drive())
    figures.tell("pods removed", removed)
    figures.tell("requests", getting.done + posting.done)
    for failure in (getting.failures + posting.failures)[:5]:
        print(f"    {failure}", file=sys.stderr)
    return getting, posting


def cold_burst_calls(port, name, count, result):
    """In an idle-priority process of its own: opens `count` connections with one cold request each, and reads the
    answers."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    async def drive():
        raw = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET / HTTP/1.1\r\nhost: {name}.default\r\n\r\n".encode())
            raw.append((reader, writer))
        good = 0
        for reader, writer in raw:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 60)
            good += b" 200 " in head
            writer.close()
        return good
    result.put(asyncio.run(drive()))


@bar("cold_burst", "10 000 cold requests on one workload while another, warm, is called steadily")
def cold_burst(figures, rounds=5):
    """The proxy has a CPU of its own, and the bursts' callers and pods, four at most, run only where nobody else wants
    to: what the warm workload's callers see of a burst is the proxy's doing. Each burst is compared with the quiet
    before it; the first is a rehearsal, in which memory is touched for the first time."""
    with Cluster() as cluster:
        cluster.proxy.pin(1)
        cluster.local.pin(0)
        cluster.autoscaler.pin(0)
        os.sched_setaffinity(0, {0})
        bursts = [f"burst-{i}" for i in range(rounds + 1)]
        for name in bursts:
            cluster.apply(*workload(name, command=("chrt", "--idle", "0", "sample-hello"), env={"START_DELAY_MS": 4000},
                                    annotations={"rouse.dev/parked-max": "20000",
                                                 "autoscaling.knative.dev/max-scale": "4"}))
        cluster.apply(*workload("steady", annotations={"autoscaling.knative.dev/min-scale": "1"}))
        cluster.routed([*bursts, "steady"])
        result = multiprocessing.Queue()

        async def steady(until):
            async with Callers(cluster.proxy_port, "steady.default", 2, pause=0.002) as callers:
                await until()
            return callers

        async def measure(name):
            burst = multiprocessing.Process(target=cold_burst_calls, args=(cluster.proxy_port, name, 10_000, result))
            quiet = await steady(lambda: asyncio.sleep(6))
            burst.start()
            return quiet, await steady(lambda: asyncio.to_thread(burst.join))
        measured = [asyncio.run(measure(name)) for name in bursts][1:]
        answered = [result.get() for _ in bursts]
        os.sched_setaffinity(0, range(os.cpu_count()))
    figures.least("cold ones answered 200, in the worst burst", min(answered), 10_000)
    figures.most("warm failed", sum(len(loud.failures) for _, loud in measured), 0)
    p99 = [[quantile(calls.seconds, 0.99) * 1000 for calls in pair] for pair in measured]
    figures.tell("warm p99, quiet and during the burst", ", ".join(f"{q:.2f} {b:.2f}" for q, b in p99), "ms")
    figures.most("warm p99, as a multiple of quiet (median)", statistics.median(b / q for q, b in p99), 2)


@bar("idle", "both programs idle for 60 s in the tour's state")
def idle(figures, seconds=60):
    with Cluster() as cluster:
        for name in ("hello-cpp", "hello-python", "hello-slow"):
            cluster.apply(*workload(name))
        cluster.routed(["hello-cpp", "hello-python", "hello-slow"])
        time.sleep(2)
        before = {p.name: p.cpu_seconds() for p in (cluster.proxy, cluster.autoscaler)}
        time.sleep(seconds)
        for process in (cluster.proxy, cluster.autoscaler):
            share = (process.cpu_seconds() - before[process.name]) / seconds * 100
            figures.most(f"{process.name}, share of a core", share, 0.3, "%")
            figures.tell(f"{process.name}, RSS", process.rss_kib() / 1024, "MiB")


def socket_memory_kib(pid):
    """What the kernel holds for the sockets of a process: received, queued to be sent, reserved (ss -m)."""
    text = subprocess.run(["ss", "-tmnpHO"], capture_output=True, text=True, check=False).stdout
    total = 0
    for line in text.splitlines():
        memory = re.search(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),o(\d+),bl(\d+)", line)
        if memory and f"pid={pid}," in line:
            total += sum(map(int, memory.groups()))
    return total // 1024


async def upload(port, name, size):
    """`size` bytes, or as many as are taken before the answer; its status, 0 where the connection broke."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST / HTTP/1.1\r\nhost: {name}.default\r\ncontent-length: {size}\r\n\r\n".encode())

    async def push():
        try:
            for _ in range(size // 65536):
                writer.write(b"x" * 65536)
                await writer.drain()
        except OSError:
            pass
    pushing = asyncio.create_task(push())
    try:
        head = await reader.readuntil(b"\r\n")
        return int(head.split(b" ")[1])
    except (OSError, asyncio.IncompleteReadError):
        return 0
    finally:
        pushing.cancel()
        writer.close()


@bar("held_uploads", "2 GiB uploaded to sleeping functions, limit 256 MiB: RSS and sockets until all are answered")
def held_uploads(figures):
    with Cluster(proxy_flags=("--parked-bytes-max", "256MiB")) as cluster:
        names = [f"up-{i}" for i in range(8)]
        for name in names:
            cluster.apply(*workload(name, env={"START_DELAY_MS": 8000}))
        cluster.routed(names)
        before = cluster.proxy.rss_kib()
        peak, held = 0, 0

        async def watch(done):
            nonlocal peak, held
            while not done.is_set():
                now = cluster.proxy.rss_kib() - before + await asyncio.to_thread(socket_memory_kib, cluster.proxy.pid)
                peak = max(peak, now)
                held = max(held, now if cluster.metric("rouse_proxy_parked_requests") == 128 else 0)
                await asyncio.sleep(0.1)

        async def drive():
            done = asyncio.Event()
            watching = asyncio.create_task(watch(done))
            statuses = await asyncio.gather(
                *(upload(cluster.proxy_port, names[i % 8], 16 << 20) for i in range(128)))
            done.set()
            await watching
            return statuses
        statuses = asyncio.run(drive())
        wait_until(lambda: cluster.metric("rouse_proxy_downstream_received_bytes_total") >= 2 << 30 or
                   set(statuses) != {200}, 10, "the bytes of answered uploads are not in the metrics")
        received = cluster.metric("rouse_proxy_downstream_received_bytes_total")
    figures.tell("answers", {s: statuses.count(s) for s in sorted(set(statuses))})
    figures.most("answers other than 200, 413, 429, 503", sum(s not in (200, 413, 429, 503) for s in statuses), 0)
    figures.tell("bytes forwarded", received / (1 << 20), "MiB")
    figures.tell("growth of RSS and sockets while all are held", held / 1024, "MiB")
    figures.most("growth of RSS and sockets at any time", peak / 1024, 282, "MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.list:
        for name, (what, _) in BARS.items():
            print(f"{name:24}{what}")
        return 0
    unknown = [name for name in options.names if name not in BARS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; --list names them")
    result, missed = {}, 0
    for name in options.names or BARS:
        what, function = BARS[name]
        print(f"\n{name}: {what}", flush=True)
        figures = Figures()
        function(figures)
        result[name] = {row[0]: row[1] for row in figures.rows}
        for row, value, limit, unit, good in figures.rows:
            shown = f"{value:.3g}" if isinstance(value, float) else str(value)
            missed += not good
            print(f"    {row:44} {shown:>12} {unit:4} {limit:12} {'' if good else 'MISSED'}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
