#!/usr/bin/python3
"""A service that answers the rpc methods sum.* over ZeroMQ: service.py ENDPOINT [NAME [CAPACITY]]

Needs python3-zmq and python3-protobuf, and service_pb2, which is made by
    protoc --proto_path=proto --python_out=. weft/v1/service.proto
"""
import json
import signal
import sys
import time

import zmq
from weft.v1.service_pb2 import ServiceFrame

METHODS = ["sum.*"]


def answer(call):
    """The result of a call, or an exception."""
    params = json.loads(call.params or b"null")
    if call.method == "sum.add":
        return {"sum": sum(params), "user": call.user}
    if call.method == "sum.slow":
        time.sleep(params)
        return "slept"
    raise LookupError("no method " + call.method)


def main(endpoint, name="sums", capacity="16"):
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 200
    socket.connect(endpoint)

    def send(**body):
        socket.send(ServiceFrame(**body).SerializeToString())

    def register():
        send(register={"methods": METHODS, "name": name, "capacity": int(capacity)})

    signal.signal(signal.SIGTERM, lambda *_: (send(goodbye={}), sys.exit(0)))
    heartbeat = 1.0
    register()
    while True:
        if not socket.poll(heartbeat * 1000):
            send(heartbeat={})
            continue
        frame = ServiceFrame.FromString(socket.recv())
        kind = frame.WhichOneof("body")
        if kind == "registered":
            heartbeat = frame.registered.heartbeat_ms / 1000
            print("registered at node", frame.registered.node, flush=True)
        elif kind == "rejected":
            sys.exit("rejected: " + frame.rejected.message)
        elif kind == "goodbye":  # weftd ends, or has forgotten us
            time.sleep(0.2)
            register()
        elif kind == "heartbeat":
            send(heartbeat={})
        elif kind == "call":
            call = frame.call
            try:
                send(answer={"id": call.id, "result": json.dumps(answer(call)).encode()})
            except Exception as error:
                send(answer={"id": call.id, "error": {"code": 4100, "message": str(error)}})


if __name__ == "__main__":
    main(*sys.argv[1:])
