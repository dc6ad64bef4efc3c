// Channels over the ws package, as its documentation shows broadcasting: a set of sockets per channel.
// usage: node ws_server.mjs PORT. The protocol is in ../dialect_ws.cpp.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const channels = new Map();
const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false, clientTracking: false });

server.on("connection", (socket) => {
  const joined = [];
  socket.on("message", (bytes) => {
    const text = bytes.toString();
    const end = text.indexOf(" ", 2);
    if (text[0] === "s") {
      const name = text.slice(2);
      if (!channels.has(name)) channels.set(name, new Set());
      channels.get(name).add(socket);
      joined.push(name);
      socket.send("ok");
    } else if (text[0] === "p") {
      // A Buffer, converted once, rather than a string that every send() would convert again.
      const message = Buffer.from(text.slice(end + 1));
      for (const subscriber of channels.get(text.slice(2, end)) ?? []) subscriber.send(message, { binary: false });
    }
  });
  socket.on("close", () => {
    for (const name of joined) channels.get(name)?.delete(socket);
  });
  socket.on("error", () => {});
});
http.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
