// The demo page: a room in which people on two nodes talk. Everything that comes from others is set as text, never as
// markup.
import { WeftConnection } from './connection.js';

const $ = (id) => document.getElementById(id);
const ECHO_EVERY_MS = 2_000;
const TYPING_EVERY_MS = 2_000;
const TYPING_LASTS_MS = 5_000;
const GRAPH_POINTS = 60;
const LOG_LIMIT = 500;

let connection = null;
let channel = '';
let myId = '';
let wasOpen = false; // whether this page is in the room now
let newcomer = true; // until the room has let us in once
const pending = new Map(); // message id -> list item of a message on its way
const typists = new Map(); // client id -> {name, timer}
const roundTrips = [];

// --- joining and leaving --------------------------------------------------------------------------------------------

const roomInAddress = decodeURIComponent(location.hash.slice(1));
if (/^[A-Za-z0-9_.-]{1,64}$/.test(roomInAddress)) $('room').value = roomInAddress;
$('name').value = sessionStorage.getItem('name') ?? '';
$('name').focus();

$('join').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('name').value.trim();
  if (!name) return showJoinError('Say who you are.');
  sessionStorage.setItem('name', name);
  join(name, $('room').value);
});

function join(name, room) {
  showJoinError('');
  channel = `chat:${room}`;
  wasOpen = false;
  newcomer = true;
  history.replaceState(null, '', `#${encodeURIComponent(room)}`);
  $('me').textContent = name;
  $('room-name').textContent = room;
  $('log').replaceChildren();
  $('curl').textContent =
    `curl -H 'Content-Type: application/json' \\\n  -d '{"text":"Hello from the shell"}' \\\n  ${location.origin}/publish/${channel}`;
  linkToOtherNode(room);

  const address = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
  connection = new WeftConnection(address, () => fetchTicket(name));
  connection.addEventListener('state', ({ detail }) => onState(detail));
  connection.addEventListener('event', ({ detail }) => onMessage(detail));
  connection.addEventListener('signal', ({ detail }) => onSignal(detail));
  connection.addEventListener('subscribed', ({ detail }) => onSubscribed(detail));
  connection.addEventListener('gap', () => notice('Some messages did not reach you in time.'));
  connection.addEventListener('reconnect', () => notice('This node is going down; moving on.'));
  connection.addEventListener('refused', ({ detail }) => notice(`The room was refused: ${detail.error.message}`));
  connection.addEventListener('error', ({ detail }) => notice(`The server objects: ${detail.message ?? detail.reason}`));
  connection.subscribe(channel);
  connection.open();
}

function leave(error = '') {
  connection?.close();
  connection = null;
  typists.forEach(({ timer }) => clearTimeout(timer));
  typists.clear();
  pending.clear();
  $('hall').hidden = true;
  $('door').hidden = false;
  showStatus('idle', 'not connected');
  showJoinError(error);
  $('name').focus();
}
$('leave').addEventListener('click', () => leave());

async function fetchTicket(name) {
  const response = await fetch(`ticket?name=${encodeURIComponent(name)}`, { method: 'POST' });
  if (response.status === 400) {
    throw Object.assign(new Error((await response.json()).error), { final: true });
  }
  if (!response.ok) throw new Error(`ticket endpoint answered ${response.status}`);
  return (await response.json()).ticket;
}

async function linkToOtherNode(room) {
  try {
    const { nodes } = await (await fetch('nodes.json')).json();
    const other = nodes.map((node) => new URL(node)).find((node) => node.port !== location.port);
    if (!other) return;
    other.hostname = location.hostname;
    other.hash = encodeURIComponent(room);
    $('other').href = other.href;
    $('elsewhere').hidden = false;
  } catch {
    $('elsewhere').hidden = true; // this page is served without a second node
  }
}

function showJoinError(text) {
  $('join-error').textContent = text;
}

// --- the connection ---------------------------------------------------------------------------------------------------

function onState(detail) {
  switch (detail.state) {
    case 'connecting':
      showStatus('waiting', 'connecting…');
      break;
    case 'open':
      myId = detail.client_id;
      $('node').textContent = detail.node || 'a node whose broker is away';
      showStatus('open', 'connected');
      $('door').hidden = true;
      if ($('hall').hidden) {
        $('hall').hidden = false;
        $('text').focus();
      }
      measure();
      break;
    case 'waiting':
      showStatus('waiting', `reconnecting in ${(detail.wait / 1000).toFixed(1)} s`);
      if (wasOpen) notice(`Connection lost (${detail.why}). Coming back by itself.`);
      else showJoinError(`Not connected yet (${detail.why}); trying again.`);
      wasOpen = false;
      $('rtt').textContent = '–';
      failPending();
      break;
    case 'refused':
      leave(detail.why);
      break;
  }
}

function onSubscribed(detail) {
  if (detail.channel !== channel) return;
  if (!detail.resumed) notice(newcomer ? `You are in ${channel}. Say something.` : 'Back.');
  else if (!detail.recovered) notice('Back; what was said meanwhile may be missing: this room keeps no history.');
  else notice(detail.replay > 0 ? 'Back; what you missed follows.' : 'Back; nothing was missed.');
  newcomer = false;
  wasOpen = true;
}

function showStatus(state, text) {
  $('status').dataset.state = state;
  $('status').textContent = text;
}

