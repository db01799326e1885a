/** The thread that owns the only connection that writes. It commits what is waiting in groups, when it is told to. */
import { parentPort, workerData } from "node:worker_threads";
import type Database from "better-sqlite3";
import { checkpoint, finalCheckpoint, giveRoomBack } from "./checkpoint.ts";
import { openWriteConnection } from "./connection.ts";
import { describe } from "./errors.ts";
import { groupCommitter } from "./group-commit.ts";
import type { CommandRequest, FromWriterThread, ToWriterThread, WriterThreadOptions } from "./messages.ts";

/** Keeps the wait of the first command in a group short, and the lock from being held long. */
const MAX_GROUP = 512;

/** On a disk that stays full, room is not sought more often than this. */
const ROOM_INTERVAL_MS = 250;

if (parentPort === null) throw new Error("this file runs as a worker thread only");
const port = parentPort;
const { checkpointIntervalMs, changes, ...connectionOptions } = workerData as WriterThreadOptions;
const connection = openWriteConnection(connectionOptions);
const commitGroup = groupCommitter(connection, () => void Atomics.add(changes, 0, 1));
const waiting: CommandRequest[] = [];
let isShortOfRoom = false;
let lastAttemptMs = Number.NEGATIVE_INFINITY;

const checkpoints = setInterval(() => attemptCheckpoint(checkpoint), checkpointIntervalMs);
checkpoints.unref();

// An error that escapes ends this thread, and the main thread starts another one.
port.on("message", (message: ToWriterThread) => {
  switch (message.kind) {
    case "command":
      waiting.push(message);
      break;
    case "commit":
      commitWaiting();
      break;
    case "close":
      while (waiting.length > 0) commitWaiting();
      close();
  }
});
send({ kind: "ready" });

function commitWaiting(): void {
  makeRoom();
  const replies = commitGroup(waiting.splice(0, MAX_GROUP));
  send({ kind: "replies", replies });
  if (replies.every((reply) => reply.ok || reply.error.kind !== "unavailable")) return;
  isShortOfRoom = true;
  makeRoom();
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
  port.close();
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
  port.postMessage(message);
}
