"""WebSockets over HTTP/2 (RFC 8441) by a client that is not ours: PyPI's h2 makes the streams, each an extended CONNECT
through rouse-proxy to an echo server (echo.py); the frames of RFC 6455 are made by hand.

    rfc8441.py PORT     one line per case that failed, then `passed/cases`
"""
import os
import socket
import struct
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

WITHIN_SECONDS = 20
READ_BYTES = 65536
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
HANDSHAKE = ((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "localhost"),
             (":path", "/"), ("sec-websocket-version", "13"))


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True):
    """A frame as a client sends it."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 128 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack(">BH", bit | 126, len(payload))
    else:
        head += struct.pack(">BQ", bit | 127, len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    stream = (key * (len(payload) // 4 + 1))[:len(payload)]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def close(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_SECONDS)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.streams = {}
        self.settings = {}
        self.flush()
        self.until(lambda: h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL in self.settings)
        assert self.settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def until(self, true):
        while not true():
            data = self.socket.recv(READ_BYTES)
            assert data, "the connection ended"
            for event in self.h2.receive_data(data):
                self.take(event)
            self.flush()

    def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings.update({key: change.new_value for key, change in event.changed_settings.items()})
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            stream.received += event.data
        elif isinstance(event, h2.events.ResponseReceived):
            stream.answer = dict(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = event.error_code

    def open(self, fields, end=False):
        return Stream(self, fields, end)

    def tunnel(self, *more):
        stream = self.open(HANDSHAKE + more)
        self.until(lambda: stream.answer or stream.reset is not None)
        assert stream.answer[":status"] == "200", stream.answer
        return stream


class Stream:
    def __init__(self, connection, fields, end):
        self.connection, self.received, self.answer, self.ended, self.reset = connection, b"", {}, False, None
        self.id = connection.h2.get_next_available_stream_id()
        connection.streams[self.id] = self
        connection.h2.send_headers(self.id, fields, end_stream=end)
        connection.flush()

    @property
    def over(self):
        return self.ended or self.reset is not None

    def send(self, data, piece=16384):
        """As many DATA frames as pieces, as far as the windows let them."""
        h2_side = self.connection.h2
        while data:
            self.connection.until(lambda: self.over or h2_side.local_flow_control_window(self.id) > 0)
            if self.over:
                return
            size = min(piece, len(data), h2_side.local_flow_control_window(self.id), h2_side.max_outbound_frame_size)
            h2_side.send_data(self.id, data[:size])
            self.connection.flush()
            data = data[size:]

    def cut(self):
        """The first whole frame of what was received, or None: (opcode, payload)."""
        data = self.received
        if len(data) < 2:
            return None
        size, at = data[1] & 127, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(data) < at:
                return None
            size = int.from_bytes(data[2:at], "big")
        if len(data) < at + size:
            return None
        self.received = data[at + size:]
        return data[0] & 15, data[0] >> 7, data[at:at + size]

    def message(self):
        """The next message, whole: (opcode, payload)."""
        kind, whole = None, b""
        while True:
            got = self.cut()
            if got is None:
                assert not self.over, f"the stream ended: {self.reset}"
                before = len(self.received)
                self.connection.until(lambda: self.over or len(self.received) > before)
                continue
            opcode, fin, payload = got
            kind = opcode if kind is None else kind
            whole += payload
            if fin:
                return kind, whole

    def expect(self, opcode, payload):
        kind, got = self.message()
        assert (kind, got) == (opcode, payload), f"opcode {kind}, {len(got)} bytes {got[:40]!r}"

    def expect_close(self, *codes):
        kind, got = self.message()
        assert kind == CLOSE, f"opcode {kind}"
        code = int.from_bytes(got[:2], "big") if got else None
        assert code in codes, f"closed with {code}"
        self.connection.until(lambda: self.over)
        assert self.reset in (None, h2.errors.ErrorCodes.NO_ERROR), f"reset: {self.reset}"


def pattern(size):
    return bytes(33 + i % 90 for i in range(size))


def echo(kind, size, fragments=1, piece=16384):
    def run(connection):
        stream, payload = connection.tunnel(), pattern(size)
        step = -(-size // fragments) or 1
        parts = [payload[at:at + step] for at in range(0, max(size, 1), step)]
        wire = b"".join(frame(kind if at == 0 else CONT, part, at == len(parts) - 1) for at, part in enumerate(parts))
        stream.send(wire, piece)
        stream.expect(kind, payload)
        stream.send(close(1000))
        stream.expect_close(1000)
    return run


def ping(payload, inside=False):
    def run(connection):
        stream = connection.tunnel()
        if inside:
            stream.send(frame(TEXT, b"one ", False) + frame(PING, payload) + frame(CONT, b"two"))
        else:
            stream.send(frame(PING, payload))
        stream.expect(PONG, payload)
        if inside:
            stream.expect(TEXT, b"one two")
    return run


def closes(code, reason=b""):
    def run(connection):
        stream = connection.tunnel()
        stream.send(close(code, reason))
        stream.expect_close(code)
    return run


def breach(wire, *codes):
    """What the server must refuse: its verdict comes through as it is."""
    def run(connection):
        stream = connection.tunnel()
        stream.send(wire)
        stream.expect_close(*codes)
    return run


def refused(status, fields):
    def run(connection):
        stream = connection.open(fields)
        connection.until(lambda: stream.answer or stream.over)
        assert stream.answer.get(":status") in status, f"{stream.answer}, reset {stream.reset}"
        requests(connection)
    return run


def requests(connection):
    """The connection still takes others."""
    stream = connection.tunnel()
    stream.send(frame(TEXT, b"still here"))
    stream.expect(TEXT, b"still here")


def without(name):
    return tuple(field for field in HANDSHAKE if field[0] != name)


def siblings(count):
    def run(connection):
        streams = [connection.tunnel() for _ in range(count)]
        for number, stream in enumerate(streams):
            stream.send(frame(TEXT, b"%d" % number))
        for number, stream in reversed(list(enumerate(streams))):
            stream.expect(TEXT, b"%d" % number)
    return run


def beside_a_request(connection):
    stream = connection.tunnel()
    plain = connection.open(((":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")), True)
    connection.until(lambda: plain.over)
    assert plain.answer[":status"] == "426", plain.answer  # the echo server's word for "no upgrade"
    stream.send(frame(TEXT, b"and I"))
    stream.expect(TEXT, b"and I")


def reset_by_client(connection):
    stream = connection.tunnel()
    connection.h2.reset_stream(stream.id, h2.errors.ErrorCodes.CANCEL)
    connection.flush()
    requests(connection)


def half_closed(connection):
    """The end of our side is the end of the server's TCP stream: it ends its own."""
    stream = connection.tunnel()
    connection.h2.end_stream(stream.id)
    connection.flush()
    connection.until(lambda: stream.over)
    requests(connection)


