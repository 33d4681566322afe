#!/usr/bin/env python3
"""The bars of a real cluster in which something fails or goes: as bars.py, which has the others. See README.md.

    fault_bars.py [--list] [--json FILE] [NAME ...]
"""

import asyncio
import itertools
import random
import threading
import time

from lab import SYSTEM, Callers, Connection, Lab, need_lab, quantile, wait_until
from moments import MS, PENDING, Moments, audit, installed, stamp

import bars  # tests/system: the table, and what a bar is
from bars import bar

bars.BARS.clear()


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
            await asyncio.to_thread(lab.holds, proxy, f"default/later-{number}")
            await asyncio.to_thread(lab.component, "etcd", "restart")
            await asyncio.to_thread(lab.component, "kube-apiserver", "start")
            await asyncio.to_thread(wait_until, lab.answers, 60, "the API server is not back")
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


async def with_load(lab, host, work):
    """Runs `work` in a thread while each proxy is called by GET and by POST."""
    loads, numbers = {"GET": [], "POST": []}, itertools.count(1)
    for address in lab.proxies():
        loads["GET"].append(Callers(8080, host, 2, "/?ms=3", address=address, pause=0.005))
        loads["POST"].append(Callers(8080, host, 2, "/?ms=3", "POST", b"x" * 512, address=address, pause=0.005))
    for callers in loads["GET"] + loads["POST"]:
        callers.numbers = numbers  # so that a pod's record of a call tells which it was
        await callers.__aenter__()
    await asyncio.to_thread(work)
    for callers in loads["GET"] + loads["POST"]:
        await callers.__aexit__()
    return loads


def churned(figures, label, loads, begun=None):
    """`begun`: the numbers of the calls that a pod began, where pods do not drain. There a POST may fail that a pod had
    been sent: whether it was begun, nobody but the pod knows, so it is not sent again."""
    for method, callers in loads.items():
        failures = [failure for each in callers for failure in each.failures]
        figures.tell(f"{label}: {method} requests", sum(each.done for each in callers))
        if method == "POST" and begun is not None:
            failed = {number for each in callers for number in each.failed}
            figures.tell(f"{label}: failed POST", len(failed))
            figures.tell(f"{label}: of these begun by a pod, as it says itself", len(failed & begun))
            figures.most(f"{label}: other than on its way to a pod whose connection broke",
                         sum("upstream_reset" not in failure for failure in failures), 0)
        else:
            figures.most(f"{label}: failed {method}", len(failures), 0)
        for failure in failures[:5]:
            print(f"    {failure}")


@bar("pods_deleted", "1 000 pod deletions under load of 3 proxies; then of functions without preStop, draining or not")
def pods_deleted(figures, deletions=(1000, 200, 200)):
    with installed(proxies=3) as lab:
        log = lab.directory / "calls"
        hook = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "2"]}}}}
        kinds = (("preStop 2 s", hook, {}), ("no preStop", {}, {}),
                 ("no preStop, exits at once", {}, {"EXIT_AT_ONCE": 1, "CALL_LOG": log}))
        for number, ((label, container, env), count) in enumerate(zip(kinds, deletions)):
            name = f"churn-{number}"
            host = lab.add(name, annotations={"autoscaling.knative.dev/min-scale": "8"}, env=env,
                           container={"image": "rouse-sample:0.1.0", **container})
            asyncio.run(Connection(8080, lab.proxies()[0]).request(host))
            lab.settled(name, "default")
            loads = asyncio.run(with_load(lab, host, lambda: delete_pods(lab, name, count)))
            churned(figures, f"{label}, {count} deletions", loads,
                    set(map(int, log.read_text().split())) if env else None)
            lab.api.delete("Deployment", "default", name, propagationPolicy="Background")


def delete_pods(lab, name, count):
    """Ready pods as fast as they come, all but four."""
    done = 0
    while done < count:
        pods = [pod["metadata"]["name"] for pod in lab.pods(name) if any(
            c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))]
        for pod in pods[:min(count - done, max(len(pods) - 4, 0))]:
            lab.api.delete("Pod", "default", pod)
            done += 1
        time.sleep(0.05)


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


