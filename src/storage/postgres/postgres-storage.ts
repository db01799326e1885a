/** The storage port on one PostgreSQL database, which many processes share. */
import type { Logger } from "../../domain/logger.ts";
import type { PostgresSettings } from "../../domain/postgres-settings.ts";
import type { Storage } from "../../domain/storage.ts";
import { WriteMeter } from "../../domain/write-meter.ts";
import { SqlStorage } from "../sql-storage.ts";
import { ChangeCount, type ChangeMemory, createChangeMemory } from "./change-count.ts";
import { clientOptions, TIMEOUTS, type Timeouts, toStartError } from "./connection.ts";
import { Follower } from "./follower.ts";
import { migrate } from "./migrations.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

export interface PostgresStorageOptions {
  readonly settings: PostgresSettings;
  readonly logger: Logger;
  /** Is told of every write. */
  readonly meter?: WriteMeter | undefined;
  readonly timeouts?: Timeouts;
}

/** What another thread of this process needs to work on the same database. */
export interface PostgresShare {
  readonly settings: PostgresSettings;
  readonly timeouts: Timeouts;
  readonly changes: ChangeMemory;
}

/** The storage of the thread that opened the database. */
export interface PostgresDatabase extends Storage {
  /** For one thread, which joins with `joinPostgresStorage`, and closes what it gets before this here is closed. */
  share(): PostgresShare;
}

const OUTAGE_INTERVAL_MS = 250;

/** Opens the database, with the newest schema. Throws a StartError when it can't be served. */
export async function openPostgresStorage(options: PostgresStorageOptions): Promise<PostgresDatabase> {
  const { settings, logger, meter = new WriteMeter(), timeouts = TIMEOUTS } = options;
  const share: PostgresShare = { settings, timeouts, changes: createChangeMemory() };
  await using resources = new AsyncDisposableStack();
  try {
    await migrate(settings, timeouts);
    const { stalenessMs } = settings;
    const changes = new ChangeCount(share.changes, settings);
    const client = clientOptions(settings, timeouts);
    const reader = new Reader(client, settings.poolSize, changes);
    resources.defer(() => reader.close());
    const onOutage = (): void => reader.giveUp();
    const follower = await Follower.start({ client, changes, stalenessMs, logger, onOutage });
    resources.defer(() => follower.close());
    return Object.assign(openStorage(share, { reader, changes, meter }, resources), { share: () => share });
  } catch (error) {
    throw toStartError(settings, error);
  }
}

/** Opens the database that another thread of this process has opened, and follows. */
export async function joinPostgresStorage(share: PostgresShare, meter: WriteMeter): Promise<Storage> {
  await using resources = new AsyncDisposableStack();
  const { settings, timeouts } = share;
  const changes = new ChangeCount(share.changes, settings);
  const reader = new Reader(clientOptions(settings, timeouts), settings.poolSize, changes);
  resources.defer(() => reader.close());
  // The thread that follows learns of an outage first, and can't tell this one.
  const watch = setInterval(() => {
    if (changes.isOutage) reader.giveUp();
  }, OUTAGE_INTERVAL_MS);
  resources.defer(() => clearInterval(watch));
  return openStorage(share, { reader, changes, meter }, resources);
}

function openStorage(
  { settings, timeouts }: PostgresShare,
  { reader, changes, meter }: { reader: Reader; changes: ChangeCount; meter: WriteMeter },
  resources: AsyncDisposableStack,
): SqlStorage {
  const onChange = (revision?: number): void => (revision === undefined ? changes.doubt() : changes.reach(revision));
  const writer = new Writer({ client: clientOptions(settings, timeouts), meter, onChange });
  resources.defer(() => writer.close());
  const opened = resources.move();
  return new SqlStorage({
    read: (query) => reader.read(query),
    readCounted: (query) => reader.read(query),
    write: (name, input, record) => writer.execute(name, input, record),
    changeCount: () => changes.current,
    close: () => opened.disposeAsync(),
  });
}