def slow_reader(connection):
    """The answer is larger than every window: it comes as it is read."""
    stream, payload = connection.tunnel(), pattern(3 << 20)
    stream.send(frame(BINARY, payload))
    stream.expect(BINARY, payload)


def subprotocol(connection):
    stream = connection.tunnel(("sec-websocket-protocol", "chat, superchat"))
    assert "sec-websocket-accept" not in stream.answer and "connection" not in stream.answer, stream.answer


def all_cases():
    cases = {}
    for kind, name in ((TEXT, "text"), (BINARY, "binary")):
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20):
            cases[f"{name} of {size}"] = echo(kind, size)
        for fragments in (2, 3, 50):
            cases[f"{name} of 5000 in {fragments} fragments"] = echo(kind, 5000, fragments)
        for piece in (1, 2, 3, 7, 100, 1000):
            cases[f"{name} of 700 in DATA of {piece}"] = echo(kind, 700, 1, piece)
    for payload in (b"", b"p", bytes(range(125))):
        cases[f"ping with {len(payload)} bytes"] = ping(payload)
        cases[f"ping with {len(payload)} bytes between fragments"] = ping(payload, True)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        cases[f"close {code}"] = closes(code)
    cases["close with a reason"] = closes(1000, b"r" * 123)
    for code in (0, 999, 1004, 1005, 1006, 1015, 5000):
        cases[f"close {code}, which is no code"] = breach(close(code), 1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        cases[f"opcode {opcode}"] = breach(frame(opcode), 1002)
    for rsv in range(1, 8):
        cases[f"reserved bits {rsv}"] = breach(frame(TEXT, b"x", rsv=rsv), 1002)
    cases["unmasked"] = breach(frame(TEXT, b"x", mask=False), 1002)
    cases["a ping of 126 bytes"] = breach(frame(PING, b"p" * 126), 1002)
    cases["a ping in fragments"] = breach(frame(PING, b"p", False), 1002)
    cases["a continuation of nothing"] = breach(frame(CONT, b"x"), 1002)
    cases["a message inside another"] = breach(frame(TEXT, b"a", False) + frame(TEXT, b"b"), 1002)
    for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"ok \xf4\x90\x80\x80"):
        cases[f"text {bad!r}"] = breach(frame(TEXT, bad), 1007)
    cases["version 12"] = refused(("400", "426"), without("sec-websocket-version") + (("sec-websocket-version", "12"),))
    cases["no version"] = refused(("400", "426"), without("sec-websocket-version"))
    cases["an unknown :protocol"] = refused(("501",), tuple(
        (name, "chat" if name == ":protocol" else value) for name, value in HANDSHAKE))
    for count in (2, 10, 90):
        cases[f"{count} tunnels on a connection"] = siblings(count)
    cases["a request beside a tunnel"] = beside_a_request
    cases["reset by the client"] = reset_by_client
    cases["half-closed by the client"] = half_closed
    cases["3 MiB back and forth"] = slow_reader
    cases["no field of HTTP/1.1's handshake comes back"] = subprotocol
    return cases


def main():
    cases = all_cases()
    passed = 0
    for name, run in cases.items():
        connection = None
        try:
            connection = Connection(int(sys.argv[1]))
            run(connection)
            passed += 1
        except (AssertionError, OSError, h2.exceptions.ProtocolError) as error:
            print(f"{name}: {error!r}"[:200])
        finally:
            if connection is not None:
                connection.socket.close()
    print(f"{passed}/{len(cases)}")


if __name__ == "__main__":
    main()
