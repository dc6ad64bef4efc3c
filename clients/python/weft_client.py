"""A small client of Weft for asyncio, on the package websockets (10.4 and later).

It keeps one connection, comes back with full jitter when it is lost, and subscribes again from the last position, so that
what history holds comes once and in order. publish() repeats a publication under its message id until it is answered.
"""
import asyncio
import collections
import contextlib
import dataclasses
import json
import random
import secrets
import time
import types

import websockets

FINAL = {4003, 4009, 4013}  # no attempt is made any more
REFUSED = {4001, 4002}  # only with another ticket
RETRY = {4004, 4017}  # the same command may do later
LASTING = {4006, 4007, 4010, 4016}  # the same subscription is refused again
UNANSWERED = 64  # commands of a connection at a time, fewer than the server takes for going on in spite of refusals
MAX_FRAME = 16 * 1024 * 1024  # bytes
REMEMBERED = 100  # message ids of a channel
STABLE = 5.0  # seconds after which a connection counts as a success


class WeftError(Exception):
    """An error of the server (code 4000 to 4019), or of this client (code 0, reason "connection_lost" or "disconnected")."""

    def __init__(self, code, reason, message="", retry_after_ms=0, **_):
        super().__init__(message or reason)
        self.code, self.reason, self.retry_after = code, reason, retry_after_ms / 1000


@dataclasses.dataclass(frozen=True)
class Event:
    """A publication. `publisher` is {"user", "client_id"}, or None when a back end published."""

    channel: str
    data: object
    position: str
    message_id: str
    timestamp: str
    publisher: dict = None


@dataclasses.dataclass(frozen=True)
class Gap:
    """Publications of this channel may have been missed and can't be had: load your state afresh."""
    channel: str


class Subscription:
    """Yields Event and Gap. `bound` of them wait to be taken; a reader that is further behind gets the rest from history."""

    def __init__(self, client, channel, position, echo, bound):
        self.channel, self.position, self.echo = channel, position, echo
        self._client, self._bound = client, bound
        self._ready, self._wake = collections.deque(), asyncio.Event()
        self._asked = False  # a subscribe waits for its answer; what comes before that comes again behind it
        self._behind = False  # too much waits: what comes is left to a later resume
        self._ids, self._error = collections.deque(maxlen=REMEMBERED), None
        self.subscribed = asyncio.Event()  # set with the first answer: what is published from then on comes

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._ready:
            if self._behind and self._client.connected:
                self._ask()
            if error := self._error or self._client._failure:
                raise error
            self._wake.clear()
            await self._wake.wait()
        return self._ready.popleft()

    async def close(self):
        """Unsubscribes. Whoever waits for an event gets a WeftError "unsubscribed"."""
        self._end(WeftError(0, "unsubscribed"))
        if self._client.connected:
            await self._client.call("unsubscribe", channel=self.channel)

    def _ask(self):
        self._asked, self._behind, resumed = True, False, self.position is not None
        payload = {"channel": self.channel, "echo": self.echo, **({"position": self.position} if resumed else {})}
        self._client._send("subscribe", payload, lambda error, answer: self._answered(error, answer, resumed))

    def _answered(self, error, answer, resumed):
        if error:
            if error.code in LASTING:
                self._end(error)
            elif error.reason != "connection_lost":
                wait = max(error.retry_after, 1.0) * random.uniform(1, 1.5)
                asyncio.get_running_loop().call_later(wait, lambda: self._client.connected and self._asked and self._ask())
            return
        if resumed and not answer["recovered"]:
            self._put(Gap(self.channel))
        self._asked, self.position = False, answer["position"]
        self.subscribed.set()

    def _receive(self, kind, payload):
        if kind == "event" and not self._asked:
            self._deliver(Event(**{field.name: payload.get(field.name) for field in dataclasses.fields(Event)}))
        elif kind == "gap" and not self._asked:
            self._ask()
        elif kind == "unsubscribed":
            self._end(WeftError(payload["code"], payload["reason"]))

    def _deliver(self, event):
        self._behind = self._behind or len(self._ready) >= self._bound
        if self._behind:
            return
        self.position, by = event.position, event.publisher or {}
        key = (by.get("user") or by.get("client_id"), event.message_id)
        if key not in self._ids:
            self._ids.append(key)
            self._put(event)

    def _put(self, item):
        self._ready.append(item)
        self._wake.set()

    def _end(self, error):
        self._client._subscriptions.pop(self.channel, None)
        self._error = error
        self._wake.set()
        self.subscribed.set()


