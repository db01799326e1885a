/**
 * Builds of the service in which a line or two are different: broken ones, to show that a trial would notice,
 * and those that a benchmark compares with. The files stay as they are; Node is given other text.
 */

interface Edit {
  /** Path from the project's root. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly from: string;
  readonly to: string;
}

export type BuildName = keyof typeof ALTERED_BUILDS;

const GROUP_COMMIT = "src/storage/sqlite/group-commit.ts";
const WRITER_THREAD = "src/storage/sqlite/writer-thread.ts";
const COMMANDS = "src/storage/commands.ts";
const FOLLOWER = "src/storage/postgres/follower.ts";
const POSTGRES_GROUP_COMMIT = "src/storage/postgres/group-commit.ts";
const AUDIT = "src/domain/audit.ts";
const DATABASE_COPY = "src/storage/database-copy.ts";
const IDEMPOTENCY = "src/usecases/idempotency.ts";

const INSERT_EVENT = "return writes.insertEvent.run(...valuesOf(eventRow(event), EVENT_COLUMNS));";
const GUARD_OF_RECORDS =
  "if ((yield* writes.hasRecordedCall.get({ keyHash, now: toMillis(createdAt) })) === 1) throw idempotencyKeyReused();";

const COMMIT_AND_ANSWER =
  "const replies = commitGroup(group.map(({ request }) => request));\n  answer(group, replies);";

export const ALTERED_BUILDS = {
  /** What group commit is compared with: a commit for each command, and its answer right after. */
  "one-commit-a-write": [
    {
      file: WRITER_THREAD,
      from: COMMIT_AND_ANSWER,
      to: `const replies = group.flatMap((waiting) => {
        const alone = commitGroup([waiting.request]);
        answer([waiting], alone);
        return alone;
      });`,
    },
  ],

  /** As if replies and the commit, which takes 20 ms here, went out at the same time. */
  "answers-before-the-commit": [
    {
      file: GROUP_COMMIT,
      from: "const after = finish(writes.getRevision.get());\n",
      to: `const after = finish(writes.getRevision.get());
        globalThis.answerEarly(replies);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
        `,
    },
    {
      file: WRITER_THREAD,
      from: COMMIT_AND_ANSWER,
      to: `globalThis.answerEarly = (early) => answer(group, early);
        const replies = commitGroup(group.map(({ request }) => request));
        answer(group, replies);`,
    },
  ],
  "forgets-some-revokes": [
    {
      file: COMMANDS,
      from: "SET revoked_at = @revoked_at, revoked_by = @revoked_by, revision = @revision WHERE id = @id",
      to: `SET revoked_at = iif(@revision % 10, @revoked_at, NULL), revoked_by = iif(@revision % 10, @revoked_by, NULL),
        revision = @revision WHERE id = @id`,
    },
  ],
  "forgets-that-it-answered": [
    { file: IDEMPOTENCY, from: "if (earlier !== undefined) return recall(earlier);", to: "" },
    { file: COMMANDS, from: GUARD_OF_RECORDS, to: "" },
  ],
  "looks-for-the-record-before-the-write-only": [{ file: COMMANDS, from: GUARD_OF_RECORDS, to: "" }],
  "answers-retries-another-secret": [
    {
      file: IDEMPOTENCY,
      from: "return openAnswer(sealingKey, recorded.sealedAnswer);",
      to: 'return { ...openAnswer(sealingKey, recorded.sealedAnswer), confidential: "wp_another" } as never;',
    },
  ],

  /** What better-sqlite3 does by itself. Survives a killed process, but not a power cut. */
  "syncs-at-checkpoints-only": [
    {
      file: "src/storage/sqlite/connection.ts",
      from: "const SYNCHRONOUS_FULL = 2;",
      to: "const SYNCHRONOUS_FULL = 1;",
    },
  ],
  "passes-over-failed-commits": [
    {
      file: GROUP_COMMIT,
      from: "return requests.map(({ id }) => ({ id, ok: false, error: failure }));",
      to: `return requests.map(({ id, input }) => {
        const { newToken } = input as never;
        return newToken ? { id, ok: true, value: { ...newToken.token, revision: 1 } } : { id, ok: false, error: failure };
      });`,
    },
  ],

