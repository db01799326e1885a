/** Lists are read a page at a time (AIP-158). A page token says where a list goes on. */
import { createHash } from "node:crypto";
import { invalidArgument } from "../domain/errors.ts";
import type { Position } from "../domain/storage.ts";

const DEFAULT_PAGE_SIZE = 50;
const MAX_PAGE_SIZE = 1000;

export interface PageRequest {
  /** 0 means the default. */
  readonly pageSize: number;
  /** Empty for the first page. */
  readonly pageToken: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

export interface PagedList<T> {
  /** What tells the list from others: its kind, owner and filters. A page token of one means nothing in another. */
  readonly identity: readonly string[];
  /** Reads what comes after a place in the list's order, at most `limit`. */
  readonly read: (after: Position | undefined, limit: number) => Promise<readonly T[]>;
  readonly positionOf: (item: T) => Position;
}

/** @throws AppError of kind `invalid_argument` for a page token that isn't one of this list. */
export async function readPage<T>(
  { identity, read, positionOf }: PagedList<T>,
  { pageSize, pageToken }: PageRequest,
): Promise<Page<T>> {
  const size = Math.min(pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize, MAX_PAGE_SIZE);
  const list = digest(identity);
  // One more than asked for tells whether there is a next page.
  const found = await read(pageToken === "" ? undefined : parsePageToken(pageToken, list), size + 1);
  const items = found.slice(0, size);
  const last = items.at(-1);
  return { items, nextPageToken: found.length > size && last ? formatPageToken(positionOf(last), list) : "" };
}

function digest(identity: readonly string[]): string {
  return createHash("sha256").update(identity.join(" ")).digest("base64url").slice(0, 8);
}

function formatPageToken({ createdAt, id }: Position, list: string): string {
  return Buffer.from(`${createdAt.getTime()}.${id}.${list}`).toString("base64url");
}

function parsePageToken(text: string, list: string): Position {
  const match = /^(\d{1,15})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(.{8})$/.exec(
    Buffer.from(text, "base64url").toString(),
  );
  const [, ms, id, sentList] = match ?? [];
  if (ms === undefined || id === undefined || sentList !== list) {
    throw invalidArgument({
      field: "page_token",
      description: "must be the next_page_token of a call with the same organization and filters",
    });
  }
  return { createdAt: new Date(Number(ms)), id };
}
