// uWebSockets by way of Bun, whose WebSocket server it is: topics, fan-out and coalescing all happen in its C++; only
// the handler of a publication is JavaScript. (npm has no package of uWebSockets.js.)
// usage: bun uws_server.mjs PORT [CERTIFICATE KEY], files in PEM. The protocol is in ../dialect_ws.cpp.
const [port, certificate, key] = process.argv.slice(2);
const server = Bun.serve({
  port: Number(port),
  hostname: "127.0.0.1",
  ...(certificate && { tls: { cert: Bun.file(certificate), key: Bun.file(key) } }),
  fetch(request, self) {
    if (!self.upgrade(request)) return new Response("expected a WebSocket", { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    sendPings: false,
    backpressureLimit: 64 * 1024 * 1024,
    message(socket, text) {
      if (text[0] === "s") {
        socket.subscribe(text.slice(2));
        socket.send("ok");
      } else if (text[0] === "p") {
        const end = text.indexOf(" ", 2);
        server.publish(text.slice(2, end), text.slice(end + 1), false);
      }
    },
  },
});
