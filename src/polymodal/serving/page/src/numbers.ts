// Numbers as text, as the report writes them.

export function plain(value: number, sign = false): string {
  const size = Math.abs(value);
  const digits = size >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 };
  const text = new Intl.NumberFormat("en", digits).format(size);
  return value < 0 ? `−${text}` : sign && value > 0 ? `+${text}` : text;
}

/** A difference of probabilities, in points of a percentage. */
export const points = (share: number): string => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)}`;

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export function bytes(size: number): string {
  if (size < 1e3) return `${size} bytes`;
  return size < 1e6 ? `${plain(Math.round(size / 1e3))} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
