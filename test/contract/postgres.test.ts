/** The storage contract on PostgreSQL. */
import { inject } from "vitest";
import { openPostgresSubject } from "../helpers/postgres.ts";
import { storageContract } from "./storage-contract.ts";

storageContract("PostgreSQL", () => openPostgresSubject(inject("postgresUrl")));
