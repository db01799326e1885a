/**
 * The least of an HTTP/2 client (RFC 9113) that can call gRPC methods, so that the load takes little of the cores
 * that it shares with the server under measurement. It sends the headers that gRPC's clients send, several calls in
 * one write, and looks at every answer. It reads no headers but the status of a call, which stays the same bytes
 * because its decoder has no dynamic table.
 */
import { connect, type Socket } from "node:net";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES = 9;
const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const ACK = 0x1;
const SETTING = { headerTableSize: 1, enablePush: 2, initialWindowSize: 4 } as const;
const DEFAULT_WINDOW = 65_535;
/** The largest that there is, so that the server never waits for us. */
const LARGEST_WINDOW = 2 ** 31 - 1;

/** `grpc-status: 0` as HPACK (RFC 7541) writes it: a new name, with Huffman's code, and a value of one character. */
const STATUS_OK = Buffer.from("889acac8b21234da8f0130", "hex");

export interface StreamEvents {
  /** The bytes are only good until it returns. */
  onData(bytes: Buffer): void;
  /** The call has ended; `isOk` says whether it has gRPC's status 0. */
  onEnd(isOk: boolean): void;
}

interface Stream {
  readonly events: StreamEvents;
  window: number;
}

/** A write that waits for room in a window. */
interface Waiting {
  readonly id: number;
  readonly body: Uint8Array;
  readonly flags: number;
}

export class Http2Client {
  readonly #socket: Socket;
  readonly #firstHeaders: Buffer;
  readonly #headers: Buffer;
  readonly #streams = new Map<number, Stream>();
  /** Is told when the connection can't be used any more. */
  onFailure: (error: Error) => void;
  #nextId = 1;
  #rest: Buffer = Buffer.alloc(0);
  #initialWindow = DEFAULT_WINDOW;
  #window = DEFAULT_WINDOW;
  #received = 0;
  #waiting: Waiting[] = [];
  /** What leaves with the next flush, which comes when what runs now has returned: several calls are one write. */
  #out = Buffer.allocUnsafe(256 * 1024);
  #outLength = 0;
  #willFlush = false;

  /** Connects, and is ready when the server has sent its settings. */
  static open(
    address: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    onFailure: (error: Error) => void,
  ): Promise<Http2Client> {
    return new Promise((resolve) => {
      const client: Http2Client = new Http2Client(address, path, headers, onFailure, () => resolve(client));
    });
  }

