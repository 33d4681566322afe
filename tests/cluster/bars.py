#!/usr/bin/env python3
"""The bars of a real cluster, measured on Rouse as it is installed. See README.md.

    bars.py [--list] [--json FILE] [NAME ...]

Exits 1 where a bar is missed; the table says which, and by how much.
"""

import asyncio
import calendar
import json
import random
import threading
import time

from lab import SYSTEM, Callers, Connection, Lab, Refused, Watch, need_lab, quantile, wait_until, workload

import bars  # tests/system: the table, and what a bar is
from bars import bar

bars.BARS.clear()

MS = 1e-6  # from nanoseconds
PENDING = {"nodeSelector": {"nobody": "has-this"}}  # the scheduler finds no node: what is measured ends before


class Moments:
    """When the API first told what of each workload, by watches, in nanoseconds."""

    def __init__(self, api, namespace="default"):
        self.seen, self.changed = {}, threading.Condition()
        self.watches = [Watch(api, "Deployment", namespace, self.deployment),
                        Watch(api, "Pod", namespace, self.pod),
                        Watch(api, "EndpointSlice", namespace, self.slice)]

    def stop(self):
        for watch in self.watches:
            watch.stop()

    def note(self, name, what, moment, value=None):
        with self.changed:
            self.seen.setdefault((name, what), (moment, value))
            self.changed.notify_all()

    def deployment(self, moment, _, found):
        if found["spec"].get("replicas", 0) > 0:
            self.note(found["metadata"]["name"], "scaled", moment)

    def pod(self, moment, kind, found):
        name = found["metadata"]["labels"].get("app")
        if kind == "DELETED":
            return
        self.note(name, "pod", moment)
        if found["status"].get("podIP"):
            self.note(name, "pod address", moment)
        if any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", [])):
            self.note(name, "ready", moment)

    def slice(self, moment, _, found):
        name = found["metadata"]["labels"].get("kubernetes.io/service-name")
        for endpoint in found.get("endpoints") or []:
            self.note(name, "address", moment, endpoint["addresses"][0])
            if endpoint["conditions"].get("ready"):
                self.note(name, "slice ready", moment)

    def wait(self, name, what, seconds=60):
        with self.changed:
            if not self.changed.wait_for(lambda: (name, what) in self.seen, seconds):
                raise TimeoutError(f"{name}: no '{what}' within {seconds} s")
        return self.seen[name, what]

    def at(self, name, what):
        return self.seen[name, what][0]


def installed(proxies=1):
    """A lab with Rouse, ready to be measured."""
    class Installed(Lab):
        def __enter__(self):
            super().__enter__()
            self.install(proxies)
            return self
    return Installed()


async def timed(address, host, path="/", timeout=90):
    """One request on a connection of its own that is open before; when it began, and the answer."""
    connection = Connection(8080, address)
    connection.reader, connection.writer = await asyncio.open_connection(address, 8080)
    began = time.time_ns()
    answer = await connection.request(host, path, timeout=timeout)
    ended = time.time_ns()
    connection.close()
    return began, ended, answer


@bar("wake_accepted", "first byte of a request for a sleeping Deployment -> scale accepted and seen by a watcher")
def wake_accepted(figures, rounds=200):
    names = [f"sleep-{i}" for i in range(rounds)]
    with installed() as lab:
        lab.api.create(*(item for name in names for item in workload(name, spec=PENDING)))
        lab.routed(*(f"{name}.default" for name in names), seconds=60)
        time.sleep(10)  # the autoscaler has read every count, the controllers have settled
        moments, proxy = Moments(lab.api), lab.proxies()[0]

        async def one(name):
            request = asyncio.create_task(timed(proxy, f"{name}.default"))
            began = time.time_ns()
            await asyncio.to_thread(moments.wait, name, "scaled", 10)
            request.cancel()
            return began
        waits = []
        for name in names:
            began = asyncio.run(one(name))
            waits.append((moments.at(name, "scaled") - began) * MS)
            time.sleep(random.random() / 10)
        moments.stop()
        written = audit(lab, "deployments")
    served = [(stamp(entry["stageTimestamp"]) - stamp(entry["requestReceivedTimestamp"])) * 1000 for entry in written]
    figures.tell("the API server's own part (audit), p50", quantile(served, 0.5), "ms")
    figures.tell("the API server's own part (audit), p99", quantile(served, 0.99), "ms")
    figures.most("p50", quantile(waits, 0.5), 10, "ms")
    figures.most("p99", quantile(waits, 0.99), 25, "ms")


