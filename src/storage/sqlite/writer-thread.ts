/** The thread that owns the only connection that writes. It commits what is waiting in groups. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type Database from "better-sqlite3";
import { checkpoint, finalCheckpoint } from "./checkpoint.ts";
import { openWriteConnection } from "./connection.ts";
import { describe } from "./errors.ts";
import { groupCommitter } from "./group-commit.ts";
import type { CommandRequest, FromWriterThread, ToWriterThread, WriterThreadOptions } from "./messages.ts";

/** Keeps the wait of the first command in a group short, and the lock from being held long. */
const MAX_GROUP = 512;

if (parentPort === null) throw new Error("this file runs as a worker thread only");
const port = parentPort;
const { checkpointIntervalMs, changes, ...connectionOptions } = workerData as WriterThreadOptions;
const connection = openWriteConnection(connectionOptions);
const commitGroup = groupCommitter(connection, () => void Atomics.add(changes, 0, 1));

const checkpoints = setInterval(() => attemptCheckpoint(checkpoint), checkpointIntervalMs);
checkpoints.unref();

// An error that escapes ends this thread, and the main thread starts another one.
port.on("message", (first: ToWriterThread) => {
  const group: CommandRequest[] = [];
  let message: ToWriterThread | undefined = first;
  while (message?.kind === "command") {
    group.push(message);
    message = group.length < MAX_GROUP ? nextWaiting() : undefined;
  }
  if (group.length > 0) send({ kind: "replies", replies: commitGroup(group) });
  if (message?.kind === "close") close();
});
send({ kind: "ready" });

function nextWaiting(): ToWriterThread | undefined {
  return receiveMessageOnPort(port)?.message as ToWriterThread | undefined;
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
