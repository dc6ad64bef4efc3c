// A back end for Weft's hooks, with Node's own library: node hooks.mjs PORT KEYFILE
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [port, keyFile] = process.argv.slice(2);
const key = Buffer.from(readFileSync(keyFile, 'utf8').trim().replace(/^whsec_/, ''), 'base64');

// Whether weftd has sent this, lately. https://www.standardwebhooks.com has libraries for it.
function signed(headers, body) {
  const stamp = headers['webhook-timestamp'];
  const mac = createHmac('sha256', key).update(`${headers['webhook-id']}.${stamp}.${body}`).digest();
  const given = Buffer.from((headers['webhook-signature'] ?? '').replace(/^v1,/, ''), 'base64');
  return Math.abs(Date.now() / 1000 - stamp) < 300 && given.length === mac.length && timingSafeEqual(given, mac);
}

const refuse = (code, message) => ({ allow: false, error: { code, message } });

function decide({ event, user, channel, data, method, params }) {
  switch (event) {
    case 'connect':
      return user ? { info: { name: user[0].toUpperCase() + user.slice(1) } } : refuse(4002, 'who are you?');
    case 'subscribe':
      return channel !== 'room:staff' || user === 'ann' ? {} : refuse(4010, 'staff only');
    case 'publish':
      return typeof data === 'string' ? { data: data.replaceAll('damn', 'd***') } : refuse(4006, 'text, please');
    case 'rpc':
      if (method === 'orders.get') return { result: { id: params.id, owner: user } };
      return { error: { code: 4018, message: `no method ${method}` } };
    default:
      return {};
  }
}

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  const good = signed(request.headers, body);
  response.writeHead(good ? 200 : 401, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(good ? decide(JSON.parse(body)) : {}));
}).listen(Number(port), '127.0.0.1');

process.on('SIGTERM', () => process.exit(0));