let measuring = false;
async function measure() {
  if (measuring) return;
  measuring = true;
  try {
    while (connection?.ready) {
      const start = performance.now();
      await connection.rpc('weft.echo', { at: start });
      showRoundTrip(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, ECHO_EVERY_MS));
    }
  } catch (error) {
    // While the broker is away the connection stays, and says so; try again soon.
    $('rtt').textContent = error.code ? error.reason : '–';
    setTimeout(measure, ECHO_EVERY_MS);
  } finally {
    measuring = false;
  }
}

function showRoundTrip(ms) {
  $('rtt').textContent = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  roundTrips.push(ms);
  if (roundTrips.length > GRAPH_POINTS) roundTrips.shift();
  const top = Math.max(...roundTrips, 1);
  const step = 120 / (GRAPH_POINTS - 1);
  const first = GRAPH_POINTS - roundTrips.length;
  const points = roundTrips.map((value, i) => `${((first + i) * step).toFixed(1)},${(30 - (value / top) * 28).toFixed(1)}`);
  $('graph').firstElementChild.setAttribute('points', points.join(' '));
}

// --- messages ---------------------------------------------------------------------------------------------------------

$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text) return;
  $('text').value = '';
  stopTyping();
  send(text);
});

async function send(text) {
  const id = randomId();
  const item = messageItem({ text, author: $('me').textContent, mine: true, time: new Date() });
  item.classList.add('on-its-way');
  pending.set(id, item);
  append(item);
  try {
    await connection.publish(channel, { text }, id);
  } catch (error) {
    failOne(id, error.message);
  }
}

function failPending() {
  for (const id of [...pending.keys()]) failOne(id, 'connection lost');
}

// Not repeated unasked: it may have arrived all the same.
function failOne(id, why) {
  const item = pending.get(id);
  if (!item) return;
  pending.delete(id);
  item.classList.replace('on-its-way', 'failed');
  const note = element('p', 'note', `Not confirmed: ${why}. `);
  const again = element('button', 'plain', 'Send again');
  again.type = 'button';
  again.addEventListener('click', () => {
    const text = item.querySelector('.text').textContent;
    item.remove();
    send(text);
  });
  note.append(again);
  item.append(note);
}

function onMessage({ data, publisher, timestamp, message_id: id }) {
  const mine = publisher?.client_id !== undefined && publisher.client_id === myId;
  const author = publisher ? publisher.user : 'back end';
  const item = messageItem({ text: textOf(data), author, mine, backend: !publisher, time: new Date(timestamp) });
  const waiting = pending.get(id);
  pending.delete(id);
  if (waiting) waiting.remove();
  if (publisher) endTyping(publisher.client_id);
  append(item);
}

function textOf(data) {
  if (typeof data === 'string') return data;
  if (typeof data?.text === 'string') return data.text;
  return JSON.stringify(data);
}

function messageItem({ text, author, mine, backend, time }) {
  const item = element('li', `message ${mine ? 'mine' : 'theirs'}`);
  item.dataset.author = author;
  const head = element('p', 'head');
  const name = element('span', 'author', mine ? `${author} (you)` : author);
  if (!mine) name.style.setProperty('--hue', backend ? '40' : String(hueOf(author)));
  const when = element('time', '', time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
  when.dateTime = time.toISOString();
  head.append(name, ' ', when);
  item.append(head, element('p', 'text', text));
  return item;
}

function notice(text) {
  append(element('li', 'notice', text));
}

function append(item) {
  const scroller = $('scroller');
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
  const log = $('log');
  log.append(item);
  while (log.childElementCount > LOG_LIMIT) log.firstElementChild.remove();
  if (atEnd || item.classList.contains('mine')) scroller.scrollTop = scroller.scrollHeight;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function hueOf(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) % 360;
  return hash;
}

function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

// --- typing -----------------------------------------------------------------------------------------------------------

let typingSince = 0; // when we last told the others; 0: they take us for silent
$('text').addEventListener('input', () => {
  if (!$('text').value) return stopTyping();
  const now = Date.now();
  if (now - typingSince < TYPING_EVERY_MS) return;
  typingSince = now;
  connection?.signal(channel, 'typing', { on: true });
});

function stopTyping() {
  if (typingSince) connection?.signal(channel, 'typing', { on: false });
  typingSince = 0;
}

function onSignal({ channel: where, name, data, publisher }) {
  if (where !== channel || name !== 'typing' || !publisher || publisher.client_id === myId) return;
  endTyping(publisher.client_id);
  if (data?.on) {
    const timer = setTimeout(() => endTyping(publisher.client_id), TYPING_LASTS_MS);
    typists.set(publisher.client_id, { name: publisher.user, timer });
  }
  showTyping();
}

function endTyping(id) {
  clearTimeout(typists.get(id)?.timer);
  typists.delete(id);
  showTyping();
}

function showTyping() {
  const names = [...new Set([...typists.values()].map(({ name }) => name))];
  const text =
    names.length === 0 ? ''
    : names.length === 1 ? `${names[0]} is typing…`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing…`
    : `${names.length} people are typing…`;
  if ($('typing').textContent !== text) $('typing').textContent = text;
}

$('copy').addEventListener('click', async () => {
  await navigator.clipboard?.writeText($('curl').textContent);
  $('copy').textContent = 'Copied';
  setTimeout(() => ($('copy').textContent = 'Copy'), 1500);
});
