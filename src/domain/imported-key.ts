/** Keys that another system made: which texts may be one, and how much of one may be shown. */

const MIN_BYTES = 16;
/** No key that works is longer, whoever made it. */
export const MAX_KEY_BYTES = 512;

/** A prefix that says what a key is for ends within so many characters. */
const PREFIX_LENGTH = 8;
const END_LENGTH = 4;

/** A prefix is shown by itself only where so much stays hidden, for it may be chance. */
const MIN_HIDDEN = 16;

/** Whether a text may be looked up as a key of another system. The API refuses more when it takes keys in. */
export function mayBeImportedKey(text: string): boolean {
  // A text has no fewer bytes than code units, and a long one shouldn't be counted.
  if (text.length > MAX_KEY_BYTES || /\p{Cc}/u.test(text)) return false;
  const bytes = Buffer.byteLength(text);
  return bytes >= MIN_BYTES && bytes <= MAX_KEY_BYTES;
}

/** What is shown of a key to tell it from others: `sk_live_…4f9c`. */
export function importedHint(key: string): string {
  const characters = [...key];
  const prefix = prefixOf(key);
  const isLong = characters.length - prefix.length - END_LENGTH >= MIN_HIDDEN;
  return `${isLong ? prefix : ""}…${characters.slice(-END_LENGTH).join("")}`;
}

/** Whether a hint shows more of a key than its prefix and a run as long as the end that may be shown. */
export function showsTooMuch(hint: string, key: string): boolean {
  const prefix = prefixOf(key);
  const characters = [...hint];
  return characters.some((_, start) => {
    const run = characters.slice(start, start + END_LENGTH + 1);
    return run.length > END_LENGTH && key.includes(run.join("")) && !prefix.includes(run.join(""));
  });
}

function prefixOf(key: string): string {
  return key.slice(0, key.slice(0, PREFIX_LENGTH).lastIndexOf("_") + 1);
}
