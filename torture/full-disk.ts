/**
 * Fills the disk under the service, and makes room again, while calls run.
 *
 * The data lie on a file system of 4 MiB, which a ballast file fills to the last byte. While it is full the
 * process must stay up, introspections must be answered as ever, and writes must be refused as UNAVAILABLE.
 * When the ballast is gone, writes must work again within five seconds, and go on working.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { codeOf, Deployment, Finding, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import { inspect } from "./inspection.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const DISK_BYTES = 4 * 1024 * 1024;
const ISSUE_STREAMS = 4;
const INTROSPECT_STREAMS = 4;
/** SQLite's log takes some 30 KB for each of them, and may grow to 4 MB by itself: a disk for mice needs mice on it. */
const ISSUE_INTERVAL_MS = 100;
/** So many writes must have been refused, and so many introspections answered, on a full disk. */
const REFUSED_A_ROUND = 40;
const ANSWERED_A_ROUND = 200;
const RECOVERY_MS = 5_000;
/** So many writes in a row must work after that. */
const WRITES_AFTER = 20;
const PATIENCE_MS = 30_000;

interface Tally {
  readonly stored: { readonly id: string; readonly secret: string }[];
  refused: number;
  introspected: number;
}

export const fullDisk: Trial = {
  name: "full-disk",
  does: "a disk of 4 MiB that is full and has room again, under 4 issue and 4 introspect streams",
  trials: { full: 20, short: 2 },
  isTimed: false,
  mustCatch: [
    "dies-of-a-failed-write",
    "calls-a-failed-write-its-own-fault",
    "never-writes-again",
    "writes-at-each-introspection",
  ],

  async run({ trials, random, folder }) {
    using disk = mountSmallDisk(join(folder, "disk"));
    const deployment = await Deployment.create(disk.path);
    await using service = await deployment.start();
    const tally: Tally = { stored: [], refused: 0, introspected: 0 };
    const recoveriesMs: number[] = [];
    using streams = startStreams(service, deployment, tally);
    await streams.until("writes work", () => tally.stored.length >= WRITES_AFTER);

    for (let round = 0; round < trials; round++) {
      const { refused, introspected } = tally;
      using ballast = fillDisk(join(disk.path, "ballast"));
      await streams.until("writes are refused on a full disk", () => tally.refused >= refused + REFUSED_A_ROUND);
      await streams.until("introspections are answered", () => tally.introspected >= introspected + ANSWERED_A_ROUND);
      await setTimeout(random.below(300));
      ballast.remove();

      const freedAt = performance.now();
      const stored = tally.stored.length;
      await streams.until("writes work again", () => tally.stored.length > stored, RECOVERY_MS);
      recoveriesMs.push(performance.now() - freedAt);
      await streams.until("writes go on working", () => tally.stored.length >= stored + WRITES_AFTER);
    }
    await streams.end();
    await expectActive(service, tally);
    await inspect(deployment.databasePath);
    await service.stop();

    const slowest = Math.max(...recoveriesMs);
    return (
      `${count(trials, "round")}: ${count(tally.refused, "write")} refused as UNAVAILABLE, ` +
      `${count(tally.introspected, "introspection")} answered, ${count(tally.stored.length, "issue")} acknowledged and ` +
      `all there; 0 exits; room was used again after ${Math.round(slowest)} ms at most`
    );
  },
};

/** Calls without a pause until they are ended, and tallies. */
function startStreams(service: Service, { credentials }: Deployment, tally: Tally) {
  const { organizationId } = credentials;
  let isOver = false;
  const issueStream = async (stream: number): Promise<void> => {
    const tokens = service.connect(TokenService);
    for (let number = 0; !isOver; number++) {
      try {
        const { token, secret } = await tokens.issue({ organizationId, name: `${stream}-${number}` });
        tally.stored.push({ id: token?.id ?? "", secret });
        await setTimeout(ISSUE_INTERVAL_MS);
      } catch (error) {
        service.assertUp();
        if (codeOf(error) !== "UNAVAILABLE")
          throw new Finding(`a write was refused as ${codeOf(error)}`, { cause: error });
        tally.refused++;
        await setTimeout(5);
      }
    }
  };
  const introspectStream = async (): Promise<void> => {
    const introspection = service.connect(IntrospectionService);
    while (!isOver) {
      const token = tally.stored.at(-1)?.secret ?? "";
      const { active } = await mustAnswer(introspection.introspect({ token }));
      if (active !== (token !== "")) throw new Finding("a token that was issued is not active");
      tally.introspected++;
    }
  };
  const all = Promise.all([
    ...Array.from({ length: ISSUE_STREAMS }, (_, stream) => issueStream(stream)),
    ...Array.from({ length: INTROSPECT_STREAMS }, () => introspectStream()),
  ]);
  all.catch(() => {});
  return {
    async until(what: string, isSo: () => boolean, patienceMs = PATIENCE_MS): Promise<void> {
      for (const start = performance.now(); !isSo(); await Promise.race([setTimeout(5), all])) {
        if (performance.now() - start > patienceMs) throw new Finding(`waited ${patienceMs / 1000} s in vain: ${what}`);
      }
    },
    async end(): Promise<void> {
      isOver = true;
      await all;
    },
    [Symbol.dispose]: () => {
      isOver = true;
    },
  };
}

async function expectActive(service: Service, { stored }: Tally): Promise<void> {
  const introspection = service.connect(IntrospectionService);
  const lost: string[] = [];
  for (const { id, secret } of stored) {
    const { active } = await mustAnswer(introspection.introspect({ token: secret, dryRun: true }));
    if (active !== true) lost.push(id);
  }
  expectNone("acknowledged issues are lost", lost);
}

/** @throws Error when this process may not mount anything */
function mountSmallDisk(path: string) {
  mkdirSync(path);
  const run = (command: string, ...args: readonly string[]): string | undefined => {
    const { status, stderr, error } = spawnSync(command, args);
    return status === 0 ? undefined : `${command}: ${error?.message ?? stderr.toString()}`;
  };
  const failure = run("mount", "-t", "tmpfs", "-o", `size=${DISK_BYTES},mode=700`, "latchkey-torture", path);
  if (failure !== undefined) throw new Error(`this trial mounts a small disk, which takes root's rights: ${failure}`);
  return { path, [Symbol.dispose]: () => void run("umount", "--lazy", path) };
}

/** Takes all the room that is left. */
function fillDisk(path: string) {
  const file = openSync(path, "w");
  for (let bytes = 65_536; bytes >= 1; ) {
    try {
      writeSync(file, Buffer.alloc(bytes));
    } catch {
      // Full for so much; less may still fit.
      bytes = Math.floor(bytes / 2);
    }
  }
  closeSync(file);
  const remove = (): void => rmSync(path, { force: true });
  return { remove, [Symbol.dispose]: remove };
}
