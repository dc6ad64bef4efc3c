#!/usr/bin/python3
"""A back end for Weft's hooks, with Python's own library: hooks.py PORT KEYFILE"""
import base64
import hashlib
import hmac
import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(open(sys.argv[2]).read().strip().removeprefix("whsec_"))


def signed(headers, body):
    """Whether weftd has sent this, lately. https://www.standardwebhooks.com has libraries for it."""
    sent, stamp = headers["webhook-id"] or "", headers["webhook-timestamp"] or "0"
    mac = hmac.new(KEY, f"{sent}.{stamp}.".encode() + body, hashlib.sha256).digest()
    given = (headers["webhook-signature"] or "").removeprefix("v1,")
    return abs(time.time() - int(stamp)) < 300 and hmac.compare_digest(base64.b64encode(mac).decode(), given)


def refuse(code, message):
    return {"allow": False, "error": {"code": code, "message": message}}


def decide(asked):
    event, user = asked["event"], asked.get("user")
    if event == "connect":
        return {"info": {"name": user.title()}} if user else refuse(4002, "who are you?")
    if event == "subscribe":
        return {} if asked["channel"] != "room:staff" or user == "ann" else refuse(4010, "staff only")
    if event == "publish":
        if not isinstance(asked["data"], str):
            return refuse(4006, "text, please")
        return {"data": asked["data"].replace("damn", "d***")}
    if event == "rpc" and asked["method"] == "orders.get":
        return {"result": {"id": asked["params"]["id"], "owner": user}}
    if event == "rpc":
        return {"error": {"code": 4018, "message": "no method " + asked["method"]}}
    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        good = signed(self.headers, body)
        answer = json.dumps(decide(json.loads(body)) if good else {}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
