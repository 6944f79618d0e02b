// Bars: probabilities from zero, and contributions to both sides of it.
import { percent, plain, points as signedPoints } from "./numbers";

const FIRST = 6;

function widthOf(value: number, most: number): string {
  return `${most > 0 ? Math.max(0.5, (100 * Math.abs(value)) / most) : 0}%`;
}

function Probability({ name, value, strong }: { name: string; value: number; strong: boolean }) {
  return (
    <li class={strong ? "strong" : undefined}>
      <span class="name">{name}</span>
      <span class="lane" aria-hidden="true"><i style={{ width: widthOf(value, 1) }} /></span>
      <span class="n">{percent(value)}</span>
    </li>
  );
}

export function Probabilities({ of, chosen }: { of: Record<string, number>; chosen: string[] }) {
  const all = Object.entries(of).sort((a, b) => b[1] - a[1]);
  const line = ([name, value]: [string, number]) => (
    <Probability key={name} name={name} value={value} strong={chosen.includes(name)} />
  );
  return (
    <>
      <ul class="bars">{all.slice(0, FIRST).map(line)}</ul>
      {all.length > FIRST && (
        <details><summary>{all.length - FIRST} more</summary><ul class="bars">{all.slice(FIRST).map(line)}</ul></details>
      )}
    </>
  );
}

/** Contributions in the unit of the target, or in points where the answer is a probability. */
export function Contributions({ of, unit, points }: { of: Record<string, number>; unit: string; points: boolean }) {
  const written = (value: number) => (points ? `${signedPoints(value)} points` : [plain(value, true), unit].filter(Boolean).join(" "));
  const all = Object.entries(of).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const most = Math.max(...all.map(([, value]) => Math.abs(value)));
  return (
    <ul class="bars both">
      {all.map(([name, value]) => (
        <li key={name}>
          <span class="name">{name}</span>
          <span class="lane" aria-hidden="true">
            <i class={value < 0 ? "against" : "for"} style={{ width: widthOf(value, most) }} />
          </span>
          <span class="n">{written(value)}</span>
        </li>
      ))}
    </ul>
  );
}

export function Interval({ value, low, high, unit }: { value: number; low: number; high: number; unit: string }) {
  const [from, to] = [Math.min(low, value), Math.max(high, value)];
  const margin = 0.12 * (to - from) || 1;
  const at = (x: number) => (100 * (x - from + margin)) / (to - from + 2 * margin);
  return (
    <div class="interval">
      <div class="lane" aria-hidden="true">
        <i style={{ left: `${at(low)}%`, width: `${at(high) - at(low)}%` }} />
        <b style={{ left: `${at(value)}%` }} />
      </div>
      <p class="soft">between {plain(low)} and {plain(high)}{unit && ` ${unit}`}</p>
    </div>
  );
}
