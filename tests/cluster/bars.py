#!/usr/bin/env python3
"""The bars of a real cluster, measured on Rouse as it is installed. See README.md.

    bars.py [--list] [--json FILE] [NAME ...]

Exits 1 where a bar is missed; the table says which, and by how much.
"""

import asyncio
import random
import threading
import time

from lab import Connection, Watch, need_lab, quantile, workload
from moments import MS, PENDING, Moments, at_any_moment, audit, clear, installed, stamp, timed

import bars  # tests/system: the table, and what a bar is
from bars import bar

bars.BARS.clear()


def wakes(lab, names, **options):
    """Asks for each sleeping workload, by proxies in turn; milliseconds until a watcher sees its count, of those asked
    of their home and of those that hop to it."""
    lab.api.create(*(item for name in names for item in workload(name, spec=PENDING, **options)))
    lab.routed(*(f"{name}.default" for name in names), seconds=60)
    lab.quiet(*names)
    moments, proxies, direct, hopped = Moments(lab.api), lab.proxies(), [], []

    async def one(name, proxy):
        request = asyncio.create_task(timed(proxy, f"{name}.default"))
        began = time.time_ns()
        await asyncio.to_thread(moments.wait, name, "scaled", 10)
        request.cancel()
        return (moments.at(name, "scaled") - began) * MS
    for number, name in enumerate(names):
        proxy = proxies[number % len(proxies)]
        before = lab.metrics(proxy, "rouse_proxy_hops_total")
        waited = asyncio.run(one(name, proxy))
        (direct if lab.metrics(proxy, "rouse_proxy_hops_total") == before else hopped).append(waited)
        time.sleep(random.random() / 10)
    moments.stop()
    return direct, hopped


@bar("wake_accepted", "first byte of a request for a sleeping Deployment -> scale accepted and seen by a watcher")
def wake_accepted(figures, rounds=200):
    with installed() as lab:
        waits, _ = wakes(lab, [f"sleep-{i}" for i in range(rounds)])
        written = audit(lab, "deployments")
    served = [(stamp(entry["stageTimestamp"]) - stamp(entry["requestReceivedTimestamp"])) * 1000 for entry in written]
    figures.tell("the API server's own part (audit), p50", quantile(served, 0.5), "ms")
    figures.tell("the API server's own part (audit), p99", quantile(served, 0.99), "ms")
    figures.most("p50", quantile(waits, 0.5), 10, "ms")
    figures.most("p99", quantile(waits, 0.99), 25, "ms")


@bar("wake_hopped", "the same of Deployments with a limit and three proxies, by whether the one asked is their home")
def wake_hopped(figures, rounds=200):
    with installed(proxies=3) as lab:
        direct, hopped = wakes(lab, [f"limited-{i}" for i in range(rounds)],
                               annotations={"rouse.dev/concurrency-limit": "1"})
    figures.tell("asked of their home", len(direct))
    figures.tell("p50", quantile(direct, 0.5), "ms")
    figures.tell("p99", quantile(direct, 0.99), "ms")
    figures.tell("by way of another proxy", len(hopped))
    figures.most("by way of another proxy, p50", quantile(hopped, 0.5), 10, "ms")
    figures.most("by way of another proxy, p99", quantile(hopped, 0.99), 25, "ms")


