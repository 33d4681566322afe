"""What asks: wrk in a closed loop for CPU per request, paced_client for latency, plain sockets that wait."""

import contextlib
import json
import multiprocessing
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import stats
from processes import Failed, pinned, wait_until

SCRIPTS = Path(__file__).resolve().parent / "wrk"
SLACK_SECONDS = 20
ELSEWHERE_SECONDS = 60
ADDRESSES = 64  # of clients, where one is not enough


def run(command, options, seconds, what):
    """A load on its CPU; its output."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                              timeout=seconds + SLACK_SECONDS, preexec_fn=pinned(options.cpu_load))
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{what}: the load did not end") from late
    if done.returncode != 0:
        raise Failed(f"{what}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


class Wrk:
    """How wrk is called for a case."""

    def __init__(self, connections=64, path="/", fields=(), script=None, argument=None):
        self.connections, self.path, self.fields = connections, path, tuple(fields)
        self.script, self.argument = script, argument

    def command(self, proxy, seconds):
        words = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "10s"]
        for field in (*self.fields, *proxy.fields):
            words += ["-H", field]
        if self.script:
            words += ["-s", SCRIPTS / self.script]
        words.append(f"http://127.0.0.1:{proxy.port}{self.path}")
        return words + (["--", self.argument] if self.script else [])

    def run(self, proxy, seconds, options):
        """CPU microseconds per request, requests per second and the share of its CPU that the proxy used."""
        before, start = proxy.cpu_seconds(), time.monotonic()
        text = run(self.command(proxy, seconds), options, seconds, proxy.name)
        spent, elapsed = proxy.cpu_seconds() - before, time.monotonic() - start
        try:
            requests, rate = stats.parse_wrk(text)
        except ValueError as bad:
            raise Failed(f"{proxy.name}: {bad}") from bad
        return {"cpu_us": spent * 1e6 / requests, "rps": rate, "requests": requests, "busy": spent / elapsed}


def paced(proxy, options, connections, rate, amount, path="/"):
    """One run of paced_client (its header says what the numbers are); also what the proxy spent."""
    command = [options.bin / "paced_client", proxy.port, path, connections, rate, amount, *proxy.fields]
    before, start = proxy.cpu_seconds(), time.monotonic()
    figures = json.loads(run(command, options, amount if rate else SLACK_SECONDS, proxy.name))
    figures["cpu_seconds"] = proxy.cpu_seconds() - before
    figures["seconds"] = time.monotonic() - start
    figures["cpu_us"] = figures["cpu_seconds"] * 1e6 / figures["requests"]
    return figures


def syscalls(proxy, wrk, options):
    """System calls per request and by name, in a run of its own, since strace slows what it watches."""
    if shutil.which("strace") is None:
        return None, {}
    table = options.scratch / "strace.txt"
    command = ["strace", "-c", "-f", "-q", "-o", str(table)]
    for pid in proxy.tree():
        command += ["-p", str(pid)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as tracer:
        try:
            wait_until(lambda: traced(proxy) or tracer.poll() is not None, 5, "strace did not attach")
            if tracer.poll() is not None:
                return None, {}  # not allowed here
            requests = wrk.run(proxy, 1, options)["requests"]
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
    calls = stats.parse_strace(table.read_text())
    return sum(calls.values()) / requests, {name: count / requests for name, count in calls.items()}


def traced(proxy):
    """Whether every thread of the proxy has a tracer."""
    tasks = [task for one in proxy.processes for task in one.tasks()]
    states = []
    for pid, tid in tasks:
        with contextlib.suppress(OSError):
            states.append("TracerPid:\t0\n" not in Path(f"/proc/{pid}/task/{tid}/status").read_text())
    return bool(states) and all(states)


def serving(proxy):
    """Whether it answers 200."""
    if not proxy.alive():
        raise Failed(f"{proxy.name} ended at once")
    request = urllib.request.Request(f"http://127.0.0.1:{proxy.port}/",
                                     headers=dict(field.split(": ", 1) for field in proxy.fields))
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(request, timeout=2) as answer:
            return answer.status == 200 and len(answer.read()) > 0
    return False


class Waiting:
    """Many client connections of this process, that mostly wait. A context manager."""

    def __init__(self, port, count, addresses=1, request=b""):
        self.sockets = []
        self.port, self.count, self.addresses, self.request = port, count, addresses, request

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()

    def open(self, answered):
        """Opens all connections and sends the request on each; where `answered`, reads an answer before the next."""
        for i in range(self.count):
            one = socket.socket()
            self.sockets.append(one)
            one.settimeout(10)
            if self.addresses > 1:
                place = i % self.addresses
                one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
                one.bind((f"127.1.{place // 250}.{place % 250 + 1}", 0))
            try:
                one.connect(("127.0.0.1", self.port))
                one.sendall(self.request)
                if answered and not one.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise Failed(f"connection {i + 1} of {self.count} was not answered")
            except OSError as error:
                raise Failed(f"connection {i + 1} of {self.count}: {error}") from error

    def answers(self, seconds):
        """Reads one answer on each connection; how many were 200."""
        good = 0
        with selectors.DefaultSelector() as selector:
            for one in self.sockets:
                one.setblocking(False)
                selector.register(one, selectors.EVENT_READ)
            left, give_up = len(self.sockets), time.monotonic() + seconds
            while left and time.monotonic() < give_up:
                for key, _ in selector.select(0.5):
                    with contextlib.suppress(OSError):
                        good += key.fileobj.recv(4096).startswith(b"HTTP/1.1 200")
                    selector.unregister(key.fileobj)
                    left -= 1
        return good


def wait_apart(pipe, *arguments):
    """What a WaitingElsewhere has its process do; it ends with the pipe."""
    with contextlib.suppress(EOFError, OSError), Waiting(*arguments) as waiting:
        try:
            waiting.open(answered=False)
            pipe.send("")
        except Failed as failure:
            pipe.send(str(failure))
        pipe.send(waiting.answers(pipe.recv()))
        pipe.recv()


class WaitingElsewhere:
    """A Waiting in a process of its own, so with descriptors of its own. A context manager."""

    def __init__(self, *arguments):
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=wait_apart, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pipe.close()
        self.process.join(ELSEWHERE_SECONDS)
        self.process.kill()

    def receive(self, seconds):
        if not self.pipe.poll(seconds):
            raise Failed(f"a client process said nothing for {seconds} s")
        return self.pipe.recv()

    def opened(self):
        """Once all its connections are open and have sent their requests."""
        failure = self.receive(ELSEWHERE_SECONDS)
        if failure:
            raise Failed(failure)

    def answers(self, seconds):
        """Has it begin to read; what it read is received as one number."""
        self.pipe.send(seconds)
        return lambda: self.receive(seconds + ELSEWHERE_SECONDS)


def metric(health_port, name, labels=""):
    """The sum of a rouse metric's samples whose labels contain `labels`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{health_port}/metrics", timeout=5) as answer:
        total = 0.0
        for line in answer.read().decode().splitlines():
            if line.startswith(name) and line[len(name)] in "{ " and labels in line:
                total += float(line.rsplit(" ", 1)[1])
        return total


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read()


def load_cpu(options):
    """This process and its sockets stay off the proxies' CPU."""
    os.sched_setaffinity(0, {options.cpu_load})
