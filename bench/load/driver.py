"""Measures what a request costs: rouse-proxy against other proxies and a raw TCP relay, on one machine, in one run.

bench/run.sh prepares everything and calls this; bench/README.md says what is measured, how, and why so.
Exits 1 where a case could not be measured, 3 where a bar is missed and --bars is given.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import cases
import cases_cluster  # noqa: F401  pylint: disable=unused-import
import cases_lockstep  # noqa: F401  pylint: disable=unused-import
import loads
import peers
import report
from processes import START_SECONDS, Failed, wait_until

ESSENTIAL = ("relay", "rouse", "rouse_plain")
STALE_LOG_BYTES = 3000


class Bench:
    """What every case gets."""

    def __init__(self, options, log):
        self.options, self.log = options, log
        self.skipped = set()

    def progress(self, text):
        print(f"[{time.monotonic() - self.options.began:5.0f} s] {text}", file=sys.stderr, flush=True)

    def world(self):
        directory = Path(tempfile.mkdtemp(dir=self.options.scratch))
        os.chmod(directory, 0o755)
        return peers.World(self.options, directory, self.log)

    def start(self, world, names, variants=None):
        """Starts those that this machine has and that were asked for, and waits until they serve."""
        proxies = {}
        for name in names:
            if name in peers.PEERS and name not in self.options.peers:
                continue
            why = peers.missing(name, self.options)
            if why:
                self.skip(name, why)
                continue
            try:
                proxy = world.start(name, (variants or {}).get(name))
                wait_until(lambda p=proxy: loads.serving(p), START_SECONDS, f"{name} does not serve")
                proxies[name] = proxy
            except Failed as failure:
                if name in ESSENTIAL:
                    raise
                self.skip(name, str(failure))
        return proxies

    def skip(self, name, why):
        if name not in self.skipped:
            print(f"skipped {name}: {why}", flush=True)
            self.skipped.add(name)

    def guard(self, proxies, proxy, measure):
        """What `measure` returns; a peer that fails is left out from there on, and the rest goes on."""
        if proxy.name not in proxies:
            return None
        try:
            return measure()
        except Failed as failure:
            if proxy.name in ESSENTIAL:
                raise
            print(f"left out: {failure}", flush=True)
            del proxies[proxy.name]
            return None


def names(text, known, what):
    wanted = [name for name in text.split(",") if name]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"unknown {what}: {', '.join(unknown)}; --list names them")
    return wanted


def parse_options(arguments):
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="some cases, 3 rounds of 1 s: a look, not a result")
    parser.add_argument("--case", default="", metavar="NAME[,..]", help="only these cases (and the noise check)")
    parser.add_argument("--peer", default=",".join(peers.PEERS), metavar="NAME[,..]", help="only these peers")
    parser.add_argument("--list", action="store_true", help="names cases, peers and bars")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--history", type=Path, metavar="FILE", help="also append them there, as CSV")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=1, help="of load per proxy and round")
    parser.add_argument("--bars", action="store_true", help="exit 3 where a bar is missed")
    parser.add_argument("--base", type=Path, metavar="DIR",
                        help="build directory of another rouse-proxy, measured beside as rouse_base")
    parser.add_argument("--bin", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tools", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--commit", default="", help=argparse.SUPPRESS)
    parser.add_argument("--cpu-proxy", type=int, default=1, metavar="N")
    parser.add_argument("--cpu-load", type=int, default=0, metavar="N")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 3, 1
    options.peers = names(options.peer, peers.PEERS, "peer")
    wanted = names(options.case, cases.CASES, "case")
    if not wanted:
        wanted = [name for name, (_, _, quick) in cases.CASES.items() if quick or not options.quick]
    options.cases = ["noise"] + [name for name in wanted if name != "noise"]
    return options


def print_list():
    for name, (what, _, quick) in cases.CASES.items():
        print(f"case {name:<22}{what}{' (quick)' if quick else ''}")
    for name in peers.PEERS:
        print(f"peer {name}")
    for bar in report.BARS:
        print(f"bar  {bar.case:<22}{bar.what} {'<' if bar.below else '<='} {bar.limit}")


def main(arguments=None):
    options = parse_options(arguments)
    options.began = time.monotonic()
    if options.list:
        return print_list() or 0
    if not {options.cpu_proxy, options.cpu_load} <= os.sched_getaffinity(0):
        raise SystemExit("needs two CPUs: one for the proxy, one for the load")
    if options.base and not (options.base / "bin/rouse-proxy").is_file():
        raise SystemExit(f"--base {options.base}: no bin/rouse-proxy in it; a build directory is wanted")
    if options.history:
        report.check_history(options.history)
    outcomes, failed = {}, []
    with contextlib.ExitStack() as stack:
        options.scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rouse-bench-")))
        os.chmod(options.scratch, 0o755)  # nginx's worker may be another user
        log = stack.enter_context(open(options.scratch / "log", "wb"))
        loads.load_cpu(options)
        bench = Bench(options, log)
        for name in options.cases:
            what, function, _ = cases.CASES[name]
            bench.progress(f"{name}: {what}")
            start = log.tell()
            try:
                outcomes[name] = function(bench)
            except Failed as failure:
                failed.append(name)
                print(f"{name}: NO RESULT: {failure}", flush=True)
                log.flush()
                text = (options.scratch / "log").read_bytes()[start:][-STALE_LOG_BYTES:]
                sys.stderr.write(text.decode(errors="replace"))
    results = report.tables(outcomes)
    print("\n".join(report.table_lines(results)))
    lines, missed = report.bar_lines(outcomes)
    print("\n".join(["", report.noise_line(outcomes), "", *lines]))
    print(f"{len(lines)} bars looked at, {missed} missed"
          + (f"; no result: {', '.join(failed)}" if failed else ""))
    if options.json:
        report.write_json(options.json, results)
    if options.history:
        report.append_history(options.history, results, options.commit)
    return 1 if failed else 3 if missed and options.bars else 0


if __name__ == "__main__":
    sys.exit(main())
