/**
 * Reads server-sent events (HTML Standard) to their end: `event` is given the data of each, and `heard` told of every
 * chunk. What stands behind the last whole event is left out. Rejects as the body does.
 */
export async function readEvents(
  body: ReadableStream<Uint8Array>,
  event: (data: string) => Promise<void>,
  heard: () => void,
): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let data: string[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    const text = decoder.decode(value, { stream: true });
    rest += text;
    if (!text.includes('\n')) continue;
    const lines = rest.split(/\r?\n/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
      if (line || data.length === 0) continue;
      await event(data.join('\n'));
      data = [];
    }
  }
}
