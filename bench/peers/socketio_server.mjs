// Rooms of Socket.IO, WebSocket transport alone.
// usage: node socketio_server.mjs PORT. Events: "s" channel (acknowledged) joins, "p" channel message publishes.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });
// Socket.IO's own advice on memory: the first HTTP request is not needed any more.
io.engine.on("connection", (raw) => {
  raw.request = null;
});
io.on("connection", (socket) => {
  socket.on("s", (channel, ack) => {
    socket.join(channel);
    ack();
  });
  socket.on("p", (channel, message) => io.to(channel).emit("m", message));
});
http.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