class Client:
    """`get_ticket` is an async function that returns a ticket; None where the server needs none. When it raises OSError, it
    is asked again later; what else it raises ends the client, as does a server that lets nobody in with that ticket.
    Iterators and calls then raise WeftError."""

    def __init__(self, url, get_ticket=None, *, backoff=(1.0, 30.0), timeout=10.0):
        self.url, self._get_ticket, self._backoff, self._timeout = url, get_ticket, backoff, timeout
        self._subscriptions, self._commands, self._next_id = {}, {}, 0
        self.info = self._socket = self._task = self._failure = None
        self._slots = asyncio.Semaphore(UNANSWERED)

    connected = property(lambda self: self._socket is not None)

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def subscribe(self, channel, position=None, echo=True, bound=1000):
        """Subscribes now and after each reconnect. `position`: where to resume, such as a Subscription's `position`."""
        subscription = Subscription(self, channel, position, echo, bound)
        self._subscriptions[channel] = subscription
        if self.connected:
            subscription._ask()
        return subscription

    async def publish(self, channel, data, message_id=None, timeout=30.0):
        """Returns {"message_id", "position"}. After asyncio.TimeoutError it may have been delivered: repeat it by its id."""
        payload = {"channel": channel, "data": data, "message_id": message_id or secrets.token_hex(16)}
        return await self._ask("publish", payload, timeout, repeat=True)

    async def rpc(self, method, params=None):
        return (await self._ask("rpc", {"method": method, "params": params}, self._timeout, repeat=False))["result"]

    async def call(self, kind, **payload):
        """Any other command of the protocol: call("history", channel="chat:lobby", limit=10). Returns the answer's payload."""
        return await self._ask(kind, payload, self._timeout, repeat=True)

    def signal(self, channel, name, data=None):
        """Sent if there is a connection, and never repeated."""
        self.connected and self._write({"type": "signal", "payload": dict(channel=channel, name=name, data=data)})

    async def _ask(self, kind, payload, timeout, repeat):
        async def ask():
            async with self._slots:
                while not self._failure:
                    answer = asyncio.get_running_loop().create_future()
                    name = self._send(kind, payload, lambda *got: answer.done() or answer.set_result(got), repeat)
                    try:
                        error, got = await answer
                    finally:
                        self._commands.pop(name, None)
                    if not error:
                        return got
                    if error.code not in RETRY or not repeat:
                        raise error
                    await asyncio.sleep(max(error.retry_after, 0.1) * random.uniform(1, 1.25))
                raise self._failure

        return await asyncio.wait_for(ask(), timeout)

    def _send(self, kind, payload, answered, repeat=False):
        self._next_id += 1
        frame = {"type": kind, "id": str(self._next_id), "payload": payload}
        self._commands[frame["id"]] = types.SimpleNamespace(frame=frame, answered=answered, repeat=repeat, sent=False)
        self._flush()
        return frame["id"]

    def _flush(self):
        for command in [one for one in self._commands.values() if self.connected and not one.sent]:
            command.sent = True
            if not self._write(command.frame):
                command.answered(WeftError(4005, "message_too_large"), None)

    def _write(self, frame):
        text = json.dumps(frame)  # ASCII
        if len(text) > self.info["limits"]["message_size"]:  # it would end the connection
            return False
        task = asyncio.ensure_future(self._socket.send(text))  # in order: send() takes its turn at once
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # the reader sees the end as well
        return True

    async def _run(self):
        attempt, refused, failure = 0, None, WeftError(0, "disconnected")
        try:
            while True:
                ticket, began, code, error, go_at = None, time.monotonic(), 1006, None, None
                try:
                    ticket = await self._get_ticket() if self._get_ticket else None
                    if refused and ticket == refused[0]:
                        raise refused[1]
                    offered = ["weft.v1.json"] + ([f"bearer.{ticket}"] if ticket else [])
                    options = {"subprotocols": offered, "open_timeout": self._timeout, "max_size": MAX_FRAME}
                    async with websockets.connect(self.url, **options) as socket:
                        error, go_at = await self._converse(socket)
                    code = socket.close_code
                except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                    pass
                finally:
                    established = self._lost()
                error = error if error and error.code == code else WeftError(code, "refused")
                if code in FINAL or code in REFUSED and (refused or not self._get_ticket):
                    raise error
                refused = (ticket, error) if code in REFUSED else None if established else refused
                attempt = 0 if established and time.monotonic() - began > STABLE else attempt
                wait = error.retry_after + random.uniform(0, min(self._backoff[1], self._backoff[0] * 2 ** min(attempt, 20)))
                attempt += 1
                await asyncio.sleep(wait if go_at is None else max(0, go_at - time.monotonic()))
        except Exception as error:
            failure = error if isinstance(error, WeftError) else WeftError(0, "disconnected", repr(error))
            raise
        finally:
            self._failure = failure
            for one in [*self._subscriptions.values()]:
                one._end(failure)
            for one in [*self._commands.values()]:
                one.answered(failure, None)

    async def _converse(self, socket):
        """Until the connection ends. Returns the error that was told last, and when the server wants us elsewhere."""
        error = go_at = None
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in socket:
                frame = json.loads(text)
                kind, payload = frame["type"], frame.get("payload", {})
                if kind == "connection_established":
                    self._established(socket, payload)
                elif kind == "reconnect" and go_at is None:
                    go_at = time.monotonic() + payload["after_ms"] / 1000
                    asyncio.get_running_loop().call_at(go_at, lambda: asyncio.ensure_future(socket.close()))
                elif kind == "error" and "id" not in frame:
                    error = WeftError(**payload)
                    if error.code == 4012 and self._get_ticket:
                        asyncio.ensure_future(self._refresh())
                else:
                    self._receive(frame.get("id"), kind, payload)
        return error, go_at

    def _established(self, socket, info):
        self._socket, self.info = socket, info
        waiting, self._commands = self._commands, {}
        for subscription in self._subscriptions.values():  # before what waits to be published
            subscription._ask()
        self._commands.update(waiting)
        self._flush()

    def _lost(self):
        established, self._socket, self.info = self.connected, None, None
        for name, command in list(self._commands.items()):
            if command.sent and not command.repeat:
                del self._commands[name]
                command.answered(WeftError(0, "connection_lost"), None)
            command.sent = False
        return established

    def _receive(self, name, kind, payload):
        command = self._commands.pop(name, None)
        if command:
            command.answered(WeftError(**payload) if kind == "error" else None, payload)
        elif payload.get("channel") in self._subscriptions:
            self._subscriptions[payload["channel"]]._receive(kind, payload)

    async def _refresh(self):  # if it fails, the connection ends, and the next one has a new ticket
        with contextlib.suppress(Exception):
            await self.call("refresh", token=await self._get_ticket())
