"""A small asynchronous HTTP/1.1 client: keep-alive, content-length and chunked answers, nothing else."""

import asyncio
import dataclasses
import itertools
import time


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes
    seconds: float


class Connection:
    """One keep-alive connection; opened on first use, and again after an answer that closed it."""

    def __init__(self, port, host="127.0.0.1", local=None):
        self.port, self.host, self.local = port, host, local
        self.reader = self.writer = None

    async def request(self, host, path="/", method="GET", body=b"", headers=None, timeout=90):
        return await asyncio.wait_for(self._request(host, path, method, body, headers or {}), timeout)

    async def _request(self, host, path, method, body, headers):
        began = time.monotonic()
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                self.host, self.port, local_addr=(self.local, 0) if self.local else None)
        lines = [f"{method} {path} HTTP/1.1", f"host: {host}"]
        if body or method in ("POST", "PUT"):
            lines.append(f"content-length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        try:
            answer = await self._answer(began)
        except BaseException:
            self.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    async def _answer(self, began):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            if name:
                headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(status, headers, body, time.monotonic() - began)

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def quantile(values, share):
    """The value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Callers:
    """`count` callers that each send one request after the other until stopped, each with a number of its own
    (x-call). `failures` has what went wrong, `failed` the numbers of those calls."""

    def __init__(self, port, host, count, path="/", method="GET", body=b"", pause=0.0, address="127.0.0.1"):
        self.port, self.host, self.count, self.address = port, host, count, address
        self.path, self.method, self.body, self.pause = path, method, body, pause
        self.seconds, self.failures, self.failed, self.done = [], [], [], 0
        self.numbers = itertools.count(1)
        self.stopping = asyncio.Event()
        self.tasks = []

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self._call()) for _ in range(self.count)]
        return self

    async def __aexit__(self, *_):
        self.stopping.set()
        await asyncio.gather(*self.tasks)

    async def _call(self):
        connection = Connection(self.port, self.address)
        while not self.stopping.is_set():
            number = next(self.numbers)
            problem = None
            try:
                answer = await connection.request(self.host, self.path, self.method, self.body,
                                                  {"x-call": number})
                self.seconds.append(answer.seconds)
                if answer.status != 200:
                    problem = (f"{answer.status} {answer.headers.get('x-rouse-error', '')} "
                               f"{answer.body[:100]!r}")
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as caught:
                problem = repr(caught)
            if problem:
                self.failures.append(problem)
                self.failed.append(number)
            self.done += 1
            if self.pause:
                await asyncio.sleep(self.pause)
        connection.close()
