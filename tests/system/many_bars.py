#!/usr/bin/env python3
"""The bars of many workloads, several proxies and an API that goes: as bars.py, which has the others. See README.md.

    many_bars.py [--list] [--json FILE] [NAME ...]
"""

import asyncio
import http.client
import json
import random
import sys
import time

from client import Callers, Connection
from cluster import Cluster, free_port, wait_until, workload
from proxies import Crowd, Pod, Proxies, churn

import bars  # the table, and what a bar is
from bars import bar

bars.BARS.clear()


@bar("api_back", "the API down for 20 s, five times, a request for a sleeping function held through it")
def api_back(figures, rounds=5, seconds=20):
    with Cluster() as cluster:
        names = [f"held-{i}" for i in range(rounds)]
        for name in names:
            cluster.apply(*workload(name, annotations={"rouse.dev/hold-timeout": "2m"}))
        cluster.routed(names)
        statuses, resumed = [], []

        async def held_through(name):
            cluster.faults({"down": {"duration": f"{seconds}s"}})
            await asyncio.sleep(seconds / 2)
            held = asyncio.create_task(Connection(cluster.proxy_port).request(f"{name}.default"))
            await asyncio.to_thread(wait_until, lambda: cluster.status(cluster.api_port, "/readyz") == 200, 60,
                                    "the API is not back")
            back = time.monotonic()
            statuses.append((await held).status)
            resumed.append(time.monotonic() - back)
        for name in names:
            asyncio.run(held_through(name))
    figures.least("held requests answered 200", statuses.count(200), rounds)
    figures.most("from the API's return to the answer, longest", max(resumed), 2, "s")


@bar("limit_over_proxies", "limit of 1 per pod, 3 proxies, 20 pods, 200 callers, pods and proxies coming and going")
def limit_over_proxies(figures, seconds=300, pods=20, callers=200):
    """Proxies get SIGTERM and SIGKILL by turns. What a killed proxy left running a pod sees as a connection that ended."""
    made = []

    async def play(proxies):
        loop = asyncio.get_running_loop()
        port = free_port()

        async def start():
            made.append(await Pod(len(made), 1, lambda: random.uniform(0.002, 0.1)).start(port))
            return made[-1]
        listed = [await start() for _ in range(pods)]
        host = proxies.add("limited", 1)
        proxies.set_pods("limited", listed)
        await proxies.served(host)
        due = loop.time()

        async def pods_come_and_go():
            nonlocal due
            if loop.time() < due or len(made) > 200:
                return
            due = loop.time() + 1.5
            listed.remove(random.choice(listed))
            listed.append(await start())
            await asyncio.to_thread(proxies.set_pods, "limited", listed)
        async with Crowd(proxies, host, callers, post=True) as crowd:
            turns = await churn(proxies, seconds, kill=True, pods=pods_come_and_go, every=5)
        return crowd, turns
    with Proxies(3) as proxies:
        crowd, turns = asyncio.run(play(proxies))
    alone = [failure for failure in crowd.failures if not failure[-1]]
    figures.tell("proxies stopped or killed", turns)
    figures.tell("pods in all", len(made))
    figures.tell("requests", crowd.done)
    figures.most("moments with 2 in one pod", sum(pod.breaches for pod in made), 0)
    figures.tell("requests that a killed proxy left running", sum(pod.left_running for pod in made))
    figures.tell("failed in a killed proxy's hands, or by way of one", len(crowd.failures))
    figures.most("GETs that failed elsewhere", sum(failure[1] == "GET" for failure in alone), 0)
    for failure in alone[:5]:
        print(f"    {failure}")


@bar("proxies_killed", "kill -9 of one of three proxies, 20 times, under load; clients repeat a refused connect")
def proxies_killed(figures, kills=20):
    async def play(proxies):
        port = free_port()
        pods = [await Pod(i, 1000, lambda: random.uniform(0.002, 0.02)).start(port) for i in range(3)]
        host = proxies.add("open", 0)
        proxies.set_pods("open", pods)
        await proxies.served(host)
        in_flight = []
        async with Crowd(proxies, host, 60, post=True) as crowd:
            for turn in range(kills):
                await asyncio.sleep(0.5)
                process = proxies.processes[turn % 3]
                in_flight.append(crowd.waiting.get(process.address, 0))
                process.kills += 1
                process.kill()
                await asyncio.to_thread(proxies.tell_proxies)
                await asyncio.sleep(0.5)
                process.start()
                await asyncio.to_thread(wait_until, lambda: proxies.ready(process), 20, "it is not ready")
                await asyncio.to_thread(proxies.tell_proxies)
        return crowd, in_flight
    with Proxies(3) as proxies:
        crowd, in_flight = asyncio.run(play(proxies))
    figures.tell("requests", crowd.done)
    figures.tell("in flight on the killed ones", sum(in_flight))
    figures.most("failed on a killed one", sum(failure[-1] for failure in crowd.failures), sum(in_flight))
    figures.most("failed elsewhere", sum(not failure[-1] for failure in crowd.failures), 0)


