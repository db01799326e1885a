/** The thread that owns the only connection that writes. It commits in groups what has come from all threads. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type Database from "better-sqlite3";
import { checkpoint, finalCheckpoint, giveRoomBack } from "./checkpoint.ts";
import { openWriteConnection } from "./connection.ts";
import { describe } from "./errors.ts";
import { groupCommitter } from "./group-commit.ts";
import type {
  CommandReply,
  CommandRequest,
  FromWriterThread,
  Replies,
  ToWriterThread,
  WriterThreadOptions,
} from "./messages.ts";

/** Keeps the wait of the first command in a group short, and the lock from being held long. */
const MAX_GROUP = 512;

/** On a disk that stays full, room is not sought more often than this. */
const ROOM_INTERVAL_MS = 250;

interface Waiting {
  readonly port: MessagePort;
  readonly request: CommandRequest;
}

if (parentPort === null) throw new Error("this file runs as a worker thread only");
const host = parentPort;
const { checkpointIntervalMs, changes, ...connectionOptions } = workerData as WriterThreadOptions;
const connection = openWriteConnection(connectionOptions);
const commitGroup = groupCommitter(connection, () => void Atomics.add(changes, 0, 1));
const ports = new Set<MessagePort>();
let isShortOfRoom = false;
let lastAttemptMs = Number.NEGATIVE_INFINITY;

const checkpoints = setInterval(() => attemptCheckpoint(checkpoint), checkpointIntervalMs);
checkpoints.unref();

// An error that escapes ends this thread, and another one is started.
host.on("message", (message: ToWriterThread) => {
  if (message.kind === "connect") connect(message.port);
  else close();
});
send({ kind: "ready" });

function connect(port: MessagePort): void {
  ports.add(port);
  port.on("close", () => ports.delete(port));
  port.on("message", (requests: readonly CommandRequest[]) => {
    const waiting = requests.map((request) => ({ port, request }));
    // What has come during the last commit, from whichever thread, shares the next one.
    for (const other of ports) waiting.push(...arrived(other));
    while (waiting.length > 0) commit(waiting.splice(0, MAX_GROUP));
  });
}

function arrived(port: MessagePort): readonly Waiting[] {
  const waiting: Waiting[] = [];
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
    for (const request of next.message as readonly CommandRequest[]) waiting.push({ port, request });
  }
  return waiting;
}

function commit(group: readonly Waiting[]): void {
  makeRoom();
  const replies = commitGroup(group.map(({ request }) => request));
  answer(group, replies);
  if (replies.every((reply) => reply.ok || reply.error.kind !== "unavailable")) return;
  isShortOfRoom = true;
  makeRoom();
}

/** Each port hears of its own commands. */
function answer(group: readonly Waiting[], replies: readonly CommandReply[]): void {
  let groupSize: number | undefined = group.length;
  for (const port of new Set(group.map((waiting) => waiting.port))) {
    const own = replies.filter((_, index) => group[index]?.port === port);
    port.postMessage({ replies: own, groupSize } satisfies Replies);
    groupSize = undefined;
  }
}

/** After a failed write: the WAL may be what fills the disk. */
function makeRoom(): void {
  if (!isShortOfRoom || performance.now() - lastAttemptMs < ROOM_INTERVAL_MS) return;
  lastAttemptMs = performance.now();
  attemptCheckpoint(() => {
    isShortOfRoom = !giveRoomBack(connection);
  });
}

function close(): void {
  clearInterval(checkpoints);
  attemptCheckpoint(finalCheckpoint);
  connection.close();
  for (const port of ports) port.close();
  host.close();
}

function attemptCheckpoint(run: (connection: Database.Database) => void): void {
  try {
    run(connection);
  } catch (error) {
    // Nothing is lost: the WAL keeps what could not be moved.
    send({ kind: "checkpoint_failed", detail: describe(error) });
  }
}

function send(message: FromWriterThread): void {
  host.postMessage(message);
}
