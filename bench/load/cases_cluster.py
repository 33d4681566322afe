"""Cases of rouse-proxy alone, in front of a stub of a cluster: parking, releasing, endpoint changes."""

import contextlib
import json
import statistics
import threading
import time

import loads
import stats
from cases import Outcome, case
from kube_stub import KubeStub
from processes import Failed, wait_until
from rouse_config import endpoint_slice, service

WORKLOAD = "echo"
HOST_FIELD = f"Host: {WORKLOAD}.bench"
REQUEST = (f"GET / HTTP/1.1\r\n{HOST_FIELD}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n").encode()
KNOWN_SECONDS = 10
CHURN_WORKLOADS = 100
CHURN_RATE = 1000  # endpoint changes a second
CHURN_STEP_SECONDS = 0.005
CHURN_REQUEST_RATE = 2000


class Cluster:
    """A stub with one workload, and a rouse-proxy that watches it."""

    def __init__(self, bench, world, others=0, flags=None, name="rouse", **how):
        self.stub = world.keep(KubeStub())
        self.origin = world.origin.port
        body = service(WORKLOAD)
        body["metadata"]["annotations"] = {"rouse.dev/parked-max": "20000"}
        self.stub.put("services", body)
        self.others = [f"fn-{i}" for i in range(others)]
        for other in self.others:
            self.stub.put("services", service(other))
            self.stub.put("endpointslices", endpoint_slice(other, self.origin, True))
        self.release(False)
        self.proxy = world.start(name, {"kube": self.stub, "flags": flags or {}, **how})
        self.bench = bench
        wait_until(lambda: self.metric("rouse_proxy_snapshot_version") > 0, KNOWN_SECONDS, "no snapshot")

    def metric(self, name, labels=""):
        try:
            return loads.metric(self.proxy.health, name, labels)
        except OSError:
            return 0

    def release(self, ready):
        """Tells whether the workload has its pod; when, in monotonic nanoseconds."""
        return self.stub.put("endpointslices", endpoint_slice(WORKLOAD, self.origin, ready))

    def await_endpoints(self, count):
        wait_until(lambda: self.metric("rouse_proxy_endpoints_ready", f'"bench/{WORKLOAD}"') == count, KNOWN_SECONDS,
                   f"the proxy does not see {count} endpoints")

    def await_parked(self, count):
        seen = []

        def parked():
            seen.append(self.metric("rouse_proxy_parked_requests", f'"bench/{WORKLOAD}"'))
            return seen[-1] >= count
        try:
            wait_until(parked, KNOWN_SECONDS, "")
        except Failed as late:
            raise Failed(f"only {max(seen):.0f} of {count} requests are parked") from late


@case("parked_15k", "15 000 requests parked in one process: memory growth each, connection included")
def parked_15k(bench, count=15_000):
    outcome = Outcome()
    with bench.world() as world:
        cluster = Cluster(bench, world, flags={"connections-per-client-max": None, "connections-max": 19000})
        before = cluster.proxy.rss_kib()
        bench.progress(f"parked_15k: parking {count}")
        with loads.Waiting(cluster.proxy.port, count, loads.ADDRESSES, REQUEST) as waiting:
            waiting.open(answered=False)
            cluster.await_parked(count)
            after = cluster.proxy.rss_kib()
            bench.progress(f"parked_15k: releasing {count}")
            cluster.release(True)
            good = waiting.answers(30)
        if good != count:
            raise Failed(f"only {good} of {count} parked requests were answered 200")
        outcome.add("rouse", rss_kib=after, bytes_each=(after - before) * 1024 / count)
    return outcome


