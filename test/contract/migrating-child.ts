/** A process that brings a database to the newest schema, at the same time as others do. */
import { migrate as migratePostgres } from "../../src/storage/postgres/migrations.ts";
import { migrate } from "../../src/storage/sqlite/migrations.ts";
import { postgresSettings } from "../helpers/postgres.ts";

const [place = ""] = process.argv.slice(2);
if (place.startsWith("postgres:")) await migratePostgres(postgresSettings(place));
else migrate({ path: place, busyTimeoutMs: 10_000 });
