/** All trials. Of those that judge times, and then of the others, they run in this order. */
import { auditCut } from "./audit-cut.ts";
import { auditFail } from "./audit-fail.ts";
import { auditFlips } from "./audit-flips.ts";
import { auditWriters } from "./audit-writers.ts";
import { copy } from "./copy.ts";
import { crash } from "./crash.ts";
import { fsync } from "./fsync.ts";
import { fullDisk } from "./full-disk.ts";
import { postgresCrash } from "./postgres-crash.ts";
import { postgresListen } from "./postgres-listen.ts";
import { postgresPartition } from "./postgres-partition.ts";
import { postgresRestart } from "./postgres-restart.ts";
import { postgresRevocations } from "./postgres-revocations.ts";
import { postgresRolling } from "./postgres-rolling.ts";
import { postgresStarts } from "./postgres-starts.ts";
import { retries } from "./retries.ts";
import { revocations } from "./revocations.ts";
import { signInTiming } from "./sign-in-timing.ts";
import { slowSync } from "./slow-sync.ts";
import type { Trial } from "./trial.ts";

export const TRIALS: readonly Trial[] = [
  crash,
  fsync,
  fullDisk,
  retries,
  auditFlips,
  auditCut,
  auditWriters,
  auditFail,
  revocations,
  slowSync,
  signInTiming,
  postgresRevocations,
  postgresPartition,
  postgresRestart,
  postgresListen,
  postgresRolling,
  postgresStarts,
  postgresCrash,
  copy,
];
