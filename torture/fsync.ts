/**
 * Lets one sync of the disk fail, the first, the second … of a life, and asks of every answer whether a power
 * cut at that very moment would have left what it acknowledges.
 *
 * strace makes the sync fail (EIO), and records what is written to the database's files, what is synced, and
 * what goes out to the clients, in that order. From the record `Disk` makes the files that a power cut would
 * have left at each sync, which is where what is certain changes: once with nothing that wasn't synced, once
 * with each of those pages or not, by chance. SQLite must open them, find them whole, and find in them every
 * token whose secret had begun to go out before that sync. Answers are told by the secret in them, so it is
 * issues that are looked at; revokes and all other changes are answered by the same writer, after the same commit.
 *
 * A call whose commit couldn't be synced is refused as UNAVAILABLE, and the next ones work again. In the end
 * the process is killed, and its own files must hold what was acknowledged, too.
 */
import { cp, mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import Database from "better-sqlite3";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { fingerprint } from "../src/domain/fingerprint.ts";
import { codeOf, Deployment, Finding, type Service } from "../test/helpers/deployment.ts";
import { readTrace, type Step, strace, traceEnded } from "../test/helpers/strace.ts";
import { inspect } from "./inspection.ts";
import { Disk } from "./power-cut.ts";
import type { Random } from "./random.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const FIRST_SYNCS = 50;
const STREAMS = 8;
const SYNCS_AFTER = 15;

const WRITES = ["pwrite64", "ftruncate"];
const SYNCS = ["fsync", "fdatasync"];
const SENDS = ["write", "writev", "sendto", "sendmsg"];

/** Makes a token take several pages, so that a checkpoint is among the first syncs. */
const METADATA = Object.fromEntries(Array.from({ length: 32 }, (_, index) => [`label-${index}`, "x".repeat(256)]));

interface Life {
  readonly acknowledged: number;
  readonly refused: number;
  readonly powerCuts: number;
  readonly failedFile: string;
}

export const fsync: Trial = {
  name: "fsync",
  does: `a sync that fails, each of the first ${FIRST_SYNCS}, with a power cut thought at every one`,
  trials: { full: FIRST_SYNCS, short: 3 },
  isTimed: false,
  mustCatch: ["syncs-at-checkpoints-only", "passes-over-failed-commits"],

  async run({ trials, random, folder }) {
    const first = await Deployment.create(join(folder, "first"));
    // The first start stores a signing key; where that fails there is no service to try.
    await using started = await first.start();
    await started.stop();
    const lives: Life[] = [];
    for (let life = 0; life < trials; life++) {
      // All of the first ones, or some that are spread over them.
      const failing = 1 + (trials < FIRST_SYNCS ? Math.floor((life * FIRST_SYNCS) / trials) : life);
      lives.push(await live(first, join(folder, `life-${failing}`), failing, random.fork(failing)));
    }
    // A few syncs are those of the service's own looks at its health.
    const withRefusals = lives.filter(({ refused }) => refused > 0).length;
    if (withRefusals < trials / 2) throw new Finding(`calls were refused after ${withRefusals} failed syncs only`);
    const failedFiles = Object.entries(Object.groupBy(lives, ({ failedFile }) => failedFile));
    const total = (of: (life: Life) => number, one: string): string =>
      count(
        lives.reduce((sum, life) => sum + of(life), 0),
        one,
      );
    const refused = total((life) => life.refused, "call");
    const acknowledged = total((life) => life.acknowledged, "issue");
    const powerCuts = total((life) => life.powerCuts, "power cut");
    return (
      `${count(trials, "failed sync")} (${failedFiles.map(([file, all = []]) => `${all.length} of ${file}`).join(", ")}): ` +
      `${refused} refused as UNAVAILABLE, ${acknowledged} acknowledged and none falsely, by ${powerCuts}`
    );
  },
};

/** One life of the service on a fresh copy, in which the `failing`th sync fails. */
async function live(first: Deployment, folder: string, failing: number, random: Random): Promise<Life> {
  const deployment = first.movedTo(join(folder, "data"));
  const traceFile = join(folder, "trace");
  await cp(first.folder, deployment.folder, { recursive: true });
  const disk = new Disk();
  const files = [deployment.databasePath, `${deployment.databasePath}-wal`];
  for (const file of files) disk.add(file);

  const inject = ["-s", "1048576", "-xx", "-e", `inject=${SYNCS.join(",")}:error=EIO:when=${failing}`];
  await using service = await deployment.start(strace(traceFile, [...WRITES, ...SYNCS, ...SENDS], ...inject));
  const { secrets, refused } = await issueFor(
    service,
    first.credentials.organizationId,
    STREAMS * (failing + SYNCS_AFTER),
  );
  await service.kill();
  await traceEnded(traceFile, service.pid);

  const { powerCuts, failedFile } = await replay(traceFile, disk, files, new Set(secrets), join(folder, "cut"), random);
  expectNone(
    "calls failed in another way than UNAVAILABLE",
    refused.filter((code) => code !== "UNAVAILABLE"),
  );
  expectStored(deployment.databasePath, secrets, "in the files of the killed process");
  await inspect(deployment.databasePath);
  await rm(folder, { recursive: true });
  return { acknowledged: secrets.length, refused: refused.length, powerCuts, failedFile };
}

/** Issues tokens until so many are acknowledged. */
async function issueFor(service: Service, organizationId: string, wanted: number) {
  const secrets: string[] = [];
  const refused: string[] = [];
  await Promise.all(
    Array.from({ length: STREAMS }, async (_, stream) => {
      const tokens = service.connect(TokenService);
      while (secrets.length < wanted) {
        const request = { organizationId, name: `${stream}-${secrets.length}`, metadata: METADATA };
        try {
          secrets.push((await tokens.issue(request)).secret);
        } catch (error) {
          refused.push(codeOf(error));
          service.assertUp();
          if (refused.length > wanted)
            throw new Finding(`writes fail for good after a failed sync: ${String(error)}`, { cause: error });
          await setTimeout(10);
        }
      }
    }),
  );
  return { secrets, refused };
}

/** Follows the trace, and cuts the power wherever what is certain changes. */
async function replay(
  traceFile: string,
  disk: Disk,
  files: readonly string[],
  acknowledged: ReadonlySet<string>,
  folder: string,
  random: Random,
) {
  const sent: string[] = [];
  let powerCuts = 0;
  let sentBefore = 0;
  let failedFile = "";
  const cutPower = async (): Promise<void> => {
    // What was certain at an answer is certain until the next sync: no answer, no new question.
    if (sent.length === sentBefore) return;
    sentBefore = sent.length;
    for (const arrived of [() => false, () => random.below(2) === 0]) {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
      disk.cutPower(folder, arrived);
      expectStored(join(folder, "latchkey.db"), sent, `after a power cut at their answer (${sent.length} sent)`);
      powerCuts++;
    }
  };

  for await (const step of readTrace(traceFile)) {
    if (step.at === "begin") {
      for (const secret of secretsIn(step.args)) if (acknowledged.has(secret)) sent.push(secret);
    } else if (SYNCS.includes(step.name)) {
      const path = pathOf(step.args);
      if (step.isInjected) failedFile = basename(path);
      if (!files.includes(path)) continue;
      await cutPower();
      disk.sync(path, step.result === 0);
    } else if (files.includes(pathOf(step.args))) {
      write(disk, step);
    }
  }
  await cutPower();
  if (sent.length !== acknowledged.size) {
    throw new Error(`${acknowledged.size} answers came, and ${sent.length} are in the trace`);
  }
  if (failedFile === "") throw new Error("the sync that was to fail never came");
  return { powerCuts, failedFile };
}

function write(disk: Disk, { name, args, result }: Extract<Step, { at: "end" }>): void {
  if (result < 0) return;
  const path = pathOf(args);
  if (name === "ftruncate") return disk.truncate(path, Number(args.slice(args.lastIndexOf(",") + 1)));
  // pwrite64(28</path>, "\x00\x01…", 4096, 56)
  const [, hex = "", offset] = /"([^"]*)", \d+, (\d+)$/.exec(args) ?? [];
  disk.write(path, Number(offset), decode(hex).subarray(0, result));
}