class Waves:
    """Load that comes and goes, so that the leader has counts to raise and to lower."""

    def __init__(self, lab):
        self.proxy, self.stopping = lab.proxies()[0], threading.Event()
        self.hosts = [lab.add(f"wave-{i}", annotations={"autoscaling.knative.dev/target": "1",
                                                        "autoscaling.knative.dev/max-scale": "4"}) for i in range(4)]
        self.thread = threading.Thread(target=lambda: asyncio.run(self.call()))

    async def call(self):
        while not self.stopping.is_set():
            host = random.choice(self.hosts)
            calls = [Connection(8080, self.proxy).request(host, "/?ms=700") for _ in range(random.randint(1, 4))]
            await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(random.random())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


LEASE = 2.0  # seconds, so that a trial takes 5


def with_short_leases(lab):
    """Installs Rouse with leases of LEASE."""
    lab.install(1)
    container = lab.api.get("Deployment", SYSTEM, "rouse-autoscaler")["spec"]["template"]["spec"]["containers"][0]
    container["args"] += [f"--lease-duration={LEASE:.0f}s", "--renew-deadline=1s", "--retry-period=100ms",
                          "--tick=200ms"]
    lab.api.patch("Deployment", SYSTEM, "rouse-autoscaler",
                  {"spec": {"template": {"spec": {"containers": [container]}}}})
    lab.settled("rouse-autoscaler")
    wait_until(lambda: lab.leader() in {pod["metadata"]["name"] for pod in lab.pods("rouse-autoscaler", SYSTEM)}, 30,
               "none of the new ones leads")


def judged(figures, leases, scales):
    """Who wrote what, by its pod's address in the audit log, and whether it held the lease."""
    renewed, held, late, wakes, counts = iter(leases), {}, [], 0, {}
    following = next(renewed, None)
    for entry in scales:
        moment, writer = stamp(entry["stageTimestamp"]), entry["sourceIPs"][0]
        while following and stamp(following["stageTimestamp"]) <= moment:
            # Its lease runs from the moment at which it asked: nobody else waits less than that.
            held = {following["sourceIPs"][0]: stamp(following["requestReceivedTimestamp"]) + LEASE}
            following = next(renewed, None)
        target = entry["objectRef"]["name"]
        before, after = counts.get(target, 0), entry["responseObject"]["spec"].get("replicas", 0)
        counts[target] = after
        if before == 0 and after > 0:
            wakes += 1
        elif held.get(writer, 0) < moment:
            late.append((target, before, after, writer, moment - held.get(writer, moment)))
    figures.tell("accepted writes of scale", len(scales))
    figures.tell("of these 0 -> n", wakes)
    figures.most("other writes by a replica whose lease had run out", len(late), 0)
    for write in late[:5]:
        print(f"    {write}")


@bar("paused_leader", "200 times a leader is frozen until another leads, then goes on")
def paused_leader(figures, trials=200):
    with Lab() as lab:
        with_short_leases(lab)
        led = 0
        with Waves(lab):
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
        leases, scales = audit(lab, "leases"), audit(lab, "deployments")
    figures.least("takeovers", led, trials)
    judged(figures, leases, scales)


@bar("partitioned_leader", "50 times a leader and the API no longer hear each other, until another leads, and longer")
def partitioned_leader(figures, trials=50):
    """Meanwhile a sleeping function is asked for, at any moment of the lease that is running out."""
    names, led, waits = [f"alone-{i}" for i in range(trials)], 0, []
    with Lab() as lab:
        with_short_leases(lab)
        for name in names:
            lab.add(name, spec=PENDING)
        lab.quiet(*names)
        moments, proxy = Moments(lab.api), lab.proxies()[0]

        async def wake(name):
            began = time.time_ns()
            asking = asyncio.create_task(Connection(8080, proxy).request(f"{name}.default"))
            await asyncio.to_thread(moments.wait, name, "scaled", 10)
            asking.cancel()
            return (moments.at(name, "scaled") - began) * MS
        with Waves(lab):
            for name in names:
                leader = lab.leader()
                with lab.cut_off(leader):
                    time.sleep(random.random() * LEASE)
                    waits.append(asyncio.run(wake(name)))
                    wait_until(lambda: lab.leader() != leader, 30, "nobody else leads")
                    led += 1
                    time.sleep(random.random() * 2)
                time.sleep(0.5 + random.random())
        moments.stop()
        leases, scales = audit(lab, "leases"), audit(lab, "deployments")
    figures.least("takeovers", led, trials)
    judged(figures, leases, scales)
    figures.tell("a wake meanwhile, first byte -> scale accepted, p50", quantile(waits, 0.5), "ms")
    figures.most("the slowest", max(waits), 1000, "ms")


if __name__ == "__main__":
    need_lab()
    raise SystemExit(bars.main())