def cold_rounds(lab, rounds, token):
    """Phases of `rounds` cold starts, each a list of milliseconds since the request's first byte."""
    proxy, phases = lab.proxies()[0], {}
    moments = Moments(lab.api)
    for i in range(rounds):
        name = f"cold-{i}"
        lab.add(name, spec={"automountServiceAccountToken": token, "terminationGracePeriodSeconds": 1})
        # The controllers settle, and the round falls anywhere between two ticks of the kubelet's poll.
        time.sleep(0.7 + random.random())
        began, ended, answer = asyncio.run(timed(proxy, f"{name}.default"))
        assert answer.status == 200, answer
        for what in ("ready", "address", "slice ready"):
            moments.wait(name, what)
        row = {"scale accepted": moments.at(name, "scaled"), "pod created": moments.at(name, "pod"),
               "process started": int(answer.headers["x-started-at"]),
               "process listening": int(answer.headers["x-listening-at"]),
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


@bar("cold_start", "whole cold starts, first byte in -> first byte out, with their phases")
def cold_start(figures, rounds=(50, 35)):
    with installed() as lab:
        for token, count in zip((False, True), rounds):
            label = "with token" if token else "without token"
            phases = cold_rounds(lab, count, token)
            for what in ("scale accepted", "pod created", "process started", "process listening",
                         "address published (slice)", "first byte at the pod", "Kubernetes' Ready (pod)",
                         "Kubernetes' ready (slice)"):
                for share in (0.5, 0.9):
                    figures.tell(f"{label}: {what}, p{share * 100:.0f}", quantile(phases[what], share), "ms")
            for share in (0.5, 0.9):
                figures.most(f"{label}: whole, p{share * 100:.0f}; bar: Kubernetes' Ready",
                             quantile(phases["first byte out"], share),
                             round(quantile(phases["Kubernetes' Ready (pod)"], share), 1), "ms")
            figures.most(f"{label}: own share, p50", quantile(phases["own share"], 0.5), 15, "ms")
            early = [value for value, listened in zip(phases["published -> first byte at the pod"],
                                                      phases["listened before it was published"]) if listened]
            figures.tell(f"{label}: rounds in which it listened before it was published", len(early))
            figures.most(f"{label}: published -> first byte at the pod, p50", quantile(early, 0.5), 5, "ms")
            figures.most(f"{label}: published -> first byte at the pod, p99", quantile(early, 0.99), 20, "ms")


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


def one_round(lab, count, number):
    """The same burst through us and without us, each at its own moment of the kubelet's poll."""
    ours, others = ([f"{kind}-{number}-{i}" for i in range(count)] for kind in ("ours", "bare"))
    lab.api.create(*(item for name in ours for item in workload(name)))
    lab.routed(*(f"{name}.default" for name in ours), seconds=60)
    time.sleep(8 + random.random())
    moments = Moments(lab.api)
    began = time.time_ns()
    took, failed = asyncio.run(burst(lab.proxies()[0], ours))
    for name in ours:
        for what in ("address", "ready"):
            moments.wait(name, what, 90)
    row = {what: [(moments.at(name, what) - began) * MS for name in ours] for what in ("scaled", "address", "ready")}
    row.update({"first byte out": took, "failed": failed})
    clear(lab)
    for target, service in map(workload, others):
        del service["metadata"]["labels"]  # nobody's
        lab.api.create(target, service)
    time.sleep(8 + random.random())
    row["scale + direct dial"] = bare(lab, moments, others)
    moments.stop()
    clear(lab)
    return row


def clear(lab):
    for kind in ("Service", "Deployment"):
        for item in lab.api.items(kind, "default"):
            if item["metadata"]["name"] != "kubernetes":
                lab.api.delete(kind, "default", item["metadata"]["name"])
    wait_until(lambda: not lab.api.items("Pod", "default"), 90, "the pods do not go")


def at_once(figures, count, rounds, whole=None, scales=None):
    with installed() as lab:
        rows = [one_round(lab, count, number) for number in range(rounds)]
    merged = {what: [value for row in rows for value in row[what]] for what in rows[0] if what != "failed"}
    figures.most("failed", sum(row["failed"] for row in rows), 0)
    last = max(max(row["scaled"]) for row in rows)
    figures.most("last scale accepted", last, scales, "ms") if scales else figures.tell(
        "last scale accepted", last, "ms")
    names = {"address": "Kubernetes' address", "ready": "Kubernetes' ready"}
    for what in ("address", "ready", "scale + direct dial"):
        for share in (0.5, 0.9):
            figures.tell(f"{names.get(what, what)}, p{share * 100:.0f}", quantile(merged[what], share), "ms")
    for share, most in zip((0.5, 0.9), whole or (None, None)):
        value = quantile(merged["first byte out"], share)
        name = f"first byte out, p{share * 100:.0f}"
        figures.most(name, value, most, "ms") if most else figures.tell(name, value, "ms")
        figures.most(f"{name}, over that of scale + direct dial",
                     value / quantile(merged["scale + direct dial"], share), 1.1)
    # From the moment at which a pod could have been dialled to its answer, and the writes before.
    after = [first - address for first, address in zip(merged["first byte out"], merged["address"])]
    figures.tell("address published -> first byte out, p50", quantile(after, 0.5), "ms")
    figures.tell("address published -> first byte out, p90", quantile(after, 0.9), "ms")
    return merged, last, after


@bar("five_at_once", "5 Deployments from zero at once")
def five_at_once(figures):
    at_once(figures, 5, 3, (1545, 1919))


@bar("twenty_five_at_once", "25 Deployments from zero at once")
def twenty_five_at_once(figures):
    at_once(figures, 25, 2, (2839, 4957), 150)


@bar("hundred_at_once", "100 Deployments from zero at once")
def hundred_at_once(figures):
    merged, last, after = at_once(figures, 100, 1)
    figures.most("our share of the total (last scale, and published -> first byte out, p50)",
                 (last + quantile(after, 0.5)) / max(merged["first byte out"]) * 100, 10, "%")


@bar("api_down", "the API server gone, then etcd and it restarted, under load; wakes held through both")
def api_down(figures, seconds=600):
    """What Kubernetes itself takes to act again is told apart: its controllers, its scheduler and its kubelets watch
    again after backoffs of their own of up to 30 s. The first two are restarted here, as a kubelet does with those that
    have lost their lease."""
    with installed(proxies=3) as lab:
        host = lab.add("warm", annotations={"autoscaling.knative.dev/min-scale": "2"})
        later = [lab.add(f"later-{i}", annotations={"rouse.dev/hold-timeout": "10m"}) for i in range(2)]
        addresses, backs = lab.proxies(), []

        async def held_through(number, proxy):
            await asyncio.to_thread(lab.component, "kube-apiserver", "kill")
            await asyncio.sleep(seconds if number == 0 else 1)
            held = asyncio.create_task(Connection(8080, proxy).request(later[number], timeout=300))
            await asyncio.sleep(0.5)
            await asyncio.to_thread(lab.component, "etcd", "restart")
            await asyncio.to_thread(lab.component, "kube-apiserver", "start")
            await asyncio.to_thread(wait_until, lambda: ready(lab), 60, "the API server is not back")
            backs.append(time.time())
            moments = await asyncio.to_thread(Moments, lab.api)
            for name in ("kube-controller-manager", "kube-scheduler"):
                await asyncio.to_thread(lab.component, name, "restart")
            answer = await held
            ended = time.time_ns()
            _, address = await asyncio.to_thread(moments.wait, f"later-{number}", "address")
            at = moments.at(f"later-{number}", "address")
            moments.stop()
            return answer, (at - backs[-1] * 1e9) * 1e-9, (ended - at) * MS, address

        async def outage():
            await Connection(8080, addresses[0]).request(host)
            await asyncio.to_thread(lab.settled, "warm", "default")
            loads = [Callers(8080, host, 4, address=address, pause=0.005) for address in addresses]
            for load in loads:
                await load.__aenter__()
            held = [await held_through(0, addresses[0])]
            held.append(await held_through(1, addresses[1]))
            for load in loads:
                await load.__aexit__()
            return loads, held
        loads, held = asyncio.run(outage())
        scales = {entry["objectRef"]["name"]: stamp(entry["stageTimestamp"])
                  for entry in reversed(audit(lab, "deployments"))}
    figures.tell("warm requests", sum(load.done for load in loads))
    figures.most("failed", sum(len(load.failures) for load in loads), 0)
    figures.least("requests held through it, answered 200", sum(row[0].status == 200 for row in held), 2)
    for number, (label, row) in enumerate(zip(("long outage", "restart"), held)):
        figures.most(f"{label}: API server ready -> scale of the held workload accepted",
                     max(scales[f"later-{number}"] - backs[number], 0), 2, "s")
        figures.tell(f"{label}: API server ready -> pod's address published, Kubernetes' own", row[1], "s")
        figures.tell(f"{label}: address published -> held request's answer, the function's start in it", row[2], "ms")


def ready(lab):
    try:
        lab.api.call("GET", "/api/v1/namespaces/default")
        return True
    except (OSError, Refused):
        return False


async def with_load(lab, host, work):
    """Runs `work` in a thread while each proxy is called by GET and by POST."""
    loads = {"GET": [], "POST": []}
    for address in lab.proxies():
        loads["GET"].append(Callers(8080, host, 2, "/?ms=3", address=address, pause=0.005))
        loads["POST"].append(Callers(8080, host, 2, "/?ms=3", "POST", b"x" * 512, address=address, pause=0.005))
    for callers in loads["GET"] + loads["POST"]:
        await callers.__aenter__()
    await asyncio.to_thread(work)
    for callers in loads["GET"] + loads["POST"]:
        await callers.__aexit__()
    return loads


def churned(figures, label, loads):
    for method, callers in loads.items():
        failures = [failure for each in callers for failure in each.failures]
        figures.tell(f"{label}: {method} requests", sum(each.done for each in callers))
        figures.most(f"{label}: failed {method}", len(failures), 0)
        for failure in failures[:5]:
            print(f"    {failure}")


@bar("pods_deleted", "1 000 pod deletions under load of 3 proxies; functions drain, with and without preStop")
def pods_deleted(figures, deletions=(1000, 200)):
    with installed(proxies=3) as lab:
        for pre_stop, count in zip((2, 0), deletions):
            name = f"churn-{pre_stop}"
            hook = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", str(pre_stop)]}}}} if pre_stop else {}
            host = lab.add(name, annotations={"autoscaling.knative.dev/min-scale": "8"},
                           container={"image": "rouse-sample:0.1.0", **hook})
            asyncio.run(Connection(8080, lab.proxies()[0]).request(host))
            lab.settled(name, "default")

            def delete():
                done = 0
                while done < count:
                    pods = [pod["metadata"]["name"] for pod in lab.pods(name) if any(
                        c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))]
                    for pod in pods[:min(count - done, max(len(pods) - 4, 0))]:
                        lab.api.delete("Pod", "default", pod)
                        done += 1
                    time.sleep(0.05)
            churned(figures, f"preStop {pre_stop} s", asyncio.run(with_load(lab, host, delete)))
            lab.api.delete("Deployment", "default", name, propagationPolicy="Background")


