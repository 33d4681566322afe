#!/usr/bin/env python3
"""Several proxies before pods with a limit, told to stop and killed under load: short tests. With --ipv6 proxies and
pods have IPv6 addresses alone, in a network namespace of the run's own; exits 77 where none can be made."""

import asyncio
import os
import random
import subprocess
import sys
import unittest

from client import Connection
from cluster import free_port
from proxies import IPV4, IPV6, Crowd, Pod, Proxies, churn

SKIPPED = 77
PROXIES, PODS_MOST = 3, 5
addresses = IPV4


def run(coroutine):
    return asyncio.run(coroutine)


class SeveralProxies(unittest.TestCase):
    def setUp(self):
        self.proxies = Proxies(PROXIES, addresses=addresses).__enter__()
        self.addCleanup(self.proxies.__exit__)

    async def limited(self, pods=PODS_MOST, limit=1, name="limited"):
        port = free_port()
        made = [await Pod(i, limit, lambda: random.uniform(0.002, 0.05), addresses).start(port) for i in range(pods)]
        host = self.proxies.add(name, limit)
        self.proxies.set_pods(name, made)
        await self.proxies.served(host)
        return host, made

    def test_a_limit_holds_while_proxies_are_told_to_stop_and_no_request_fails(self):
        async def play():
            host, pods = await self.limited()
            async with Crowd(self.proxies, host, 30, post=True) as crowd:
                await churn(self.proxies, 8, kill=False)
            return crowd, pods
        crowd, pods = run(play())
        self.assertEqual(sum(pod.breaches for pod in pods), 0)
        self.assertEqual(crowd.failures, [])
        self.assertGreater(crowd.done, 100)

    def test_a_limit_holds_while_proxies_are_killed(self):
        async def play():
            host, pods = await self.limited()
            async with Crowd(self.proxies, host, 30) as crowd:
                await churn(self.proxies, 8, kill=True)
            return crowd, pods
        crowd, pods = run(play())
        self.assertEqual(sum(pod.breaches for pod in pods), 0)
        self.assertGreater(crowd.done, 100)

    def test_what_comes_by_way_of_another_proxy_is_as_if_it_had_not(self):
        async def play():
            host, _ = await self.limited(1)
            answers = []
            for process in self.proxies.processes:
                connection = Connection(self.proxies.ports["http"], process.address)
                answers.append(await connection.request(host, "/", "POST", b"y" * 300_000))
                unknown = await connection.request("nobody.example")
                self.assertEqual(unknown.headers["x-rouse-error"], "no_route")
            # Proxies alone are served on the internal port, and say so by a field that no client can set.
            internal = Connection(self.proxies.ports["internal"], self.proxies.processes[0].address)
            refused = await internal.request(host)
            public = Connection(self.proxies.ports["http"], self.proxies.processes[0].address)
            passed = await public.request(host, headers={"x-rouse-hop": "1"})
            return answers, refused, passed
        answers, refused, passed = run(play())
        self.assertEqual({(a.status, a.body.split()[1]) for a in answers}, {(200, b"300000")})
        self.assertEqual((refused.status, refused.headers["x-rouse-error"]), (400, "bad_request"))
        self.assertEqual(passed.status, 200)


def in_namespace(arguments):
    """Runs itself again where the addresses are those of loopback alone."""
    if os.environ.get("TEST_NAMESPACE") != "made":
        if subprocess.run(["unshare", "-n", "true"], check=False).returncode != 0:
            print("no network namespace can be made here: skipped")
            sys.exit(SKIPPED)
        os.environ["TEST_NAMESPACE"] = "made"
        os.execvp("unshare", ["unshare", "-n", sys.executable, __file__, *arguments])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ([IPV6.pod(i) for i in range(PODS_MOST)] + [IPV6.proxy(i) for i in range(PROXIES)]):
        subprocess.run(["ip", "-6", "address", "add", f"{address}/128", "dev", "lo", "nodad"], check=True)


if __name__ == "__main__":
    if "--ipv6" in sys.argv[1:]:
        in_namespace(sys.argv[1:])
        sys.argv.remove("--ipv6")
        addresses = IPV6
    unittest.main(verbosity=2)
