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

export interface PagedList<T, Place> {
  /** What tells the list from others: its kind, owner and filters. A page token of one means nothing in another. */
  readonly identity: readonly string[];
  /** Reads what comes after a place in the list's order, at most `limit`. */
  readonly read: (after: Place | undefined, limit: number) => Promise<readonly T[]>;
  readonly positionOf: (item: T) => Place;
}

/** How a place in a list's order is written; `parse` answers undefined for what isn't one. */
interface PlaceFormat<Place> {
  readonly format: (place: Place) => string;
  readonly parse: (text: string) => Place | undefined;
}

const POSITION: PlaceFormat<Position> = {
  format: ({ createdAt, id }) => `${createdAt.getTime()}.${id}`,
  parse(text) {
    const [, ms, id] = /^(\d{1,15})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(text) ?? [];
    return ms === undefined || id === undefined ? undefined : { createdAt: new Date(Number(ms)), id };
  },
};

const REVISION: PlaceFormat<number> = {
  format: String,
  parse: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined),
};

/**
 * Reads a page of a list that is ordered by `Position`.
 *
 * @throws AppError of kind `invalid_argument` for a page token that isn't one of this list.
 */
export function readPage<T>(list: PagedList<T, Position>, request: PageRequest): Promise<Page<T>> {
  return readPageOf(POSITION, list, request);
}

/** The same for a list that is ordered by revision. */
export function readPageByRevision<T>(list: PagedList<T, number>, request: PageRequest): Promise<Page<T>> {
  return readPageOf(REVISION, list, request);
}

async function readPageOf<T, Place>(
  places: PlaceFormat<Place>,
  { identity, read, positionOf }: PagedList<T, Place>,
  { pageSize, pageToken }: PageRequest,
): Promise<Page<T>> {
  const size = Math.min(pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize, MAX_PAGE_SIZE);
  const list = digest(identity);
  // One more than asked for tells whether there is a next page.
  const found = await read(pageToken === "" ? undefined : parsePageToken(places, pageToken, list), size + 1);
  const items = found.slice(0, size);
  const last = items.at(-1);
  return { items, nextPageToken: found.length > size && last ? formatPageToken(places, positionOf(last), list) : "" };
}

function digest(identity: readonly string[]): string {
  return createHash("sha256").update(identity.join(" ")).digest("base64url").slice(0, 8);
}

function formatPageToken<Place>({ format }: PlaceFormat<Place>, place: Place, list: string): string {
  return Buffer.from(`${format(place)}.${list}`).toString("base64url");
}

function parsePageToken<Place>({ parse }: PlaceFormat<Place>, text: string, list: string): Place {
  const [, placeText = "", sentList] = /^(.*)\.(.{8})$/.exec(Buffer.from(text, "base64url").toString()) ?? [];
  const place = sentList === list ? parse(placeText) : undefined;
  if (place === undefined) {
    throw invalidArgument({
      field: "page_token",
      description: "must be the next_page_token of a call with the same organization and filters",
    });
  }
  return place;
}
