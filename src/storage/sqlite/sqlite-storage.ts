/** The storage port on one SQLite file: reads on the calling thread, writes through the writer thread. */
import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Logger } from "../../domain/logger.ts";
import type { Storage } from "../../domain/storage.ts";
import { WriteMeter } from "../../domain/write-meter.ts";
import { readError } from "../errors.ts";
import { SqlStorage } from "../sql-storage.ts";
import { type ConnectionOptions, openReadConnection } from "./connection.ts";
import { finish } from "./dialect.ts";
import { toStartError } from "./errors.ts";
import { createDatabaseFile } from "./files.ts";
import { lockDatabase } from "./lock.ts";
import { migrate } from "./migrations.ts";
import { ReadSnapshot } from "./read-snapshot.ts";
import { prepareReads } from "./reads.ts";
import { Writer } from "./writer.ts";
import { WriterHost } from "./writer-host.ts";

export interface SqliteStorageOptions {
  /** The database file. It is made where it doesn't exist, with its directory. */
  readonly path: string;
  readonly logger: Logger;
  /** Is told of every write. */
  readonly meter?: WriteMeter | undefined;
  /** How long a statement waits for another process's lock. */
  readonly busyTimeoutMs?: number;
  readonly checkpointIntervalMs?: number;
  /** What each thread that reads may take of memory for pages; the default is little. */
  readonly pageCacheBytes?: number | undefined;
}

const DEFAULT_BUSY_TIMEOUT_MS = 5_000;
const DEFAULT_CHECKPOINT_INTERVAL_MS = 30_000;

/** A read waits only while another process repairs the WAL, and the wait holds up the whole thread. */
const MAX_READ_BUSY_TIMEOUT_MS = 100;

/** What another thread of this process needs to work on the same database. Its port is to be transferred. */
export interface SqliteShare extends ConnectionOptions {
  readonly changes: Int32Array<SharedArrayBuffer>;
  /** Brings a port to each writer thread. */
  readonly writers: MessagePort;
}

/** The storage of the thread that opened the database. */
export interface SqliteDatabase extends Storage {
  /** For one thread, which joins with `joinSqliteStorage`, and closes what it gets before this here is closed. */
  share(): SqliteShare;
}

/**
 * Opens the database, with the newest schema, for this process alone. Throws a StartError when the file
 * can't be served.
 */
export async function openSqliteStorage(options: SqliteStorageOptions): Promise<SqliteDatabase> {
  const { logger, meter = new WriteMeter(), busyTimeoutMs = DEFAULT_BUSY_TIMEOUT_MS } = options;
  const { checkpointIntervalMs = DEFAULT_CHECKPOINT_INTERVAL_MS, pageCacheBytes } = options;
  const path = createDatabaseFile(options.path);
  await using resources = new AsyncDisposableStack();
  const lock = lockDatabase(path);
  resources.defer(() => lock.release());
  try {
    migrate({ path, busyTimeoutMs });
    const host = await WriterHost.start({ path, busyTimeoutMs, checkpointIntervalMs, logger });
    resources.defer(() => host.close());
    const writer = new Writer(host.changes, meter);
    host.connect((port) => writer.attach(port));
    const reading = { path, busyTimeoutMs, pageCacheBytes };
    const share = (): SqliteShare => ({ ...reading, changes: host.changes, writers: portsOf(host) });
    return Object.assign(openStorage(reading, writer, resources), { share });
  } catch (error) {
    throw toStartError(path, error);
  }
}

/** Opens the database that another thread of this process has opened. */
export async function joinSqliteStorage(
  { changes, writers, ...reading }: SqliteShare,
  meter: WriteMeter,
): Promise<Storage> {
  await using resources = new AsyncDisposableStack();
  resources.defer(() => writers.close());
  const writer = new Writer(changes, meter);
  writers.on("message", (port: MessagePort) => writer.attach(port));
  await once(writers, "message");
  return openStorage(reading, writer, resources);
}

/** A port that brings the ports to the writer threads. */
function portsOf(host: WriterHost): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port1.on(
    "close",
    host.connect((port) => port1.postMessage(port, [port])),
  );
  // It must not keep the process alive.
  port1.unref();
  return port2;
}

function openStorage(options: ConnectionOptions, writer: Writer, resources: AsyncDisposableStack): Storage {
  resources.defer(() => writer.close());
  const busyTimeoutMs = Math.min(options.busyTimeoutMs, MAX_READ_BUSY_TIMEOUT_MS);
  const connection = openReadConnection({ ...options, busyTimeoutMs });
  // Closed before the writer's, for the last connection to close tidies up, and only the writer's can.
  resources.defer(() => void connection.close());
  const reads = prepareReads(connection);
  const snapshot = new ReadSnapshot(connection, () => writer.changeCount);
  resources.defer(() => snapshot.release());
  const opened = resources.move();
  return new SqlStorage({
    read(query) {
      try {
        snapshot.release();
        return finish(query(reads));
      } catch (error) {
        throw readError(error);
      }
    },
    readCounted(query) {
      try {
        snapshot.take();
        return finish(query(reads));
      } catch (error) {
        snapshot.release();
        throw readError(error);
      }
    },
    write: (name, input, record) => writer.execute(name, input, record),
    changeCount: () => writer.changeCount,
    close: () => opened.disposeAsync(),
  });
}
