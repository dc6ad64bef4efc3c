"""The Python client against two real nodes."""
import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import random
import re
import secrets
import signal
import subprocess
import sys
import time
import unittest

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent))
tree = here.parents[2]

from weft_client import Client, Gap, WeftError  # noqa: E402

PATIENCE = 30  # seconds
ALL = ["subscribe", "publish", "signal", "presence", "history"]
nodes = {}


def setUpModule():
    command = ["setpriv", "--pdeathsig", "TERM", str(tree / "scripts/run.sh"), "--json"]
    env = {**os.environ, "WEFT_RUN_TEMPLATES": str(tree / "tests/clients")}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("ready {"):
            nodes.update(json.loads(line[len("ready ") :]), process=process)
            return
    raise RuntimeError("".join(lines))


def tearDownModule():
    process = nodes["process"]
    process.terminate()
    rest = process.stdout.read()
    if process.wait() != 0:
        raise RuntimeError(rest)


def ticket(user):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    key = base64.b64decode(pathlib.Path(nodes["key"]).read_text(encoding="ascii").strip().removeprefix("base64:"))
    channels = {f"{kind}:*": ALL for kind in ("chat", "short", "plain")}
    claims = {"sub": user, "exp": int(time.time()) + 600, "channels": channels, "rpc": ["weft.*"]}
    text = b".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (text + b"." + part(hmac.digest(key, text, hashlib.sha256))).decode()


def client(user, node=0, url=None):
    async def get_ticket():
        return ticket(user)

    return Client(url or nodes["nodes"][node].replace("http", "ws") + "ws", get_ticket, backoff=(0.02, 0.1))


def fresh(kind="chat"):
    return f"{kind}:{secrets.token_hex(6)}"


async def take(subscription, count):
    return [await asyncio.wait_for(anext(subscription), PATIENCE) for _ in range(count)]