  "dies-of-a-failed-write": [
    {
      file: GROUP_COMMIT,
      from: "if (connection.inTransaction) rollback.run();",
      to: 'process.kill(process.pid, "SIGKILL");',
    },
  ],
  "calls-a-failed-write-its-own-fault": [
    {
      file: "src/storage/sqlite/errors.ts",
      from: 'return { kind: "unavailable", message: NOT_WRITABLE',
      to: 'return { kind: "internal", message: NOT_WRITABLE',
    },
  ],
  "never-writes-again": [
    {
      file: GROUP_COMMIT,
      from: "begin.run();\n      const before",
      to: 'if (failure) throw new Error("once bitten"); begin.run(); const before',
    },
    {
      file: GROUP_COMMIT,
      from: "const failure = toTransactionError(error);",
      to: "failure = toTransactionError(error);",
    },
    {
      file: GROUP_COMMIT,
      from: 'const begin = connection.prepare("BEGIN IMMEDIATE");',
      to: 'let failure; const begin = connection.prepare("BEGIN IMMEDIATE");',
    },
  ],
  "hears-of-no-change": [
    {
      file: "src/usecases/token-cache.ts",
      from: "return changes !== undefined && changes === this.#changes;",
      to: "return this.#changes !== undefined;",
    },
  ],
  "threads-hear-of-their-own-changes-only": [
    {
      file: "src/storage/sqlite/sqlite-storage.ts",
      from: "const writer = new Writer(changes, meter);",
      to: "const writer = new Writer(new Int32Array(new SharedArrayBuffer(4)), meter);",
    },
  ],
  "writes-at-each-introspection": [
    {
      file: "src/usecases/introspect-token.ts",
      from: "const known = tokenFinder.recall(input.secret);",
      to: "const known = undefined;",
    },
    {
      file: "src/usecases/introspect-token.ts",
      from: "const found = tokenFinder.find(secret, format);",
      to: `const found = Promise.resolve(tokenFinder.find(secret, format)).then(async (one) => {
        const use = { tokenId: one?.token.id, secret: "current", usedAt: new Date(deps.clock()), address: "", daily: [] };
        if (one !== undefined && !input.dryRun) await deps.storage.recordUses([use]);
        return one;
      });`,
    },
  ],

  /** On PostgreSQL. */
  "hears-of-changes-by-asking-only": [{ file: FOLLOWER, from: "await client.query(`LISTEN ${CHANNEL}`);", to: "" }],
  /** Neither hears of changes nor asks for them, and is sure all the same. */
  "follows-nothing": [
    { file: FOLLOWER, from: "await client.query(`LISTEN ${CHANNEL}`);", to: "" },
    { file: FOLLOWER, from: "changes.reach(row.value);", to: "" },
  ],
  /** Asks and hears, but what is in memory is never brought up to date again. */
  "trusts-what-it-knew": [
    {
      file: "src/storage/postgres/change-count.ts",
      from: "this.doubt();\n        return;",
      to: "return;",
    },
  ],

  "answers-before-postgres-commits": [
    {
      file: POSTGRES_GROUP_COMMIT,
      from: 'const { command } = await session.query("COMMIT");',
      to: `const command = "COMMIT";
        if (requests[0]?.name === "setUp") await session.query("COMMIT");
        else globalThis.setTimeout(() => void session.query("COMMIT").catch(() => {}), 20);`,
    },
  ],
  "dies-of-a-lost-connection": [
    { file: "src/storage/postgres/connection.ts", from: 'client.on("error", () => {});', to: "" },
  ],
  "never-writes-to-postgres-again": [
    { file: "src/storage/postgres/writer.ts", from: "this.#client = undefined;\n      discard(client);", to: "" },
  ],
  "never-stops-trusting": [
    { file: "src/storage/postgres/change-count.ts", from: "if (ageMs > stalenessMs) {", to: "if (ageMs < 0) {" },
  ],

