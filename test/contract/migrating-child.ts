/** A process that brings a database to the newest schema, at the same time as others do. */
import { migrate } from "../../src/storage/sqlite/migrations.ts";

const [path = ""] = process.argv.slice(2);
migrate({ path, busyTimeoutMs: 10_000 });
