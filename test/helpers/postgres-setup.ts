/** Tells test apps that they run on PostgreSQL. They are started outside vitest too, so they don't ask it. */
import { inject } from "vitest";

process.env["TEST_POSTGRES_URL"] = inject("postgresUrl");