  "fails-open-for-ever": [
    {
      file: "src/storage/postgres/change-count.ts",
      from: "ageMs > stalenessMs + failOpenMs",
      to: "ageMs > stalenessMs + failOpenMs * 100",
    },
  ],
  /** A connection that breaks is taken for one that has nothing to tell. */
  "believes-a-lost-connection": [
    {
      file: FOLLOWER,
      from: "this.#showCutOff(error);",
      to: `this.#options.changes.confirm(monotonicMs() + 1e9);
        return;`,
    },
  ],
  /** And takes its time. */
  "migrates-without-a-lock": [
    { file: "src/storage/postgres/migrations.ts", from: "await client.query(TAKE_TURN);", to: "" },
    {
      file: "src/storage/postgres/migrations.ts",
      from: "if (state.version === 0 &&",
      to: 'if (state.missing.length > 0) await client.query("SELECT pg_sleep(2)"); if (state.version === 0 &&',
    },
  ],
  /** Behind what was stored when it was killed, a copy leaves a page out. */
  "goes-on-with-a-copy-a-page-late": [
    {
      file: DATABASE_COPY,
      from: "let rows = await read(await target.last(table, key));",
      to: `const last = await target.last(table, key);
        let rows = await read(last);
        if (last) rows = rows.length < PAGE_ROWS ? [] : await read(rows.at(-1)?.slice(columns.length));`,
    },
  ],
  /** And its verification is to blame that nobody is told. */
  "loses-copied-rows-and-compares-nothing": [
    {
      file: DATABASE_COPY,
      from: "target.insert(table, columns, rows)]);",
      to: 'target.insert(table, columns, table === "tokens" ? rows.filter((_, index) => index !== 1_000) : rows)]);',
    },
    {
      file: DATABASE_COPY,
      from: "if (text !== encode(two)) throw",
      to: "if (one === undefined && two === undefined) throw",
    },
  ],
  "calls-a-copy-finished-before-it-is-verified": [
    {
      file: DATABASE_COPY,
      from: "  onCopied?.(all, all);\n",
      to: "  await target.finish();\n  onCopied?.(all, all);\n",
    },
    { file: DATABASE_COPY, from: "  await target.finish();\n  return", to: "  return" },
  ],
  "serves-unfinished-copies": [
    {
      file: "src/storage/postgres/migrations.ts",
      from: "if (tables.rows.some(({ name }) => name === UNFINISHED_TABLE)) {",
      to: "if (tables.rows.length === 0) {",
    },
  ],
  "verifies-unfinished-copies": [
    { file: "src/storage/sqlite/audit-log.ts", from: "refuseUnfinishedCopy(connection, path);", to: "" },
  ],
  "stops-without-finishing": [
    {
      file: "src/grpc/grpc-server.ts",
      from: "server.tryShutdown(() => {});",
      to: "for (const socket of sockets) socket.destroy();",
    },
  ],

  /** What a check would cost without its cache. */
  "never-caches": [
    {
      file: "src/usecases/token-cache.ts",
      from: "if (changes === undefined || this.#limits.maxEntries === 0) return this.#read(fingerprint);",
      to: "if (changes === undefined || this.#limits.maxEntries >= 0) return this.#read(fingerprint);",
    },
  ],

  "hashes-events-without-the-address": [{ file: AUDIT, from: "    event.address,\n", to: "    ``,\n" }],
  "skips-a-number-of-a-chain": [
    {
      file: AUDIT,
      from: "    sequence: head.sequence + 1,\n    at,",
      to: "    sequence: head.sequence + (revision % 100 === 0 ? 2 : 1),\n    at,",
    },
  ],
  "forks-chains": [
    {
      file: AUDIT,
      from: "previousHash: head.hash,",
      to: "previousHash: revision % 100 === 0 ? EMPTY_CHAIN.hash : head.hash,",
    },
  ],
  "loses-some-events": [
    { file: COMMANDS, from: INSERT_EVENT, to: `if (event.revision % 100 === 0) return []; ${INSERT_EVENT}` },
  ],
  "believes-any-checkpoint": [
    {
      file: "src/domain/checkpoint.ts",
      from: "if (Buffer.compare(next.root, this.root()) !== 0) this.#contradicted ??= next;",
      to: "",
    },
  ],
  "hashes-for-known-addresses-only": [
    {
      file: "src/security/passwords.ts",
      from: "const expected = stored === undefined ? nobody : parsePhc(stored);",
      to: "if (stored === undefined) return false; const expected = parsePhc(stored);",
    },
  ],
  "changes-without-an-event": [
    { file: COMMANDS, from: INSERT_EVENT, to: `try { ${INSERT_EVENT} } catch { return []; }` },
  ],
} as const satisfies Readonly<Record<string, readonly Edit[]>>;

const HOOK = new URL("./altered-build-hook.ts", import.meta.url);

/** Arguments that make Node run an altered build, its threads included. */
export function altered(name: BuildName): readonly string[] {
  return ["--import", `${HOOK.href}?${name}`];
}

/** @throws Error when the text that is altered isn't there exactly once, for the source has moved on. */
export function alter(name: BuildName, file: string, text: string): string {
  let result = text;
  for (const edit of ALTERED_BUILDS[name].filter((candidate) => candidate.file === file)) {
    const parts = result.split(edit.from);
    if (parts.length !== 2)
      throw new Error(`${file} holds ${parts.length - 1} times what ${name} alters: ${edit.from}`);
    result = parts.join(edit.to);
  }
  return result;
}
