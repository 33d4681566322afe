"""When what happened in a cluster, by watches and by the API server's audit log. For the bars."""

import asyncio
import calendar
import json
import random
import threading
import time

from lab import Connection, Lab, Watch, wait_until

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


def clear(lab):
    """Takes every workload away, and waits until their pods are gone."""
    for kind in ("Service", "Deployment"):
        for item in lab.api.items(kind, "default"):
            if item["metadata"]["name"] != "kubernetes":
                lab.api.delete(kind, "default", item["metadata"]["name"])
    wait_until(lambda: not lab.api.items("Pod", "default"), 90, "the pods do not go")


def at_any_moment():
    """Waits for up to a turn of the kubelet's poll, so that what begins next falls anywhere in one."""
    time.sleep(random.random())


async def timed(address, host, path="/", timeout=90):
    """One request on a connection of its own that is open before; when it began, and the answer."""
    connection = Connection(8080, address)
    connection.reader, connection.writer = await asyncio.open_connection(address, 8080)
    began = time.time_ns()
    answer = await connection.request(host, path, timeout=timeout)
    ended = time.time_ns()
    connection.close()
    return began, ended, answer


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
