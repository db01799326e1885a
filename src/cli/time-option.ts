/** Times on the command line. */
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { UsageError } from "./command.ts";

/** @throws UsageError that names the option, for a text that isn't a time */
export function parseTime(option: string, text: string): Timestamp {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new UsageError(`--${option} must be a time such as 2027-01-31T00:00:00Z`);
  return timestampFromDate(time);
}
