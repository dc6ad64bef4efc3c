// Another implementation to run the suite against: an echo server of node's ws. Writes "ready PORT" once it listens.
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(new URL("../browser/package.json", import.meta.url))("ws");
const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    maxPayload: 64 * 1024 * 1024,
    perMessageDeflate: { threshold: 0 },
});
server.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on("error", () => {}); // what the suite is about
});
server.on("listening", () => console.log(`ready ${server.address().port}`));
