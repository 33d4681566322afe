"""Several rouse-proxy processes with rouse-local as their API, and pods inside the test, which counts what each has in
flight. The test plays the kubelet: it writes the endpoint slices of the proxies and of the pods."""

import asyncio
import itertools
import random
import shutil
import signal
import urllib.request

from client import Connection
from cluster import BIN, Cluster, Process, free_port, wait_until


class Addresses:
    """Those of pods and proxies, numbered from 0."""

    def __init__(self, family, pods, proxies, all_of_them):
        self.family, self.pods, self.proxies, self.all_of_them = family, pods, proxies, all_of_them

    def pod(self, number):
        return f"{self.pods}{number + 1}"

    def proxy(self, number):
        return f"{self.proxies}{number + 1}"


IPV4 = Addresses("IPv4", "127.0.2.", "127.0.3.", "127.0.0.0/8")
IPV6 = Addresses("IPv6", "fd00:2::", "fd00:3::", "fd00::/16")


def with_port(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Call:
    """A request in a pod's hands."""
    left = False  # its proxy went before it was answered


class Pod:
    """An HTTP server that answers after a while, and knows its requests' connections."""

    def __init__(self, number, limit, work, addresses=IPV4):
        self.address, self.limit, self.work = addresses.pod(number), limit, work
        self.uid = f"pod-{number}-{random.randrange(1 << 30)}"
        self.served = self.left_running = 0
        self.running, self.crowds = set(), []  # requests; those that were too many at once
        self.server = self.port = None

    @property
    def breaches(self):
        """Moments with more requests than the limit, but for those in which one was a killed proxy's: the pod
        hears of its end a little later."""
        return sum(not any(call.left for call in crowd) for crowd in self.crowds)

    async def start(self, port):
        self.server = await asyncio.start_server(self.serve, self.address, port)
        self.port = port
        return self

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = next((int(line.split(":")[1]) for line in head.split("\r\n")
                               if line.startswith("content-length:")), 0)
                body = await reader.readexactly(length)
                await self.answer(reader, writer, len(body))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def answer(self, reader, writer, size):
        call = Call()
        self.running.add(call)
        if len(self.running) > self.limit:
            self.crowds.append(list(self.running))
        work = asyncio.ensure_future(asyncio.sleep(self.work()))
        gone = asyncio.ensure_future(reader.read(1))  # nobody sends ahead: a byte or an end means that it has left
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        self.running.discard(call)
        if gone.done():  # from here on it would be what a killed proxy left running
            call.left = True
            self.left_running += 1
            work.cancel()
            gone.exception()
            raise ConnectionResetError
        gone.cancel()
        await asyncio.wait({gone})
        self.served += 1
        text = f"{self.address} {size}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))
        await writer.drain()


class Proxies:
    """Use as a context manager; `count` proxies, each at an address, all on the same ports."""

    def __init__(self, count=3, flags=(), addresses=IPV4):
        self.addresses = addresses
        self.cluster = Cluster()  # for its API; neither its proxy nor its autoscaler is started
        self.ports = {name: free_port() for name in ("http", "internal", "hand-over", "health")}
        self.processes = [self.process(number, flags) for number in range(count)]
        self.told = {}

    def process(self, number, flags):
        address = self.addresses.proxy(number)
        at = {name: with_port(address, port) for name, port in self.ports.items()}
        process = Process(f"rouse-proxy-{number}", [
            BIN / "rouse-proxy", "--kubeconfig", self.cluster.kubeconfig, "--listen", at["http"],
            "--health", at["health"], "--admin", with_port(address, free_port()),
            "--proxy-service", "default/proxies", "--proxy-address", address, "--internal-listen", at["internal"],
            "--hand-over-listen", at["hand-over"], "--allow-endpoint-cidr", self.addresses.all_of_them,
            "--connections-per-client-max", 0, "--drain-delay", "300ms",
            "--shards", 2, *flags], self.cluster.directory)
        process.address, process.draining, process.kills = address, False, 0
        return process

    def __enter__(self):
        self.cluster.start(self.cluster.local, self.cluster.api_port)
        self.put_slice("proxies", "proxies", {}, [])
        for process in self.processes:
            process.start()
        wait_until(lambda: all(self.ready(p) for p in self.processes), 20, "the proxies are not ready")
        self.tell_proxies()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stop()
        self.cluster.local.stop()
        shutil.rmtree(self.cluster.directory, ignore_errors=True)

    # ---- the kubelet's part ----

    def alive(self, process):
        return process.process is not None and process.process.poll() is None

    def ready(self, process):
        if not self.alive(process) or process.draining:
            return False
        return self.status(process, "/readyz") == 200

    def status(self, process, path):
        try:
            with self.open_health(process, path, 1) as answer:
                return answer.status
        except OSError:  # refused ones too
            return 0

    def open_health(self, process, path, seconds):
        at = with_port(process.address, self.ports["health"])
        return urllib.request.urlopen(f"http://{at}{path}", timeout=seconds)

    def tell_proxies(self):
        """Writes how the proxies are, if that has changed."""
        endpoints = [{"addresses": [p.address], "conditions": {"ready": self.ready(p), "terminating": p.draining},
                      "targetRef": {"kind": "Pod", "namespace": "default", "name": p.name, "uid": p.name}}
                     for p in self.processes if self.alive(p) or not p.draining]
        if endpoints != self.told.get("proxies"):
            self.told["proxies"] = endpoints
            self.put_slice("proxies", "proxies", {n: self.ports[n] for n in ("internal", "hand-over")}, endpoints)

    def put_slice(self, name, service, ports, endpoints, labels=None):
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
        body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "addressType": self.addresses.family,
                "metadata": {"name": name, "namespace": "default",
                             "labels": {"kubernetes.io/service-name": service, **(labels or {})}},
                "ports": [{"name": n, "port": p, "protocol": "TCP"} for n, p in ports.items()],
                "endpoints": endpoints}
        if self.told.get(("made", name)):
            self.cluster.call("PUT", f"{path}/{name}", body)
        else:
            self.cluster.call("POST", path, body)
            self.told["made", name] = True

    # ---- workloads ----

    def add(self, name, limit):
        self.cluster.call("POST", "/api/v1/namespaces/default/services", {
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "default", "labels": {"rouse.dev/enabled": "true"},
                         "annotations": {"rouse.dev/concurrency-limit": str(limit)}},
            "spec": {"ports": [{"name": "http", "port": 80}]}})
        return f"{name}.default"

    def set_pods(self, name, pods):
        self.put_slice(name, name, {"http": pods[0].port}, [
            {"addresses": [pod.address], "conditions": {"ready": True},
             "targetRef": {"kind": "Pod", "namespace": "default", "name": pod.uid, "uid": pod.uid}} for pod in pods],
            {"rouse.dev/enabled": "true"})

    async def served(self, host):
        """Waits until every proxy answers for a host."""
        for process in self.processes:
            while (await Connection(self.ports["http"], process.address).request(host)).status != 200:
                await asyncio.sleep(0.02)

    def metric(self, process, name):
        with self.open_health(process, "/metrics", 5) as answer:
            return sum(float(line.rsplit(" ", 1)[1]) for line in answer.read().decode().splitlines()
                       if line.startswith(name) and line[len(name)] in "{ ")


