// A WebSocket client on node's ws that keeps every frame it got, as text and as value, until a test asks for it.
import WebSocket from 'ws';

import { ticketFor } from './nodes.mjs';

const PATIENCE_MS = 30_000; // busy machines are slow

export class Client {
  #frames = [];
  #waiting = [];
  #nextId = 1;

  /** Connects to a node as `user` and resolves with a client that has its connection_established in `hello`. */
  static async connect(node, user) {
    const client = Client.open(node, await ticketFor(node, user));
    client.hello = (await client.next('connection_established')).payload;
    return client;
  }

  /** Opens without waiting for anything. */
  static open(node, ticket) {
    const address = new URL('ws', node);
    address.protocol = 'ws:';
    const client = new Client();
    client.socket = new WebSocket(address, ['weft.v1.json', `bearer.${ticket}`]);
    client.closed = new Promise((resolve) => {
      client.socket.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() });
        client.#settle(new Error(`closed with ${code} ${reason}`));
      });
    });
    client.socket.on('error', (error) => client.#settle(error));
    client.socket.on('message', (data, isBinary) => {
      const text = data.toString();
      client.#frames.push({ ...JSON.parse(text), text, isBinary });
      client.#settle();
    });
    return client;
  }

  send(frame) {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Sends a command and resolves with its answer, an error frame included. */
  async ask(type, payload) {
    const id = `q${this.#nextId++}`;
    this.send({ type, id, payload });
    return this.take((frame) => frame.id === id, `an answer to ${type}`);
  }

  async subscribe(channel) {
    const answer = await this.ask('subscribe', { channel });
    if (answer.type !== 'subscribed') throw new Error(`not subscribed: ${answer.text}`);
    return answer.payload;
  }

  /** The first frame of this type that no test took yet; it stays in order with others of its type. */
  next(type) {
    return this.take((frame) => frame.type === type, `a frame of type ${type}`);
  }

  take(matches, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((one) => one.timer !== timer);
        reject(new Error(`${what} did not come; there is ${this.#frames.map(({ text }) => text).join(' ') || 'nothing'}`));
      }, PATIENCE_MS);
      this.#waiting.push({ matches, resolve, reject, timer });
      this.#settle();
    });
  }

  /** Frames that came and were not taken. */
  get left() {
    return this.#frames;
  }

  async close() {
    this.socket.close(1000);
    return this.closed;
  }

  #settle(error) {
    this.#waiting = this.#waiting.filter(({ matches, resolve, reject, timer }) => {
      const at = this.#frames.findIndex(matches);
      if (at < 0 && !error) return true;
      clearTimeout(timer);
      if (at >= 0) resolve(this.#frames.splice(at, 1)[0]);
      else reject(error);
      return false;
    });
  }
}
