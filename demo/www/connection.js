// A connection to Weft (subprotocol weft.v1.json) that comes back by itself.
//
// It fetches a fresh ticket for every attempt, waits between attempts with full jitter, and subscribes again from the
// last position of each channel, so that what history still holds is delivered. What the server sends unasked arrives as
// events named as the frame's type ("event", "signal", "gap", …) with the payload in `detail`; "subscribed" tells with
// `resumed` whether a position was given; "refused" that a channel can't be had; "state" how the connection stands.

const SUBPROTOCOL = 'weft.v1.json';
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 20_000;
const ANSWER_LIMIT_MS = 10_000;
const OPEN_LIMIT_MS = 10_000;

// Codes after which another attempt can't succeed, whatever the ticket.
const FINAL_CODES = new Set([4003, 4009, 4013]);
const TOKEN_EXPIRED = 4012;

export class WeftError extends Error {
  constructor({ code, reason, message }) {
    super(message || reason || `error ${code}`);
    this.code = code;
    this.reason = reason;
  }
}

export class WeftConnection extends EventTarget {
  #url;
  #ticket;
  #socket = null;
  #positions = new Map(); // channel -> last position, '' before the first
  #answers = new Map(); // command id -> {resolve, reject, timer}
  #nextId = 1;
  #attempts = 0;
  #timer = 0;
  #closed = true;
  #afterMs = 0; // what a `reconnect` frame asked for

  /** `ticket` is an async function that returns a fresh ticket; what it throws with `final` set ends the attempts. */
  constructor(url, ticket) {
    super();
    this.#url = url;
    this.#ticket = ticket;
  }

  open() {
    if (!this.#closed) return;
    this.#closed = false;
    this.#attempts = 0;
    this.#connect();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
    this.#drop('closed');
    this.#tell('state', { state: 'closed' });
  }

  get ready() {
    return this.#socket !== null;
  }

  subscribe(channel) {
    if (!this.#positions.has(channel)) this.#positions.set(channel, '');
    if (this.ready) this.#resume(channel);
  }

  /** Resolves with {message_id, position} once the broker has it. */
  publish(channel, data, messageId) {
    return this.#ask('publish', { channel, data, message_id: messageId });
  }

  /** Never answered, never kept: for what is only true this moment. */
  signal(channel, name, data) {
    if (this.ready) this.#send({ type: 'signal', payload: { channel, name, data } });
  }

  async rpc(method, params) {
    return (await this.#ask('rpc', { method, params })).result;
  }

  async #connect() {
    this.#tell('state', { state: 'connecting' });
    let ticket;
    try {
      ticket = await this.#ticket();
    } catch (error) {
      if (error.final) return this.#giveUp(error.message);
      return this.#retry('no ticket');
    }
    if (this.#closed) return;

    // A browser can't send a header with a WebSocket, so the ticket travels as a subprotocol that is never echoed.
    const socket = new WebSocket(this.#url, [SUBPROTOCOL, `bearer.${ticket}`]);
    let lastError = null;
    const opening = setTimeout(() => socket.close(), OPEN_LIMIT_MS);
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === 'error') lastError = frame.payload;
      if (frame.type === 'connection_established') {
        clearTimeout(opening);
        if (this.#closed) return socket.close(1000);
        this.#socket = socket;
        this.#attempts = 0;
        this.#tell('state', { state: 'open', ...frame.payload });
        for (const channel of this.#positions.keys()) this.#resume(channel);
        return;
      }
      this.#receive(frame);
    };
    socket.onclose = ({ code, reason }) => {
      clearTimeout(opening);
      if (this.#socket === socket) this.#drop('connection lost');
      if (this.#closed) return;
      if (FINAL_CODES.has(code)) return this.#giveUp(lastError?.message || reason || `closed with ${code}`);
      this.#retry(reason || lastError?.reason || (code === 1006 ? 'connection lost' : `closed with ${code}`));
    };
  }

  #receive({ type, id, payload }) {
    const answer = id === undefined ? undefined : this.#answers.get(id);
    if (answer) {
      this.#answers.delete(id);
      clearTimeout(answer.timer);
      if (type === 'error') answer.reject(new WeftError(payload));
      else answer.resolve(payload);
    }
    if ((type === 'event' || type === 'subscribed') && this.#positions.has(payload.channel)) {
      if (payload.position !== undefined) this.#positions.set(payload.channel, payload.position);
    }
    if (type === 'error' && !answer && payload.code === TOKEN_EXPIRED) return void this.#refresh();
    if (type === 'reconnect') this.#afterMs = payload.after_ms ?? 0;
    if (type === 'gap') this.#resume(payload.channel);
    if (!answer) this.#tell(type, payload);
  }

  /** The ticket ends soon: a new one in its place keeps the connection. */
  async #refresh() {
    const socket = this.#socket;
    try {
      const token = await this.#ticket();
      if (socket !== null && this.#socket === socket) await this.#ask('refresh', { token });
    } catch {
      // The server then ends the connection, and the next one has a fresh ticket.
    }
  }

  #resume(channel) {
    const position = this.#positions.get(channel);
    const resumed = position !== '';
    this.#ask('subscribe', resumed ? { channel, position } : { channel }).then(
      (payload) => this.#tell('subscribed', { ...payload, resumed }),
      (error) => {
        if (error.code) this.#tell('refused', { channel, error });
      },
    );
  }

  #ask(type, payload) {
    return new Promise((resolve, reject) => {
      if (!this.ready) return reject(new Error('not connected'));
      const id = `c${this.#nextId++}`;
      const socket = this.#socket;
      const timer = setTimeout(() => {
        this.#answers.delete(id);
        reject(new Error('no answer'));
        if (this.#socket === socket) this.#abandon(); // a peer that answers nothing for so long is gone
      }, ANSWER_LIMIT_MS);
      this.#answers.set(id, { resolve, reject, timer });
      this.#send({ type, id, payload });
    });
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  // close() may wait long for a peer that is gone; so let go of the socket first.
  #abandon() {
    const socket = this.#socket;
    socket.onclose = null;
    socket.onmessage = null;
    socket.close();
    this.#drop('no answer');
    this.#retry('no answer');
  }

  #drop(why) {
    this.#socket = null;
    for (const { reject, timer } of this.#answers.values()) {
      clearTimeout(timer);
      reject(new Error(why));
    }
    this.#answers.clear();
  }

  #retry(why) {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts++);
    const wait = this.#afterMs || Math.random() * longest;
    this.#afterMs = 0;
    this.#tell('state', { state: 'waiting', why, wait });
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  #giveUp(why) {
    this.#closed = true;
    this.#tell('state', { state: 'refused', why });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
