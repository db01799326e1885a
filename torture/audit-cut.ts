/**
 * Cuts the end of an audit log off, puts old copies of it back and writes on, edits events and hashes what follows
 * anew, on database files and exports. Each chain by itself is whole then; `latchkey audit verify` must find the
 * difference to a signed checkpoint that was kept, and none where there is none.
 */

import { Finding } from "../test/helpers/deployment.ts";
import { runTamperTrials } from "../test/helpers/tamper-trials.ts";
import { count, type Trial } from "./trial.ts";

export const auditCut: Trial = {
  name: "audit-cut",
  does: "logs that were cut off, put back or written anew, against their checkpoints",
  trials: { full: 1_000, short: 70 },
  isTimed: false,
  mustCatch: ["believes-any-checkpoint"],

  async run({ trials, random }) {
    const counts = await runTamperTrials(trials, random.below(2 ** 31)).catch((error: unknown) => {
      throw new Finding((error as Error).message);
    });
    const found = Object.values(counts).reduce((sum, each) => sum + each.found, 0);
    return `${count(trials, "log")}, ${found} of which differ from a checkpoint: each found, and no other`;
  },
};