@bar("rolled", "50 rolling updates under load of 3 proxies; functions with preStop: sleep 2")
def rolled(figures, updates=50):
    with installed(proxies=3) as lab:
        host = lab.add("rolled", annotations={"autoscaling.knative.dev/min-scale": "2"}, container={
            "image": "rouse-sample:0.1.0", "lifecycle": {"preStop": {"exec": {"command": ["sleep", "2"]}}}})
        asyncio.run(Connection(8080, lab.proxies()[0]).request(host))
        lab.settled("rolled", "default")

        def roll():
            for version in range(updates):
                lab.api.patch("Deployment", "default", "rolled", {
                    "spec": {"template": {"metadata": {"annotations": {"version": str(version)}}}}})
                lab.settled("rolled", "default")
        churned(figures, f"{updates} updates", asyncio.run(with_load(lab, host, roll)))


def stamp(text):
    """Seconds of an audit line's moment."""
    whole, _, part = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (part or "0"))


def audit(lab, resource):
    """The accepted writes of a resource, in the order in which they were answered."""
    lab.component("kube-apiserver", "stop")  # so that it writes what it has
    entries = [json.loads(line) for line in (lab.state / "audit.log").read_text().splitlines()]
    return sorted((entry for entry in entries if entry["responseStatus"]["code"] < 300
                   and entry["objectRef"]["resource"] == resource),
                  key=lambda entry: entry["stageTimestamp"])