@case("parked_100k", "100 000 requests parked over six processes: memory growth each, connection included")
def parked_100k(bench, count=100_000, processes=6):
    outcome = Outcome()
    shares = [count // processes + (i < count % processes) for i in range(processes)]
    with bench.world() as world, contextlib.ExitStack() as clients:
        flags = {"connections-per-client-max": None, "connections-max": 19000}
        clusters = [Cluster(bench, world, flags=flags, name=f"rouse_{i}") for i in range(processes)]
        before = sum(cluster.proxy.rss_kib() for cluster in clusters)
        bench.progress(f"parked_100k: parking {count}")
        waiting = [clients.enter_context(loads.WaitingElsewhere(cluster.proxy.port, share, 2 * loads.ADDRESSES,
                                                                   REQUEST))
                   for cluster, share in zip(clusters, shares)]
        for cluster, share, client in zip(clusters, shares, waiting):
            client.opened()
            cluster.await_parked(share)
        after = sum(cluster.proxy.rss_kib() for cluster in clusters)
        bench.progress(f"parked_100k: releasing {count}")
        answers = [client.answers(60) for client in waiting]
        for cluster in clusters:
            cluster.release(True)
        good = sum(answer() for answer in answers)
        if good != count:
            raise Failed(f"only {good} of {count} parked requests were answered 200")
        outcome.add("rouse", rss_kib=after, bytes_each=(after - before) * 1024 / count)
    return outcome


def since_ready(log, count):
    """The longest times from the endpoint's readiness on the shard, of the next `count` parked requests that the access
    log tells: until the slot, until the first byte of the answer. In milliseconds of the log's own clock."""
    # The pod shares this CPU: nothing is looked at before all is there.
    lines = []

    def written():
        lines.extend(log.readlines())
        return sum(line.endswith("\n") for line in lines) >= count
    wait_until(written, KNOWN_SECONDS, f"the access log does not have the {count} requests")
    records = [json.loads(line) for line in "".join(lines).splitlines()]
    return [max(one[moment] - one["ready_ms"] for one in records) for moment in ("wait_ms", "first_byte_ms")]


@case("parked_release", "1 000 parked requests released at once: from the endpoint ready to the last one on its way", True)
def parked_release(bench, count=1000):
    options, outcome = bench.options, Outcome()
    with bench.world() as world:
        cluster = Cluster(bench, world, access_log="json")
        log = world.running.enter_context(open(world.directory / "rouse.access", encoding="utf-8"))
        for number in range(options.rounds):
            bench.progress(f"parked_release: round {number + 1} of {options.rounds}")
            cluster.release(False)
            cluster.await_endpoints(0)
            with loads.Waiting(cluster.proxy.port, count, 1, REQUEST) as waiting:
                waiting.open(answered=False)
                cluster.await_parked(count)
                told = cluster.release(True)
                # The answers stay in their sockets meanwhile: reading them would take the pod's CPU.
                slot, first_byte = since_ready(log, count)
                good = waiting.answers(10)
            if good != count:
                raise Failed(f"only {good} of {count} parked requests were answered 200")
            last = int(loads.fetch(world.origin.port, "/last-arrival"))
            outcome.rounds.append({"rouse": {"last_ms": first_byte, "slot_ms": slot, "told_ms": (last - told) / 1e6}})
    return outcome


class Churn:
    """Changes endpoints of many workloads at a fixed rate, from a thread, while the context lasts."""

    def __init__(self, cluster):
        self.cluster, self.stopping, self.done = cluster, threading.Event(), 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def run(self):
        start = time.monotonic()
        while not self.stopping.wait(CHURN_STEP_SECONDS):
            wanted = (time.monotonic() - start) * CHURN_RATE
            while self.done < wanted:
                names = self.cluster.others
                name = names[self.done % len(names)]
                ready = (self.done // len(names)) % 2 == 1
                self.cluster.stub.put("endpointslices", endpoint_slice(name, self.cluster.origin, ready))
                self.done += 1


@case("endpoint_churn", "1 000 endpoint changes a second, of 100 other workloads, under 2 000 requests a second")
def endpoint_churn(bench):
    """rouse_quiet is the same process in the rounds without changes."""
    options, outcome = bench.options, Outcome()
    with bench.world() as world:
        cluster = Cluster(bench, world, others=CHURN_WORKLOADS)
        cluster.release(True)
        cluster.await_endpoints(1)
        cluster.proxy.fields = [HOST_FIELD]
        seconds = max(3, options.seconds)
        loads.paced(cluster.proxy, options, 64, CHURN_REQUEST_RATE, 1)
        told = []
        for number in range(options.rounds):
            bench.progress(f"endpoint_churn: round {number + 1} of {options.rounds}")
            figures = {}
            for name in stats.order_of(("rouse_quiet", "rouse"), number):
                if name == "rouse":
                    with Churn(cluster) as churn:
                        begun, before = time.monotonic(), churn.done
                        figures[name] = loads.paced(cluster.proxy, options, 64, CHURN_REQUEST_RATE, seconds)
                        told.append((churn.done - before) / (time.monotonic() - begun))
                else:
                    figures[name] = loads.paced(cluster.proxy, options, 64, CHURN_REQUEST_RATE, seconds)
            for one in figures.values():
                one["core_share"] = one["cpu_seconds"] / one["seconds"]
            outcome.rounds.append(figures)
        if statistics.median(told) < CHURN_RATE * 0.95:
            raise Failed(f"only {statistics.median(told):.0f} changes a second were told")
        outcome.add("rouse", changes_per_second=statistics.median(told), rss_kib=cluster.proxy.rss_kib())
    return outcome
