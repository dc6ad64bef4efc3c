// Plain HTTP to the server's doors: how requests are made, and what their refusals mean.
import type { JsonText } from './codec.js';
import { Code } from './errors.js';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** An error as frames have it. */
export type Refusal = Record<string, any> & { code: number; reason: string };

/** What a status says that comes from nginx itself. */
const CODES: Record<number, number> = {
  401: Code.authenticationFailed,
  413: Code.messageTooLarge,
  429: Code.rateLimited,
};

/** The code where the server doesn't say one that means anything: a proxy's page. */
export const UNSAID = 0;

/** What a refusal says. */
export async function refusalOf(response: Response, { parse }: JsonText): Promise<Refusal> {
  const { status } = response;
  const text = await response.text();
  try {
    const said = parse(text) as Refusal | null;
    if (typeof said?.code === 'number') return said;
  } catch {
    // a page for people
  }
  return { code: CODES[status] ?? UNSAID, reason: `HTTP ${status}` };
}

/** The address for these channels. Names keep what a query may hold, so that nginx's $arg_channel is the name. */
export function withChannels(url: string, channels: Iterable<string>): string {
  let made = url;
  for (const channel of channels) {
    const name = encodeURIComponent(channel).replace(/%(3A|2F|40|3D)/g, decodeURIComponent);
    const filled = made.replace('{channel}', name);
    made = filled === made ? `${made}${made.includes('?') ? '&' : '?'}channel=${name}` : filled;
  }
  return made;
}

/** What all requests have in common. */
export function initOf(ticket: string | null, headers: Record<string, string>, { signal }: AbortController): RequestInit {
  return {
    headers: ticket === null ? headers : { ...headers, Authorization: `Bearer ${ticket}` },
    cache: 'no-store',
    credentials: 'include', // as a WebSocket has them
    signal,
  };
}