  private constructor(
    address: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    onFailure: (error: Error) => void,
    onReady: () => void,
  ) {
    const { host, port } = Object.assign({ host: "", port: "" }, /^(?<host>.*):(?<port>\d+)$/.exec(address)?.groups);
    this.onFailure = onFailure;
    this.#onSettings = onReady;
    [this.#firstHeaders, this.#headers] = headerBlocks(address, path, headers);
    this.#socket = connect({ host, port: Number(port), noDelay: true });
    this.#socket.on("error", (error) => this.onFailure(error));
    this.#socket.on("close", () => {
      this.onFailure(new Error("the server closed the connection"));
    });
    this.#socket.on("data", (chunk) => this.#read(chunk));
    this.#socket.write(PREFACE, "latin1");
    const settings = Buffer.alloc(18);
    for (const [index, [name, value]] of [
      [SETTING.headerTableSize, 0] as const,
      [SETTING.enablePush, 0] as const,
      [SETTING.initialWindowSize, LARGEST_WINDOW] as const,
    ].entries()) {
      settings.writeUInt16BE(name, index * 6);
      settings.writeUInt32BE(value, index * 6 + 2);
    }
    this.#frame(FRAME.settings, 0, 0, settings);
    this.#widen(LARGEST_WINDOW - DEFAULT_WINDOW);
  }

  #onSettings: () => void;

  /** Starts a call with a message. */
  call(body: Uint8Array, events: StreamEvents, isLastMessage: boolean): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#streams.set(id, { events, window: this.#initialWindow });
    this.#frame(FRAME.headers, END_HEADERS, id, id === 1 ? this.#firstHeaders : this.#headers);
    this.send(id, body, isLastMessage);
    return id;
  }

  /** Sends a message in a call. */
  send(id: number, body: Uint8Array, isLastMessage: boolean): void {
    this.#waiting.push({ id, body, flags: isLastMessage ? END_STREAM : 0 });
    this.#sendWaiting();
  }

  #flush(): void {
    if (this.#outLength === 0) return;
    this.#socket.write(Buffer.from(this.#out.subarray(0, this.#outLength)));
    this.#outLength = 0;
  }

  #sendWaiting(): void {
    let sent = 0;
    for (const { id, body, flags } of this.#waiting) {
      const stream = this.#streams.get(id);
      if (stream !== undefined) {
        if (body.length > this.#window || body.length > stream.window) break;
        this.#window -= body.length;
        stream.window -= body.length;
        this.#frame(FRAME.data, flags, id, body);
      }
      sent++;
    }
    if (sent === this.#waiting.length) this.#waiting.length = 0;
    else this.#waiting.splice(0, sent);
  }

  #frame(type: number, flags: number, id: number, payload: Uint8Array): void {
    const size = FRAME_HEADER_BYTES + payload.length;
    if (this.#outLength + size > this.#out.length) this.#flush();
    const out = this.#out;
    const start = this.#outLength;
    out[start] = payload.length >>> 16;
    out[start + 1] = payload.length >>> 8;
    out[start + 2] = payload.length;
    out[start + 3] = type;
    out[start + 4] = flags;
    out.writeUInt32BE(id, start + 5);
    out.set(payload, start + FRAME_HEADER_BYTES);
    this.#outLength += size;
    if (this.#willFlush) return;
    this.#willFlush = true;
    process.nextTick(() => {
      this.#willFlush = false;
      this.#flush();
    });
  }

  #widen(bytes: number): void {
    const increment = Buffer.alloc(4);
    increment.writeUInt32BE(bytes);
    this.#frame(FRAME.windowUpdate, 0, 0, increment);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let place = 0;
    while (place + FRAME_HEADER_BYTES <= bytes.length) {
      const length = bytes.readUIntBE(place, 3);
      const start = place + FRAME_HEADER_BYTES;
      const end = start + length;
      if (end > bytes.length) break;
      this.#take(bytes[place + 3] ?? 0, bytes[place + 4] ?? 0, bytes.readUInt32BE(place + 5), bytes, start, end);
      place = end;
    }
    this.#rest = place === bytes.length ? Buffer.alloc(0) : bytes.subarray(place);
    this.#sendWaiting();
  }

  #take(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case FRAME.data:
        this.#received += end - start;
        if (this.#received > LARGEST_WINDOW / 2) {
          this.#widen(this.#received);
          this.#received = 0;
        }
        this.#streams.get(id)?.events.onData(bytes.subarray(start, end));
        if ((flags & END_STREAM) !== 0) this.#end(id, false);
        break;
      case FRAME.headers:
        if ((flags & END_STREAM) !== 0) this.#end(id, bytes.subarray(start, end).includes(STATUS_OK));
        break;
      case FRAME.reset:
        this.#end(id, false);
        break;
      case FRAME.settings:
        if ((flags & ACK) === 0) this.#takeSettings(bytes, start, end);
        break;
      case FRAME.ping:
        if ((flags & ACK) === 0) this.#frame(FRAME.ping, ACK, 0, bytes.subarray(start, end));
        break;
      case FRAME.goAway:
        this.onFailure(new Error("the server takes no more calls on the connection"));
        break;
      case FRAME.windowUpdate:
        if (id === 0) {
          this.#window += bytes.readUInt32BE(start);
        } else {
          const stream = this.#streams.get(id);
          if (stream !== undefined) stream.window += bytes.readUInt32BE(start);
        }
        break;
    }
  }

  #takeSettings(bytes: Buffer, start: number, end: number): void {
    for (let place = start; place < end; place += 6) {
      if (bytes.readUInt16BE(place) === SETTING.initialWindowSize) this.#initialWindow = bytes.readUInt32BE(place + 2);
    }
    this.#frame(FRAME.settings, ACK, 0, Buffer.alloc(0));
    this.#onSettings();
  }

  #end(id: number, isOk: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#streams.delete(id);
    stream.events.onEnd(isOk);
  }
}

/**
 * The headers of the first call, which tell the server what to keep, and those of all others. Path and credential
 * are written out each time, as clients built on nghttp2 do.
 */
function headerBlocks(
  authority: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): readonly [Buffer, Buffer] {
  const { authorization, ...others } = headers;
  const named = (name: number, value: string): Buffer => Buffer.concat([Buffer.of(name), text(value)]);
  const post = 0x83;
  const http = 0x86;
  const writtenOut = [named(0x04, path)];
  // Its name is the 23rd of the static table, which is 15 and 8 more.
  if (authorization !== undefined) writtenOut.push(Buffer.of(0x1f, 23 - 15), text(authorization));
  const kept = Object.entries({ te: "trailers", ...others });
  const first = [
    named(0x41, authority),
    ...kept.map(([name, value]) => Buffer.concat([Buffer.of(0x40), text(name), text(value)])),
  ];
  // The newest stands first, behind the 61 of the static table.
  const later = first.map((_, index) => 0x80 | (61 + first.length - index));
  const start = Buffer.of(post, http);
  // Pseudo-headers come first: the authority is one.
  return [
    Buffer.concat([start, ...writtenOut.slice(0, 1), ...first, ...writtenOut.slice(1)]),
    Buffer.concat([start, ...writtenOut.slice(0, 1), Buffer.from(later), ...writtenOut.slice(1)]),
  ];
}

/** A text without Huffman's code. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  if (bytes.length > 254) throw new Error("a header that long was not foreseen");
  return Buffer.concat([Buffer.of(127, bytes.length - 127), bytes]);
}
