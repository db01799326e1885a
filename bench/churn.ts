/**
 * `npm run bench -- churn`: how long checks take that come at a steady rate, whether earlier ones were answered or
 * not, while nothing else happens, while tokens are issued and revoked, and while half of all keys are garbage.
 */
import { IssueRequestSchema, RevokeRequestSchema } from "../gen/latchkey/v1/token_pb.ts";
import { mistyped } from "./introspect.ts";
import { type LoadJob, type LoadResult, startLoad } from "./load.ts";
import { median, medianRatio, type Outcome } from "./measurement.ts";
import { callsOf, framed, introspects, issueTokens } from "./questions.ts";
import { startService } from "./server-process.ts";

const TOKENS = 10_000;
/** Of honest checks, whose times count; as many others come besides, so that the total is the same in all phases. */
const RATE = 1_000;
const CHANGES_A_SECOND = 100;
const UNARY = "IntrospectionService/Introspect";

export async function benchChurn(isShort: boolean): Promise<Outcome> {
  const [rounds, seconds] = isShort ? [3, 2] : [7, 5];
  await using resources = new AsyncDisposableStack();
  const service = resources.use(await startService());
  // Each process that is woken once a millisecond takes some of the cores that they share with the service.
  const checks = resources.use(await startLoad());
  const changes = resources.use(await startLoad());
  const { organizationId } = service.credentials;
  const secrets = (await issueTokens(service, TOKENS)).map(({ secret }) => secret);
  const victims = await issueTokens(service, CHANGES_A_SECOND * seconds * (rounds + 1));
  const checksOf = (some: readonly string[]): LoadJob => ({
    ...callsOf(service, UNARY, introspects(some), RATE * seconds),
    ratePerSecond: RATE,
  });
  const pace = { requests: CHANGES_A_SECOND * seconds, ratePerSecond: CHANGES_A_SECOND };
  const issue = framed(IssueRequestSchema, [{ organizationId, name: "CI pipeline" }]);
  const check = checksOf(secrets);
  const refuse = checksOf(secrets.map(mistyped));

  const phases = [
    { name: "idle", times: [] as LoadResult[], others: check, changed: () => [] },
    { name: "half are garbage", times: [] as LoadResult[], others: refuse, changed: () => [] },
    {
      name: `${CHANGES_A_SECOND} issues and ${CHANGES_A_SECOND} revokes a second`,
      times: [] as LoadResult[],
      others: check,
      changed: () => {
        const ids = victims.splice(0, pace.requests).map(({ id }) => ({ id, organizationId }));
        const revoke = framed(RevokeRequestSchema, ids);
        return [
          { ...callsOf(service, "TokenService/Issue", issue, 0), ...pace },
          { ...callsOf(service, "TokenService/Revoke", revoke, 0), ...pace },
        ];
      },
    },
  ];
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const { times, others, changed } of phases) {
      const [[result]] = await Promise.all([checks.runTogether([check, others]), changes.runTogether(changed())]);
      if (round > 0 && result !== undefined) times.push(result);
    }
  }
  const p99s = phases.map(({ times }) => times.map(({ p99Ms }) => p99Ms));
  const [idle = [], garbage = [], churn = []] = p99s;
  return {
    tables: [
      {
        title: `Checks at a steady ${(2 * RATE).toLocaleString("en")} a second`,
        headings: ["", "p50 ms", "p99 ms", "× idle"],
        rows: phases.map(({ name, times }, index) => [
          name,
          median(times.map(({ p50Ms }) => p50Ms)).toFixed(2),
          median(p99s[index] ?? []).toFixed(2),
          medianRatio(p99s[index] ?? [], idle).toFixed(2),
        ]),
      },
    ],
    figures: { p99Garbage: medianRatio(garbage, idle), p99Churn: medianRatio(churn, idle) },
  };
}
