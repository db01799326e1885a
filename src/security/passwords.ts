/** argon2id with the parameters of the OWASP password storage guide, off the main thread. */
import { argon2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { Entropy } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import type { PasswordHasher } from "../domain/passwords.ts";

const derive = promisify(argon2);

export interface PasswordCost {
  readonly memoryKib: number;
  readonly passes: number;
}

/** https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html */
export const OWASP_COST: PasswordCost = { memoryKib: 19 * 1024, passes: 2 };

const PARALLELISM = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

/** At OWASP's cost each takes 19 MiB and a thread of the pool for some 80 ms; the pool's other threads stay free. */
const MAX_RUNNING = 2;
const MAX_WAITING = 200;

interface PhcHash {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** @param cost of new hashes; one that is stored is verified at its own */
export function createPasswordHasher(entropy: Entropy, cost: PasswordCost): PasswordHasher {
  const gate = createGate();
  const run = (password: string, phc: Omit<PhcHash, "hash">): Promise<Buffer> =>
    gate(() =>
      derive("argon2id", {
        message: Buffer.from(password.normalize("NFC")),
        nonce: phc.salt,
        parallelism: phc.parallelism,
        memory: phc.memory,
        passes: phc.passes,
        tagLength: HASH_BYTES,
      }),
    );
  const fresh = { memory: cost.memoryKib, passes: cost.passes, parallelism: PARALLELISM };
  const nobody: PhcHash = { ...fresh, salt: Buffer.alloc(SALT_BYTES), hash: Buffer.alloc(HASH_BYTES) };
  return {
    async hash(password) {
      const salt = Buffer.from(entropy(SALT_BYTES));
      return formatPhc({ ...fresh, salt, hash: await run(password, { ...fresh, salt }) });
    },
    async verify(stored, password) {
      const expected = stored === undefined ? nobody : parsePhc(stored);
      const actual = await run(password, expected);
      return timingSafeEqual(actual, expected.hash) && stored !== undefined;
    },
  };
}

/** Runs a few at a time, lets some wait, and turns the rest away. */
function createGate(): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= MAX_RUNNING) {
      if (waiting.length >= MAX_WAITING) {
        throw new AppError("unavailable", "Too many people are signing in at once; try again in a moment.");
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running++;
    }
    try {
      return await work();
    } finally {
      // A slot goes straight to the next in line, so the count stays.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

const base64 = (bytes: Buffer): string => bytes.toString("base64").replaceAll("=", "");

function formatPhc({ memory, passes, parallelism, salt, hash }: PhcHash): string {
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(hash)}`;
}

function parsePhc(text: string): PhcHash {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([^$]+)\$([^$]+)$/.exec(text);
  if (!match) throw new Error("a stored password hash is not a PHC string of argon2id");
  const [, memory, passes, parallelism, salt = "", hash = ""] = match;
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt, "base64"),
    hash: Buffer.from(hash, "base64"),
  };
}
