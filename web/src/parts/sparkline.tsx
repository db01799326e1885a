/** How often something was used on each of the last 90 days, as a line. */
import type { DailyUseJson } from "../../../gen/latchkey/v1/token_pb.ts";
import { DAY_MS, number } from "../times.ts";

const DAYS = 90;
const HEIGHT = 24;

export function Sparkline({ uses }: { readonly uses: readonly DailyUseJson[] }) {
  const today = Math.floor(Date.now() / DAY_MS);
  const counts = Array.from({ length: DAYS }, () => 0);
  for (const { date = "", count = "0" } of uses) {
    const index = Math.floor(Date.parse(date) / DAY_MS) - today + DAYS - 1;
    if (index >= 0 && index < DAYS) counts[index] = Number(count);
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = Math.max(...counts);
  const label =
    total === 0 ? "Not used in 90 days" : `Used ${number(total)} ${total === 1 ? "time" : "times"} in 90 days`;
  const line = counts.map((count, day) => `${day},${most === 0 ? HEIGHT : HEIGHT - (count / most) * HEIGHT}`).join(" ");
  return (
    <svg
      class="sparkline"
      viewBox={`-1 -2 ${DAYS + 1} ${HEIGHT + 4}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <title>{label}</title>
      {total === 0 ? null : <polygon points={`0,${HEIGHT} ${line} ${DAYS - 1},${HEIGHT}`} />}
      <polyline points={line} />
    </svg>
  );
}