class Proxy:
    """A TCP proxy to this node, or to either at random. It cuts connections after a number of bytes from the server, and lets
    none in while `shut`."""

    def __init__(self, budget=lambda: 1 << 60, node=None):
        self.budget, self.node, self.cuts, self.shut, self._writers = budget, node, 0, False, set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = "ws://127.0.0.1:%d/ws" % self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()

    def cut(self):
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        host, port = re.match(r"http://([\d.]+):(\d+)/", random.choice(nodes["nodes"]) if self.node is None else nodes["nodes"][self.node]).groups()
        there, out = await asyncio.open_connection(host, int(port))
        pair = {writer, out}
        self._writers |= pair

        async def pump(source, sink, left):
            while not self.shut and left > 0 and (data := await source.read(1 << 16)):
                sink.write(data[:left])
                left -= len(data)
            self.cuts += left <= 0

        pumps = [asyncio.create_task(pump(*one)) for one in ((reader, out, 1 << 60), (there, writer, self.budget()))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        self._writers -= pair
        for one in pair:
            one.close()
        await asyncio.gather(*pumps, return_exceptions=True)


class ClientTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # it tells of every callback that this machine was slow to run

    async def test_what_is_published_comes_once_and_in_order(self):
        channel = fresh()
        async with client("ann") as ann, client("bob", 1) as bob:
            heard = bob.subscribe(channel)
            await heard.subscribed.wait()
            for n in range(50):
                answer = await ann.publish(channel, {"n": n})
            events = await take(heard, 50)
        self.assertEqual([event.data for event in events], [{"n": n} for n in range(50)])
        self.assertEqual(events[-1].message_id, answer["message_id"])
        self.assertEqual(events[0].publisher["user"], "ann")

    async def test_many_at_once_are_all_answered(self):
        channel = fresh()
        async with client("ann") as ann:
            await asyncio.gather(*(ann.publish(channel, n) for n in range(400)))
            page = await ann.call("history", channel=channel)
        self.assertEqual(sorted(event["data"] for event in page["events"]), list(range(400)))

    async def test_calls_signals_presence(self):
        channel = fresh()
        async with client("ann") as ann:
            self.assertEqual(await ann.rpc("weft.echo", [1, {"a": None}]), [1, {"a": None}])
            with self.assertRaises(WeftError) as raised:
                await ann.rpc("weft.nothing")
            self.assertEqual((raised.exception.code, raised.exception.reason), (4018, "method_not_found"))
            with self.assertRaises(WeftError) as raised:
                await ann.publish(channel, "x" * 70_000)
            self.assertEqual((raised.exception.code, ann.connected), (4005, True))
            await ann.subscribe(channel).subscribed.wait()
            ann.signal(channel, "typing")
            self.assertEqual((await ann.call("presence", channel=channel))["count"], 1)
            first = await ann.publish(channel, 1, message_id="m")
            self.assertEqual(await ann.publish(channel, 1, message_id="m"), first)

    async def test_a_reader_that_is_behind_gets_the_rest_from_history(self):
        channel = fresh()
        async with client("ann") as ann, client("bob") as bob:
            heard = bob.subscribe(channel, bound=10)
            await heard.subscribed.wait()
            for n in range(100):
                await ann.publish(channel, n)
            self.assertEqual([event.data for event in await take(heard, 100)], list(range(100)))

    async def test_what_can_not_be_had_is_told(self):
        channel = fresh("short")
        async with Proxy() as proxy, client("ann", url=proxy.url) as ann, client("bob") as bob:
            heard = ann.subscribe(channel)
            await heard.subscribed.wait()
            proxy.shut = True
            proxy.cut()
            while ann.connected:
                await asyncio.sleep(0.01)
            for n in range(5):
                await bob.publish(channel, n)
            proxy.shut = False
            gap, *events = await take(heard, 3)
        self.assertEqual(gap, Gap(channel))
        self.assertEqual([event.data for event in events], [3, 4])

    async def test_refusals(self):
        async with client("ann") as ann:
            with self.assertRaises(WeftError) as raised:
                await take(ann.subscribe("nowhere:1"), 1)
            self.assertEqual(raised.exception.code, 4007)
        url = nodes["nodes"][0].replace("http", "ws") + "ws"
        async with Client(url) as nobody:
            for _ in range(2):
                with self.assertRaises(WeftError) as raised:
                    await nobody.rpc("weft.echo")
                self.assertEqual(raised.exception.code, 4001)
        asked = []

        async def forged():
            asked.append(1)
            return "forged" + "x" * len(asked)

        async with Client(url, forged, backoff=(0.01, 0.01)) as eve:
            with self.assertRaises(WeftError) as raised:
                await take(eve.subscribe(fresh()), 1)
        self.assertEqual((raised.exception.code, len(asked)), (4002, 2))

    async def test_a_ticket_that_ends_soon_is_replaced(self):
        asked = []

        async def get_ticket():
            asked.append(ticket("ann"))
            return asked[-1]

        async with Client(nodes["nodes"][0].replace("http", "ws") + "late", get_ticket) as ann:
            await ann.rpc("weft.echo")
            first = ann.info["client_id"]
            while len(asked) < 2:
                await asyncio.sleep(0.01)
            await ann.rpc("weft.echo")
            self.assertEqual(ann.info["client_id"], first)

    async def test_a_node_that_is_reloaded_is_left_and_nothing_lost(self):
        channel = fresh()
        async with client("reader") as reader, client("ann", 1) as ann:
            heard = reader.subscribe(channel)
            await heard.subscribed.wait()
            first, total = reader.info["client_id"], 0
            os.kill(int((pathlib.Path(nodes["state"]) / "a/nginx.pid").read_text()), signal.SIGHUP)
            while not reader.connected or reader.info["client_id"] == first:
                await ann.publish(channel, total)
                total += 1
            await ann.publish(channel, total)
            self.assertEqual([event.data for event in await take(heard, total + 1)], [*range(total + 1)])

    async def test_fifty_cuts_lose_repeat_and_reorder_nothing(self):
        channel, cuts = fresh(), 50
        reading, writing = Proxy(lambda: random.randrange(1, 8000)), Proxy(lambda: random.randrange(1000, 20000), node=0)
        async with reading, writing, client("reader", url=reading.url) as reader, client("ann", url=writing.url) as ann:
            reading.budget, budget = (lambda: 1 << 60), reading.budget
            heard, total, events = reader.subscribe(channel), 0, []
            await heard.subscribed.wait()
            reading.budget = budget
            reading.cut()
            while reading.cuts < cuts:
                await ann.publish(channel, total)
                total += 1
                if total - len(events) > 500:
                    events += await take(heard, 1)
            reading.budget = writing.budget = lambda: 1 << 60
            events += await take(heard, total - len(events))
            await ann.publish(channel, "end")
            events += await take(heard, 1)
        self.assertEqual([event.data for event in events], [*range(total), "end"])
        self.assertGreater(writing.cuts, 0)

    async def test_the_example_of_the_documentation_runs(self):
        page = (tree / "docs/sdk.md").read_text(encoding="utf-8")
        (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
        printed, names = [], {"print": lambda *words: printed.append(words)}
        exec(example.replace("wss://example.com/ws", nodes["nodes"][0].replace("http", "ws") + "ws"), names)

        async def get_ticket():
            return ticket("ann")

        await asyncio.wait_for(names["main"](get_ticket), PATIENCE)
        self.assertEqual(printed[1:], [([1, 2],), (1,), ("ann", "Hello")])

    def test_the_client_has_less_than_300_lines(self):
        self.assertLess(len((here.parent / "weft_client.py").read_text(encoding="utf-8").splitlines()), 300)


if __name__ == "__main__":
    unittest.main()
