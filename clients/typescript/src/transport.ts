/** A way to the server. */
export interface Transport {
  /**
   * Begins to connect, and tells the listener what becomes of it. Throws if the address or the protocols are malformed.
   * The ticket is among the protocols already, unless it is to be shown as the first message.
   */
  open(url: string, protocols: string[], listener: TransportListener, ticket?: string | null): TransportConnection;
}

export interface TransportConnection {
  /** Sends a message; only after `opened` and before `closed`. */
  send(message: string | Uint8Array): void;
  /** Bytes that were sent and have not left yet. */
  readonly buffered: number;
  /** Ends the connection. The listener may still be told of what comes until then. */
  close(code?: number): void;
}

/** What a {@link TransportConnection} tells. `closed` comes last, once, also when it never opened. */
export interface TransportListener {
  opened(): void;
  message(message: string | ArrayBuffer): void;
  closed(code: number, reason: string): void;
}

/** Reason of an end: nothing came in time, or nothing came any more though the server was there. */
export const SLOW = 'no connection in time';
export const SILENT = 'silent stream';

/** The part of the standard WebSocket that is used; that of browsers, of Node 22 and of the package `ws` have it. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(data: any): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** WebSocket by the given constructor. */
export function webSocketTransport(constructor?: WebSocketConstructor): Transport {
  return {
    open(url, protocols, listener) {
      const Socket = constructor ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
      if (!Socket) throw new TypeError('no WebSocket here: give that of the package ws as an option');
      const socket = new Socket(url, protocols);
      socket.binaryType = 'arraybuffer';
      socket.onopen = () => listener.opened();
      socket.onmessage = ({ data }) => listener.message(data);
      socket.onerror = () => {}; // a close event follows, and says more
      socket.onclose = ({ code, reason }) => listener.closed(code, reason ?? '');
      return {
        send: (message) => socket.send(message),
        get buffered() {
          return socket.bufferedAmount;
        },
        close: (code) => socket.close(code),
      };
    },
  };
}
