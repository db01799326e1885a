import { expect, it } from "vitest";
import { type Readiness, startOpsServer } from "../../src/http/ops-server.ts";

const SINCE = new Date("2026-11-21T12:00:00.123Z");
const FAILING = "failing since 2026-11-21T12:00:00.123Z";

const well = { readsFailSince: undefined, writesFailSince: undefined };
const full = { ...well, writesFailSince: SINCE };
const gone = { readsFailSince: SINCE, writesFailSince: SINCE };

it.each<[Readiness["phase"], Readiness["database"], number, object]>([
  ["starting", well, 503, { status: "starting", reads: "ok", writes: "ok" }],
  ["running", well, 200, { status: "ready", reads: "ok", writes: "ok" }],
  ["running", full, 200, { status: "degraded", reads: "ok", writes: FAILING }],
  ["running", gone, 503, { status: "not ready", reads: FAILING, writes: FAILING }],
  ["stopping", full, 503, { status: "stopping", reads: "ok", writes: FAILING }],
])("/readyz while %s with %o is %i", async (phase, database, status, body) => {
  const ops = await startOpsServer({ address: "127.0.0.1:0", readiness: () => ({ phase, database }) });
  const response = await fetch(`http://${ops.address}/readyz`);
  expect([response.status, await response.json()]).toEqual([status, body]);
  expect((await fetch(`http://${ops.address}/livez`)).status).toBe(200);
  await ops.stop();
});