/** The path that strace puts behind a file's number. */
function pathOf(args: string): string {
  return decode(/^\d+<([^>]*)>/.exec(args)?.[1] ?? "").toString();
}

/** What strace writes as `\x77\x70…`. */
function decode(text: string): Buffer {
  return Buffer.from(text.replaceAll("\\x", ""), "hex");
}

/** The secrets in what is sent: `wp_` and 48 characters. */
function secretsIn(args: string): readonly string[] {
  return Array.from(args.matchAll(/\\x77\\x70\\x5f(?:\\x[0-9a-f]{2}){48}/g), ([text]) => decode(text).toString());
}

/** Opens the files as SQLite does after a crash. @throws Finding unless all of these tokens are there */
function expectStored(path: string, secrets: readonly string[], when: string): void {
  const connection = new Database(path, { readonly: true });
  try {
    const problems = connection.prepare<[], string>("PRAGMA integrity_check").pluck().all();
    expectNone(
      `faults of the file ${when}`,
      problems.filter((line) => line !== "ok"),
    );
    const stored = connection.prepare<[], string>("SELECT lower(hex(fingerprint)) FROM tokens").pluck().all();
    const isStored = new Set(stored);
    const missing = secrets
      .map((secret) => Buffer.from(fingerprint(secret)).toString("hex"))
      .filter((hex) => !isStored.has(hex));
    expectNone(`acknowledged tokens are not there ${when}`, missing);
  } finally {
    connection.close();
  }
}
