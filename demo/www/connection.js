// A connection to Weft (subprotocol weft.v1.json) that comes back by itself, to another node if one is gone.
//
// It fetches a fresh ticket for every attempt, waits between attempts with full jitter, and subscribes again from the
// last position of each channel, so that what history still holds is delivered. What the server sends unasked arrives as
// events named as the frame's type ("event", "signal", "join", …) with the payload in `detail`; "subscribed" tells with
// `resumed` whether a position was given; "refused" that a channel can't be had; "state" how the connection stands.
//
// It is short to be read beside docs/protocol.md. Pages of your own rather use clients/typescript, which does more.

const SUBPROTOCOL = 'weft.v1.json';
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const ANSWER_LIMIT_MS = 10_000;
const OPEN_LIMIT_MS = 10_000;
const PUBLISH_LIMIT_MS = 60_000; // until a publication that is not answered is given up
const OUTBOX_LIMIT = 200;

// Codes after which another attempt can't succeed, whatever the ticket.
const FINAL_CODES = new Set([4003, 4009, 4013]);
const TOKEN_EXPIRED = 4012;
const FOR_NOW = new Set([4004, 4017]); // refused, but not for good

export class WeftError extends Error {
  constructor({ code, reason, message, retry_after_ms: wait }) {
    super(message || reason || `error ${code}`);
    this.code = code;
    this.reason = reason;
    this.wait = wait;
  }
}

export class WeftConnection extends EventTarget {
  #nodes;
  #current = 0; // which of the nodes
  #ticket;
  #socket = null;
  #positions = new Map(); // channel -> last position, '' before the first
  #answers = new Map(); // command id -> {resolve, reject, timer}
  #outbox = new Map(); // message id -> publication that is not answered yet
  #nextId = 1;
  #attempts = 0;
  #timer = 0;
  #closed = true;
  #afterMs = 0; // what a `reconnect` frame asked for

  /**
   * `nodes`: base addresses, of which the next is tried when one fails. `ticket(node)` resolves with a fresh ticket; what it throws
   * with `final` set ends the attempts.
   */
  constructor(nodes, ticket) {
    super();
    this.#nodes = nodes;
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
    for (const { timer } of this.#outbox.values()) clearTimeout(timer);
    this.#outbox.clear();
    this.#tell('state', { state: 'closed' });
  }

  get ready() {
    return this.#socket !== null;
  }

  /** The base address of the node that is connected to, or tried. */
  get node() {
    return this.#nodes[this.#current];
  }

  subscribe(channel) {
    if (this.#positions.has(channel)) return;
    this.#positions.set(channel, '');
    if (this.ready) this.#resume(channel);
  }

  unsubscribe(channel) {
    if (this.#positions.delete(channel) && this.ready) this.#send({ type: 'unsubscribe', payload: { channel } });
  }

  /**
   * Resolves once a node has it. Until then it is repeated, through reconnects and at other nodes, under the one message
   * id by which nodes know it again: so it is delivered once.
   */
  publish(channel, data, messageId) {
    return new Promise((resolve, reject) => {
      if (this.#outbox.size >= OUTBOX_LIMIT) return reject(new Error('too much waits already'));
      const done = (settle) => (value) => {
        clearTimeout(publication.timer);
        this.#outbox.delete(messageId);
        settle(value);
      };
      const publication = { payload: { channel, data, message_id: messageId }, resolve: done(resolve), reject: done(reject) };
      publication.timer = setTimeout(() => publication.reject(new Error('no answer')), PUBLISH_LIMIT_MS);
      this.#outbox.set(messageId, publication);
      if (this.ready) this.#offer(publication);
    });
  }

  /** Never answered, never kept: for what is only true this moment. */
  signal(channel, name, data) {
    if (this.ready) this.#send({ type: 'signal', payload: { channel, name, data } });
  }

  async rpc(method, params) {
    return (await this.#ask('rpc', { method, params })).result;
  }

  /** All events that the channel's history holds, oldest first. */
  async history(channel) {
    const events = [];
    let page;
    do {
      page = await this.#ask('history', { channel, ...(page && { after: page.position }) });
      events.push(...page.events);
    } while (!page.complete && page.events.length > 0);
    return events;
  }

  /** All members of a channel. */
  async presence(channel) {
    const members = [];
    let page;
    do {
      page = await this.#ask('presence', { channel, ...(page && { after: members.at(-1).id }) });
      members.push(...(page.members ?? []));
    } while (page.complete === false && members.length > 0);
    return members;
  }

  async #connect() {
    this.#tell('state', { state: 'connecting' });
    const node = this.node;
    let ticket;
    try {
      ticket = await this.#ticket(node);
    } catch (error) {
      if (this.#closed) return;
      if (error.final) return this.#giveUp(error.message);
      return this.#retry('no ticket');
    }
    if (this.#closed) return;

    // A browser can't send a header with a WebSocket, so the ticket travels as a subprotocol that is never echoed.
    const address = new URL('ws', node);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(address, [SUBPROTOCOL, `bearer.${ticket}`]);
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
        for (const publication of this.#outbox.values()) this.#offer(publication);
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
      const token = await this.#ticket(this.node);
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
        if (!error.code) return;
        if (FOR_NOW.has(error.code)) this.#later(error, () => this.#positions.has(channel) && this.#resume(channel));
        else this.#tell('refused', { channel, error });
      },
    );
  }

  #offer(publication) {
    const waits = () => this.#outbox.has(publication.payload.message_id);
    this.#ask('publish', publication.payload).then(publication.resolve, (error) => {
      if (FOR_NOW.has(error.code)) this.#later(error, () => waits() && this.#offer(publication));
      else if (error.code) publication.reject(error);
      // Without a code the connection is gone; the next one offers it again.
    });
  }

  /** Does it after what the server wishes, unless the connection is another by then, which does it by itself. */
  #later(error, what) {
    const socket = this.#socket;
    setTimeout(() => socket !== null && this.#socket === socket && what(), error.wait ?? 1000);
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
    this.#current = (this.#current + 1) % this.#nodes.length;
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