@bar("followed", "an endpoint slice changes -> requests go where it says")
def followed(figures, changes=200):
    """Of two pods, a slice that is written here names one, by turns. A caller asks without a pause: the lag is from the
    moment at which a watcher hears of a change to the beginning of the first request that the other pod answers."""
    target, service = workload("pair", annotations={"autoscaling.knative.dev/min-scale": "2",
                                                    "rouse.dev/scale-target": "deployment/pair"})
    target["spec"]["replicas"] = 2
    service["metadata"]["name"] = "followed"
    del service["spec"]["selector"]
    with installed() as lab:
        lab.api.create(target)
        lab.settled("pair", "default")
        pods = [[{"addresses": [pod["status"]["podIP"]], "conditions": {"ready": True},
                  "targetRef": {"kind": "Pod", "namespace": "default", "name": pod["metadata"]["name"],
                                "uid": pod["metadata"]["uid"]}}] for pod in lab.pods("pair")]
        lab.api.create(service, {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "followed-1", "namespace": "default", "labels": {
                "kubernetes.io/service-name": "followed", "rouse.dev/enabled": "true"}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": pods[0]})
        lab.routed("followed.default")
        heard, events = {}, threading.Condition()

        def hear(moment, _, found):
            if found["metadata"]["name"] == "followed-1":
                with events:
                    heard[found["metadata"]["resourceVersion"]] = moment
                    events.notify_all()
        watch, proxy, lags, late = Watch(lab.api, "EndpointSlice", "default", hear), lab.proxies()[0], [], 0

        async def follow():
            nonlocal late
            connection = Connection(8080, proxy)
            for number in range(1, changes + 1):
                now, answered = pods[number % 2][0]["targetRef"]["name"], None
                change = asyncio.create_task(asyncio.to_thread(
                    lab.api.patch, "EndpointSlice", "default", "followed-1", {"endpoints": pods[number % 2]}))
                while answered != now:
                    began = time.time_ns()
                    answered = (await connection.request("followed.default")).body.decode().strip()
                version = (await change)["metadata"]["resourceVersion"]
                with events:
                    assert events.wait_for(lambda: version in heard, 10)
                lags.append((began - heard[version]) * MS)
                for _ in range(random.randint(1, 20)):
                    late += (await connection.request("followed.default")).body.decode().strip() != now
        asyncio.run(follow())
        watch.stop()
    figures.tell("changes", len(lags))
    figures.tell("heard of -> followed, p50", quantile(lags, 0.5), "ms")
    figures.most("heard of -> followed, p99", quantile(lags, 0.99), 20, "ms")
    figures.most("requests to the old pod after the first to the new one", late, 0)


def cold_rounds(lab, rounds, token):
    """Phases of `rounds` cold starts, each a list of milliseconds since the request's first byte."""
    names, proxy, phases = [f"cold-{i}" for i in range(rounds)], lab.proxies()[0], {}
    spec = {"automountServiceAccountToken": token, "terminationGracePeriodSeconds": 1}
    lab.api.create(*(item for name in names for item in workload(name, spec=spec)))
    lab.routed(*(f"{name}.default" for name in names), seconds=60)
    lab.quiet(*names)
    moments = Moments(lab.api)
    for name in names:
        at_any_moment()
        began, ended, answer = asyncio.run(timed(proxy, f"{name}.default"))
        assert answer.status == 200, answer
        for what in ("ready", "address", "slice ready"):
            moments.wait(name, what)
        row = {"scale accepted": moments.at(name, "scaled"), "pod created": moments.at(name, "pod"),
               "process started": int(answer.headers["x-started-at"]),
               "process listening": int(answer.headers["x-listening-at"]),
               "pod's address published": moments.at(name, "pod address"),
               "address published (slice)": moments.at(name, "address"),
               "first byte at the pod": int(answer.headers["x-first-byte-at"]),
               "first byte out": ended, "Kubernetes' Ready (pod)": moments.at(name, "ready"),
               "Kubernetes' ready (slice)": moments.at(name, "slice ready")}
        row = {what: (moment - began) * MS for what, moment in row.items()}
        row["own share"] = (row["scale accepted"] + row["first byte out"] - max(
            row["process listening"], row["address published (slice)"]))
        row["published -> first byte at the pod"] = row["first byte at the pod"] - max(
            row["address published (slice)"], row["process listening"])
        row["listened before it was published"] = float(
            row["process listening"] <= row["address published (slice)"])
        for what, value in row.items():
            phases.setdefault(what, []).append(value)
        lab.api.delete("Service", "default", name)
        lab.api.delete("Deployment", "default", name, propagationPolicy="Background")
    moments.stop()
    return phases


def cold_starts(figures, rounds, token):
    with installed() as lab:
        phases = cold_rounds(lab, rounds, token)
    for what in ("scale accepted", "pod created", "process started", "process listening", "pod's address published",
                 "address published (slice)", "first byte at the pod", "Kubernetes' Ready (pod)",
                 "Kubernetes' ready (slice)"):
        for share in (0.5, 0.9):
            figures.tell(f"{what}, p{share * 100:.0f}", quantile(phases[what], share), "ms")
    for share in (0.5, 0.9):
        figures.most(f"whole, p{share * 100:.0f}; bar: Kubernetes' Ready", quantile(phases["first byte out"], share),
                     round(quantile(phases["Kubernetes' Ready (pod)"], share), 1), "ms")
    # Where Kubernetes publishes a pod's address and its readiness in one write, nobody is earlier who learns of pods
    # from its API.
    figures.tell("rounds in which address and Ready were published at once", sum(
        ready - at < 0.5 for ready, at in zip(phases["Kubernetes' Ready (pod)"], phases["pod's address published"])))
    figures.tell("rounds answered before Ready", sum(
        out < ready for out, ready in zip(phases["first byte out"], phases["Kubernetes' Ready (pod)"])))
    figures.tell("rounds answered before the slice said ready", sum(
        out < ready for out, ready in zip(phases["first byte out"], phases["Kubernetes' ready (slice)"])))
    figures.most("own share, p50", quantile(phases["own share"], 0.5), 15, "ms")
    early = [value for value, listened in zip(phases["published -> first byte at the pod"],
                                              phases["listened before it was published"]) if listened]
    figures.tell("rounds in which it listened before it was published", len(early))
    figures.most("published -> first byte at the pod, p50", quantile(early, 0.5), 5, "ms")
    figures.most("published -> first byte at the pod, p99", quantile(early, 0.99), 20, "ms")


@bar("cold_start", "100 cold starts of pods without a token volume, first byte in -> first byte out, with their phases")
def cold_start(figures, rounds=100):
    cold_starts(figures, rounds, False)


@bar("cold_start_token", "the same, of pods with one")
def cold_start_token(figures, rounds=100):
    cold_starts(figures, rounds, True)


async def burst(proxy, names):
    """All at the same moment; milliseconds until each answer, and how many were not 200."""
    async def one(name):
        began, ended, answer = await timed(proxy, f"{name}.default")
        return (ended - began) * MS, answer.status != 200
    done = await asyncio.gather(*(one(name) for name in names))
    return [took for took, _ in done], sum(failed for _, failed in done)


def bare(lab, moments, names):
    """The same without us: each scale is written at once, each pod dialled from the moment it has an address."""
    began = time.time_ns()

    def one(name):
        lab.api.patch("Deployment", "default", name, {"spec": {"replicas": 1}}, "scale")
        _, address = moments.wait(name, "address", 90)

        async def dial():
            while True:
                try:
                    return await Connection(8080, address).request("x")
                except OSError:
                    await asyncio.sleep(0.005)
        asyncio.run(dial())
        took.append((time.time_ns() - began) * MS)
    took = []
    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def through_us(lab, names):
    """Milliseconds since the burst began: of each answer, and of what a watcher heard of each workload."""
    lab.api.create(*(item for name in names for item in workload(name)))
    lab.routed(*(f"{name}.default" for name in names), seconds=60)
    lab.quiet(*names)
    at_any_moment()
    moments = Moments(lab.api)
    began = time.time_ns()
    took, failed = asyncio.run(burst(lab.proxies()[0], names))
    for name in names:
        for what in ("address", "ready"):
            moments.wait(name, what, 90)
    moments.stop()
    clear(lab)
    return {"first byte out": took, "failed": failed, "began": dict.fromkeys(names, began * 1e-9),
            **{what: [(moments.at(name, what) - began) * MS for name in names] for what in ("address", "ready")}}


def without_us(lab, names):
    for target, service in map(workload, names):
        del service["metadata"]["labels"]  # nobody's
        lab.api.create(target, service)
    lab.quiet(*names, ours=False)
    at_any_moment()
    moments = Moments(lab.api)
    took = bare(lab, moments, names)
    moments.stop()
    clear(lab)
    return took


def at_once(figures, count, rounds, whole=None, scales=None):
    """The same burst through us and without us by turns, each at a moment of its own of the kubelet's poll."""
    merged, direct, began = {"failed": 0}, [], {}
    with installed() as lab:
        for number in range(rounds):
            ours, others = ([f"{kind}-{number}-{i}" for i in range(count)] for kind in ("ours", "bare"))
            if number % 2:
                direct += without_us(lab, others)
            row = through_us(lab, ours)
            if not number % 2:
                direct += without_us(lab, others)
            began.update(row.pop("began"))
            merged = {what: merged.get(what, type(value)()) + value for what, value in row.items()}
        accepted = {}
        for entry in audit(lab, "deployments"):
            accepted.setdefault(entry["objectRef"]["name"], stamp(entry["stageTimestamp"]))
    last = max(accepted[name] - moment for name, moment in began.items()) * 1000
    figures.most("failed", merged["failed"], 0)
    figures.most("last scale accepted", last, scales, "ms") if scales else figures.tell(
        "last scale accepted", last, "ms")
    for name, values in (("Kubernetes' address", merged["address"]), ("Kubernetes' ready", merged["ready"]),
                         ("scale + direct dial", direct)):
        for share in (0.5, 0.9):
            figures.tell(f"{name}, p{share * 100:.0f}", quantile(values, share), "ms")
    for share, most in zip((0.5, 0.9), whole or (None, None)):
        value = quantile(merged["first byte out"], share)
        name = f"first byte out, p{share * 100:.0f}"
        figures.most(name, value, most, "ms") if most else figures.tell(name, value, "ms")
        figures.most(f"{name}, over that of scale + direct dial", value / quantile(direct, share), 1.1)
    # From the moment at which a watcher hears that a pod can be dialled to its answer; negative where we hear first.
    after = [first - address for first, address in zip(merged["first byte out"], merged["address"])]
    figures.tell("address published -> first byte out, p50", quantile(after, 0.5), "ms")
    figures.tell("address published -> first byte out, p90", quantile(after, 0.9), "ms")
    return merged, last, after


@bar("five_at_once", "5 Deployments from zero at once")
def five_at_once(figures):
    at_once(figures, 5, 6, (1545, 1919))


@bar("twenty_five_at_once", "25 Deployments from zero at once")
def twenty_five_at_once(figures):
    at_once(figures, 25, 3, (2839, 4957), 150)


@bar("hundred_at_once", "100 Deployments from zero at once")
def hundred_at_once(figures):
    merged, last, after = at_once(figures, 100, 1)
    figures.most("our share of the total (last scale, and published -> first byte out, p50)",
                 (last + quantile(after, 0.5)) / max(merged["first byte out"]) * 100, 10, "%")


if __name__ == "__main__":
    need_lab()
    raise SystemExit(bars.main())
