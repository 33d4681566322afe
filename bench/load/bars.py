"""The project's bars, each from a case's figures."""

GATES_CASE = "lockstep"


class Bar:
    """What must hold: `value` of an Outcome at most (or below) `limit`."""

    def __init__(self, case, what, value, limit, below=False):
        self.case, self.what, self.value, self.limit, self.below = case, what, value, limit, below

    def check(self, outcomes):
        """(value, met), or None where the case or a proxy was not run."""
        outcome = outcomes.get(self.case)
        value = self.value(outcome) if outcome else None
        if value is None:
            return None
        return value, value < self.limit if self.below else value <= self.limit


def ratio(other, field="cpu_us", ours="rouse"):
    def value(outcome):
        found = outcome.ratio(ours, other, field)
        return found[0] if found else None
    return value


def figure(field, proxy="rouse"):
    return lambda outcome: outcome.figure(proxy, field)


def difference(field, scale=1.0):
    """The median over the rounds of what the changes add."""
    def value(outcome):
        import statistics  # pylint: disable=import-outside-toplevel
        return statistics.median(one["rouse"][field] - one["rouse_quiet"][field] for one in outcome.rounds) * scale
    return value


# Of a peer's CPU per request: with the fields that we add by default, and with X-Forwarded-For alone as the peers.
PEERS_128 = {"haproxy": 0.85, "nginx": 0.85, "envoy": 0.33, "activator": 0.17, "activator_queue": 0.06}

BARS = [
    Bar("h1_get_128", "CPU/request, of relay", ratio("relay"), 1.10),
    *(Bar("h1_get_128", f"CPU/request, of {peer}{terms}", ratio(peer, ours=ours), limit)
      for peer, limit in PEERS_128.items()
      for ours, terms in (("rouse", ""), ("rouse_alike", ", same fields"))),
    Bar("access_log", "CPU/request, of relay", ratio("relay"), 1.2),
    Bar("workloads_10k", "CPU/request, of the plain case", ratio("rouse_plain"), 1.03),
    Bar("concurrency_limit", "CPU/request, of the plain case", ratio("rouse_plain"), 1.05),
    Bar("h1_post_1k", "CPU/request, of relay", ratio("relay"), 1.15),
    Bar("h1_get_16k", "CPU/request, of relay", ratio("relay"), 1.15),
    Bar("h1_get_1m", "CPU/GiB, of relay", ratio("relay"), 1.1),
    Bar("h1_post_1m", "CPU/GiB, of relay", ratio("relay"), 1.1),
    Bar("h1_connections_1000", "CPU/request, of nginx", ratio("nginx"), 1.0, below=True),
    Bar("h1_connections_1000", "CPU/request, of haproxy", ratio("haproxy"), 1.0, below=True),
    Bar("h1_new_connection", "CPU/request, of nginx", ratio("nginx"), 1.0, below=True),
    Bar("h1_new_connection", "CPU/request, of haproxy", ratio("haproxy"), 1.0, below=True),
    Bar("h1_get_128", "system calls/request", figure("syscalls"), 4.2),
    Bar("one_connection", "p50, of relay", ratio("relay", "p50_us"), 1.15),
    Bar(GATES_CASE, "allocations/request, warm", figure("allocations"), 0),
    Bar("latency_half", "p99, of nginx", ratio("nginx", "p99_us"), 1.0, below=True),
    Bar("latency_half", "p99, of haproxy", ratio("haproxy", "p99_us"), 1.0, below=True),
    Bar("latency_half", "p99, of envoy", ratio("envoy", "p99_us"), 1.0, below=True),
    Bar("idle_10k", "KiB per idle connection", lambda o: kib(o, "rouse"), 0.4),
    Bar("idle_10k", "KiB per idle connection, many addresses", lambda o: kib(o, "rouse_addresses"), 0.4),
    Bar("parked_15k", "KiB per parked request", lambda o: kib(o, "rouse"), 2),
    Bar("parked_100k", "KiB per parked request", lambda o: kib(o, "rouse"), 2),
    Bar("endpoint_churn", "share of a core that the changes cost, %", difference("core_share", 100), 3),
    Bar("endpoint_churn", "p99.9 above the run without, ms", difference("p999_us", 0.001), 2),
    Bar("parked_release", "until the last one is sent, ms", figure("last_ms"), 20),
]


def kib(outcome, proxy):
    value = outcome.figure(proxy, "bytes_each")
    return None if value is None else value / 1024