def at_rest(cluster, seconds=60, still=3):
    """Waits until what follows a start is over: for `still` seconds nobody has heard or decided anything new."""
    counts = (
        (cluster.proxy_health, "rouse_proxy_watch_events_total"), (cluster.proxy_health, "rouse_proxy_snapshots_total"),
        (cluster.scaler_health, "rouse_autoscaler_decision_changes_total"),
        (cluster.scaler_health, "rouse_autoscaler_spec_replicas"),
        (cluster.scaler_health, "rouse_autoscaler_active_workloads"))
    last, since = None, time.monotonic()

    def stands_still():
        nonlocal last, since
        now = [cluster.metric(name, port=port) for port, name in counts]
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > still
    wait_until(stands_still, seconds, "the programs do not come to rest", turn=0.2)


@bar("thousand_at_rest", "1 000 workloads, 10 of them awake, nobody calls: memory and CPU of both programs for 60 s")
def thousand_at_rest(figures, seconds=60, workloads=1000, awake=10):
    with Cluster() as cluster:
        names = [f"rest-{i}" for i in range(workloads)]
        for number, name in enumerate(names):
            cluster.apply(*workload(name, annotations=(
                {"autoscaling.knative.dev/min-scale": "1"} if number < awake else {})))
        cluster.routed(names, 30)
        wait_until(lambda: len(cluster.pods()) == awake, 60, "not all are awake")
        at_rest(cluster)
        programs = {"proxy": cluster.proxy, "autoscaler": cluster.autoscaler}
        before = {name: program.cpu_seconds() for name, program in programs.items()}
        time.sleep(seconds)
        for name, program in programs.items():
            figures.most(f"{name}, memory", program.rss_kib() / 1024, 60, "MiB")
            figures.most(f"{name}, CPU", (program.cpu_seconds() - before[name]) / seconds * 100, 1, "% of a core")


@bar("ten_thousand", "10 000 workloads with 50 000 endpoints: start to ready, resync after a cut, memory, warm requests")
def ten_thousand(figures, workloads=10_000, pods=5):
    with Cluster() as cluster:
        cluster.apply(*workload("warm", annotations={"autoscaling.knative.dev/min-scale": "1"}))
        cluster.routed(["warm"])
        assert asyncio.run(Connection(cluster.proxy_port).request("warm.default")).status == 200
        cluster.proxy.stop()
        cluster.autoscaler.stop()
        api = http.client.HTTPConnection("127.0.0.1", cluster.api_port)
        for number in range(workloads):
            for path, item in many(number, pods):
                api.request("POST", path, json.dumps(item), {"content-type": "application/json"})
                answer = api.getresponse()
                answer.read()
                assert answer.status == 201, answer.status
        for program, port in ((cluster.proxy, cluster.proxy_health), (cluster.autoscaler, cluster.scaler_health)):
            began = time.monotonic()
            cluster.start(program, port)
            figures.most(f"{program.name}: start to ready", time.monotonic() - began, 10, "s")
        listed = time.monotonic()

        async def resync(number, faults):
            for fault in faults:
                cluster.faults({fault: True})
            began = time.monotonic()
            path, item = many(workloads + number, pods)[0]
            await asyncio.to_thread(cluster.call, "POST", path, item)
            while not await asyncio.to_thread(routes, f"many-{workloads + number}"):
                await asyncio.sleep(0.005)
            return time.monotonic() - began

        def routes(name):
            answer = asyncio.run(Connection(cluster.proxy_port).request(
                f"{name}.default", headers={"x-request-timeout": "1ms"}))
            return answer.headers.get("x-rouse-error") != "no_route"

        async def cut():
            async with Callers(cluster.proxy_port, "warm.default", 4, pause=0.002) as callers:
                cuts = [await resync(number, ["cutWatches"]) for number in range(5)]
                await asyncio.sleep(max(listed + 31 - time.monotonic(), 0))  # one list in 30 s is at once
                lost = await resync(5, ["forgetHistory", "cutWatches"])
                assert await asyncio.to_thread(routes, f"many-{workloads - 1}")
            return callers, cuts, lost
        callers, cuts, lost = asyncio.run(cut())
        figures.most("resync after a cut watch, longest of 5", max(cuts), 2, "s")
        figures.most("resync after a cut watch whose history is lost", lost, 2, "s")
        figures.tell("warm requests", callers.done)
        figures.most("failed", len(callers.failures), 0)
        figures.tell("slowest", max(callers.seconds) * 1000, "ms")
        for program in (cluster.proxy, cluster.autoscaler):
            figures.most(f"{program.name}: memory", program.rss_kib() / 1024, 250, "MiB")


def many(number, pods):
    """A Service and its slice, which nobody runs: path and object each."""
    name, labels = f"many-{number}", {"rouse.dev/enabled": "true"}
    service = {"apiVersion": "v1", "kind": "Service",
               "metadata": {"name": name, "namespace": "default", "labels": labels},
               "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}
    endpoints = [{"addresses": [f"127.{100 + number // 4096}.{number // 16 % 256}.{number % 16 * 16 + pod + 1}"],
                  "conditions": {"ready": True},
                  "targetRef": {"kind": "Pod", "namespace": "default", "name": f"{name}-{pod}",
                                "uid": f"{number:08d}-0000-4000-8000-{pod:012d}"}} for pod in range(pods)]
    slice = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": {"name": f"{name}-x", "namespace": "default",
                          "labels": {"kubernetes.io/service-name": name, **labels}},
             "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints}
    return [("/api/v1/namespaces/default/services", service),
            ("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice)]


if __name__ == "__main__":
    sys.exit(bars.main())
