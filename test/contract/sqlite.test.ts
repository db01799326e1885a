/** The storage contract on SQLite. */
import { openSqliteSubject } from "../helpers/sqlite.ts";
import { storageContract } from "./storage-contract.ts";

storageContract("SQLite", openSqliteSubject);
