"""What is measured: every case is a function of a Bench that returns an Outcome."""

import statistics

import loads
import stats
from loads import Wrk
from peers import ALL, PEERS
from processes import Failed, wait_until
from rouse_config import ALIKE

CASES = {}
USUAL = ("relay", "rouse", "nginx", "haproxy")
LATENCY_RATE = 2000  # a second: far below what the slowest peer can
LATENCY_SECONDS = 2
LATENCY_CONNECTIONS = 64


class Outcome:
    """The rounds of a case (each {proxy: figures}) and what was measured once per proxy."""

    def __init__(self):
        self.rounds, self.once = [], {}

    def add(self, proxy, **figures):
        self.once.setdefault(proxy, {}).update(figures)

    def ratio(self, one, other, field="cpu_us"):
        return stats.paired(self.rounds, one, other, field)

    def figure(self, proxy, field):
        value = self.once.get(proxy, {}).get(field)
        return stats.median_of(self.rounds, proxy, field) if value is None else value

    def proxies(self):
        return list(dict.fromkeys([name for one in self.rounds for name in one] + list(self.once)))


def case(name, what, quick=False):
    def register(function):
        CASES[name] = (what, function, quick)
        return function
    return register


def closed(name, what, wrk, peers=USUAL, rouse=None, latency=False, quick=False, seconds=None):
    """A case of wrk's closed loop. `rouse` says how the case's rouse differs; then rouse_plain joins it."""
    def function(bench):
        return run_closed(bench, name, wrk, peers, rouse, latency, seconds)
    case(name, what, quick)(function)


def run_closed(bench, name, wrk, peers, rouse, latency, seconds):
    options, outcome = bench.options, Outcome()
    seconds = seconds or options.seconds
    with bench.world() as world:
        variants = {"rouse_alike": ALIKE, **({"rouse": rouse} if rouse else {})}
        extra = (("rouse_plain",) if rouse else ()) + (("rouse_base",) if options.base else ())
        proxies = bench.start(world, peers + extra, variants)
        for proxy in list(proxies.values()):
            bench.guard(proxies, proxy, lambda p=proxy: wrk.run(p, 1, options))
        for number in range(options.rounds):
            bench.progress(f"{name}: round {number + 1} of {options.rounds}")
            figures = {}
            for proxy in stats.order_of(list(proxies.values()), number):
                figures[proxy.name] = bench.guard(proxies, proxy, lambda p=proxy: wrk.run(p, seconds, options))
            outcome.rounds.append({n: figures[n] for n in proxies if figures.get(n)})
        bench.progress(f"{name}: system calls{', latency' if latency else ''}, memory")
        for proxy in list(proxies.values()):
            outcome.add(proxy.name, rss_kib=proxy.rss_kib())
            if latency:
                got = bench.guard(proxies, proxy, lambda p=proxy: loads.paced(
                    p, options, LATENCY_CONNECTIONS, LATENCY_RATE, LATENCY_SECONDS, wrk.path))
                outcome.add(proxy.name, **({k: got[k] for k in ("p50_us", "p99_us")} if got else {}))
            counted = bench.guard(proxies, proxy, lambda p=proxy: loads.syscalls(p, wrk, options))
            if counted and counted[0] is not None:
                outcome.add(proxy.name, syscalls=counted[0])
    return outcome


closed("noise", "A/A: a relay against a second relay; how noisy the machine is", Wrk(),
       ("relay", "relay_again"), quick=True)
closed("h1_get_128", "keep-alive GET, 128 bytes, 64 connections; all peers", Wrk(), ALL, latency=True, quick=True)
closed("h1_get_1k", "keep-alive GET, 1 KiB", Wrk(path="/1024"), latency=True)
closed("h1_get_16k", "keep-alive GET, 16 KiB", Wrk(path="/16384"), latency=True)
closed("h1_get_1m", "keep-alive GET, 1 MiB, 16 connections", Wrk(16, "/1048576"))
closed("h1_post_1k", "keep-alive POST, 1 KiB", Wrk(script="post.lua", argument="1024"), quick=True)
closed("h1_post_1m", "keep-alive POST, 1 MiB, 16 connections", Wrk(16, script="post.lua", argument="1048576"))
closed("h1_pipelined", "GET, 16 in one write, 64 connections", Wrk(script="pipeline.lua", argument="16"))
closed("h1_connections_1000", "keep-alive GET, 1 000 connections", Wrk(1000))
closed("h1_new_connection", "a new client connection per request (none for the relay: it would dial twice)",
       Wrk(fields=["Connection: close"]), ("rouse", "nginx", "haproxy"))
