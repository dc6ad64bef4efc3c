// Where the nodes are, and the tickets that they hand out.

const own = new URL('.', location.href).href;

/** The base addresses of all nodes, the one that served this page first. A page that is served alone has only that. */
export const nodes = await (async () => {
  try {
    const { nodes: all } = await (await fetch('nodes.json')).json();
    const others = all.map((address) => {
      const node = new URL(address);
      node.hostname = location.hostname; // localhost and 127.0.0.1 are the same machine, and not the same origin
      return node.href;
    });
    return [own, ...others.filter((node) => node !== own)];
  } catch {
    return [own];
  }
})();

const TICKET_LIMIT_MS = 5_000;

/** A ticket for this name from this node. A name that it refuses is thrown with `final` set. */
export async function ticketFor(name, node) {
  const address = new URL(`ticket?name=${encodeURIComponent(name)}`, node);
  const response = await fetch(address, { method: 'POST', signal: AbortSignal.timeout(TICKET_LIMIT_MS) });
  if (response.status === 400) {
    throw Object.assign(new Error((await response.json()).error), { final: true });
  }
  if (!response.ok) throw new Error(`ticket endpoint answered ${response.status}`);
  return (await response.json()).ticket;
}