@bar("paused_leader", "200 times a leader is frozen until another leads, then goes on")
def paused_leader(figures, trials=200, lease=2.0):
    """With a lease of 2 s, so that a trial takes 5. What one wrote is told by its pod's address."""
    with Lab() as lab:
        lab.install(1)
        arguments = lab.api.get("Deployment", SYSTEM, "rouse-autoscaler")["spec"]["template"]["spec"]["containers"][0]
        arguments["args"] += [f"--lease-duration={lease:.0f}s", "--renew-deadline=1s", "--retry-period=100ms",
                              "--tick=200ms"]
        lab.api.patch("Deployment", SYSTEM, "rouse-autoscaler",
                      {"spec": {"template": {"spec": {"containers": [arguments]}}}})
        lab.settled("rouse-autoscaler")
        hosts = [lab.add(f"wave-{i}", annotations={"autoscaling.knative.dev/target": "1",
                                                   "autoscaling.knative.dev/max-scale": "4"}) for i in range(4)]
        stopping, proxy, led = threading.Event(), lab.proxies()[0], 0

        async def waves():
            while not stopping.is_set():
                host = random.choice(hosts)
                calls = [Connection(8080, proxy).request(host, "/?ms=700") for _ in range(random.randint(1, 4))]
                await asyncio.gather(*calls, return_exceptions=True)
                await asyncio.sleep(random.random())
        load = threading.Thread(target=lambda: asyncio.run(waves()))
        load.start()
        for _ in range(trials):
            leader = lab.leader()
            lab.signal(leader, "STOP")
            try:
                wait_until(lambda: lab.leader() != leader, 30, "nobody else leads")
                led += 1
                time.sleep(random.random())
            finally:
                lab.signal(leader, "CONT")
            time.sleep(0.5 + random.random())
        stopping.set()
        load.join()
        leases, scales = audit(lab, "leases"), audit(lab, "deployments")
    renewed, held, late, wakes, counts = iter(leases), {}, [], 0, {}
    following = next(renewed, None)
    for entry in scales:
        moment, writer = stamp(entry["stageTimestamp"]), entry["sourceIPs"][0]
        while following and stamp(following["stageTimestamp"]) <= moment:
            # Its lease runs from the moment at which it asked: nobody else waits less than that.
            held = {following["sourceIPs"][0]: stamp(following["requestReceivedTimestamp"]) + lease}
            following = next(renewed, None)
        target = entry["objectRef"]["name"]
        before, after = counts.get(target, 0), entry["responseObject"]["spec"].get("replicas", 0)
        counts[target] = after
        if before == 0 and after > 0:
            wakes += 1
        elif held.get(writer, 0) < moment:
            late.append((target, before, after, writer, moment - held.get(writer, moment)))
    figures.least("takeovers", led, trials)
    figures.tell("accepted writes of scale", len(scales))
    figures.tell("of these 0 -> n", wakes)
    figures.most("other writes by a replica whose lease had run out", len(late), 0)
    for write in late[:5]:
        print(f"    {write}")


if __name__ == "__main__":
    need_lab()
    raise SystemExit(bars.main())