closed("workloads_10k", "10 000 workloads and routes in the table", Wrk(), ("relay", "rouse"), {"workloads": 10_000})
closed("concurrency_limit", "a limit of requests in flight per pod, never reached", Wrk(), ("relay", "rouse"),
       {"limit": 100})
closed("access_log", "access log into a file, as text; metrics are always on", Wrk(), ("relay", "rouse"),
       {"access_log": "text"})


@case("one_connection", "one connection, one request at a time: latency")
def one_connection(bench, requests=2000):
    options, outcome = bench.options, Outcome()
    with bench.world() as world:
        proxies = bench.start(world, USUAL + ("envoy", "activator"))
        for number in range(options.rounds + 1):
            bench.progress(f"one_connection: round {number} of {options.rounds}")
            figures = {}
            for proxy in stats.order_of(list(proxies.values()), number):
                figures[proxy.name] = bench.guard(
                    proxies, proxy, lambda p=proxy: loads.paced(p, options, 1, 0, requests))
            if number > 0:  # the first one warms
                outcome.rounds.append({n: figures[n] for n in proxies if figures.get(n)})
    return outcome


@case("latency_half", "latency at half of the rate at which rouse-proxy saturates, 64 connections, open loop")
def latency_half(bench):
    """Rounds are three times as many and a quarter as long: one stall of the machine of 3 ms is a hundredth of a second,
    and with it the p99 of a whole round."""
    options, outcome = bench.options, Outcome()
    rounds = 3 * options.rounds
    with bench.world() as world:
        proxies = bench.start(world, USUAL + ("envoy",))
        rates = [Wrk().run(proxies["rouse"], 1, options)["rps"] for _ in range(4)]
        rate = round(statistics.median(rates[1:]) / 2)
        bench.progress(f"latency_half: {rate} requests a second")
        for number in range(rounds + 1):
            bench.progress(f"latency_half: round {number} of {rounds}")
            figures = {}
            for proxy in stats.order_of(list(proxies.values()), number):
                figures[proxy.name] = bench.guard(proxies, proxy, lambda p=proxy: loads.paced(
                    p, options, LATENCY_CONNECTIONS, rate, options.seconds / 4))
            if number > 0:
                outcome.rounds.append({n: figures[n] for n in proxies if figures.get(n)})
        for name in proxies:
            outcome.add(name, rps=rate)
    return outcome


@case("idle_10k", "10 000 idle keep-alive connections: memory growth each")
def idle_10k(bench, count=10_000):
    """rouse_addresses keeps its default limit of connections per client: they come from several addresses."""
    options, outcome = bench.options, Outcome()
    variants = {"rouse_addresses": {"flags": {"connections-per-client-max": None}}}
    with bench.world() as world:
        proxies = bench.start(world, ("rouse", "rouse_addresses", *(p for p in PEERS if p != "activator_queue")),
                              variants)
        for proxy in list(proxies.values()):
            bench.progress(f"idle_10k: {proxy.name}")
            bench.guard(proxies, proxy, lambda p=proxy: idle_growth(outcome, p, options, count))
    return outcome


def idle_growth(outcome, proxy, options, count):
    loads.paced(proxy, options, 64, 0, 2000)
    before = proxy.rss_kib()
    many = loads.ADDRESSES if proxy.name == "rouse_addresses" else 1
    fields = "".join(f"{field}\r\n" for field in proxy.fields)
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode()
    with loads.Waiting(proxy.port, count, many, request) as waiting:
        waiting.open(answered=True)
        after = proxy.rss_kib()
        outcome.add(proxy.name, rss_kib=after, bytes_each=(after - before) * 1024 / count)
