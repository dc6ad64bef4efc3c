// Frames in both spellings, by the vectors that the server is tested with.
import fs from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { protobufCodec } from '../../src/protobuf.js';

const vectors = JSON.parse(fs.readFileSync(path.join(__dirname, '../../../../tests/vectors/client_frames.json'), 'utf8'));
const codec = protobufCodec();
const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex')).buffer;
// JSON loses how a number and a string were spelt; the bytes must be those of JSON.stringify then.
const faithful = ({ json }: { json: string }) => json === JSON.stringify(JSON.parse(json));

describe('the protobuf codec', () => {
  test.each(vectors.client.filter(faithful))('writes $name', ({ json, protobuf }: any) => {
    expect(Buffer.from(codec.encode(JSON.parse(json)) as Uint8Array).toString('hex')).toBe(protobuf);
  });

  test.each(vectors.server)('reads $name', ({ json, protobuf }: any) => {
    const frame = JSON.parse(json);
    expect(codec.decode(bytesOf(protobuf))).toEqual(frame);
  });

  test('reads no frame from what is none, and stops at every end', () => {
    expect(() => codec.decode('{}')).toThrow();
    for (const hex of ['', '0a0161', '07', 'ffffffffffffffffffffffff', '32ff01']) expect(() => codec.decode(bytesOf(hex))).toThrow();
    for (const { protobuf } of vectors.server) {
      for (let length = 2; length < protobuf.length; length += 2) {
        try {
          expect(codec.decode(bytesOf(protobuf.slice(0, length)))).toHaveProperty('type');
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }
    }
  });

  test('leaves out fields of later versions', () => {
    const later = 'a80601' + 'b106' + '0000000000000000' + 'ba060161' + 'bd0600000000';
    expect(codec.decode(bytesOf(`${later}5200${later}`))).toEqual({ type: 'pong', payload: {} });
  });

  test('writes and reads numbers of more than 32 bits', () => {
    const after_ms = 2 ** 45 + 3;
    const bytes = Buffer.from(codec.encode({ type: 'history', payload: { channel: 'a', limit: after_ms } }) as Uint8Array);
    expect(bytes.toString('hex')).toBe('4a0b0a01611883808080808008');
    expect(codec.decode(bytesOf('6a08' + '0883808080808008'))).toMatchObject({ payload: { after_ms } });
  });
});