class Crowd:
    """Callers that send one request after the other through any proxy that takes their connection."""

    def __init__(self, proxies, host, count, post=False):
        self.proxies, self.host, self.count, self.post = proxies, host, count, post
        self.done, self.failures, self.stopping, self.tasks = 0, [], False, []
        self.waiting = {}  # by address: requests under way

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self.call(number)) for number in range(self.count)]
        return self

    async def __aexit__(self, *_):
        self.stopping = True
        await asyncio.gather(*self.tasks)

    async def call(self, number):
        order = itertools.cycle(self.proxies.processes[number % len(self.proxies.processes):]
                                + self.proxies.processes[:number % len(self.proxies.processes)])
        process, connection = next(order), None
        while not self.stopping:
            if connection is None or process.draining:
                if connection is not None:
                    connection.close()
                process = next(order)
                connection = Connection(self.proxies.ports["http"], process.address)
                met = process.kills
            kills = process.kills
            if kills != met:  # of a connection that has died meanwhile
                connection = None
                continue
            try:
                method, body = ("POST", b"x" * 200) if self.post and number % 2 else ("GET", b"")
                self.waiting[process.address] = self.waiting.get(process.address, 0) + 1
                try:
                    answer = await connection.request(self.host, "/", method, body, timeout=60)
                finally:
                    self.waiting[process.address] -= 1
                self.done += 1
                if answer.status != 200:
                    self.failures.append((process.address, method, answer.status,
                                          answer.headers.get("x-rouse-error", ""), kills != process.kills))
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)  # another one, then
                connection = None
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as caught:
                connection = None
                self.failures.append((process.address, method, repr(caught), "", kills != process.kills))
        if connection is not None:
            connection.close()


async def churn(proxies, seconds, kill, pods=None, every=2.5):
    """For so long: proxies are told to stop, or killed, and started again; told to the API as a kubelet would."""
    loop = asyncio.get_running_loop()
    end, turn = loop.time() + seconds, 0
    due = loop.time() + 1
    while loop.time() < end:
        await asyncio.to_thread(proxies.tell_proxies)
        for process in proxies.processes:
            if not proxies.alive(process):
                process.draining = False
                await asyncio.to_thread(proxies.tell_proxies)
                process.start()
        if loop.time() > due and all([await asyncio.to_thread(proxies.ready, p) for p in proxies.processes]):
            process = random.choice(proxies.processes)
            turn += 1
            if kill and turn % 2:
                process.kills += 1
                process.kill()
            else:
                process.draining = True
                await asyncio.to_thread(proxies.tell_proxies)
                process.process.send_signal(signal.SIGTERM)
            due = loop.time() + every
        if pods is not None:
            await pods()
        await asyncio.sleep(0.05)
    for process in proxies.processes:
        if not proxies.alive(process):
            process.draining = False
            process.start()
    await asyncio.to_thread(wait_until, lambda: all(proxies.ready(p) for p in proxies.processes), 60, "all ready")
    await asyncio.to_thread(proxies.tell_proxies)
    return turn
