"""Processes that a bench starts: pinned to a CPU, watched through /proc, ended with it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 3
POLL_SECONDS = 0.02


class Failed(Exception):
    """What was measured is no result."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    """Polls until `condition` returns something true, and returns that."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        value = condition()
        if value:
            return value
        time.sleep(POLL_SECONDS)
    raise Failed(f"after {seconds} s: {what}")


def pinned(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def proc_lines(pid, name):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text(encoding="ascii", errors="replace").splitlines()
    return []


class Process:
    """A process in a group of its own, with all its children."""

    def __init__(self, name, command, cpu, log, prints_port=False, env=None, output=None):
        self.name = name
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [str(word) for word in command],
            stdout=subprocess.PIPE if prints_port else output or log,
            stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=None if env is None else {**os.environ, **env},
            preexec_fn=pinned(cpu),
        )
        self.port = None
        if prints_port:
            line = self.process.stdout.readline()
            if not line:
                raise Failed(f"{name} did not start")
            self.port = int(line)

    def alive(self):
        return self.process.poll() is None

    def tree(self):
        """The ids of the process and of all that descend from it."""
        pids = [self.process.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pids += [int(child) for child in (task / "children").read_text().split()]
        return pids

    def tasks(self):
        """(pid, tid) of every thread of the tree."""
        found = []
        for pid in self.tree():
            with contextlib.suppress(OSError):
                found += [(pid, int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()]
        return found

    def cpu_seconds(self):
        """User and system time of the tree, in nanosecond steps."""
        total = 0
        for pid, tid in self.tasks():
            lines = proc_lines(pid, f"task/{tid}/schedstat")
            total += int(lines[0].split()[0]) if lines else 0
        return total / 1e9

    def rss_kib(self):
        return sum(int(line.split()[1]) for pid in self.tree() for line in proc_lines(pid, "status")
                   if line.startswith("VmRSS:"))

    def busiest_task(self, work):
        """The thread that runs longest while `work` is called."""
        def ran(task):
            lines = proc_lines(task[0], f"task/{task[1]}/schedstat")
            return int(lines[0].split()[0]) if lines else 0
        tasks = self.tasks()
        before = [ran(task) for task in tasks]
        work()
        return max(zip(tasks, before), key=lambda one: ran(one[0]) - one[1])[0][1]

    def stop(self):
        """Ends this process's own group, nothing else."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=STOP_SECONDS)
                if sign == signal.SIGTERM:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(self.process.pid, signal.SIGKILL)
                break
        if self.process.stdout:
            self.process.stdout.close()
