#!/usr/bin/python3
"""The back end of t/86_hooks.t: back_end.py PORT LOG. What it does is said by what it is asked: the last segment of a
method or a channel, or the user's name where there is neither. Each request is a line of JSON in LOG."""
import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, log = int(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
lock = threading.Lock()
seen = {}  # how often a mode was asked for


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(raw)
        subject = asked.get("method") or asked.get("channel") or asked.get("user", "")
        mode = subject.replace(":", ".").split(".")[-1]
        headers = {name.lower(): value for name, value in self.headers.items()}
        with lock:
            seen[mode] = seen.get(mode, 0) + 1
            log.write(json.dumps({"asked": asked, "headers": headers, "raw": raw.decode(), "path": self.path,
                                  "peer": self.client_address[1]}) + "\n")
        if mode == "hang":
            time.sleep(60)
        elif mode == "slow":
            time.sleep(0.3)
        elif mode == "drop" or (mode == "drop1" and seen[mode] == 1):
            self.close_connection = True
            return
        if mode == "refuse":
            self.answer(200, {"allow": False, "error": {"code": 4103, "message": "not you", "retry_after_ms": 250}})
        elif mode == "deny":
            self.answer(200, {"allow": False})
        elif mode == "garbage":
            self.answer(200, b"<html>hello</html>")
        elif mode == "badcode":
            self.answer(200, {"error": {"code": 200}})
        elif mode == "fail":
            self.answer(500, b"oops")
        elif mode == "busy":
            self.answer(503, b"", Retry_After="7")
        elif mode == "huge":
            self.answer(200, {"result": "x" * 3_000_000})
        elif mode == "redirect":
            self.answer(302, b"", Location="http://127.0.0.1:%d/elsewhere.ok" % port)
        elif mode == "rewrite":
            self.answer(200, b'{"data": {"was": 1.10, "text": "\\u00e9"}}')
        elif mode == "ann2":
            self.answer(200, {"user": "ann the second", "info": {"name": "Ann"}, "channels": {"open:*": ["subscribe"]}})
        elif mode == "empty":
            self.answer(204, b"")
        elif asked["event"] == "rpc":
            self.answer(200, {"result": {"method": asked["method"], "params": asked.get("params"),
                                         "user": asked.get("user")}})
        else:
            self.answer(200, {})


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # weftd hangs up on those that take too long


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
Server(("127.0.0.1", port), Handler).serve_forever()
