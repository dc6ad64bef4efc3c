// One room: what was said in it, who is here, who is typing. It shows its messages in a list of its own (`log`), and calls
// `changed` when anything else about it is to be shown anew.
import { element, randomId } from './page.js';

const LOG_LIMIT = 500;
const KNOWN_LIMIT = 1000; // ids of messages that are here already
const TYPING_EVERY_MS = 2_000;
const TYPING_LASTS_MS = 5_000;

export class Room {
  log = element('ol', 'log');
  unread = 0;
  here = new Map(); // member id -> user
  #connection;
  #me;
  #changed;
  #known = new Set();
  #mine = new Set(); // ids of what this page has sent
  #pending = new Map(); // message id -> list item of a message on its way
  #held = null; // events that came while history is being asked for
  #typists = new Map(); // client id -> {name, timer}
  #typingSince = 0; // when we last told the others; 0: they take us for silent

  constructor(name, me, connection, changed) {
    this.name = name;
    this.channel = `chat:${name}`;
    this.#me = me;
    this.#connection = connection;
    this.#changed = changed;
  }

  /** Everybody who is here, each user once. */
  get users() {
    return [...new Set(this.here.values())].sort((a, b) => a.localeCompare(b));
  }

  close() {
    this.#connection.unsubscribe(this.channel);
    for (const { timer } of this.#typists.values()) clearTimeout(timer);
  }

  // --- what the server tells ------------------------------------------------------------------------------------------

  async subscribed({ resumed, recovered, replay }) {
    if (!resumed) await this.#recall();
    else if (!recovered) this.notice('Back; some of what was said meanwhile may be missing.');
    else this.notice(replay > 0 ? 'Back; what you missed follows.' : 'Back; nothing was missed.');
    await this.meet();
  }

  /** Shows what the history holds, and behind it what was said while it came. */
  async #recall() {
    this.#held ??= [];
    try {
      for (const event of await this.#connection.history(this.channel)) this.#show(event);
    } catch (error) {
      if (!error.code) return; // the connection is gone; when it is back we are called again
      this.notice(`What was said before can't be shown: ${error.message}`);
    } finally {
      const held = this.#held ?? [];
      this.#held = null;
      for (const event of held) this.#show(event);
    }
    this.notice(`You are in ${this.channel}. Say something.`);
  }

  /** Asks who is here. Who comes or goes meanwhile is told besides. */
  async meet() {
    try {
      const members = await this.#connection.presence(this.channel);
      this.here = new Map(members.map(({ id, user }) => [id, user]));
      this.#changed(this);
    } catch (error) {
      if (error.code) this.notice(`Who is here can't be told: ${error.message}`);
    }
  }

  event(payload) {
    if (this.#held) this.#held.push(payload);
    else this.#show(payload, true);
  }

  join({ member, first }) {
    this.here.set(member.id, member.user);
    if (first && member.user !== this.#me) this.notice(`${member.user} is here.`);
    this.#changed(this);
  }

  leave({ member, last }) {
    this.here.delete(member.id);
    this.#endTyping(member.client_id);
    if (last && member.user !== this.#me) this.notice(`${member.user} has left.`);
    this.#changed(this);
  }

  signal({ name, data, publisher }, myClient) {
    if (name !== 'typing' || !publisher || publisher.client_id === myClient) return;
    this.#endTyping(publisher.client_id);
    if (data?.on) {
      const timer = setTimeout(() => this.#endTyping(publisher.client_id), TYPING_LASTS_MS);
      this.#typists.set(publisher.client_id, { name: publisher.user, timer });
      this.#changed(this);
    }
  }

  // --- messages ---------------------------------------------------------------------------------------------------------

  /** Sends, and shows at once what is on its way. */
  async say(text, id = randomId()) {
    this.hush();
    this.#mine.add(id);
    const item = messageItem({ text, author: this.#me, mine: true, time: new Date() });
    item.classList.add('on-its-way');
    this.#pending.set(id, item);
    this.#append(item);
    try {
      await this.#connection.publish(this.channel, { text }, id);
    } catch (error) {
      this.#failed(id, text, error.message);
    }
  }

  // It may have arrived all the same; but under the same id it can't arrive twice.
  #failed(id, text, why) {
    const item = this.#pending.get(id);
    if (!item) return;
    this.#pending.delete(id);
    item.classList.replace('on-its-way', 'failed');
    const note = element('p', 'note', `Not confirmed: ${why}. `);
    const again = element('button', 'plain', 'Send again');
    again.type = 'button';
    again.addEventListener('click', () => {
      item.remove();
      this.say(text, id);
    });
    note.append(again);
    item.append(note);
  }

  #show({ data, publisher, timestamp, message_id: id }, live = false) {
    if (this.#known.has(id)) return;
    this.#known.add(id);
    if (this.#known.size > KNOWN_LIMIT) this.#known.delete(this.#known.values().next().value);
    const mine = this.#mine.has(id);
    const author = publisher ? publisher.user : 'back end';
    this.#pending.get(id)?.remove();
    this.#pending.delete(id);
    if (publisher) this.#endTyping(publisher.client_id);
    this.#append(messageItem({ id, text: textOf(data), author, mine, backend: !publisher, time: new Date(timestamp) }));
    if (live && !mine && !this.log.isConnected) {
      this.unread++;
      this.#changed(this);
    }
  }

  notice(text) {
    this.#append(element('li', 'notice', text));
  }

  #append(item) {
    const scroller = this.log.closest('.scroller');
    const atEnd = scroller && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
    this.log.append(item);
    while (this.log.childElementCount > LOG_LIMIT) this.log.firstElementChild.remove();
    if (atEnd || (scroller && item.classList.contains('mine'))) scroller.scrollTop = scroller.scrollHeight;
  }

  // --- typing -----------------------------------------------------------------------------------------------------------

  /** Our user has typed something. */
  typing() {
    const now = Date.now();
    if (now - this.#typingSince < TYPING_EVERY_MS) return;
    this.#typingSince = now;
    this.#connection.signal(this.channel, 'typing', { on: true });
  }

  /** Our user types no more. */
  hush() {
    if (this.#typingSince) this.#connection.signal(this.channel, 'typing', { on: false });
    this.#typingSince = 0;
  }

  #endTyping(client) {
    const typist = this.#typists.get(client);
    if (!typist) return;
    clearTimeout(typist.timer);
    this.#typists.delete(client);
    this.#changed(this);
  }

  get whoTypes() {
    const names = [...new Set([...this.#typists.values()].map(({ name }) => name))];
    if (names.length === 0) return '';
    if (names.length === 1) return `${names[0]} is typing…`;
    return names.length === 2 ? `${names[0]} and ${names[1]} are typing…` : `${names.length} people are typing…`;
  }
}

function textOf(data) {
  if (typeof data === 'string') return data;
  if (typeof data?.text === 'string') return data.text;
  return JSON.stringify(data);
}

function messageItem({ id, text, author, mine, backend, time }) {
  const item = element('li', `message ${mine ? 'mine' : 'theirs'}`);
  item.dataset.author = author;
  if (id) item.dataset.id = id;
  const head = element('p', 'head');
  const name = element('span', 'author', mine ? `${author} (you)` : author);
  if (!mine) name.style.setProperty('--hue', backend ? '40' : String(hueOf(author)));
  const when = element('time', '', time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
  when.dateTime = time.toISOString();
  head.append(name, ' ', when);
  item.append(head, element('p', 'text', text));
  return item;
}

export function hueOf(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) % 360;
  return hash;
}
