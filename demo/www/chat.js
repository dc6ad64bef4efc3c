// The chat: rooms in which people on two nodes talk. One connection carries all rooms; when its node goes, it moves on to
// the other and resumes each of them where it stood.
import { WeftConnection } from './connection.js';
import { nodes, ticketFor } from './nodes.js';
import { $, element, leadTo, setText, showStatus } from './page.js';
import { Room, hueOf } from './room.js';

const ECHO_EVERY_MS = 2_000;
const GRAPH_POINTS = 60;
const ROOM_NAME = /^[A-Za-z0-9_.-]{1,64}$/;

let connection = null;
let me = '';
let myClient = '';
let wasOpen = false;
let current = null; // the room that is shown
const rooms = new Map(); // channel -> Room
const roundTrips = [];

// --- coming and going -----------------------------------------------------------------------------------------------

const roomInAddress = decodeURIComponent(location.hash.slice(1));
if (ROOM_NAME.test(roomInAddress)) $('room').value = roomInAddress;
$('name').value = sessionStorage.getItem('name') ?? '';
$('name').focus();

$('join').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('name').value.trim();
  if (!name) return showJoinError('Say who you are.');
  sessionStorage.setItem('name', name);
  come(name, $('room').value);
});

function come(name, room) {
  showJoinError('');
  me = name;
  wasOpen = false;
  $('me').textContent = name;
  const ours = new WeftConnection(nodes, (node) => ticketFor(name, node));
  connection = ours;
  const on = (type, what) => ours.addEventListener(type, ({ detail }) => connection === ours && what(detail));
  const inRoom = (type) => on(type, (detail) => rooms.get(detail.channel)?.[type](detail, myClient));
  on('state', onState);
  for (const type of ['event', 'signal', 'join', 'leave', 'subscribed']) inRoom(type);
  on('presence_gap', ({ channel }) => rooms.get(channel)?.meet());
  on('gap', ({ channel }) => rooms.get(channel)?.notice('Some messages did not reach you in time.'));
  on('reconnect', () => current?.notice('This node is going down; moving on.'));
  on('refused', ({ channel, error }) => rooms.get(channel)?.notice(`The room was refused: ${error.message}`));
  on('error', ({ message, reason }) => current?.notice(`The server objects: ${message ?? reason}`));
  openRoom(room);
  ours.open();
}

function goAway(error = '') {
  for (const room of rooms.values()) room.close();
  rooms.clear();
  current = null;
  connection?.close();
  connection = null;
  $('hall').hidden = true;
  $('door').hidden = false;
  showStatus('idle', 'not connected');
  showJoinError(error);
  $('name').focus();
}

function showJoinError(text) {
  $('join-error').textContent = text;
}

// --- rooms ----------------------------------------------------------------------------------------------------------

function openRoom(name) {
  const channel = `chat:${name}`;
  if (!rooms.has(channel)) {
    rooms.set(channel, new Room(name, me, connection, showRoom));
    connection.subscribe(channel);
  }
  turnTo(rooms.get(channel));
}

function turnTo(room) {
  current?.hush();
  current = room;
  room.unread = 0;
  history.replaceState(null, '', `#${encodeURIComponent(room.name)}`);
  $('log').replaceChildren(room.log);
  $('scroller').scrollTop = $('scroller').scrollHeight;
  showPlaces();
  listRooms();
  showRoom(room);
}

/** Shows what depends on the room and on the node that serves it now. */
function showPlaces() {
  const { node } = connection;
  const address = new URL(`publish/${current.channel}`, node);
  $('curl').textContent = `curl -H 'Content-Type: application/json' \\\n  -d '{"text":"Hello from the shell"}' \\\n  ${address}`;
  const other = nodes.find((one) => one !== node);
  $('elsewhere').hidden = !other;
  if (other) $('other').href = `${other}#${encodeURIComponent(current.name)}`;
  leadTo(node);
}

function listRooms() {
  const items = [...rooms.values()].map((room) => {
    const button = element('button', 'room', room.name);
    button.type = 'button';
    if (room === current) button.setAttribute('aria-current', 'true');
    if (room.unread > 0) {
      const badge = element('span', 'badge', String(room.unread));
      badge.append(element('span', 'unseen', ' unread'));
      button.append(' ', badge);
    }
    button.addEventListener('click', () => {
      turnTo(room);
      $('text').focus();
    });
    const item = element('li');
    item.append(button);
    return item;
  });
  const hadFocus = $('rooms').contains(document.activeElement);
  $('rooms').replaceChildren(...items);
  if (hadFocus) $('rooms').querySelector('[aria-current]')?.focus();
}

/** Shows what has changed of a room, besides its messages. */
function showRoom(room) {
  if (room !== current) return listRooms();
  setText($('typing'), room.whoTypes);
  setText($('count'), String(room.users.length));
  const items = room.users.map((user) => {
    const item = element('li', '', user === me ? `${user} (you)` : user);
    item.style.setProperty('--hue', String(hueOf(user)));
    return item;
  });
  $('members').replaceChildren(...items);
}

$('another').addEventListener('submit', (event) => {
  event.preventDefault();
  openRoom($('another-room').value);
  $('another-room').value = '';
  $('text').focus();
});

$('leave').addEventListener('click', () => {
  current.close();
  rooms.delete(current.channel);
  current = null;
  const next = rooms.values().next().value;
  if (next) turnTo(next);
  else goAway();
});

// --- the connection ---------------------------------------------------------------------------------------------------

function onState(detail) {
  switch (detail.state) {
    case 'connecting':
      showStatus('waiting', 'connecting…');
      break;
    case 'open':
      myClient = detail.client_id;
      wasOpen = true;
      $('node').textContent = detail.node || 'a node whose broker is away';
      showStatus('open', 'connected');
      showPlaces();
      $('door').hidden = true;
      if ($('hall').hidden) {
        $('hall').hidden = false;
        $('text').focus();
      }
      measure();
      break;
    case 'waiting':
      showStatus('waiting', `reconnecting in ${(detail.wait / 1000).toFixed(1)} s`);
      if (wasOpen) current?.notice(`Connection lost${detail.why === 'connection lost' ? '' : ` (${detail.why})`}. Coming back by itself.`);
      else if ($('hall').hidden) showJoinError(`Not connected yet (${detail.why}); trying again.`);
      wasOpen = false;
      $('rtt').textContent = '–';
      break;
    case 'refused':
      goAway(detail.why);
      break;
  }
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

// --- saying something -------------------------------------------------------------------------------------------------

$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text) return;
  $('text').value = '';
  current.say(text);
});

$('text').addEventListener('input', () => {
  if ($('text').value) current.typing();
  else current.hush();
});

$('copy').addEventListener('click', async () => {
  await navigator.clipboard?.writeText($('curl').textContent);
  $('copy').textContent = 'Copied';
  setTimeout(() => ($('copy').textContent = 'Copy'), 1500);
});
